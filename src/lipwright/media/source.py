"""Open a media file for reading, and find its pictures and its sound."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.frame import Frame
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from lipwright.errors import MediaError
from lipwright.media.limits import admit, container_options

T = TypeVar("T", bound=Stream)


def require_file(path: Path) -> None:
    """Check that a file stands under a name, before anything expensive is begun.

    Raises:
        MediaError: If it is missing, a folder, or empty.
    """
    if not path.exists():
        raise MediaError(f"no such file: '{path}'; check the name and the folder")
    if path.is_dir():
        raise MediaError(f"'{path}' is a folder; name one media file in it")
    if path.is_file() and path.stat().st_size == 0:
        raise MediaError(f"'{path}' is empty (0 bytes); copy or download it again")


def open_media(path: Path) -> InputContainer:
    """Open a local file; nothing in its name is taken for a protocol or a number pattern.

    Playlists and other formats that point to further files are not opened.

    Raises:
        MediaError: If the file is missing, a folder, unreadable, not media, or asks for more than
            `Limits` allow.
    """
    require_file(path)
    try:
        container = av.open(
            f"file:{path}", mode="r", metadata_errors="replace", options=container_options()
        )
    except PermissionError as err:
        raise MediaError(f"'{path}' may not be read; change its permissions") from err
    except FFmpegError as err:
        raise MediaError(
            f"'{path}' is not a video, sound or picture that can be read ({reason(err)}); "
            "check that the file is complete, and no playlist"
        ) from err
    try:
        admit(container, path)
    except MediaError:
        container.close()
        raise
    return container


def reason(err: FFmpegError) -> str:
    """What the media library says went wrong, without numbers and file names."""
    return err.strerror or type(err).__name__


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The stream of moving pictures; cover art of a song does not count."""
    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    best = container.streams.best("video")
    return next((stream for stream in streams if stream is best), streams[0] if streams else None)


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The stream of sound that a player would choose."""
    best = container.streams.best("audio")
    return best if isinstance(best, AudioStream) and best.codec_context is not None else None


def first_picture_time(path: Path) -> Fraction | None:
    """When the first picture is shown, in seconds on the container's own clock.

    This instant is time zero for `read_frames` and for `read_speech`, which keeps picture and
    sound aligned. The picture is decoded, because headers do not count pictures that an edit list
    or a missing key frame hides.

    Returns:
        The time; 0 if the container gives its pictures no time stamps; None without pictures.
    """
    with open_media(path) as container:
        stream = picture_stream(container)
        if stream is None:
            return None
        try:
            decoded = (frame for packet in packets(container, stream) for frame in packet.decode())
            frame = next(decoded, None)
        except FFmpegError:
            return None  # read_frames reports it; the sound is then on its own clock
    return None if frame is None else stamp(frame) or Fraction(0)


def packets(container: InputContainer, *streams: T) -> "Iterator[Packet[T]]":
    """The packets of streams, then an empty one of each that flushes its decoder.

    Raises:
        FFmpegError: If the file is damaged.
    """
    is_over = False
    try:
        for packet in container.demux(list(streams)):
            is_over = packet.size == 0
            yield cast("Packet[T]", packet)
    except IndexError:  # PyAV flushes streams, too, that begin on the way, and does not know them
        if not is_over:
            raise


def stamp(frame: Frame) -> Fraction | None:
    """The container's own time of a decoded picture or stretch of sound, in seconds."""
    if frame.pts is None or frame.time_base is None:
        return None
    return Fraction(frame.pts) * frame.time_base
