"""Read pictures in their own pixel format, so that what is not changed stays bit for bit."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from lipwright.media.display import (
    Affine,
    Display,
    directions_of,
    display_to_stored,
    stored_to_plane,
)
from lipwright.media.hdr import Hdr, hdr_of
from lipwright.media.pixel_layout import Colour, PixelLayout, find_layout, layout_of, nearest_layout
from lipwright.media.source import first_picture_time, open_media, require_file, stamp
from lipwright.media.stills import is_still_picture, read_still
from lipwright.media.video import (
    FrameClock,
    Upright,
    claimed_duration,
    colorspace_of,
    decode_pictures,
    display_matrix,
    frame_rate,
    require_pictures,
)

log = logging.getLogger(__name__)

# Pictures from the start that are asked for metadata of HDR, which stands at the first if anywhere.
# PyAV (18.1) makes a picture that is asked part of a cycle, whose memory comes back late.
MOST_ASKED = 16
FULL_RANGE = 2  # AVCOL_RANGE_JPEG of libavutil
# Codecs whose standards put chroma between the luma columns; PyAV does not tell a frame's own.
CENTRED_CHROMA = ("mjpeg", "mpeg1video", "h261", "h263")

Plane = NDArray[np.uint8] | NDArray[np.uint16]
"""Samples of one plane: ``(H, W)`` or, with several channels, ``(H, W, C)``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NativeFrame:
    """One picture as it was decoded, and what is known about it; neither turned nor scaled.

    The decoder may still predict from the picture: never write to it. `edited` gives a copy.
    """

    picture: av.VideoFrame
    """The pixels, and the tags of their colours."""
    time: Fraction
    """Seconds since the first picture of the file, exact."""
    layout: PixelLayout
    """How the pixels lie in memory."""
    colour: Colour
    """What the pixels mean."""
    display: Display
    """How the picture is shown."""
    hdr: Hdr | None = None
    """Metadata of high dynamic range, as of the file's first picture that has any."""
    is_still: bool = False
    """Whether the picture comes from a photo."""

    def planes(self) -> tuple[Plane, ...]:
        """The samples in memory, without a copy and read-only.

        Returns:
            Per plane ``(H, W)`` or ``(H, W, C)`` uint8, or uint16 from 9 bits on.
        """
        views = writable_planes(self.picture, self.layout)
        for view in views:
            view.flags.writeable = False
        return views

    def edited(self) -> tuple["NativeFrame", tuple[Plane, ...]]:
        """Copy the picture.

        Returns:
            A frame with memory of its own, and its planes, which may be changed in place.
        """
        copy = copy_picture(self.picture, self.layout)
        return replace(self, picture=copy), writable_planes(copy, self.layout)

    def at(self, time: Fraction) -> "NativeFrame":
        """The same picture, shown at another time; pixels are shared."""
        return replace(self, time=time)

    def to_plane(self, plane: int) -> Affine:
        """From upright display coordinates to the samples of a plane, edges counted.

        Returns:
            ``(3, 3)`` float64 affine map, read-only.
        """
        size = (self.picture.width, self.picture.height)
        return _to_plane(self.display, self.layout, self.colour, plane, size)


def read_native(path: Path) -> Iterator[NativeFrame]:
    """Decode the pictures of a file one at a time in their own format, with bounded memory.

    Time, order, damage and claims are treated as in `read_frames`. Nothing is converted, turned
    or scaled: `NativeFrame.display` says how the pictures are shown, in the coordinates that
    `read_frames` has. Formats whose planes cannot be edited (palettes, packed 4:2:2, big-endian
    samples) are converted to the nearest that can, without losing depth or alpha; that is logged
    once. A still picture gives one RGB frame at time 0, upright, transparency laid on white.
    Of interlaced video every picture is made progressive, so what is then left as it is, is the
    picture without its second field.

    Yields:
        Frames in the order of time.

    Raises:
        MediaError: As `read_frames`.
    """
    require_file(path)  # at the call, not at the first frame
    return _frames(path)


def _frames(path: Path) -> Iterator[NativeFrame]:
    if is_still_picture(path):
        yield native_still(read_still(path))
        return
    with open_media(path) as container:
        stream = require_pictures(container, path)
        stream.thread_type = "AUTO"
        clock = FrameClock(frame_rate(stream, path), path)
        maker = None
        for picture in decode_pictures(container, stream, path):
            maker = maker or _Maker(picture, stream, path)
            time = clock.time_of(picture)
            if time is not None:
                yield maker.frame(picture, time)
        clock.finish(stream.frames, claimed_duration(container, stream))


def read_native_between(path: Path, *, start: int, end: int | None) -> Iterator[NativeFrame]:
    """Decode a stretch of a video that begins with a key frame, as `read_native` would.

    Args:
        path: The video; its pictures have time stamps that grow.
        start: When the first picture is shown, in ticks of the stream.
        end: When the first picture that is not wanted is shown, in ticks; None for the rest.

    Yields:
        Frames in the order of time, which counts from the first picture of the file.

    Raises:
        MediaError: As `read_native`.
    """
    zero = first_picture_time(path) or Fraction(0)
    with open_media(path) as container:
        stream = require_pictures(container, path)
        stream.thread_type = "AUTO"
        container.seek(start, stream=stream)
        maker = None
        for picture in decode_pictures(container, stream, path):
            if picture.pts is None or picture.pts < start:
                continue
            if end is not None and picture.pts >= end:
                return
            maker = maker or _Maker(picture, stream, path)
            yield maker.frame(picture, (stamp(picture) or zero) - zero)


