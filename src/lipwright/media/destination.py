"""Choose how frames are written by what the output is called."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from lipwright.errors import MediaError
from lipwright.media.encoding import Encoding
from lipwright.media.extras import Extras
from lipwright.media.gif_writer import GIF, GifWriter
from lipwright.media.native import NativeFrame
from lipwright.media.native_writer import NativeWriter
from lipwright.media.output import CONTAINERS, Pipe
from lipwright.media.picture_writer import PictureWriter, is_picture_pattern
from lipwright.media.sound import SoundTrack


class FrameWriter(Protocol):
    """What takes frames in the order of time, in a ``with`` block."""

    def __enter__(self) -> Self:
        """Open a hidden file or folder."""
        ...

    def write(self, frame: NativeFrame) -> None:
        """Append one frame."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give what was written its name, or remove it after an exception."""
        ...


def open_writer(
    out: Path | Pipe,
    *,
    fps: Fraction,
    speech: Path | SoundTrack | None,
    encoding: Encoding | None = None,
    extras: Extras | None = None,
    threads: int = 0,
) -> FrameWriter:
    """The writer for an output.

    Args:
        out: A video (.mp4, .mkv, .mov, .webm), a .gif, a pattern such as ``frames/%05d.png``, an
            empty folder (for PNG pictures), or a pipe. GIF and pictures have no
            sound and take none of what follows but the rate.
        fps: Rate of the frames; of frames at a variable rate, the average.
        speech: See `NativeWriter`.
        encoding: See `NativeWriter`.
        extras: See `NativeWriter`.
        threads: See `NativeWriter`.

    Raises:
        MediaError: If the output cannot be written, which is found before anything is.
    """
    if isinstance(out, Path):
        if is_pictures(out):
            return PictureWriter(out)
        if out.suffix.lower() == GIF:
            return GifWriter(out, fps=fps)
        if out.suffix.lower() not in CONTAINERS:
            raise MediaError(
                f"cannot write '{out}': unknown kind of video {out.suffix!r}; use "
                f"{', '.join(CONTAINERS)}, {GIF}, a pattern such as frames/%05d.png, or a folder "
                "that is there"
            )
    return NativeWriter(
        out, fps=fps, speech=speech, encoding=encoding, extras=extras, threads=threads
    )


def require_output(out: Path | Pipe) -> None:
    """Check that an output can be written, before any work is done.

    Raises:
        MediaError: If its kind is unknown, or the folder is missing or may not be written to.
    """
    # No writer writes anything before its block.
    open_writer(out, fps=Fraction(25), speech=None)


def is_pictures(out: Path) -> bool:
    """Whether an output is a folder or pattern of pictures."""
    return is_picture_pattern(out) or (out.is_dir() and out.suffix.lower() not in CONTAINERS)
