"""See what lies before a mouth: colours its face has nowhere near, or lips not there."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

CELL = 4  # pixels of the drawn square that are looked at as one
_REACH = 2  # cells that skin, folds and edges may have moved
_TOLERANCE = 14.0  # levels of 255 that a colour may be off before it counts at all
_CERTAIN = 20.0  # levels beyond that which count in full
_MOUTH_REACH = 1  # cells about the lips where teeth and the dark between them may come up
_SKIN_REACH = 6  # pixels about the lips that count as the skin about them
_SPREAD = 2.0  # cells: standard deviation over which cells vouch for their neighbours


def covered_share(
    target: NDArray[np.uint8],
    reference: NDArray[np.uint8],
    lips: NDArray[np.float32],
    *,
    tint: NDArray[np.float32],
) -> NDArray[np.float32]:
    """How surely each part of a lower face is hidden by something.

    The reference shows the same face, uncovered, so its colours near a place are those that the
    place may have. Between the lips anything may come up; there the surroundings decide.

    Args:
        target: ``(S, S, 3)`` uint8 RGB: the face as it is.
        reference: ``(S, S, 3)`` uint8 RGB: the same face, laid onto it.
        lips: ``(K, 2)`` float32 landmarks of the target's outer lips, in pixels of the square.
        tint: ``(3,)`` float32 RGB in [0, 1]: what the reference lacks to the light of the frame.

    Returns:
        ``(S / (2 CELL), S / CELL)`` float32 in [0, 1] of the lower half; see `CELL`.
    """
    seen, known = (_cells(picture) for picture in (target, reference))
    known = known + 255 * tint
    kernel = _square(_REACH)
    beyond = np.maximum(seen - cv2.dilate(known, kernel), cv2.erode(known, kernel) - seen)
    off = np.clip((beyond.max(axis=2) - _TOLERANCE) / _CERTAIN, 0, 1)
    mouth = np.zeros(off.shape, dtype=np.uint8)
    outline = np.rint(lips / CELL - (0.5, off.shape[0] + 0.5)).astype(np.int32)
    cv2.fillPoly(mouth, [cv2.convexHull(outline)], 1)
    mouth = cv2.dilate(mouth, _square(_MOUTH_REACH))
    vouching = 1 - mouth.astype(np.float32)
    spread = [
        cv2.GaussianBlur(cells, (0, 0), _SPREAD, borderType=cv2.BORDER_REPLICATE)
        for cells in ((off * vouching).astype(np.float32), vouching)
    ]
    near = spread[0] / np.maximum(spread[1], 1e-3)
    return np.asarray(np.clip(3 * near - 0.5, 0, 1), dtype=np.float32)


def lip_redness(picture: NDArray[np.uint8], lips: NDArray[np.float32]) -> float | None:
    """By how much lips are redder than the skin about them.

    Differs much from face to face, little from frame to frame: within a shot it says whether lips
    are to be seen. A hand is as red as skin.

    Args:
        picture: ``(H, W, 3)`` uint8 RGB.
        lips: ``(K, 2)`` float32 landmarks of the outer lips, in its pixels.

    Returns:
        Difference of red over green, as a share; None if the lips are not in the picture.
    """
    height, width = picture.shape[:2]
    x0, y0 = np.maximum(0, np.floor(lips.min(axis=0)).astype(int) - _SKIN_REACH)
    x1, y1 = np.ceil(lips.max(axis=0)).astype(int) + _SKIN_REACH
    cut = picture[y0 : min(y1, height), x0 : min(x1, width)]
    inside = np.zeros(cut.shape[:2], dtype=np.uint8)
    if not inside.size:
        return None
    cv2.fillPoly(inside, [np.rint(lips - (x0, y0)).astype(np.int32)], 1)
    around = cv2.dilate(inside, _square(_SKIN_REACH)) > cv2.dilate(inside, _square(2))
    is_lip = inside > 0
    if not is_lip.any() or not around.any():
        return None
    of_lips = np.sort(_redness(cut[is_lip]))  # its reddest third: the rest may be teeth
    return float(of_lips[-max(1, len(of_lips) // 3) :].mean() - np.median(_redness(cut[around])))


def _redness(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``(N, 3)`` RGB -> ``(N,)``: by how much red is above green, as a share."""
    red, green = pixels[:, :2].astype(np.float32).T
    return np.asarray((red - green) / (red + green + 2) * 2, dtype=np.float32)


@cache
def _square(reach: int) -> NDArray[np.uint8]:
    return np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)


def _cells(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean colours of the cells of the lower half."""
    lower = picture[picture.shape[0] // 2 :]
    size = (lower.shape[1] // CELL, lower.shape[0] // CELL)
    return cv2.resize(lower, size, interpolation=cv2.INTER_AREA).astype(np.float32)
