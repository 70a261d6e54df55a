"""Where faces are in a video, frame by frame, and the file that says so.

The file is a ZIP archive of NumPy arrays, each of some hundred frames, so that it is written and
read on the way through a video and never held as a whole. Points stay float32: what is drawn from
a file is what was drawn when it was made.
"""

import json
import shutil
import struct
import tempfile
import zipfile
import zlib
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lipwright.errors import CheckpointError
from lipwright.faces.follow import Face, FollowedPeople
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.points import NUM_LANDMARKS

F = TypeVar("F")

FORMAT = "lipwright-track-3"
"""To be changed with anything that changes a track and is not in its key: how a face is followed,
the detector's weights and thresholds, the fields below."""
_ABOUT = "about.json"
_CHUNK_FRAMES = 512
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,  # compressed in a way that is not known, or with a password
    KeyError,
    TypeError,
    ValueError,
    ArithmeticError,
)
_NO_FACE, _BRIDGED, _SEEN = range(3)
_FACE = np.dtype(
    [
        ("state", np.uint8),
        ("box", np.float32, 4),
        ("points", np.float32, (NUM_LANDMARKS, 2)),
        ("yaw", np.float64),
        ("pitch", np.float64),
    ]
)


def _rows(num_people: int) -> np.dtype[np.void]:
    """What is known of a frame."""
    time = [("numerator", np.int64), ("denominator", np.int64)]  # in seconds
    return np.dtype([*time, ("shot", np.int64), ("faces", _FACE, (num_people,))])


class TrackRecorder:
    """Writes down where the faces of some people are, from the first frame of a video on.

    What was written lies in a temporary file until it is saved, and is gone when this is closed.
    """

    def __init__(self, folder: Path, *, num_people: int = 1) -> None:
        """Begin with no frames.

        Args:
            folder: Of the temporary file; made if it is not there.
            num_people: How many it tells of.

        Raises:
            OSError: If nothing can be written there.
        """
        self._num_people = num_people
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - see close
        self._archive = zipfile.ZipFile(self._file, "w")
        self._rows = np.zeros(_CHUNK_FRAMES, dtype=_rows(num_people))
        self._last = Fraction(0)
        self.num_frames = 0
        """Frames in it."""

    def close(self) -> None:
        """Let go of what is not saved."""
        with suppress(OSError):  # what cannot be written any more is not wanted any more
            self._archive.close()
        with suppress(OSError):
            self._file.close()

    def add(self, followed: FollowedPeople[F]) -> None:
        """Add what is known of the next frame.

        Raises:
            OSError: If there is no room left.
        """
        row = self._rows[self.num_frames % _CHUNK_FRAMES]
        self._last = followed.time
        row["numerator"], row["denominator"] = followed.time.numerator, followed.time.denominator
        row["shot"] = followed.shot
        for cell, face in zip(row["faces"], followed.faces, strict=True):
            cell["state"] = _state(face)
            if face is not None:
                cell["box"] = face.box
            if face is not None and face.landmarks is not None:
                cell["points"] = face.landmarks.points
                cell["yaw"], cell["pitch"] = face.landmarks.yaw, face.landmarks.pitch
        self.num_frames += 1
        if self.num_frames % _CHUNK_FRAMES == 0:
            self._write_chunk(_CHUNK_FRAMES)

    def save(self, path: Path, *, is_whole: bool) -> None:
        """Write what was added into a file; nothing can be added after that.

        Args:
            path: The file.
            is_whole: Whether the track ends where the video does.

        Raises:
            OSError: If it cannot be written.
        """
        if self.num_frames % _CHUNK_FRAMES:
            self._write_chunk(self.num_frames % _CHUNK_FRAMES)
        about = {
            "format": FORMAT,
            "is_whole": is_whole,
            "people": self._num_people,
            "frames": self.num_frames,
            "last": [self._last.numerator, self._last.denominator],
        }
        self._archive.writestr(_ABOUT, json.dumps(about))
        self._archive.close()
        self._file.seek(0)
        with path.open("wb") as saved:
            shutil.copyfileobj(self._file, saved)

    def _write_chunk(self, num_frames: int) -> None:
        number = (self.num_frames - 1) // _CHUNK_FRAMES
        with self._archive.open(f"{number}.npy", "w") as member:
            npy.write_array(member, self._rows[:num_frames], allow_pickle=False)
        self._rows = np.zeros_like(self._rows)


