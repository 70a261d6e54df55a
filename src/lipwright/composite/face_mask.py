"""Which pixels of a face change, by its landmarks: below the nose, inside the jaw line."""

from functools import cache
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.faces.points import EYE_CORNERS, GROUPS, JAW

# In shares of the crop rule's square.
FEATHER = 0.08  # inward from the jaw line
# How far the mask reaches below the chin, feather and all. Speech of another clip moves a chin of
# GRID by less than 0.06 in 99 frames of 100; both the old and the new one must be under the mask,
# or a double chin shows.
BELOW_CHIN = 0.11
BESIDE_JAW = 0.03  # likewise, to the sides: a jaw that drops does so in all its breadth
_BROAD = 1.6  # how soon, from the ears down, that is reached in full
_DRAWN_FROM = 0.5  # the generator draws what is below
_TOP_FEATHER = 0.1  # down from there, on the cheeks
_TOP_STEP = 0.02  # likewise, where lips are that near
_BORDER = 0.01  # of the square that stays untouched
_BORDER_STEP = 0.03
LIP_REACH = 0.04  # about the lips the mask is whole for half of it and gone after one and a half
_DISTANCE_UNIT = 1.05  # rows that OpenCV's 3 x 3 distance counts as one: 1 / 0.955
_OUTER_LIPS = list(GROUPS["outer_lips"])


def face_mask(points: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """How much of each pixel comes from the generator.

    It is whole on the lips however high they lie, falls off outward until the jaw line and upward
    until the generator draws no more, reaches below the chin for a jaw that is drawn lower than it
    was, and turns with the face.

    Args:
        points: ``(NUM_LANDMARKS, 2)`` float32 landmarks of the face as it was, in pixels of the
            square.
        size: Height and width of the square.

    Returns:
        ``(size, size)`` float32 in [0, 1]; 0 in the upper half and, from 51 pixels on, along the
        border.
    """
    # What lies further up is zero, and too far away to tell in the feather.
    top = max(0, size // 2 - ceil(_DISTANCE_UNIT * FEATHER * size) - 1)
    down = np.array([0, top], dtype=np.float32)
    inside = np.zeros((size - top, size), dtype=np.uint8)
    _fill(inside, _outline(points, size) - down, 1)
    share = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_3).astype(np.float32)
    share *= np.float32(1 / (FEATHER * size))
    below = np.maximum(_near_lips(points - down, inside.shape), _below_top(size)[top:, None])
    np.minimum(share, below, out=share)
    np.minimum(share, _room(size)[top:], out=share)
    np.clip(share, 0, 1, out=share)
    mask = np.zeros((size, size), dtype=np.float32)
    np.multiply(share * share, 3 - 2 * share, out=mask[top:])
    return mask


def _down(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vector across the line of the eyes, to the chin's side."""
    x, y = points[EYE_CORNERS[1]] - points[EYE_CORNERS[0]]
    length = max(float(np.hypot(x, y)), 1e-6)
    return np.array([-y, x], dtype=np.float32) / np.float32(length)


def _outline(points: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """``(21, 2)``: the jaw line from ear to ear, pushed down and out where it moves."""
    down = _down(points)
    jaw = points[list(JAW)]
    heights = (jaw - jaw[[0, -1]].mean(axis=0)) @ down
    towards_chin = np.clip(_BROAD * heights / max(float(heights.max()), 1e-6), 0, 1)
    aside = (jaw - jaw.mean(axis=0)) @ np.array([down[1], -down[0]])
    outward = np.sign(aside)[:, None] * np.array([down[1], -down[0]], dtype=np.float32)
    push = towards_chin[:, None] * np.float32(size)
    pushed = jaw + push * (BELOW_CHIN * down + BESIDE_JAW * outward)
    return np.asarray(pushed, dtype=np.float32)


def _near_lips(points: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """``shape``: 1 on the lips and just beside them, falling to 0 and below."""
    outside = np.ones(shape, dtype=np.uint8)
    hull = np.asarray(cv2.convexHull(points[_OUTER_LIPS])[:, 0], dtype=np.float32)
    _fill(outside, hull, 0)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_3).astype(np.float32)
    distance *= np.float32(-1 / (LIP_REACH * shape[1]))
    distance += np.float32(1.5)
    return distance


def _fill(picture: NDArray[np.uint8], outline: NDArray[np.float32], value: int) -> None:
    """Fill a polygon in place, its corners to a sixteenth of a pixel."""
    corners = np.rint((outline - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(picture, [corners], value, shift=4)


@cache
def _below_top(size: int) -> NDArray[np.float32]:
    """``(size,)``: how far each row is into the feather of the upper edge."""
    places = (np.arange(size) + 0.5) / size
    return np.asarray((places - _DRAWN_FROM) / _TOP_FEATHER, dtype=np.float32)


@cache
def _room(size: int) -> NDArray[np.float32]:
    """``(size, size)``: 0 where nothing is drawn or the square ends, 1 a step further in."""
    places = (np.arange(size) + 0.5) / size
    across = (np.minimum(places, 1 - places) - _BORDER) / _BORDER_STEP
    top, bottom = (places - _DRAWN_FROM) / _TOP_STEP, (1 - places - _BORDER) / _BORDER_STEP
    room = np.clip(np.minimum(across[None], np.minimum(top, bottom)[:, None]), 0, 1)
    return np.asarray(room, dtype=np.float32)
