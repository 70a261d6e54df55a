"""Keep where the face is in a video, so that the next job on the same file need not look again.

A track is recorded while a job follows the face, as far as the job reads the video, and kept in
Lipwright's home under everything that it depends on: the file's content, the networks and their
settings. Points stay float32, so a replayed job draws the very pixels of the first one.
"""

import hashlib
import json
import logging
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import read_tensors, write_tensors
from lipwright.checkpoints.home import home
from lipwright.errors import CheckpointError
from lipwright.faces.follow import Eyes, Face, FollowConfig, Followed, follow_face
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.points import NUM_LANDMARKS
from lipwright.inference.content import FileContent
from lipwright.inference.sight import FACE_HEIGHT

log = logging.getLogger(__name__)

F = TypeVar("F")

FORMAT = "lipwright-track-1"
"""To be changed with anything that changes a track and is not in its key: how a face is followed,
the detector's weights and thresholds, the fields below."""
SUFFIX = ".safetensors"
MAX_TRACK_BYTES = 256 * 2**20  # of all tracks: 2.5 hours at 25 fps, 1.1 kB a frame
MAX_FRAMES = 50_000  # of one track, half an hour at 25 fps: 55 MB while it is recorded
_NO_FACE, _BRIDGED, _SEEN = range(3)
_FIELDS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "times": (np.int64, (2,)),  # numerator and denominator, in seconds
    "shots": (np.int64, ()),
    "states": (np.uint8, ()),
    "boxes": (np.float32, (4,)),
    "points": (np.float32, (NUM_LANDMARKS, 2)),
    "poses": (np.float64, (2,)),  # yaw and pitch
}


def tracks_folder() -> Path:
    """Where tracks are kept.

    Raises:
        ConfigError: If there is no home folder to be found.
    """
    return home() / "tracks"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which track a job needs."""

    source: Path
    """The video."""
    min_face: float
    """Height of the smallest face that is looked for: see ``SyncOptions``."""
    config: FollowConfig
    """How the face is followed."""
    until: Fraction
    """Seconds: frames after the first one at or beyond it are not asked for."""


class Track:
    """Where the face is in the frames of a video, from the first one on."""

    def __init__(
        self, columns: Mapping[str, bytes] | None = None, *, is_whole: bool = False
    ) -> None:
        """Begin with the frames that are known.

        Args:
            columns: Name of each of ``_FIELDS`` -> its values, one frame after the other.
            is_whole: Whether it ends where the video does.
        """
        self._columns = {name: bytearray((columns or {}).get(name, b"")) for name in _FIELDS}
        self.is_whole = is_whole

    def __len__(self) -> int:
        """Frames in it."""
        return len(self._columns["states"])

    def add(self, followed: Followed[F]) -> None:
        """Add what is known of the next frame."""
        face, found = followed.face, None if followed.face is None else followed.face.landmarks
        state = _NO_FACE if face is None else _BRIDGED if found is None else _SEEN
        row: dict[str, object] = {
            "times": (followed.time.numerator, followed.time.denominator),
            "shots": followed.shot,
            "states": state,
            "boxes": 0 if face is None else face.box,
            "points": 0 if found is None else found.points,
            "poses": 0 if found is None else (found.yaw, found.pitch),
        }
        for name, (dtype, shape) in _FIELDS.items():
            value = np.broadcast_to(np.asarray(row[name], dtype=dtype), shape)
            self._columns[name] += value.tobytes()

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

    def face(self, index: int) -> Face | None:
        """Where the face is in a frame."""
        state = int(self._cell("states", index))
        if state == _NO_FACE:
            return None
        landmarks = None
        if state == _SEEN:
            yaw, pitch = self._cell("poses", index).tolist()
            points = np.asarray(self._cell("points", index), dtype=np.float32)
            landmarks = FaceLandmarks(points=points, yaw=yaw, pitch=pitch)
        box = np.asarray(self._cell("boxes", index), dtype=np.float32)
        return Face(box=box, landmarks=landmarks)

    def write(self, path: Path) -> None:
        """Write it; errors as :func:`~lipwright.checkpoints.write_tensors`."""
        tensors = {name: self._column(name) for name in _FIELDS}
        about = {"format": FORMAT, "is_whole": str(self.is_whole)}
        about |= {"checksum": _checksum(self._columns)}
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
        return cls(columns, is_whole=about.get("is_whole") == "True")

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


class TrackCache:
    """The tracks that are kept; may be used from several threads and processes."""

    def __init__(self, folder: Path, *, landmarks: str, max_bytes: int = MAX_TRACK_BYTES) -> None:
        """Look into a folder.

        Args:
            folder: Of the tracks; made when the first one is kept.
            landmarks: SHA-256 of the landmark network.
            max_bytes: Of all files in it. Those used longest ago are removed beyond it.
        """
        self._folder, self._landmarks, self._max_bytes = folder, landmarks, max_bytes

    def follow(
        self, frames: Iterable[tuple[F, Fraction]], eyes: Eyes[F], wanted: Wanted
    ) -> Generator[Followed[F], None, None]:
        """Follow a face as ``follow_face`` does, without looking if the track is known.

        Args:
            frames: Frames of the video with their time stamps in seconds, in order.
            eyes: See, where the track is not known.
            wanted: Which track.

        Yields:
            Every frame, in order. What was followed is kept when this ends or is closed.
        """
        content = FileContent(wanted.source, self._folder)
        try:
            path = self._path(content.digest, wanted)
            track = None if path is None else _kept(path)
            if path is not None and track is not None and track.covers(wanted.until):
                log.info("the track of %s is known: %s", wanted.source, path.name)
                yield from _replayed(frames, eyes, wanted, track=track, path=path)
            else:
                yield from self._recorded(frames, eyes, wanted, content=content)
        finally:
            content.close()

    def _recorded(
        self,
        frames: Iterable[tuple[F, Fraction]],
        eyes: Eyes[F],
        wanted: Wanted,
        *,
        content: FileContent,
    ) -> Iterator[Followed[F]]:
        track = Track()
        try:
            for followed in follow_face(frames, eyes, wanted.config):
                if len(track) < MAX_FRAMES:
                    track.add(followed)
                yield followed
            track.is_whole = len(track) < MAX_FRAMES
        finally:
            self._keep(track, content, wanted)

    def _keep(self, track: Track, content: FileContent, wanted: Wanted) -> None:
        """Keep a track, unless a longer one of the same video was kept meanwhile."""
        path = self._path(content.digest, wanted) if content.is_unchanged() else None
        if path is None or not len(track):
            return
        content.remember()
        before = _kept(path)
        if before is not None and len(before) >= len(track):
            return
        staged = path.with_name(f".{uuid4().hex}{SUFFIX}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            track.write(staged)
            staged.replace(path)
        except (OSError, CheckpointError) as err:
            log.info("the track of %s is not kept: %s", wanted.source, err)
            with suppress(OSError):
                staged.unlink(missing_ok=True)
            return
        _make_room(self._folder, path, self._max_bytes)

    def _path(self, digest: str | None, wanted: Wanted) -> Path | None:
        """Where a track lies; None while the video's content is not known."""
        if digest is None:
            return None
        parts = {
            "format": FORMAT,
            "content": digest,
            "landmarks": self._landmarks,
            "detector": {"min_face": wanted.min_face, "face_height": FACE_HEIGHT},
            "follow": asdict(wanted.config),
        }
        text = json.dumps(parts, sort_keys=True, default=str)
        key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return self._folder / f"{key}{SUFFIX}"


