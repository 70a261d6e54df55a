"""Bring a native frame to a pixel format that the encoder takes, losing no depth."""

from dataclasses import replace
from functools import cache
from typing import Literal

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from lipwright.media.native import FULL_RANGE, NativeFrame, colour_of, copy_tags, writable_planes
from lipwright.media.pixel_layout import PixelLayout, layout_of
from lipwright.media.video import colorspace_of

VideoCodec = Literal["libx264", "libx265"]
DEPTHS: dict[VideoCodec, tuple[int, ...]] = {"libx264": (8, 10), "libx265": (8, 10, 12)}


def codec_for(layout: PixelLayout, codec: VideoCodec) -> VideoCodec:
    """The codec asked for, or H.265 for samples deeper than H.264 holds."""
    return codec if layout.bits <= DEPTHS[codec][-1] else "libx265"


def encodable(
    frame: NativeFrame,
    *,
    codec: VideoCodec = "libx264",
    reformatter: VideoReformatter | None = None,
) -> NativeFrame:
    """Bring a frame to a format that an encoder takes.

    The writer does this to every frame. A picture that is shown many times (a still) should be
    brought there once, before faces are pasted: then it too is never converted again.

    Y Cb Cr keeps its samples, whichever way they are packed, and loses alpha; more than 12 bits
    become 12. Grey becomes 4:2:0 without colour. RGB becomes BT.709 in limited range, 4:4:4 (a
    still: 4:2:0, which every player shows).

    Args:
        frame: In any format; not modified.
        codec: That will encode it; deep samples go to H.265 whatever is said.
        reformatter: That earlier frames were brought with; None for a new one.

    Returns:
        The frame itself where nothing is to be done.
    """
    name = _target(frame, codec_for(frame.layout, codec))
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


def _target(frame: NativeFrame, codec: VideoCodec) -> str:
    layout = frame.layout
    if layout.family == "ycbcr" and not layout.has_alpha and layout.name in _formats(codec):
        return layout.name
    depths = DEPTHS[codec]
    depth = next((held for held in depths if held >= layout.bits), depths[-1])
    chroma = layout.chroma_name
    if layout.family == "gray" or frame.is_still:
        chroma = "420"
    return f"yuv{chroma}p" + ("" if depth == 8 else f"{depth}le")


@cache
def _formats(codec: VideoCodec) -> frozenset[str]:
    """The pixel formats that the linked build of an encoder takes."""
    formats = av.Codec(codec, "w").video_formats or []
    return frozenset(entry.name for entry in formats)


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
    luma, *chroma = writable_planes(picture, layout)
    spare = layout.bits - frame.layout.bits
    luma[...] = grey << spare if spare > 0 else grey >> -spare
    for plane in chroma:
        plane[...] = 2 ** (layout.bits - 1)
    copy_tags(picture, frame.picture)
    picture.color_range = FULL_RANGE
    return picture
