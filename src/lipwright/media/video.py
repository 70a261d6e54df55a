"""Read a video, or a still picture, as upright RGB frames with exact time stamps."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import cos, radians, sin
from pathlib import Path
from typing import TypeVar, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from lipwright.errors import MediaError
from lipwright.media.decoding import PictureDecoder
from lipwright.media.limits import beyond, limits_in_force, require_size
from lipwright.media.source import (
    open_media,
    packets,
    picture_stream,
    reason,
    require_file,
    sound_stream,
    stamp,
)
from lipwright.media.stills import is_still_picture, read_still

log = logging.getLogger(__name__)

UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED of libavutil: the matrix of the colours is not stated
# Matrices of ISO/IEC 23091-2 that libswscale converts; 10 (constant luminance) is nearly 9.
_CONVERTIBLE = {0: 0, 1: 1, 4: 4, 5: 5, 6: 6, 7: 7, 9: 9, 10: 9}
STILL_FPS = Fraction(25)  # what a still is shown at, where nothing else is asked for
SLOWEST_FPS, FASTEST_FPS = Fraction(1, 10), Fraction(300)  # outside: a clock rate, not a rate
RATE_SAMPLE = 300  # packets looked at when a container does not know its own rate
LARGEST_STEP_BACK = Fraction(1)  # seconds; more than reordering, a new recording begins

_Sample = TypeVar("_Sample", bound=np.generic)
Frame = NDArray[np.uint8]
"""One picture: ``(H, W, 3)`` uint8 RGB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFrame:
    """One picture and when it is shown."""

    pixels: Frame
    """``(H, W, 3)`` uint8 RGB, upright, square pixels."""
    time: Fraction
    """Seconds since the first picture of the file, exact."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInfo:
    """What a file says about its pictures."""

    width: int
    """Pixels, as `read_frames` gives them: after rotation, with square pixels."""
    height: int
    """Pixels, as `read_frames` gives them."""
    fps: Fraction
    """Average pictures per second, such as 30000/1001; 25 for a still."""
    num_frames: int | None
    """The container's claim, a hint only; None if it makes none."""
    duration: Fraction | None
    """The container's claim in seconds, a hint only; None for a still or if it makes none."""
    is_still: bool
    """Whether there is one picture only."""
    has_sound: bool
    """Whether there is a stream of sound."""


def probe(path: Path) -> VideoInfo:
    """Describe the pictures of a file after decoding only the first.

    Raises:
        MediaError: If the file is missing, a folder, not media, or has no picture.
    """
    if is_still_picture(path):
        height, width = read_still(path).shape[:2]
        return VideoInfo(
            width=width,
            height=height,
            fps=STILL_FPS,
            num_frames=1,
            duration=None,
            is_still=True,
            has_sound=False,
        )
    with open_media(path) as container:
        stream = require_pictures(container, path)
        first = next(decode_pictures(container, stream, path))
        height, width = Upright(first, stream.sample_aspect_ratio).size
        num_frames = stream.frames or None
        has_sound = sound_stream(container) is not None
        is_still = num_frames == 1 and not has_sound
        return VideoInfo(
            width=width,
            height=height,
            fps=STILL_FPS if is_still else frame_rate(stream, path),
            num_frames=num_frames,
            duration=None if is_still else claimed_duration(container, stream),
            is_still=is_still,
            has_sound=has_sound,
        )


def read_frames(path: Path) -> Iterator[VideoFrame]:
    """Decode the pictures of a file one at a time, with bounded memory.

    Time zero is the first picture; `read_speech` uses the same instant for the sound of the same
    file. Time stamps are the container's, exact; a picture without one follows its predecessor
    after one frame period. A picture that is not later than its predecessor is dropped, and the
    number of such pictures is logged. Rotation and mirroring of the display matrix are applied,
    pixels that are not square are made so by scaling the width, and pictures whose size changes
    on the way are scaled to the first. A still picture gives one frame at time 0. Interlaced
    pictures are made progressive at the same rate, each at the moment of its first field.

    Yields:
        Frames in the order of time.

    Raises:
        MediaError: If the file is missing, a folder, not media, has no picture, cannot be decoded
            to its end (the message says from where), or its time stamps start anew on the way.
    """
    require_file(path)  # at the call, not at the first frame
    return _frames(path)


