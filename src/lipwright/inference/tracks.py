"""Where faces are in a video, frame by frame, and the file that says so.

Points stay float32, so that what is drawn from a file is what was drawn when it was made.
"""

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import read_tensors, write_tensors
from lipwright.errors import CheckpointError
from lipwright.faces.follow import Face, FollowedPeople
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.points import NUM_LANDMARKS

F = TypeVar("F")

FORMAT = "lipwright-track-2"
"""To be changed with anything that changes a track and is not in its key: how a face is followed,
the detector's weights and thresholds, the fields below."""
_NO_FACE, _BRIDGED, _SEEN = range(3)
_FIELDS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "times": (np.int64, (2,)),  # numerator and denominator, in seconds
    "shots": (np.int64, ()),
    # One for everybody who is followed:
    "states": (np.uint8, ()),
    "boxes": (np.float32, (4,)),
    "points": (np.float32, (NUM_LANDMARKS, 2)),
    "poses": (np.float64, (2,)),  # yaw and pitch
}


class Track:
    """Where the faces of some people are in the frames of a video, from the first one on."""

    def __init__(
        self,
        columns: Mapping[str, bytes] | None = None,
        *,
        num_people: int = 1,
        is_whole: bool = False,
    ) -> None:
        """Begin with the frames that are known.

        Args:
            columns: Name of each of ``_FIELDS`` -> its values, one frame after the other.
            num_people: How many it tells of.
            is_whole: Whether it ends where the video does.
        """
        self._columns = {name: bytearray((columns or {}).get(name, b"")) for name in _FIELDS}
        self.num_people = num_people
        self.is_whole = is_whole

    def __len__(self) -> int:
        """Frames in it."""
        return len(self._columns["states"]) // self.num_people

    def add(self, followed: FollowedPeople[F]) -> None:
        """Add what is known of the next frame."""
        time = (followed.time.numerator, followed.time.denominator)
        rows: list[dict[str, object]] = [{"times": time, "shots": followed.shot}]
        rows += [_row(face) for face in followed.faces]
        for row in rows:
            for name, value in row.items():
                dtype, shape = _FIELDS[name]
                cell = np.broadcast_to(np.asarray(value, dtype=dtype), shape)
                self._columns[name] += cell.tobytes()

    def covers(self, until: Fraction) -> bool:
        """Whether it tells of every frame that a job asks for up to a time stamp in seconds."""
        return self.is_whole or (len(self) > 0 and self.time(len(self) - 1) >= until)

    def time(self, index: int) -> Fraction:
        """Time stamp of a frame in seconds."""
        numerator, denominator = self._cell("times", index).tolist()
        return Fraction(numerator, denominator)

    def shot(self, index: int) -> int:
        """Shot of a frame."""
        return int(self._cell("shots", index))

    def faces(self, index: int) -> tuple[Face | None, ...]:
        """Where the faces are in a frame."""
        first = index * self.num_people
        return tuple(self._face(place) for place in range(first, first + self.num_people))

    def write(self, path: Path) -> None:
        """Write it; errors as :func:`~lipwright.checkpoints.write_tensors`."""
        tensors = {name: self._column(name) for name in _FIELDS}
        about = {"format": FORMAT, "is_whole": str(self.is_whole)}
        about |= {"people": str(self.num_people), "checksum": _checksum(self._columns)}
        write_tensors(path, tensors, about)

    @classmethod
    def read(cls, path: Path) -> "Track":
        """Read one that was written.

        Raises:
            CheckpointError: If the file is damaged or something else.
        """
        tensors, about = read_tensors(path)
        if about.get("format") != FORMAT or tensors.keys() != _FIELDS.keys():
            raise CheckpointError(f"{path} is not a track of this version, {FORMAT}")
        columns = {name: tensor.tobytes() for name, tensor in tensors.items()}
        if about.get("checksum") != _checksum(columns):
            raise CheckpointError(f"{path} is damaged: its checksum is another")
        num_frames, num_faces = len(tensors["shots"]), len(tensors["states"])
        num_people = int(about.get("people", "0"))
        if num_people < 1 or num_faces != num_frames * num_people:
            raise CheckpointError(
                f"{path} is damaged: {num_faces} faces in {num_frames} frames of "
                f"{num_people} people"
            )
        return cls(columns, num_people=num_people, is_whole=about.get("is_whole") == "True")

    def _face(self, place: int) -> Face | None:
        state = int(self._cell("states", place))
        if state == _NO_FACE:
            return None
        landmarks = None
        if state == _SEEN:
            yaw, pitch = self._cell("poses", place).tolist()
            points = np.asarray(self._cell("points", place), dtype=np.float32)
            landmarks = FaceLandmarks(points=points, yaw=yaw, pitch=pitch)
        box = np.asarray(self._cell("boxes", place), dtype=np.float32)
        return Face(box=box, landmarks=landmarks)

    def _column(self, name: str) -> NDArray[np.generic]:
        dtype, shape = _FIELDS[name]
        return np.frombuffer(self._columns[name], dtype=dtype).reshape(-1, *shape)

    def _cell(self, name: str, index: int) -> NDArray[np.generic]:
        dtype, shape = _FIELDS[name]
        count = int(np.prod(shape, dtype=np.int64))
        size = count * np.dtype(dtype).itemsize
        # A copy: a view would keep the column from growing.
        cell = bytes(self._columns[name][index * size : (index + 1) * size])
        return np.frombuffer(cell, dtype=dtype).reshape(shape)


def _row(face: Face | None) -> dict[str, object]:
    found = None if face is None else face.landmarks
    return {
        "states": _NO_FACE if face is None else _BRIDGED if found is None else _SEEN,
        "boxes": 0 if face is None else face.box,
        "points": 0 if found is None else found.points,
        "poses": 0 if found is None else (found.yaw, found.pitch),
    }


def _checksum(columns: Mapping[str, bytes | bytearray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(_FIELDS):
        digest.update(columns[name])
    return digest.hexdigest()