def native_still(pixels: NDArray[np.uint8]) -> NativeFrame:
    """An RGB picture as a native frame at time 0.

    Args:
        pixels: ``(H, W, 3)`` uint8 RGB.
    """
    height, width = pixels.shape[:2]
    return NativeFrame(
        picture=av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24"),
        time=Fraction(0),
        layout=layout_of("rgb24"),
        colour=Colour(matrix=Colorspace.ITU709, is_full_range=True),
        display=Display(width=width, height=height),
        is_still=True,
    )


def writable_planes(picture: av.VideoFrame, layout: PixelLayout) -> tuple[Plane, ...]:
    """The samples of a picture in memory; whoever writes to them must own the picture."""
    views = []
    itemsize = np.dtype(layout.dtype).itemsize
    for plane, channels in zip(picture.planes, layout.planes, strict=True):
        num = len(channels)
        row = plane.line_size
        shape: tuple[int, ...] = (plane.height, plane.width)
        strides: tuple[int, ...] = (row, itemsize * num)
        if num > 1:
            shape, strides = (*shape, num), (*strides, itemsize)
        # Some decoders store the bottom row first; PyAV's buffer begins at the lowest address.
        offset = -row * (plane.height - 1) if row < 0 else 0
        views.append(np.ndarray(shape, layout.dtype, memoryview(plane), offset, strides))
    return tuple(views)


def copy_picture(
    picture: av.VideoFrame,
    layout: PixelLayout,
    *,
    width: int | None = None,
    height: int | None = None,
) -> av.VideoFrame:
    """Copy pixels, colour tags and time stamp; a larger copy repeats the last column and row.

    Side data is left behind: it is read before, or (captions) belongs to the old speech.

    Args:
        picture: Of any size; not modified.
        layout: Of its format.
        width: Of the copy, at least the picture's; None for the same.
        height: Of the copy, at least the picture's; None for the same.
    """
    copy = av.VideoFrame(width or picture.width, height or picture.height, layout.name)
    views = writable_planes(copy, layout), writable_planes(picture, layout)
    for to, from_ in zip(*views, strict=True):
        rows, columns = from_.shape[:2]
        to[:rows, :columns] = from_
        to[:rows, columns:] = to[:rows, columns - 1 : columns]
        to[rows:] = to[rows - 1 : rows]
    copy_tags(copy, picture)
    return copy


def copy_tags(to: av.VideoFrame, from_: av.VideoFrame) -> None:
    """Give one picture the colour tags and the time stamp of another."""
    to.colorspace, to.color_range = from_.colorspace, from_.color_range
    to.color_primaries, to.color_trc = from_.color_primaries, from_.color_trc
    to.pts = from_.pts
    if from_.time_base is not None:
        to.time_base = from_.time_base


def colour_of(
    picture: av.VideoFrame, layout: PixelLayout, *, is_chroma_centred: bool = False
) -> Colour:
    """What the numbers of a picture mean: its tags, and what players take for missing ones."""
    is_full = layout.family != "ycbcr" or layout.name.startswith("yuvj")
    return Colour(
        matrix=colorspace_of(picture),
        is_full_range=is_full or picture.color_range == FULL_RANGE,
        is_chroma_centred=is_chroma_centred,
    )


@lru_cache(maxsize=64)
def _to_plane(
    display: Display, layout: PixelLayout, colour: Colour, plane: int, size: tuple[int, int]
) -> Affine:
    to_stored = display_to_stored(display, width=size[0], height=size[1])
    affine: Affine = stored_to_plane(layout, colour, plane=plane) @ to_stored
    affine.flags.writeable = False
    return affine


class _Maker:
    """Makes native frames of the decoded pictures of one file."""

    def __init__(self, first: av.VideoFrame, stream: VideoStream, path: Path) -> None:
        aspect = stream.sample_aspect_ratio
        height, width = Upright(first, aspect).size
        self._display = Display(
            width=width,
            height=height,
            directions=directions_of(display_matrix(first)),
            pixel_aspect=aspect or Fraction(1),
        )
        self._is_centred = stream.codec_context.name in CENTRED_CHROMA
        self._hdr: Hdr | None = None
        self._num_asked = 0
        self._reformatter = VideoReformatter()
        self._told: set[str] = set()
        self._path = path

    def frame(self, picture: av.VideoFrame, time: Fraction) -> NativeFrame:
        if self._hdr is None and self._num_asked < MOST_ASKED:
            self._num_asked += 1
            self._hdr = hdr_of(picture)
        name = picture.format.name
        layout = find_layout(name)
        if layout is None:
            layout = nearest_layout(picture.format)
            if name not in self._told:
                log.info("%s: pixels are converted from %s to %s", self._path, name, layout.name)
                self._told.add(name)
            picture = self._reformatter.reformat(
                picture, format=layout.name, src_colorspace=colorspace_of(picture), threads=1
            )
        if any(plane.line_size < 0 for plane in picture.planes):
            picture = copy_picture(picture, layout)
        return NativeFrame(
            picture=picture,
            time=time,
            layout=layout,
            colour=colour_of(picture, layout, is_chroma_centred=self._is_centred),
            display=self._display,
            hdr=self._hdr,
        )
