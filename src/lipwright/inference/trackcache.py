"""Keep where faces are in a video, so that the next job on the same file need not look again.

A track is recorded while a job follows its people, as far as the job reads the video, and kept in
Lipwright's home under everything that it depends on: the file's content, the networks and their
settings, and whom it follows. A replayed job draws the very pixels of the first one.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import numpy as np

from lipwright.checkpoints.home import home
from lipwright.errors import CheckpointError
from lipwright.faces.choose import KnownPerson, Who
from lipwright.faces.follow import (
    FollowConfig,
    FollowedPeople,
    KnowingEyes,
    follow_people,
)
from lipwright.inference.content import FileContent
from lipwright.inference.sight import FACE_HEIGHT
from lipwright.inference.tracks import FORMAT, Track, TrackRecorder

log = logging.getLogger(__name__)

F = TypeVar("F")
_Follow = Callable[[Iterable[tuple[F, Fraction]]], Iterator[FollowedPeople[F]]]

SUFFIX = ".npz"
MAX_TRACK_BYTES = 256 * 2**20  # of all tracks: 2.5 hours at 25 fps, 1.1 kB a frame
MAX_FRAMES = 50_000  # of one face's track, half an hour at 25 fps: 55 MB


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
    """How faces are followed."""
    until: Fraction
    """Seconds: frames after the first one at or beyond it are not asked for."""
    who: tuple[Who, ...]
    """Whom to follow."""


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

    def follow_people(
        self, frames: Iterable[tuple[F, Fraction]], eyes: KnowingEyes[F], wanted: Wanted
    ) -> Generator[FollowedPeople[F], None, None]:
        """Follow people as ``follow_people`` does, without looking if the track is known.

        Args:
            frames: Frames of the video with their time stamps in seconds, in order.
            eyes: See, and tell people apart, where the track is not known.
            wanted: Which track; the ``choice`` of its config does not count.

        Yields:
            Every frame, in order. What was followed is kept when this ends or is closed.
        """

        def anew(frames: Iterable[tuple[F, Fraction]]) -> Iterator[FollowedPeople[F]]:
            return follow_people(frames, eyes, wanted.who, wanted.config)

        content = FileContent(wanted.source, self._folder)
        try:
            path = self._path(content.digest, wanted)
            with _kept(path) as track:
                if track is not None and track.covers(wanted.until):
                    log.info("the track of %s is known: %s", wanted.source, track.path.name)
                    yield from _replayed(frames, anew, wanted, track=track)
                    return
            yield from self._recorded(anew(frames), wanted, content=content)
        finally:
            content.close()

    def _recorded(
        self, followed: Iterator[FollowedPeople[F]], wanted: Wanted, *, content: FileContent
    ) -> Iterator[FollowedPeople[F]]:
        recorder, most = _begun(self._folder, wanted), MAX_FRAMES // max(len(wanted.who), 1)
        is_whole = False
        try:
            for together in followed:
                if recorder is not None and recorder.num_frames < most:
                    recorder = _added(recorder, together, wanted)
                yield together
            is_whole = recorder is not None and recorder.num_frames < most
        finally:
            if recorder is not None:
                with closing(recorder):
                    self._keep(recorder, content, wanted, is_whole=is_whole)

    def _keep(
        self, recorder: TrackRecorder, content: FileContent, wanted: Wanted, *, is_whole: bool
    ) -> None:
        """Keep a track, unless a longer one of the same video was kept meanwhile."""
        path = self._path(content.digest, wanted) if content.is_unchanged() else None
        if path is None or not recorder.num_frames:
            return
        content.remember()
        with _kept(path) as before:
            if before is not None and len(before) >= recorder.num_frames:
                return
        staged = path.with_name(f".{uuid4().hex}{SUFFIX}")
        try:
            recorder.save(staged, is_whole=is_whole)
            staged.replace(path)
        except OSError as err:
            _say_not_kept(wanted, err)
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
            "who": [_written(who) for who in wanted.who],
        }
        text = json.dumps(parts, sort_keys=True, default=str)
        key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return self._folder / f"{key}{SUFFIX}"


def _written(who: Who) -> str | list[str]:
    """Whom a track follows, as it stands in the track's key: to the last bit."""
    if isinstance(who, KnownPerson):
        return [seen.astype(np.float32).tobytes().hex() for seen in (who.appearance, *who.others)]
    return who


def _replayed(
    frames: Iterable[tuple[F, Fraction]],
    anew: _Follow[F],
    wanted: Wanted,
    *,
    track: Track,
) -> Iterator[FollowedPeople[F]]:
    rest = iter(frames)
    shot = 0
    for index, (frame, at) in enumerate(rest):
        known = _known(track, index, frame, at)
        if known is None:
            log.warning(
                "the track %s does not fit '%s' from %.3f s on; it is dropped, and the faces "
                "followed anew from there",
                track.path,
                wanted.source,
                at,
            )
            track.close()
            _drop(track.path)
            for together in anew(chain([(frame, at)], rest)):
                yield replace(together, shot=together.shot + shot + 1)
            return
        shot = known.shot
        yield known


def _known(track: Track, index: int, frame: F, at: Fraction) -> FollowedPeople[F] | None:
    """What a track tells of a frame.

    None if it does not fit: the same bytes, but other frames (another version of the decoder), or
    a file that has been damaged meanwhile.
    """
    try:
        if index >= len(track) or track.time(index) != at:
            return None
        faces, shot = track.faces(index), track.shot(index)
    except CheckpointError as err:
        log.info("%s", err)
        return None
    return FollowedPeople(frame=frame, time=at, faces=faces, shot=shot)


def _begun(folder: Path, wanted: Wanted) -> TrackRecorder | None:
    """A track with no frames; None, and said, where it cannot be written."""
    try:
        return TrackRecorder(folder, num_people=max(len(wanted.who), 1))
    except OSError as err:
        _say_not_kept(wanted, err)
        return None


def _added(
    recorder: TrackRecorder, followed: FollowedPeople[F], wanted: Wanted
) -> TrackRecorder | None:
    """The track with a frame more; None, and said, where there is no room for it."""
    try:
        recorder.add(followed)
    except OSError as err:
        recorder.close()
        _say_not_kept(wanted, err)
        return None
    return recorder


def _say_not_kept(wanted: Wanted, err: OSError) -> None:
    log.info("the track of %s is not kept: %s", wanted.source, err)


@contextmanager
def _kept(path: Path | None) -> Iterator[Track | None]:
    """A track that is kept and whole, for the time of a block; it counts as used now."""
    if path is None or not path.is_file():
        yield None
        return
    try:
        track = Track(path)
    except (OSError, CheckpointError) as err:
        log.warning("a track is dropped and made anew: %s", err)
        _drop(path)
        yield None
        return
    with track:
        with suppress(OSError):
            os.utime(path)
        yield track


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
