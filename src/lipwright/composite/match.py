"""Bring what was drawn to the frame's colours and sharpness."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.composite.grain import noise_level

Tint = NDArray[np.float32]
"""``(3, 3)``: per row what is added to red, green and blue: in the middle of the lower half; from
there to its right edge; and to its lower one."""

_CELL = 4  # pixels a side that count as one: skin has no colour of its own below
_FINE, _COARSE = 0.6, 1.6  # pixels: standard deviations between which detail lies
_ROUNDS = 3  # of weighting anew; what is off by much (hair, teeth, a collar) counts less and less
_OUTLIER = 0.03  # difference in [0, 1] that counts half
_RIDGE = np.diag([10.0, 50.0, 50.0]).astype(np.float32)  # cells that say there is no tint


def tint_between(
    drawn: NDArray[np.float32], frame: NDArray[np.float32], ring: NDArray[np.float32]
) -> Tint:
    """What must be added to drawn colours, smoothly over the face, to meet those of the frame.

    Args:
        drawn: ``(h, w, 3)`` float32 RGB in [0, 1]: lower half of what was drawn.
        frame: ``(h, w, 3)`` float32 RGB in [0, 1]: the same of the frame.
        ring: ``(h, w)`` float32 how much a pixel counts: where drawn meets frame.

    Returns:
        See `Tint`.
    """
    size = (max(1, ring.shape[1] // _CELL), max(1, ring.shape[0] // _CELL))
    weights = cv2.resize(ring, size, interpolation=cv2.INTER_AREA).reshape(-1)
    difference = cv2.resize(frame - drawn, size, interpolation=cv2.INTER_AREA).reshape(-1, 3)
    places = _places(*size)
    tint = np.zeros((3, 3), dtype=np.float32)
    for _ in range(_ROUNDS):
        off = np.abs(difference - places @ tint).sum(axis=1) / np.float32(3 * _OUTLIER)
        weighted = places.T * (weights / (1 + off * off))
        tint = np.linalg.solve(weighted @ places + _RIDGE, weighted @ difference)
    return np.asarray(tint, dtype=np.float32)


def tinted(drawn: NDArray[np.float32], tint: Tint) -> NDArray[np.float32]:
    """Add a tint.

    Args:
        drawn: ``(h, w, 3)`` float32 RGB.
        tint: See `Tint`.

    Returns:
        ``(h, w, 3)`` float32, not clipped.
    """
    height, width = drawn.shape[:2]
    across = _steps(width)[:, None] * tint[1] + tint[0]
    down = _steps(height)[:, None] * tint[2]
    return np.asarray(drawn + across + down[:, None], dtype=np.float32)


def detail(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a blur takes away, but for the very finest: added again, it sharpens.

    Generators that shuffle pixels leave patterns of single pixels, which are not to be sharpened.

    Args:
        picture: ``(h, w, 3)`` float32.

    Returns:
        ``(h, w, 3)`` float32 about 0.
    """
    fine, coarse = (
        cv2.GaussianBlur(picture, (0, 0), radius, borderType=cv2.BORDER_REPLICATE)
        for radius in (_FINE, _COARSE)
    )
    return np.asarray(fine - coarse, dtype=np.float32)


def missing_detail(
    drawn: NDArray[np.float32],
    its_detail: NDArray[np.float32],
    frame: NDArray[np.float32],
    *,
    where: NDArray[np.bool_],
    goal: float,
    most: float,
) -> float:
    """How much of its detail must be added to a drawn picture to make it sharp enough.

    With a share k of the detail the energy of its Laplacian is ``a + 2 b k + c k^2``. What is noise
    in either picture is left out: of the frame's grain nothing is to be drawn sharper.

    Args:
        drawn: ``(h, w)`` float32 luma.
        its_detail: ``(h, w)`` float32, see :func:`detail`.
        frame: ``(h, w)`` float32 luma.
        where: ``(h, w)`` which pixels count.
        goal: Energy that is aimed at, as a share of the frame's.
        most: Largest answer.

    Returns:
        The share k in [0, most].
    """
    own, more, true = (cv2.Laplacian(p, cv2.CV_32F)[where] for p in (drawn, its_detail, frame))
    wanted = float(true @ true) - _noise_energy(frame) * true.size
    found = float(own @ own) - _noise_energy(drawn) * own.size
    a, b, c = found - goal * wanted, float(own @ more), float(more @ more)
    if a >= 0:
        return 0.0
    if not c > 0:
        return most
    return min(most, (-b + float(np.sqrt(b * b - a * c))) / c)


def _noise_energy(luma: NDArray[np.float32]) -> float:
    """Of the Laplacian of what is noise, for a pixel: 20 times the variance of white noise."""
    return 20 * (noise_level(luma) or 0.0) ** 2


@cache
def _steps(length: int) -> NDArray[np.float32]:
    """From -1 to 1, centres of so many steps."""
    return ((np.arange(length) * 2 + 1) / length - 1).astype(np.float32)


@cache
def _places(width: int, height: int) -> NDArray[np.float32]:
    """``(height x width, 3)``: 1, place across, place down."""
    down, across = np.meshgrid(_steps(height), _steps(width), indexing="ij")
    return np.stack([np.ones_like(down), across, down], axis=-1).reshape(-1, 3)