class Track:
    """Where the faces of some people are, from a file that a `TrackRecorder` saved.

    Frames are best asked for in order: some hundred are held at a time. Asking for one raises
    CheckpointError if it cannot be read any more.
    """

    def __init__(self, path: Path) -> None:
        """Open a file, and compare its checksums.

        Raises:
            OSError: If it cannot be read.
            CheckpointError: If it is damaged or something else.
        """
        self.path = path
        """The file."""
        self._chunk: tuple[int, NDArray[np.void]] | None = None
        try:
            self._archive = zipfile.ZipFile(path)
        except _DAMAGE as err:
            raise CheckpointError(f"{path} is damaged: {err}") from err
        try:
            self._read_about()
        except BaseException:
            self.close()
            raise

    def _read_about(self) -> None:
        try:
            damaged = self._archive.testzip()
            about = json.loads(self._archive.read(_ABOUT))
            if about["format"] != FORMAT:
                raise CheckpointError(f"{self.path} is no track of this version, {FORMAT}")
            self._rows = _rows(int(about["people"]))
            self.is_whole = bool(about["is_whole"])
            """Whether it ends where the video does."""
            self._num_frames = int(about["frames"])
            self._last = Fraction(*about["last"])
        except _DAMAGE as err:
            raise CheckpointError(f"{self.path} is damaged: {err}") from err
        if damaged is not None:
            raise CheckpointError(f"{self.path} is damaged: the checksum of {damaged} is another")

    def __enter__(self) -> "Track":
        """Use it in a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def __len__(self) -> int:
        """Frames in it."""
        return self._num_frames

    def covers(self, until: Fraction) -> bool:
        """Whether it tells of every frame that a job asks for up to a time stamp in seconds."""
        return self.is_whole or (len(self) > 0 and self._last >= until)

    def time(self, index: int) -> Fraction:
        """Time stamp of a frame in seconds."""
        row = self._row(index)
        return Fraction(int(row["numerator"]), int(row["denominator"]))

    def shot(self, index: int) -> int:
        """Shot of a frame."""
        return int(self._row(index)["shot"])

    def faces(self, index: int) -> tuple[Face | None, ...]:
        """Where the faces are in a frame."""
        return tuple(_face(cell) for cell in self._row(index)["faces"])

    def _row(self, index: int) -> np.void:
        number, place = divmod(index, _CHUNK_FRAMES)
        if self._chunk is None or self._chunk[0] != number:
            self._chunk = number, self._read_chunk(number)
        row: np.void = self._chunk[1][place]
        return row

    def _read_chunk(self, number: int) -> NDArray[np.void]:
        try:
            with self._archive.open(f"{number}.npy") as member:
                rows: NDArray[np.void] = npy.read_array(member, allow_pickle=False)
        except (OSError, *_DAMAGE) as err:
            raise CheckpointError(f"{self.path} cannot be read any more: {err}") from err
        expected = min(_CHUNK_FRAMES, len(self) - number * _CHUNK_FRAMES)
        if rows.dtype != self._rows or rows.shape != (expected,):
            raise CheckpointError(f"{self.path} is damaged: {number}.npy holds something else")
        return rows


def _state(face: Face | None) -> int:
    if face is None:
        return _NO_FACE
    return _BRIDGED if face.landmarks is None else _SEEN


def _face(cell: np.void) -> Face | None:
    if cell["state"] == _NO_FACE:
        return None
    landmarks = None
    if cell["state"] == _SEEN:
        points = np.array(cell["points"], dtype=np.float32)
        landmarks = FaceLandmarks(points=points, yaw=float(cell["yaw"]), pitch=float(cell["pitch"]))
    return Face(box=np.array(cell["box"], dtype=np.float32), landmarks=landmarks)
