"""Describe pixel formats: where each component of a picture lies, and what its numbers mean."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from av.video.format import VideoFormat
from numpy.typing import NDArray

ALPHA = 3  # the component after the three of colour

Family = Literal["ycbcr", "rgb", "gray"]

_SUBSAMPLING = {"420": (1, 1), "422": (1, 0), "444": (0, 0)}  # log2 across and down
_PLANAR = re.compile(r"yuv(?P<kind>[aj]?)(?P<chroma>420|422|444)p((?P<bits>9|10|12|14|16)le)?")
_HIGH_BITS = re.compile(r"p(?P<chroma>[024])(?P<bits>10|12|16)le")
_GRAY = re.compile(r"gray((?P<bits>9|10|12|14|16)le)?")
_GBR = re.compile(r"gbr(?P<alpha>a?)p((?P<bits>9|10|12|14|16)le)?")
_INTERLEAVED = {
    "nv12": ("420", (1, 2)),
    "nv21": ("420", (2, 1)),
    "nv16": ("422", (1, 2)),
    "nv24": ("444", (1, 2)),
}
_PACKED = {
    "rgb24": ((0, 1, 2), 8),
    "bgr24": ((2, 1, 0), 8),
    "rgba": ((0, 1, 2, ALPHA), 8),
    "bgra": ((2, 1, 0, ALPHA), 8),
    "argb": ((ALPHA, 0, 1, 2), 8),
    "abgr": ((ALPHA, 2, 1, 0), 8),
    "rgb48le": ((0, 1, 2), 16),
    "rgba64le": ((0, 1, 2, ALPHA), 16),
}

# Shares of red and blue in luma, by the matrix numbers of ISO/IEC 23091-2; every other number is
# read as BT.601, as libswscale does.
_LUMA_SHARES = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
    10: (0.2627, 0.0593),
}
_BT601 = (0.299, 0.114)


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelLayout:
    """How the samples of one pixel format are laid out."""

    name: str
    """The format's name in FFmpeg, such as ``yuv420p10le``."""
    family: Family
    """What the components are: Y Cb Cr, R G B, or Y alone; each perhaps with alpha."""
    bits: int
    """Of one sample."""
    planes: tuple[tuple[int, ...], ...]
    """Per plane, the component of each channel: 0, 1, 2, or `ALPHA`."""
    subsampling: tuple[int, int] = (0, 0)
    """Of chroma: log2 of luma samples per chroma sample, across and down."""
    shift: int = 0
    """Empty bits below each sample, as in ``p010le``."""

    @property
    def dtype(self) -> type[np.uint8 | np.uint16]:
        """Type of the samples in memory."""
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def has_alpha(self) -> bool:
        """Whether the picture has transparency."""
        return any(ALPHA in channels for channels in self.planes)

    @property
    def largest(self) -> int:
        """The largest sample value."""
        return int(2**self.bits - 1)

    @property
    def chroma_name(self) -> str:
        """The subsampling as it is written: ``420``, ``422`` or ``444``."""
        return next(name for name, log2 in _SUBSAMPLING.items() if log2 == self.subsampling)


@dataclass(frozen=True, kw_only=True, slots=True)
class Colour:
    """What the numbers of a picture mean as colours."""

    matrix: int
    """Of Y Cb Cr, by ISO/IEC 23091-2; never "unspecified"."""
    is_full_range: bool
    """Whether black and white are the smallest and largest number."""
    is_chroma_centred: bool = False
    """Whether chroma is sited between luma columns (JPEG, MPEG-1), not on the left one."""


def layout_of(name: str) -> PixelLayout:
    """The layout of a format whose planes can be edited.

    Raises:
        ValueError: If the format is another.
    """
    layout = find_layout(name)
    if layout is None:
        raise ValueError(f"planes of pixel format {name!r} cannot be edited")
    return layout


@cache
def find_layout(name: str) -> PixelLayout | None:
    """The layout of a format whose planes can be edited; None for any other format."""
    return _known(name) or _semi_planar(name) or _planar(name)


def _known(name: str) -> PixelLayout | None:
    if name in _PACKED:
        channels, bits = _PACKED[name]
        return PixelLayout(name=name, family="rgb", bits=bits, planes=(channels,))
    if match := _GRAY.fullmatch(name):
        return PixelLayout(name=name, family="gray", bits=int(match["bits"] or 8), planes=((0,),))
    return None


def _semi_planar(name: str) -> PixelLayout | None:
    if name in _INTERLEAVED:
        chroma, pair = _INTERLEAVED[name]
        return _ycbcr(name, chroma, 8, ((0,), pair))
    if match := _HIGH_BITS.fullmatch(name):
        chroma = {"0": "420", "2": "422", "4": "444"}[match["chroma"]]
        bits = int(match["bits"])
        return _ycbcr(name, chroma, bits, ((0,), (1, 2)), shift=16 - bits)
    return None


