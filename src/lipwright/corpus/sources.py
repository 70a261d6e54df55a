"""Find the clips of a data set: loose videos, LRS2's folders, or the released preprocessed layout.

A clip's name is its path below the folder that was named, without suffix: ``s1/bbaf2n``,
``main/5535415699068794046/00001``; right in that folder, the folder's own name comes first.
In the released layout a clip is a folder of numbered JPEG files, 25 a second, with ``audio.wav``
beside them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from lipwright.corpus.ledger import SPLITS
from lipwright.errors import CorpusError
from lipwright.media import VideoFrame, read_frames

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"}
    | {".ogv", ".ts", ".webm", ".wmv"}
)
RELEASED_SOUND = "audio.wav"
RELEASED_FPS = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSource:
    """Where a clip's picture and sound are."""

    clip: str
    """Its name."""
    picture: Path
    """A video file, or a folder of numbered JPEG files."""
    sound: Path
    """A file with sound; for a video the same file."""

    def frames(self) -> Iterator[VideoFrame]:
        """Pictures with exact time stamps, one at a time."""
        return _numbered(self.picture) if self.picture.is_dir() else read_frames(self.picture)


def find_clips(folders: Sequence[Path]) -> list[ClipSource]:
    """List the clips below some folders, in order of name.

    Args:
        folders: Where to look; each may hold any of the layouts.

    Returns:
        The clips; files that are neither video nor part of the released layout are left alone.

    Raises:
        CorpusError: If a folder does not exist, nothing is found, or two clips have one name.
    """
    if not folders:
        raise CorpusError("no folder was named; name at least one that holds clips")
    sources: dict[str, ClipSource] = {}
    for folder in folders:
        if not folder.is_dir():
            raise CorpusError(f"no such folder: {str(folder)!r}")
        for source in _clips_below(folder):
            if source.clip in sources:
                raise CorpusError(
                    f"two clips are called {source.clip!r}: {sources[source.clip].picture} and "
                    f"{source.picture}; rename one, or prepare them from a folder above both"
                )
            sources[source.clip] = source
    if not sources:
        names = ", ".join(repr(str(folder)) for folder in folders)
        raise CorpusError(
            f"no clips in {names}; expected videos such as .mp4, or <clip>/0.jpg "
            f"with <clip>/{RELEASED_SOUND}"
        )
    return [sources[name] for name in sorted(sources)]


def _clips_below(folder: Path) -> Iterator[ClipSource]:
    for path in sorted(folder.rglob("*")):
        if path.name == RELEASED_SOUND and (path.parent / "0.jpg").exists():
            clip = _name(path.parent, folder)
            yield ClipSource(clip=clip, picture=path.parent, sound=path)
        elif path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            clip = _name(path.with_suffix(""), folder)
            yield ClipSource(clip=clip, picture=path, sound=path)


def _name(path: Path, folder: Path) -> str:
    name, last = path.relative_to(folder), folder.resolve().name
    # A folder that is itself a split keeps its name, or its clips would change sides.
    is_named = bool(name.parent.parts) and last not in SPLITS
    return (name if is_named else last / name).as_posix()


def _numbered(folder: Path) -> Iterator[VideoFrame]:
    paths = {int(path.stem): path for path in folder.glob("*.jpg") if path.stem.isdecimal()}
    size: tuple[int, int] | None = None
    for number in sorted(paths):
        picture = next(read_frames(paths[number])).pixels
        # The released preprocessing cuts every picture to the face's own size: scaled to the
        # first, as read_frames does within a file, boxes of different pictures are comparable.
        size = size or (picture.shape[1], picture.shape[0])
        if picture.shape[1::-1] != size:
            resized = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
            picture = np.asarray(resized, dtype=np.uint8)
        yield VideoFrame(pixels=picture, time=Fraction(number, RELEASED_FPS))
