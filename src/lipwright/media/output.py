"""Open a container to write to: a file that appears only when it is whole, or a pipe."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import BinaryIO, Literal

import av
from av.container import OutputContainer
from av.error import FFmpegError

from lipwright.errors import MediaError
from lipwright.media.source import reason

CONTAINERS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov", ".webm": "webm"}
_FORMATS = CONTAINERS | {".gif": "gif"}
TICKS = 90_000  # per second at least; holds 24, 25, 30, 60 and their 1001ths exactly
MOST_TICKS = 10_000_000  # per second; containers store the clock in 32 bits
# A pipe cannot be gone back in, so the index is written piece by piece; the first piece waits for
# the first packets, whose delay it has to state.
_IN_PIECES = "+frag_keyframe+delay_moov+default_base_moof"

PipedContainer = Literal[".mp4", ".mkv", ".webm"]


@dataclass(frozen=True, slots=True)
class Pipe:
    """Somewhere that bytes can only be sent on to, such as ``sys.stdout.buffer``."""

    stream: BinaryIO
    """Takes the bytes; nobody else may write to it meanwhile. It is not closed."""
    suffix: PipedContainer = ".mp4"
    """The container, as its files are called; MP4 goes out in fragments."""

    def __str__(self) -> str:
        return "standard output"


def require_suffix(path: Path) -> None:
    """Check that a name says what kind of video it is.

    Raises:
        MediaError: If its suffix is unknown.
    """
    if path.suffix.lower() not in CONTAINERS:
        raise MediaError(
            f"cannot write '{path}': unknown kind of video {path.suffix!r}; "
            f"use {', '.join(CONTAINERS)}"
        )


def require_folder_of(path: Path) -> None:
    """Check that something can be written under a name, before any work is done.

    Raises:
        MediaError: If the folder is missing or may not be written to.
    """
    folder = path.parent
    if not folder.exists():
        raise MediaError(f"folder '{folder}' does not exist; create it first")
    if not folder.is_dir():
        raise MediaError(f"'{folder}' is not a folder; write to another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MediaError(f"folder '{folder}' may not be written to; change its permissions")


def require_writable(path: Path) -> None:
    """Check that a video can be written under a name, before any work is done.

    Raises:
        MediaError: If the suffix is unknown, the name is a folder, or the folder is missing or
            may not be written to.
    """
    require_suffix(path)
    require_folder_of(path)
    if path.is_dir():
        raise MediaError(f"'{path}' is a folder; give the name of a video")


def unfinished_name(path: Path) -> Path:
    """A hidden name in the same folder, which nobody else has."""
    return path.with_name(f".lipwright-{secrets.token_hex(8)}{path.suffix}")


def time_base_of(fps: Fraction) -> Fraction:
    """A clock on which every multiple of the frame period is a whole number of ticks."""
    if fps.numerator > MOST_TICKS:
        return Fraction(1, TICKS)
    return Fraction(1, fps.numerator * ceil(Fraction(TICKS, fps.numerator)))


class Output:
    """A container that is being written.

    A file grows under a hidden name in the same folder; what stood under its own name before
    stands there until the new one is whole. What has gone down a pipe stays there.
    """

    def __init__(self, target: Path | Pipe) -> None:
        """Open nothing yet.

        Args:
            target: A path whose suffix is one of `CONTAINERS` or .gif, or a pipe.
        """
        self._target = target
        self._unfinished = None if isinstance(target, Pipe) else unfinished_name(target)
        self.container: OutputContainer | None = None
        """None before it is opened."""

    @property
    def suffix(self) -> str:
        """The kind of container: a key of `CONTAINERS`."""
        return self._target.suffix.lower()

    def open(self, options: dict[str, str] | None = None) -> OutputContainer:
        """Open the container.

        Args:
            options: Of the container, beside those that every one has.

        Raises:
            MediaError: If it cannot be opened.
        """
        is_piped = isinstance(self._target, Pipe)
        flags = _IN_PIECES if is_piped else "+faststart"
        chosen = {"movflags": flags} if self.suffix in {".mp4", ".mov"} else {}
        file = _WriteOnly(self._target.stream) if isinstance(self._target, Pipe) else None
        try:
            self.container = av.open(
                file or f"file:{self._unfinished}",
                mode="w",
                format=_FORMATS[self.suffix],
                container_options=chosen | (options or {}),
            )
        except (OSError, FFmpegError, ValueError) as err:
            self.discard()
            raise self.failure(err) from err
        except BaseException:
            self.discard()
            raise
        return self.container

    def end(self, finish: Callable[[], None] | None) -> None:
        """Finish the container and give a file its own name, or give it up.

        Args:
            finish: Writes what is still to be written; None to give up what was written.

        Raises:
            MediaError: If it cannot be finished; it is then given up.
        """
        if finish is None:
            self.discard()
            return
        try:
            finish()
            self._keep()
        except (OSError, FFmpegError) as err:
            self.discard()
            raise self.failure(err) from err
        except BaseException:
            self.discard()
            raise

    def _keep(self) -> None:
        if self.container is not None:
            self.container.close()
        if isinstance(self._target, Pipe):
            self._target.stream.flush()
        elif self._unfinished is not None:
            self._unfinished.replace(self._target)

    def discard(self) -> None:
        """Give the container up."""
        if self.container is not None:
            with suppress(OSError, FFmpegError):  # it is given up, whole or not
                self.container.close()
        if self._unfinished is not None:
            self._unfinished.unlink(missing_ok=True)

    def failure(self, err: Exception) -> MediaError:
        """What to tell the user when writing fails."""
        why = reason(err) if isinstance(err, FFmpegError) else str(err)
        return MediaError(
            f"cannot write '{self._target}' ({why}); check the free space, the size and the options"
        )


class _WriteOnly:
    """A stream without what a pipe cannot do; standard output claims that it can seek."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, buffer: bytes) -> int:
        return self._stream.write(buffer)
