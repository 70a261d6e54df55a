"""Put a drawn face back into a picture of any pixel format; only samples under the mask change."""

from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.composite.grain import Grain
from lipwright.composite.mask import mouth_mask
from lipwright.errors import ConfigError
from lipwright.media.display import Affine, between_centres, shifted, square_to_display
from lipwright.media.native import NativeFrame, Plane
from lipwright.media.pixel_layout import ALPHA, Colour, PixelLayout, code_range, codes_from_rgb

FINEST = 1.25  # drawn pixels per sample; from there on areas are averaged before interpolating
CUBIC_REACH = 3  # pixels around the mask that interpolation may look at

_Span = tuple[int, int]  # half-open


def paste_native(
    frame: NativeFrame,
    face: NDArray[np.float32] | NDArray[np.uint8],
    *,
    box: NDArray[np.float32],
    mask: NDArray[np.float32] | None = None,
    roll: float = 0.0,
    grain: Grain | None = None,
) -> NativeFrame:
    """Blend a face into a frame through a soft mask, in the frame's own format and depth.

    The face becomes numbers of the frame's matrix and range in float, is brought to the grid of
    each plane (chroma where the format sites it), and is rounded once, after blending. Samples
    with a share of zero, and alpha, keep their bits. Blended numbers lie between the frame's and
    the legal ones of the face, so no clipping is needed that would change highlights of the
    frame beyond white.

    Args:
        frame: Not modified.
        face: ``(S, S, 3)`` RGB, drawn for the box: float32 in [0, 1], or uint8.
        box: ``(4,)`` float32 half-open upright display pixels x0 y0 x1 y1; may reach out of the
            picture.
        mask: ``(S, S)`` float32 in [0, 1], the share of each pixel that is drawn; None for
            `mouth_mask`.
        roll: Radians by which the box is turned about its middle, see `square_to_display`.
        grain: To be added to what is drawn; None for none.

    Returns:
        A frame with pixels of its own.

    Raises:
        ConfigError: If the box has no area, or the mask is not of the face's size.
    """
    size = face.shape[0]
    width, height = (float(side) for side in box[2:] - box[:2])
    if not (width > 0 and height > 0):  # NaN too
        raise ConfigError(f"a face box needs a positive width and height, got {width} x {height}")
    if mask is not None and mask.shape != face.shape[:2]:
        raise ConfigError(f"a face of {face.shape[:2]} needs a mask of that size, got {mask.shape}")
    support = _mouth_support(size) if mask is None else _support(mask)
    pasted, planes = frame.edited()
    if support is None:
        return pasted
    drawn = _Drawn(frame, face, mouth_mask(size) if mask is None else mask, support, grain)
    to_display = square_to_display(box, size, roll=roll)
    for index, (plane, channels) in enumerate(zip(planes, frame.layout.planes, strict=True)):
        if channels != (ALPHA,):
            drawn.blend_into(plane, channels, to_plane=frame.to_plane(index) @ to_display)
    return pasted


@cache
def _mouth_support(size: int) -> tuple[_Span, _Span] | None:
    return _support(mouth_mask(size))


def _support(mask: NDArray[np.float32]) -> tuple[_Span, _Span] | None:
    """Rows and columns that hold all of the mask but zeros; None for an empty mask."""
    spans: list[_Span] = []
    for axis in (1, 0):
        places = np.flatnonzero((mask > 0).any(axis=axis))
        if not places.size:
            return None
        spans.append((int(places[0]), int(places[-1]) + 1))
    return spans[0], spans[1]


@lru_cache(maxsize=16)
def _to_codes(layout: PixelLayout, colour: Colour, *, largest: int) -> NDArray[np.float64]:
    """From R, G, B of a drawn face to the numbers of a frame's components."""
    affine = codes_from_rgb(layout, colour)
    affine[:, :3] /= largest
    return affine[: 1 if layout.family == "gray" else 3]


@dataclass(frozen=True, slots=True)
class _Lain:
    """A mask on the grid of a plane."""

    region: tuple[slice, slice]
    """Rows and columns of the plane that it can reach."""
    to_square: Affine
    """From their samples to the drawn square."""
    share: NDArray[np.float32]
    """``(H, W)`` in [0, 1] of the region."""