def _frames(path: Path) -> Iterator[VideoFrame]:
    if is_still_picture(path):
        yield VideoFrame(pixels=read_still(path), time=Fraction(0))
        return
    with open_media(path) as container:
        stream = require_pictures(container, path)
        stream.thread_type = "AUTO"
        clock = FrameClock(frame_rate(stream, path), path)
        upright = None
        for frame in decode_pictures(container, stream, path):
            upright = upright or Upright(frame, stream.sample_aspect_ratio)
            time = clock.time_of(frame)
            if time is not None:
                yield VideoFrame(pixels=upright.pixels(frame), time=time)
        clock.finish(stream.frames, claimed_duration(container, stream))


def require_pictures(container: InputContainer, path: Path) -> VideoStream:
    """The stream of pictures; a MediaError if there is none."""
    stream = picture_stream(container)
    if stream is None:
        raise MediaError(f"'{path}' has no picture, only sound; name a video or a photo")
    return stream


def decode_pictures(
    container: InputContainer, stream: VideoStream, path: Path
) -> Iterator[av.VideoFrame]:
    """Decode all pictures within the `Limits`; an error is never taken for the end."""
    last: Fraction | None = None
    num_frames = 0
    limits = limits_in_force()
    num_empty = 0
    decoder = PictureDecoder(stream, path)
    try:
        for packet in packets(container, stream):
            pictures = decoder.decode(packet)
            num_empty = 0 if pictures else num_empty + 1
            if num_empty > limits.empty_packets:
                what = f"has {num_empty} packets in a row without a picture"
                raise beyond(path, what, "empty_packets", limits.empty_packets)
            for frame in pictures:
                if num_frames == 0:
                    height, width = Upright(frame, stream.sample_aspect_ratio).size
                    require_size(path, width, height)
                num_frames += 1
                last = stamp(frame)
                yield frame
    except FFmpegError as err:
        why = reason(err)
        if isinstance(err, ArgumentError):  # what decoders say of sizes that they may not take
            why += f", or a picture of more than {limits.pixels} pixels"
        if num_frames == 0:
            raise MediaError(
                f"no picture of '{path}' can be decoded ({why}); re-encode the file"
            ) from err
        where = f"{float(last):.3f} s" if last is not None else f"frame {num_frames}"
        raise MediaError(
            f"'{path}' is damaged after {where} ({why}); cut it there, or get it whole"
        ) from err
    if num_frames == 0:
        raise MediaError(f"'{path}' holds 0 pictures; check that the file is complete")


def frame_rate(stream: VideoStream, path: Path) -> Fraction:
    """The average rate; measured where the container states none or states its clock's rate."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate is not None and SLOWEST_FPS <= rate <= FASTEST_FPS:
            return rate
    return _measured_rate(path)


def _measured_rate(path: Path) -> Fraction:
    with open_media(path) as container:
        looked_at = islice(packets(container, require_pictures(container, path)), RATE_SAMPLE)
        try:
            times = sorted(p.pts * p.time_base for p in looked_at if p.pts is not None)
        except FFmpegError:
            times = []  # the decoder will meet the same damage and report it
    if len(times) < 2 or times[-1] == times[0]:
        log.warning("%s: frame rate unknown, taken as %s", path, STILL_FPS)
        return STILL_FPS
    measured = (len(times) - 1) / (times[-1] - times[0])
    return min(max(measured.limit_denominator(1001), SLOWEST_FPS), FASTEST_FPS)


def claimed_duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """How long the pictures last by the container's claim, in seconds; None if it makes none."""
    if stream.duration is not None and stream.time_base is not None:
        return stream.duration * stream.time_base
    return Fraction(container.duration, av.time_base) if container.duration else None


