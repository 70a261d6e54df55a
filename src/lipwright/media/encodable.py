"""Bring a native frame to a pixel format that the encoder takes, losing no depth."""

from dataclasses import replace
from functools import cache

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from lipwright.media.encoding import Encoding, formats_of
from lipwright.media.native import FULL_RANGE, NativeFrame, colour_of, copy_tags, writable_planes
from lipwright.media.pixel_layout import ALPHA, PixelLayout, layout_of
from lipwright.media.video import colorspace_of

MOST_H264_BITS = 10  # of what x264 makes


def codec_for(layout: PixelLayout, encoding: Encoding, suffix: str) -> str:
    """The encoder for frames like one.

    Args:
        layout: Of the frames.
        encoding: Says which, or leaves it to the container.
        suffix: Of the container: a key of `CONTAINERS`.

    Returns:
        A name of `ENCODERS`. Left to choose: VP9 in WebM (AV1 from 9 bits on), ProRes 4444 in
        MOV if there is transparency, else H.264. More than H.264 holds goes to H.265.
    """
    codec = encoding.codec or _usual_codec(layout, suffix)
    wanted = layout if encoding.pixel_format is None else layout_of(encoding.pixel_format)
    return _deep_codec(wanted, codec)


def _usual_codec(layout: PixelLayout, suffix: str) -> str:
    if suffix == ".webm":
        return "libsvtav1" if layout.bits > 8 and not layout.has_alpha else "libvpx-vp9"
    return "prores_ks" if suffix == ".mov" and layout.has_alpha else "libx264"


def _deep_codec(layout: PixelLayout, codec: str) -> str:
    return "libx265" if codec == "libx264" and layout.bits > MOST_H264_BITS else codec


def encodable(
    frame: NativeFrame,
    *,
    codec: str = "libx264",
    pixel_format: str | None = None,
    reformatter: VideoReformatter | None = None,
) -> NativeFrame:
    """Bring a frame to a format that an encoder takes.

    The writer does this to every frame. A picture that is shown many times (a still) should be
    brought there once, before faces are pasted: then it too is never converted again.

    Y Cb Cr keeps its samples, whichever way they are packed, where the encoder has a format for
    them; else alpha is kept before chroma, and chroma before depth.
    Grey becomes 4:2:0 without colour. RGB becomes BT.709 in limited range, 4:4:4 (a still:
    4:2:0, which every player shows).

    Args:
        frame: In any format; not modified.
        codec: That will encode it, of `ENCODERS`; from 11 bits on H.265 encodes for H.264.
        pixel_format: To bring it to; None for the nearest that the encoder takes.
        reformatter: That earlier frames were brought with; None for a new one.

    Returns:
        The frame itself where nothing is to be done.
    """
    codec = _deep_codec(frame.layout, codec)
    name = pixel_format or _nearest(frame.layout, codec, is_still=frame.is_still)
    if name == frame.layout.name:
        return frame
    layout = layout_of(name)
    if frame.layout.family == "gray":
        picture = _without_colour(frame, layout)
    else:
        picture = _converted(frame, name, reformatter or VideoReformatter())
    centred = frame.colour.is_chroma_centred
    colour = colour_of(picture, layout, is_chroma_centred=centred)
    return replace(frame, picture=picture, layout=layout, colour=colour)


def losses(frame: NativeFrame, to: PixelLayout) -> tuple[str, ...]:
    """What a frame loses in another format, in words; the chroma of a still does not count."""
    layout = frame.layout
    found = []
    if layout.has_alpha and not to.has_alpha:
        found.append("transparency is left out")
    if to.bits < layout.bits:
        found.append(f"{layout.bits} bits become {to.bits}")
    is_fewer = sum(to.subsampling) > sum(layout.subsampling)
    if is_fewer and layout.family != "gray" and not frame.is_still:
        found.append(f"chroma of {_written(layout)} becomes {_written(to)}")
    return tuple(found)


def _written(layout: PixelLayout) -> str:
    return ":".join(layout.chroma_name)


@cache
def _nearest(layout: PixelLayout, codec: str, *, is_still: bool) -> str:
    """The format of an encoder that loses least, and among those the one that adds least."""
    held = formats_of(codec) or (layout_of("yuv420p"),)
    if layout in held:
        return layout.name
    is_plain = layout.family == "gray" or is_still
    subsampling = (1, 1) if is_plain else layout.subsampling

    def cost(to: PixelLayout) -> tuple[int, ...]:
        alpha = int(to.has_alpha) - int(layout.has_alpha)
        chroma = sum(to.subsampling) - sum(subsampling)
        depth = to.bits - layout.bits
        is_packed = len(to.planes) < 3 or to.name.startswith("yuvj")
        lost = (max(0, -alpha), max(0, chroma), max(0, -depth))
        return (*lost, max(0, alpha), max(0, -chroma), max(0, depth), is_packed)

    return min(held, key=cost).name


def _converted(frame: NativeFrame, name: str, reformatter: VideoReformatter) -> av.VideoFrame:
    if frame.layout.family == "ycbcr":
        return reformatter.reformat(frame.picture, format=name, threads=1)
    return reformatter.reformat(
        frame.picture,
        format=name,
        src_colorspace=colorspace_of(frame.picture),
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=(
            Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
        ),
        threads=1,
    )


def _without_colour(frame: NativeFrame, layout: PixelLayout) -> av.VideoFrame:
    """Grey as the luma of a picture in full range, which is how grey is read."""
    (grey,) = frame.planes()
    picture = av.VideoFrame(frame.picture.width, frame.picture.height, layout.name)
    luma, *others = writable_planes(picture, layout)
    spare = layout.bits + layout.shift - frame.layout.bits
    deep = np.asarray(grey, dtype=np.uint16)
    luma[...] = deep << spare if spare > 0 else deep >> -spare
    for plane, channels in zip(others, layout.planes[1:], strict=True):
        level = layout.largest if ALPHA in channels else 2 ** (layout.bits - 1)
        plane[...] = level << layout.shift
    copy_tags(picture, frame.picture)
    picture.color_range = FULL_RANGE
    return picture
