"""Write frames and the original sound to a video file that appears only when it is whole."""

import logging
import os
import secrets
from contextlib import suppress
from fractions import Fraction
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from lipwright.errors import MediaError
from lipwright.media.sound import SoundTrack, read_sound
from lipwright.media.source import reason
from lipwright.media.video import Frame

log = logging.getLogger(__name__)

CONTAINERS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}
TICKS = 90_000  # per second at least; holds 24, 25, 30, 60 and their 1001ths exactly
MOST_TICKS = 10_000_000  # per second; containers store the clock in 32 bits
BIT_RATE = 96_000  # bits of AAC per second and channel
AAC_FRAME = 1024  # samples
LARGEST_AAC_FRAME = 6144  # bits per channel, by the standard


def require_writable(path: Path) -> None:
    """Check that a video can be written under a name, before any work is done.

    Raises:
        MediaError: If the suffix is unknown, the name is a folder, or the folder is missing or
            may not be written to.
    """
    if path.suffix.lower() not in CONTAINERS:
        raise MediaError(
            f"cannot write '{path}': unknown kind of video {path.suffix!r}; "
            f"use {', '.join(CONTAINERS)}"
        )
    folder = path.parent
    if not folder.exists():
        raise MediaError(f"folder '{folder}' does not exist; create it first")
    if not folder.is_dir():
        raise MediaError(f"'{folder}' is not a folder; write to another one")
    if path.is_dir():
        raise MediaError(f"'{path}' is a folder; give the name of a video")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MediaError(f"folder '{folder}' may not be written to; change its permissions")


