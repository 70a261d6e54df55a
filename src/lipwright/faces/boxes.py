"""Say where a face is, compare and merge such answers, and name what a face detector must do."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
"""``(N, 4)`` float32: half-open pixels x0 y0 x1 y1, fractions allowed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """One face found in one picture."""

    box: NDArray[np.float32]
    """``(4,)`` float32: half-open pixels x0 y0 x1 y1; may reach over the picture's edge."""

    landmarks: NDArray[np.float32]
    """``(5, 2)`` float32 pixels x y: left eye, right eye, nose, left and right mouth corner.

    Left and right are those of the picture: of an upright face, the image-left point comes first.
    """

    score: float
    """How sure the detector is, in [0, 1]."""


class FaceDetector(Protocol):
    """Finds the faces of a picture."""

    def detect(self, pixels: NDArray[np.uint8]) -> list[Detection]:
        """Find every face.

        Args:
            pixels: Picture, ``(H, W, 3)`` uint8 RGB.

        Returns:
            The faces, best score first; empty if there are none.
        """
        ...


def areas(boxes: Boxes) -> NDArray[np.float32]:
    """Measure boxes.

    Args:
        boxes: ``(N, 4)`` float32.

    Returns:
        ``(N,)`` float32 square pixels; zero for a box that is inside out.
    """
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    area: NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return area


def intersections(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Measure what each pair of boxes shares.

    Args:
        a: ``(N, 4)`` float32.
        b: ``(M, 4)`` float32.

    Returns:
        ``(N, M)`` float32 square pixels.
    """
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])  # (N, M, 2)
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])  # (N, M, 2)
    sides = np.maximum(bottom_right - top_left, 0)
    shared: NDArray[np.float32] = sides[..., 0] * sides[..., 1]
    return shared


def iou(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Compute the intersection over union of each pair of boxes.

    Args:
        a: ``(N, 4)`` float32.
        b: ``(M, 4)`` float32.

    Returns:
        ``(N, M)`` float32 in [0, 1]; zero where both boxes are empty.
    """
    shared = intersections(a, b)
    return _ratio(shared, areas(a)[:, None] + areas(b)[None, :] - shared)


def non_maximum_suppression(
    boxes: Boxes,
    scores: NDArray[np.float32],
    *,
    threshold: float,
    mode: Literal["union", "min"],
) -> NDArray[np.int64]:
    """Keep the best of the boxes that cover the same thing.

    Boxes are taken best score first, and each one taken removes those that overlap it too much.

    Args:
        boxes: ``(N, 4)`` float32.
        scores: ``(N,)`` float32.
        threshold: Largest overlap, in [0, 1], with a better box that is still kept.
        mode: What the shared area is measured against: the ``"union"`` of both boxes, or the
            smaller (``"min"``), which also removes a box inside another.

    Returns:
        Indices of the kept boxes, best score first, ``(K,)`` int64.
    """
    if mode == "union":
        overlap = iou(boxes, boxes)
    else:
        size = areas(boxes)
        overlap = _ratio(intersections(boxes, boxes), np.minimum(size[:, None], size[None, :]))
    is_alive = np.ones(len(boxes), dtype=np.bool_)
    kept = []
    for index in np.argsort(-scores, kind="stable"):
        if is_alive[index]:
            kept.append(index)
            is_alive &= overlap[index] <= threshold
    return np.array(kept, dtype=np.int64)


def squared(boxes: Boxes) -> Boxes:
    """Grow the shorter side of each box about its centre until the box is square.

    Args:
        boxes: ``(N, 4)`` float32.

    Returns:
        ``(N, 4)`` float32.
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def moved(boxes: Boxes, offsets: NDArray[np.float32]) -> Boxes:
    """Move each edge of each box by a fraction of the box's own width or height.

    Args:
        boxes: ``(N, 4)`` float32.
        offsets: ``(N, 4)`` float32, one fraction per edge, in the order of the edges.

    Returns:
        ``(N, 4)`` float32.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    moves: NDArray[np.float32] = offsets * np.concatenate([sides, sides], axis=1)
    return boxes + moves


def _ratio(part: NDArray[np.float32], whole: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide, taking 0 / 0 (two empty boxes) as 0, and rounding errors above 1 as 1."""
    ratio: NDArray[np.float32] = np.zeros_like(part)
    np.divide(part, whole, out=ratio, where=whole > 0)
    np.minimum(ratio, 1, out=ratio)
    return ratio