def _replayed(
    frames: Iterable[tuple[F, Fraction]],
    eyes: Eyes[F],
    wanted: Wanted,
    *,
    track: Track,
    path: Path,
) -> Iterator[Followed[F]]:
    rest = iter(frames)
    shot = 0
    for index, (frame, at) in enumerate(rest):
        if index >= len(track) or track.time(index) != at:
            # The same bytes, but other frames: another version of the decoder.
            log.warning(
                "the track %s does not fit '%s' from %.3f s on; it is dropped, and the face "
                "followed anew from there",
                path,
                wanted.source,
                at,
            )
            _drop(path)
            anew = follow_face(chain([(frame, at)], rest), eyes, wanted.config)
            yield from (replace(followed, shot=followed.shot + shot + 1) for followed in anew)
            return
        shot = track.shot(index)
        yield Followed(frame=frame, time=at, face=track.face(index), shot=shot)


def _kept(path: Path) -> Track | None:
    """A track that is kept and whole; it counts as used now."""
    if not path.is_file():
        return None
    try:
        track = Track.read(path)
    except (OSError, CheckpointError) as err:
        log.warning("a track is dropped and made anew: %s", err)
        _drop(path)
        return None
    with suppress(OSError):
        os.utime(path)
    return track


def _checksum(columns: Mapping[str, bytes | bytearray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(_FIELDS):
        digest.update(columns[name])
    return digest.hexdigest()


def _drop(path: Path) -> None:
    with suppress(OSError):  # another job may have dropped it, or nothing can be dropped here
        path.unlink(missing_ok=True)


def _make_room(folder: Path, keep: Path, max_bytes: int) -> None:
    """Remove what was used longest ago; another process may be removing the same."""
    files: list[tuple[float, int, Path]] = []
    for file in folder.iterdir():
        with suppress(OSError):
            about = file.stat()
            files.append((about.st_mtime, about.st_size, file))
    total = sum(num_bytes for _, num_bytes, _ in files)
    for _, num_bytes, file in sorted(files):
        if total <= max_bytes:
            return
        if file != keep:
            _drop(file)
            total -= num_bytes