def _planar(name: str) -> PixelLayout | None:
    if match := _PLANAR.fullmatch(name):
        alpha = ((ALPHA,),) if match["kind"] == "a" else ()
        return _ycbcr(name, match["chroma"], int(match["bits"] or 8), ((0,), (1,), (2,), *alpha))
    if match := _GBR.fullmatch(name):
        alpha = ((ALPHA,),) if match["alpha"] else ()
        planes = ((1,), (2,), (0,), *alpha)
        return PixelLayout(name=name, family="rgb", bits=int(match["bits"] or 8), planes=planes)
    return None


def _ycbcr(
    name: str, chroma: str, bits: int, planes: tuple[tuple[int, ...], ...], *, shift: int = 0
) -> PixelLayout:
    return PixelLayout(
        name=name,
        family="ycbcr",
        bits=bits,
        planes=planes,
        subsampling=_SUBSAMPLING[chroma],
        shift=shift,
    )


def nearest_layout(pixel_format: VideoFormat) -> PixelLayout:
    """The editable layout that holds all of another format: its depth, alpha and chroma."""
    components = pixel_format.components
    bits = max(component.bits for component in components)
    has_alpha = pixel_format.has_palette or any(part.is_alpha for part in components)
    is_gray = len(components) - has_alpha == 1  # also black and white of one bit
    is_rgb = pixel_format.is_rgb or pixel_format.name.startswith(("xyz", "bayer"))
    if pixel_format.has_palette or is_rgb or (is_gray and has_alpha):
        deep, shallow = ("rgba64le", "rgba") if has_alpha else ("rgb48le", "rgb24")
        return layout_of(deep if bits > 8 else shallow)
    if is_gray:
        return layout_of("gray16le" if bits > 8 else "gray")
    across, down = pixel_format.chroma_width(8), pixel_format.chroma_height(8)
    chroma = "444" if across == 8 else "422" if down == 8 else "420"
    depth = next((held for held in (8, 10, 12) if held >= bits), 16)
    if has_alpha and depth == 12 and chroma == "420":
        depth = 16  # the others exist with alpha
    return layout_of(f"yuv{'a' if has_alpha else ''}{chroma}p" + _depth_suffix(depth))


def _depth_suffix(bits: int) -> str:
    return "" if bits == 8 else f"{bits}le"


def code_range(layout: PixelLayout, colour: Colour) -> tuple[tuple[int, int], tuple[int, int]]:
    """Smallest and largest number that a colour has: of luma (or R, G, B), and of chroma."""
    if colour.is_full_range or layout.family == "rgb":
        return (0, layout.largest), (0, layout.largest)
    unit = 2 ** (layout.bits - 8)
    return (16 * unit, 235 * unit), (16 * unit, 240 * unit)


def codes_from_rgb(layout: PixelLayout, colour: Colour) -> NDArray[np.float64]:
    """From colours to numbers (ITU-R BT.709, 3.2 to 3.5, with the luma shares of any matrix).

    Returns:
        ``(3, 4)`` float64: (R, G, B, 1) with R, G, B in [0, 1] to the numbers of components
        0, 1 and 2; those of Cb and Cr have no use for grey.
    """
    affine = np.zeros((3, 4))
    if layout.family == "rgb":
        affine[:, :3] = np.eye(3) * layout.largest
        return affine
    red, blue = _LUMA_SHARES.get(colour.matrix, _BT601)
    luma = np.array([red, 1 - red - blue, blue])
    (black, white), (low, high) = code_range(layout, colour)
    affine[0, :3] = luma * (white - black)
    affine[1, :3] = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue)) * (high - low)
    affine[2, :3] = (np.array([1, 0, 0]) - luma) / (2 * (1 - red)) * (high - low)
    middle = 2 ** (layout.bits - 1)
    affine[:, 3] = (black, middle, middle)
    return affine


def rgb_from_codes(layout: PixelLayout, colour: Colour) -> NDArray[np.float64]:
    """From numbers to colours: the inverse of `codes_from_rgb`.

    Returns:
        ``(3, 4)`` float64, of all three components; ``(3, 2)``, of luma alone, for grey.
    """
    forward = codes_from_rgb(layout, colour)
    if layout.family == "gray":
        (black, white), _ = code_range(layout, colour)
        return np.tile(np.array([1.0, -black]) / (white - black), (3, 1))
    inverse = np.linalg.inv(forward[:, :3])
    return np.concatenate([inverse, -inverse @ forward[:, 3:]], axis=1)