class FrameClock:
    """Gives each decoded picture its time, and refuses time that runs backwards."""

    def __init__(self, fps: Fraction, path: Path) -> None:
        self._period = 1 / fps
        self._path = path
        self._longest = limits_in_force().seconds
        self._zero: Fraction | None = None
        self._last: Fraction | None = None
        self._num_frames = 0
        self._num_dropped = 0
        self._num_damaged = 0

    def time_of(self, frame: av.VideoFrame) -> Fraction | None:
        """Seconds since the first picture; None for a picture to drop."""
        self._num_frames += 1
        self._num_damaged += frame.is_corrupt
        shown = stamp(frame)
        if self._zero is None:
            self._zero = shown if shown is not None else Fraction(0)
        if shown is not None:
            time = shown - self._zero
        else:
            time = self._last + self._period if self._last is not None else Fraction(0)
        if time > self._longest:
            what = f"has a picture at {float(time):.1f} s"
            raise beyond(self._path, what, "seconds", self._longest)
        if self._last is not None and time <= self._last:
            if self._last - time > LARGEST_STEP_BACK:
                raise MediaError(
                    f"time stamps of '{self._path}' jump from {float(self._last):.3f} s back to "
                    f"{float(time):.3f} s; it is several recordings in one file: split or "
                    "re-encode it"
                )
            self._num_dropped += 1
            return None
        self._last = time
        return time

    def finish(self, num_claimed: int, duration: Fraction | None) -> None:
        """Refuse a file that ends early, and log, once, what else was not as it should be.

        Some containers that were cut short are read to a false end without an error. Too few
        pictures alone (an edit list hides some) or too early an end alone (the last picture is
        held for long, the sound is longer) is no proof of that; both together are.
        """
        if self._num_dropped:
            log.warning("%s: dropped %d frames out of order", self._path, self._num_dropped)
        if self._num_damaged:
            log.warning("%s: %d frames are damaged", self._path, self._num_damaged)
        last = self._last or Fraction(0)
        missing = Fraction(0) if duration is None else duration - last - self._period
        if self._num_frames < num_claimed and missing > 2 * self._period:
            raise MediaError(
                f"'{self._path}' is damaged after {float(last):.3f} s: it claims {num_claimed} "
                f"pictures and holds {self._num_frames}; cut it there, or get it whole"
            )
        if missing > LARGEST_STEP_BACK:
            log.warning(
                "%s: pictures end %.1f s before the end that the file claims",
                self._path,
                float(missing),
            )


class Upright:
    """Turns decoded pictures into RGB of one size, the way a player shows them."""

    def __init__(self, first: av.VideoFrame, pixel_aspect: Fraction | None) -> None:
        self._width, self._height = first.width, first.height
        if pixel_aspect and abs(pixel_aspect - 1) > Fraction(1, 100):
            self._width = max(2, 2 * round(first.width * pixel_aspect / 2))
        self._matrix = display_matrix(first)
        self._reformatter = VideoReformatter()  # one for all: a new scaler per frame is slow

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright picture."""
        (a, b), _ = self._matrix
        is_transposed = abs(b) > abs(a)
        return (self._width, self._height) if is_transposed else (self._height, self._width)

    def pixels(self, frame: av.VideoFrame) -> Frame:
        """The picture as ``(H, W, 3)`` uint8 RGB, in memory of its own."""
        rgb = self._reformatter.reformat(
            frame,
            width=self._width,
            height=self._height,
            format="rgb24",
            src_colorspace=colorspace_of(frame),
        )
        stored = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        upright = turned(stored, self._matrix)
        # The decoder still owns a picture that needed no conversion.
        return upright.copy() if rgb is frame else np.ascontiguousarray(upright)


def colorspace_of(frame: av.VideoFrame) -> int:
    """The matrix of the picture's colours; untagged ones as players guess them, by size.

    So are tags that libswscale cannot convert, damaged ones among them.
    """
    if frame.colorspace in _CONVERTIBLE:
        return _CONVERTIBLE[frame.colorspace]
    if frame.format.is_rgb:
        return UNTAGGED
    is_high_definition = frame.width >= 1280 or frame.height > 576
    return Colorspace.ITU709 if is_high_definition else Colorspace.ITU601


_Matrix = tuple[tuple[int, int], tuple[int, int]]


def display_matrix(frame: av.VideoFrame) -> _Matrix:
    """The turning part of the display matrix: x' = a x + c y and y' = b x + d y."""
    try:
        side = cast(SideDataContainer, frame.side_data)  # PyAV's stub knows one key only
    except ValueError:  # PyAV gives none if it does not know one, such as EXIF
        angle = -radians(frame.rotation)
        a, b = round(cos(angle)), round(sin(angle))
        return (a, b), (-b, a)
    if not any(entry.type == Type.DISPLAYMATRIX for entry in side):
        return (1, 0), (0, 1)
    a, b, _, c, d, *_ = np.frombuffer(bytes(side[Type.DISPLAYMATRIX]), dtype=np.int32).tolist()
    return (a, b), (c, d)


def turned(pixels: NDArray[_Sample], matrix: _Matrix) -> NDArray[_Sample]:
    """Apply the nearest of the eight ways to lay a rectangle; any other angle is left out."""
    (a, b), (c, d) = matrix
    if abs(b) > abs(a):
        pixels = pixels.transpose(1, 0, 2)
        flip_x, flip_y = c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    if flip_x:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if flip_y else pixels
