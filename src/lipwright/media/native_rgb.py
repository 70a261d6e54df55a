"""Look at a native frame in RGB: a box of it, a small picture of it, or the whole."""

from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.media.display import between_centres, square_to_display
from lipwright.media.native import NativeFrame, Plane
from lipwright.media.pixel_layout import ALPHA, Colour, PixelLayout, rgb_from_codes
from lipwright.media.video import Frame, colorspace_of, turned

_ENOUGH = 8  # rows and columns of a plane for one of a small picture: more are not worth a look
LARGEST_BOX = 16_384  # pixels; OpenCV cannot warp to twice as many, and no face is so large


def rgb_region(
    frame: NativeFrame, box: NDArray[np.float32], *, size: int, roll: float = 0.0
) -> Frame:
    """Cut a square out of a frame, to a fraction of a pixel, and bring it to one size.

    The same as cutting it out of the picture that `read_frames` gives, but only the region's
    samples are read, and chroma is put where the format sites it.

    Args:
        frame: A picture in its own format.
        box: ``(4,)`` float32 half-open upright display pixels x0 y0 x1 y1; outside the picture
            its edge is repeated.
        size: Height and width of the result in pixels.
        roll: Radians by which the box is turned about its middle, see `square_to_display`.

    Returns:
        ``(size, size, 3)`` uint8 RGB.

    Raises:
        ConfigError: If the box has no area, or is larger than any face in a picture.
    """
    width, height = (float(side) for side in box[2:] - box[:2])
    if not (width > 0 and height > 0):  # NaN too
        raise ConfigError(f"a face box needs a positive width and height, got {width} x {height}")
    if max(width, height) > LARGEST_BOX:
        raise ConfigError(
            f"a face box of {width} x {height} pixels is beyond {LARGEST_BOX}; find the face again"
        )
    components: dict[int, Plane] = {}
    for index, (plane, channels) in enumerate(
        zip(frame.planes(), frame.layout.planes, strict=True)
    ):
        if channels == (ALPHA,):
            continue
        to_plane = frame.to_plane(index)
        # Shrinking by warping alone would skip samples: take the box at about its own size
        # first, then average areas.
        num_across = width * float(np.abs(to_plane[:2, 0]).sum())
        taken = max(size, round(num_across))
        cut = cv2.warpAffine(
            plane,
            between_centres(to_plane @ square_to_display(box, taken, roll=roll)),
            (taken, taken),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if taken != size:
            cut = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
        _add(components, cast(Plane, cut), channels)
    return _to_rgb(frame, components)


def thumbnail(frame: NativeFrame, width: int) -> Frame:
    """Shrink a whole picture, averaging areas of its planes; for finding faces and cuts.

    Cheapest where the width divides the picture's width. The siting of chroma, a quarter of its
    sample, is left out.

    Args:
        frame: A picture in its own format.
        width: Of the result, in pixels.

    Returns:
        ``(H, width, 3)`` uint8 RGB, upright, with the display's proportions.
    """
    height = max(1, round(width * frame.display.height / frame.display.width))
    size = (height, width) if frame.display.is_transposed else (width, height)
    components: dict[int, Plane] = {}
    for plane, channels in zip(frame.planes(), frame.layout.planes, strict=True):
        if channels == (ALPHA,):
            continue
        _add(components, _shrunk(plane, size), channels)
    upright = turned(_to_rgb(frame, components), frame.display.directions)
    return np.ascontiguousarray(upright)


def rgb(frame: NativeFrame) -> Frame:
    """The whole picture as `read_frames` gives it; slow, for what cannot do with less.

    Args:
        frame: A picture in its own format.

    Returns:
        ``(H, W, 3)`` uint8 RGB, upright, with square pixels, in memory of its own.
    """
    size = (frame.display.width, frame.display.height)
    width, height = size[::-1] if frame.display.is_transposed else size
    converted = frame.picture.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=colorspace_of(frame.picture),
        threads=1,
    )
    pixels = turned(np.asarray(converted.to_ndarray(), dtype=np.uint8), frame.display.directions)
    return np.array(pixels, order="C")


def _shrunk(plane: Plane, size: tuple[int, int]) -> Plane:
    """Average areas to a size, or interpolate to a larger one."""
    step = min(plane.shape[0] // size[1], plane.shape[1] // size[0]) // _ENOUGH
    if step > 1:
        plane = cast(Plane, np.ascontiguousarray(plane[step // 2 :: step, step // 2 :: step]))
    # Areas of a fraction of samples are slow; halves are fast, and leave fewer samples to them.
    while plane.shape[1] % size[0] and plane.shape[1] > 2 * size[0] and plane.shape[0] > 1:
        half = (plane.shape[1] // 2, plane.shape[0] // 2)
        if (half[0] * 2, half[1] * 2) != plane.shape[1::-1]:
            break
        plane = cast(Plane, cv2.resize(plane, half, interpolation=cv2.INTER_AREA))
    is_larger = plane.shape[1] > size[0] or plane.shape[0] > size[1]
    how = cv2.INTER_AREA if is_larger else cv2.INTER_LINEAR
    return cast(Plane, cv2.resize(plane, size, interpolation=how))


def _add(components: dict[int, Plane], samples: Plane, channels: tuple[int, ...]) -> None:
    """File the samples of a plane under their components."""
    for channel, component in enumerate(channels):
        components[component] = samples if samples.ndim == 2 else samples[:, :, channel]


def _to_rgb(frame: NativeFrame, components: dict[int, Plane]) -> Frame:
    """Convert components of one size ``(H, W)`` to ``(H, W, 3)`` uint8 RGB."""
    layout = frame.layout
    colours = [components[k] for k in range(3) if k in components]
    stacked = cv2.merge([np.ascontiguousarray(part) for part in colours])
    if layout.family == "rgb" and layout.bits == 8:
        return np.asarray(stacked, dtype=np.uint8)
    affine = _to_levels(layout, frame.colour)
    if layout.bits == 8:
        return np.asarray(cv2.transform(stacked, affine), dtype=np.uint8)
    converted = cv2.transform(stacked.astype(np.float32), affine)
    return np.clip(np.rint(converted), 0, 255).astype(np.uint8)


@lru_cache(maxsize=16)
def _to_levels(layout: PixelLayout, colour: Colour) -> NDArray[np.float64]:
    """From numbers as they lie in memory to R, G, B in [0, 255]."""
    affine = 255 * rgb_from_codes(layout, colour)
    affine[:, :-1] /= 2**layout.shift
    return affine
