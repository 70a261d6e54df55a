"""Map upright display coordinates to the stored pixels of a picture, and back.

Coordinates are in pixels and count edges: the left edge of a picture is 0, the centre of its first
pixel 0.5. Affine maps are ``(3, 3)`` float64 and act on columns (x, y, 1).
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lipwright.media.pixel_layout import ALPHA, Colour, PixelLayout

Affine = NDArray[np.float64]
Directions = tuple[tuple[int, int], tuple[int, int]]

_ONE = 1 << 16  # display matrices count in 1/65536, their last column in 1/2**30
_UPRIGHT: Directions = ((1, 0), (0, 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Display:
    """How a player shows the stored pictures of one file."""

    width: int
    """Pixels, upright and square, as `read_frames` gives them."""
    height: int
    """Pixels, upright and square."""
    directions: Directions = _UPRIGHT
    """Where the stored x and y axis point on the screen: one of eight ways, of 0 and 1 and -1."""
    pixel_aspect: Fraction = Fraction(1)
    """Width over height of a stored pixel."""

    @property
    def is_transposed(self) -> bool:
        """Whether stored rows are shown as columns."""
        return self.directions[0][0] == 0

    @property
    def is_upright(self) -> bool:
        """Whether the stored picture is shown without turning it."""
        return self.directions == _UPRIGHT

    @property
    def matrix(self) -> tuple[int, ...]:
        """The nine numbers of the display matrix that containers store."""
        (a, b), (c, d) = self.directions
        return (a * _ONE, b * _ONE, 0, c * _ONE, d * _ONE, 0, 0, 0, 1 << 30)


def directions_of(matrix: Directions) -> Directions:
    """The nearest of the eight ways to lay a rectangle; any other angle is left out."""
    (a, b), (c, d) = matrix
    if abs(b) > abs(a):
        return (0, -1 if b < 0 else 1), (-1 if c < 0 else 1, 0)
    return (-1 if a < 0 else 1, 0), (0, -1 if d < 0 else 1)


@lru_cache(maxsize=16)
def display_to_stored(display: Display, *, width: int, height: int) -> Affine:
    """From upright display coordinates to those of a stored picture.

    Args:
        display: How the picture is shown.
        width: Of the stored picture, which may differ from the file's first.
        height: Of the stored picture.

    Returns:
        ``(3, 3)`` float64, read-only.
    """
    (a, b), (c, d) = display.directions
    turn = np.array([[a, c, 0.0], [b, d, 0.0], [0.0, 0.0, 1.0]])
    turn[0, 2] = display.width if min(a, c) < 0 else 0
    turn[1, 2] = display.height if min(b, d) < 0 else 0
    shown = (display.height, display.width)[:: 1 if display.is_transposed else -1]
    stretch = np.diag([shown[0] / width, shown[1] / height, 1.0])
    affine = np.asarray(np.linalg.inv(turn @ stretch), dtype=np.float64)
    affine.flags.writeable = False
    return affine


def stored_to_plane(layout: PixelLayout, colour: Colour, *, plane: int) -> Affine:
    """From a stored picture's pixels to the samples of one of its planes.

    Chroma that is subsampled across lies on the left luma column of its pair (as in MPEG-2 and
    everything after it) unless it is centred; down, it lies between the two rows.
    """
    affine = np.eye(3)
    if layout.family == "ycbcr" and layout.planes[plane][0] not in (0, ALPHA):
        across, down = layout.subsampling
        affine[0, 0], affine[1, 1] = 0.5**across, 0.5**down
        affine[0, 2] = 0.25 if across and not colour.is_chroma_centred else 0.0
    return affine


def square_to_display(box: NDArray[np.float32], size: int, *, roll: float = 0.0) -> Affine:
    """From a square of some size, in pixels, to the box of the display that it shows.

    Args:
        box: ``(4,)`` float32 half-open display pixels x0 y0 x1 y1.
        size: Height and width of the square.
        roll: Radians by which the box is turned about its middle, positive clockwise, as a head
            that leans to the picture's right is.
    """
    x0, y0, x1, y1 = (float(edge) for edge in box)
    upright = np.array([[(x1 - x0) / size, 0, x0], [0, (y1 - y0) / size, y0], [0, 0, 1.0]])
    if not roll:  # not a rounding error is to come in
        return upright
    cosine, sine = np.cos(roll), np.sin(roll)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    turned = shifted(*middle) @ turn @ shifted(-middle[0], -middle[1]) @ upright
    return np.asarray(turned, dtype=np.float64)


def shifted(x: float, y: float) -> Affine:
    """The map that adds a vector."""
    return np.array([[1.0, 0, x], [0, 1.0, y], [0, 0, 1.0]])


def between_centres(affine: Affine) -> NDArray[np.float64]:
    """The same map for pixel centres counted from zero, which OpenCV takes: ``(2, 3)``."""
    return np.asarray((shifted(-0.5, -0.5) @ affine @ shifted(0.5, 0.5))[:2], dtype=np.float64)