class _Drawn:
    """A drawn square as numbers of a frame's colours, ready for each of its planes."""

    def __init__(
        self,
        frame: NativeFrame,
        face: NDArray[np.float32] | NDArray[np.uint8],
        mask: NDArray[np.float32],
        support: tuple[_Span, _Span],
        grain: Grain | None,
    ) -> None:
        self._layout, self._grain = frame.layout, grain
        self._ranges = code_range(frame.layout, frame.colour)
        self._mask = mask
        self._support = support
        self._lain: dict[tuple[object, ...], _Lain | None] = {}
        (top, bottom), (left, right) = support
        self._row, self._column = max(0, top - CUBIC_REACH), max(0, left - CUBIC_REACH)
        cut = face[self._row : bottom + CUBIC_REACH, self._column : right + CUBIC_REACH]
        affine = _to_codes(frame.layout, frame.colour, largest=255 if face.dtype == np.uint8 else 1)
        codes = cv2.transform(np.ascontiguousarray(cut, dtype=np.float32), affine)
        self._codes = [np.asarray(part, dtype=np.float32) for part in cv2.split(codes)]

    def blend_into(self, plane: Plane, channels: tuple[int, ...], *, to_plane: Affine) -> None:
        """Blend into one plane in place.

        Args:
            plane: ``(H, W)`` or ``(H, W, C)``.
            channels: The component in each channel.
            to_plane: From the square's pixels to the plane's samples, edges counted.
        """
        lain = self._lain_on(plane, to_plane)
        if lain is None:
            return
        samples = plane[lain.region]
        height, width = samples.shape[:2]
        for channel, component in enumerate(channels):
            if component != ALPHA:
                target = samples if samples.ndim == 2 else samples[:, :, channel]
                warped = self._warped(
                    component, to_plane=to_plane, to_square=lain.to_square, size=(width, height)
                )
                _blend(target, warped, lain.share, shift=self._layout.shift)

    def _lain_on(self, plane: Plane, to_plane: Affine) -> "_Lain | None":
        """The mask on a plane's grid; None outside the picture."""
        key = (*plane.shape[:2], to_plane.tobytes())  # both planes of chroma have one
        if key not in self._lain:
            region = self._region(plane, to_plane)
            self._lain[key] = None if region is None else self._laid(region, to_plane)
        return self._lain[key]

    def _laid(self, region: tuple[_Span, _Span], to_plane: Affine) -> "_Lain":
        (y0, y1), (x0, x1) = region
        to_square = np.linalg.inv(to_plane) @ shifted(x0, y0)
        share = cv2.warpAffine(
            self._mask,
            between_centres(to_square),
            (x1 - x0, y1 - y0),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        where = slice(y0, y1), slice(x0, x1)
        return _Lain(where, to_square, np.asarray(share, dtype=np.float32))

    def _region(self, plane: Plane, to_plane: Affine) -> tuple[_Span, _Span] | None:
        """Rows and columns of a plane that the mask can reach; None outside the picture."""
        (top, bottom), (left, right) = self._support
        # Interpolation spreads the mask over half a pixel; the other half is for rounding.
        across, down = (left - 1, right + 1), (top - 1, bottom + 1)
        corners = np.array([[*across, *across], [*down, *down[::-1]], [1, 1, 1, 1]])
        x, y, _ = to_plane @ corners
        height, width = plane.shape[:2]
        x0, x1 = max(0, int(np.floor(x.min()))), min(width, int(np.ceil(x.max())))
        y0, y1 = max(0, int(np.floor(y.min()))), min(height, int(np.ceil(y.max())))
        return ((y0, y1), (x0, x1)) if x0 < x1 and y0 < y1 else None

    def _warped(
        self, component: int, *, to_plane: Affine, to_square: Affine, size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """One component on the samples of a region: ``(H, W)`` float32, within the legal range."""
        codes = self._codes[component]
        height, width = codes.shape
        # Samples per drawn pixel, along the square's own axes.
        across, down = np.hypot(to_plane[0, :2], to_plane[1, :2]).tolist()
        kept = (
            width if across * FINEST > 1 else max(1, round(width * across)),
            height if down * FINEST > 1 else max(1, round(height * down)),
        )
        if kept != (width, height):
            codes = np.asarray(cv2.resize(codes, kept, interpolation=cv2.INTER_AREA))
        to_kept = np.diag([kept[0] / width, kept[1] / height, 1.0])
        warped = cv2.warpAffine(
            codes,
            between_centres(to_kept @ shifted(-self._column, -self._row) @ to_square),
            size,
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        is_chroma = self._layout.family == "ycbcr" and component != 0
        if self._grain is not None and not is_chroma:
            noise = self._grain.field(size) * np.float32(self._layout.largest)
            warped = np.asarray(warped + noise, dtype=np.float32)
        low, high = self._ranges[is_chroma]
        return np.asarray(np.clip(warped, low, high, out=warped), dtype=np.float32)


def _blend(
    target: Plane, drawn: NDArray[np.float32], share: NDArray[np.float32], *, shift: int
) -> None:
    """Move samples towards the drawn ones by the share, in place; uses up `drawn`.

    Args:
        target: ``(H, W)`` uint8 or uint16.
        drawn: ``(H, W)`` float32.
        share: ``(H, W)`` float32 in [0, 1].
        shift: Empty bits below each sample; they stay what they are.
    """
    before = (target >> shift if shift else target).astype(np.float32)
    drawn -= before
    drawn *= share
    if shift:
        steps = np.rint(drawn, out=drawn).astype(np.int32) << shift
        target[...] = (target + steps).astype(target.dtype)
        return
    drawn += before
    np.rint(drawn, out=drawn)
    target[...] = drawn.astype(target.dtype)