class VideoWriter:
    """Encode frames as H.264 with the sound as AAC; use it in a ``with`` block.

    The file grows under a hidden name in the same folder and takes its own name when the block
    ends without an exception; after an exception, whichever it is, the hidden file is gone and
    what stood under the name before still stands there.

    Pictures are BT.709 4:2:0 in limited range, and tagged so. Odd widths and heights, which 4:2:0
    cannot hold, grow by one pixel that repeats the edge. Time stamps are exact for multiples of
    the frame period (and on a grid of 1/90000 s or finer otherwise), except in Matroska, whose
    clock ticks in milliseconds. The sound keeps its rate and channels; it is cut, or filled up
    with silence, to end with the last picture.
    """

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        fps: Fraction,
        speech: Path | None,
        crf: int = 18,
        preset: str = "veryfast",
    ) -> None:
        """Check what can be checked; nothing is written yet.

        Args:
            path: Where the video goes: .mp4, .mkv or .mov.
            width: Of the frames, in pixels.
            height: Of the frames, in pixels.
            fps: Rate of the frames; of frames at a variable rate, the average.
            speech: A file whose sound goes with the frames; None for a silent video.
            crf: Quality of x264, 0 (lossless) to 51.
            preset: Speed of x264, ``ultrafast`` to ``placebo``.

        Raises:
            MediaError: If the path cannot be written, the size or rate is not positive, or the
                speech file has no sound.
        """
        require_writable(path)
        if width < 1 or height < 1 or fps <= 0:
            raise MediaError(
                f"cannot write '{path}' with {width}x{height} pixels at {fps} frames per second; "
                "all must be positive"
            )
        self._path = path
        self._unfinished = path.with_name(f".lipwright-{secrets.token_hex(8)}{path.suffix}")
        self._size = (height, width)
        self._fps = fps
        self._time_base = time_base_of(fps)
        self._options = {"crf": str(crf), "preset": preset}
        self._track = read_sound(speech) if speech is not None else None
        self._reformatter = VideoReformatter()
        self._container: OutputContainer | None = None
        self._pictures: VideoStream | None = None
        self._sound: SoundEncoder | None = None
        self._last: Fraction | None = None

    def __enter__(self) -> Self:
        """Open the hidden file.

        Raises:
            MediaError: If the file or an encoder cannot be opened.
        """
        try:
            self._open()
        except (OSError, FFmpegError, ValueError) as err:
            self._discard()
            raise self._failure(err) from err
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, pixels: Frame, time: Fraction) -> None:
        """Append one frame.

        Args:
            pixels: ``(H, W, 3)`` uint8 RGB of the size the writer was made for.
            time: Seconds since the start of the video; later than that of the frame before.

        Raises:
            MediaError: If the frame has another size or type, the time does not advance, or the
                file cannot be written, for example because the disk is full.
        """
        if pixels.shape != (*self._size, 3) or pixels.dtype != np.uint8:
            raise MediaError(
                f"'{self._path}' takes frames of {(*self._size, 3)} uint8, "
                f"got {pixels.shape} {pixels.dtype}"
            )
        if time < 0 or (self._last is not None and self._ticks(time) <= self._ticks(self._last)):
            before = "0" if self._last is None else f"{float(self._last):.6f}"
            raise MediaError(
                f"frame at {float(time):.6f} s of '{self._path}' does not come after {before} s; "
                "write frames in the order of time"
            )
        if self._pictures is None:
            raise MediaError(f"'{self._path}' is not open; use the writer in a with block")
        picture = self._picture(pixels)
        picture.pts = self._ticks(time)
        picture.time_base = self._time_base
        picture.duration = self._ticks(1 / self._fps)
        self._last = time
        try:
            self._mux(self._pictures.encode(picture))
            if self._sound is not None:
                self._mux(self._sound.until(time))
        except (OSError, FFmpegError) as err:
            raise self._failure(err) from err

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the file and give it its name; after an exception remove it instead.

        Raises:
            MediaError: If no frame was written or the file cannot be finished.
        """
        if kind is not None:
            self._discard()
            return
        try:
            self._finish()
        except (OSError, FFmpegError) as err:
            self._discard()
            raise self._failure(err) from err
        except BaseException:
            self._discard()
            raise

    def _open(self) -> None:
        kind = CONTAINERS[self._path.suffix.lower()]
        self._container = av.open(
            f"file:{self._unfinished}",
            mode="w",
            format=kind,
            container_options={} if kind == "matroska" else {"movflags": "+faststart"},
        )
        height, width = self._size
        pictures = self._container.add_stream("libx264", rate=self._fps, options=self._options)
        if not isinstance(pictures, VideoStream):
            raise TypeError(f"x264 made a {pictures.type} stream")
        pictures.width, pictures.height = width + width % 2, height + height % 2
        pictures.pix_fmt = "yuv420p"
        pictures.time_base = self._time_base
        pictures.codec_context.time_base = self._time_base
        pictures.color_primaries = ColorPrimaries.BT709
        pictures.color_trc = ColorTrc.BT709
        pictures.colorspace = Colorspace.ITU709
        pictures.color_range = ColorRange.MPEG
        self._pictures = pictures
        if self._track is not None:
            self._sound = SoundEncoder(self._container, self._track)
        self._container.start_encoding()  # an encoder that refuses does so now

    def _picture(self, pixels: Frame) -> av.VideoFrame:
        height, width = self._size
        if height % 2 or width % 2:
            pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        return self._reformatter.reformat(
            rgb,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )

    def _ticks(self, time: Fraction) -> int:
        return round(time / self._time_base)

    def _mux(self, packets: "list[Packet[Stream]]") -> None:
        if self._container is not None:
            self._container.mux(packets)

    def _finish(self) -> None:
        if self._last is None or self._pictures is None or self._container is None:
            raise MediaError(f"no frame was written to '{self._path}'; check the source video")
        self._mux(self._pictures.encode(None))
        if self._sound is not None:
            self._mux(self._sound.finish(self._last + 1 / self._fps))
        self._container.close()
        self._unfinished.replace(self._path)

    def _discard(self) -> None:
        if self._container is not None:
            with suppress(OSError, FFmpegError):  # the file is given up, whole or not
                self._container.close()
        self._unfinished.unlink(missing_ok=True)

    def _failure(self, err: Exception) -> MediaError:
        why = reason(err) if isinstance(err, FFmpegError) else str(err)
        return MediaError(
            f"cannot write '{self._path}' ({why}); check the free space, the size and the options"
        )


def time_base_of(fps: Fraction) -> Fraction:
    """A clock on which every multiple of the frame period is a whole number of ticks."""
    if fps.numerator > MOST_TICKS:
        return Fraction(1, TICKS)
    return Fraction(1, fps.numerator * ceil(Fraction(TICKS, fps.numerator)))


class SoundEncoder:
    """The sound of the video, encoded as far as the pictures have come."""

    def __init__(self, container: OutputContainer, track: SoundTrack) -> None:
        stream = container.add_stream("aac", rate=track.rate)
        if not isinstance(stream, AudioStream):
            raise TypeError(f"AAC made a {stream.type} stream")
        stream.layout = track.layout
        num_channels = stream.layout.nb_channels
        per_channel = min(BIT_RATE, LARGEST_AAC_FRAME * track.rate // AAC_FRAME)
        stream.bit_rate = per_channel * num_channels
        self._stream = stream
        # libavformat tells the true end of the last packet to mp4 and mov only; elsewhere the
        # nearest whole packet is nearer to the end of the pictures than a filled-up one.
        self._can_end_anywhere = container.format.name != CONTAINERS[".mkv"]
        self._track = track
        self._held = np.zeros((num_channels, 0), dtype=np.float32)
        self._position = 0  # samples encoded so far

    def until(self, time: Fraction) -> "list[Packet[Stream]]":
        """Encode the samples before a time in seconds."""
        packets: list[Packet[Stream]] = []
        end = round(time * self._track.rate)
        while self._position < end:
            if self._held.shape[1] == 0:
                self._held = self._next_block()
            piece, rest = np.split(self._held, [end - self._position], axis=1)
            self._held = rest
            packets += self._encode(piece)
        return packets

    def finish(self, end: Fraction) -> "list[Packet[Stream]]":
        """Encode up to the end of the pictures, and what the encoder holds."""
        if not self._can_end_anywhere:
            length = Fraction(AAC_FRAME, self._track.rate)
            end = max(1, round(end / length)) * length
        return [*self.until(end), *self._stream.encode(None)]

    def _next_block(self) -> NDArray[np.float32]:
        """The next samples of the file; silence when it has no more."""
        silence = np.zeros((self._held.shape[0], AAC_FRAME), dtype=np.float32)
        return next(self._track.blocks, silence)

    def _encode(self, samples: NDArray[np.float32]) -> "list[Packet[Stream]]":
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(np.clip(samples, -1, 1)), format="fltp", layout=self._track.layout
        )
        frame.sample_rate = self._track.rate
        frame.time_base = Fraction(1, self._track.rate)
        frame.pts = self._position
        self._position += samples.shape[1]
        return self._stream.encode(frame)
