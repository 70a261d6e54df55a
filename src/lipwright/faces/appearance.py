"""Tell people apart by their faces: one short vector per face, that no mouth has a part in.

The face is laid upright by its eyes and cut off between nose and upper lip, above everything that
talks and that is drawn anew. What is taken of it are histograms of its gradients in cells, each
against those around it, so that light cancels (Dalal and Triggs, CVPR 2005), brought to a few
numbers by a linear map in which one person in many lights, poses and sharpnesses is one place, and
different persons are far apart (linear discriminants, learnt from portraits by
``benchmarks/appearance.py``, which also measures the errors below).
"""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import read_tensors
from lipwright.errors import CheckpointError
from lipwright.faces.points import GROUPS

Appearance = NDArray[np.float32]
"""``(APPEARANCE_LENGTH,)`` float32 of unit length."""

APPEARANCE_LENGTH = 64
VIEW_MARGIN = 1.5  # side of the picture that is described over that of the crop rule
VIEW_SIZE = 144  # pixels of it, at which the eyes are about as far apart as in the upright face
SAME_PERSON = 0.7
"""Likeness from which on two faces count as one person's.

Of ten speakers before one camera, none of whom was learnt from, 1 % of looks at a known person in
another clip (some on another day) fall below it, and none of 306 looks at somebody else lies above
(area under the curve 0.9998); under made-up changes of light, pose and sharpness 37 % and 1 %
(0.978). Whoever is missed is looked for again a moment later.
"""
OTHER_PERSON = 0.25
"""Likeness below which a face that was followed counts as somebody else's by now; no look at the
same speaker lies there, and 0.6 % of looks at portraits under made-up changes."""

PROJECTION = Path(__file__).parent.parent / "weights" / "lipwright-appearance.safetensors"
_WIDTH, _HEIGHT = 80, 56  # pixels of the upright face
_LEFT_EYE, _EYES_APART = (24.0, 32.0), 32.0
_NUM_DIRECTIONS = 8  # of a gradient, over half a turn
_CELL = 6  # pixels
_FIRST_CELL = _CELL // 2
_BLUR, _AROUND = 2.5, 6.0  # standard deviations in pixels: of a cell, and of what is around it
_FLAT = 2.0  # levels of a gradient below which there is noise alone
_LARGEST = 0.6  # share of a direction in what is around it


def likeness(a: Appearance, b: Appearance) -> float:
    """How alike two faces are.

    Args:
        a: ``(APPEARANCE_LENGTH,)`` of unit length.
        b: Likewise.

    Returns:
        In [-1, 1]; see ``SAME_PERSON``.
    """
    return float(a @ b)


def mean_appearance(seen: NDArray[np.float32]) -> Appearance:
    """What several looks at one person have in common.

    Args:
        seen: ``(N, APPEARANCE_LENGTH)``, one at least.

    Returns:
        ``(APPEARANCE_LENGTH,)`` of unit length.
    """
    return _unit(np.asarray(seen.mean(axis=0)))


def describe(picture: NDArray[np.uint8], points: NDArray[np.float32]) -> Appearance:
    """Describe a face.

    Args:
        picture: ``(S, S, 3)`` uint8 RGB: the crop rule's square, widened by ``VIEW_MARGIN``.
        points: ``(NUM_LANDMARKS, 2)`` landmarks of ``faces.points`` in pixels of the picture.

    Returns:
        ``(APPEARANCE_LENGTH,)`` float32 of unit length.

    Raises:
        CheckpointError: If the linear map that ships with Lipwright is missing or damaged.
    """
    mean, columns = _projection()
    return _unit((gradients(picture, points) - mean) @ columns)


def gradients(picture: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Histograms of the gradients of a face, before the linear map.

    Args:
        picture: As :func:`describe` takes it.
        points: Likewise.

    Returns:
        ``(NUM_GRADIENTS,)`` float32, not negative.
    """
    grey = cv2.cvtColor(_upright(picture, points), cv2.COLOR_RGB2GRAY).astype(np.float32)
    down, across = np.gradient(grey)
    strength = np.hypot(across, down)
    direction = np.arctan2(down, across) % np.pi / np.pi * _NUM_DIRECTIONS
    # A gradient counts for the two directions that it lies between.
    apart = np.abs(direction[..., None] - np.arange(_NUM_DIRECTIONS))
    weights = np.maximum(1 - np.minimum(apart, _NUM_DIRECTIONS - apart), 0)
    maps = cv2.GaussianBlur(strength[..., None] * weights, (0, 0), _BLUR)
    around = np.sqrt(cv2.GaussianBlur((maps**2).sum(axis=-1), (0, 0), _AROUND)) + _FLAT
    cells = (maps / around[..., None])[_FIRST_CELL::_CELL, _FIRST_CELL::_CELL]
    shares = np.sqrt(np.minimum(cells, _LARGEST))
    return np.asarray(shares.ravel(), dtype=np.float32)


def _upright(picture: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``(_HEIGHT, _WIDTH, 3)``: turned, scaled and shifted so that the eyes are where they go."""
    left, right = (
        points[list(GROUPS[eye])].mean(axis=0).astype(np.float64)
        for eye in ("left_eye", "right_eye")
    )
    between = complex(*(right - left))
    turn = _EYES_APART / between if between else 0j
    matrix = np.array([[turn.real, -turn.imag, 0.0], [turn.imag, turn.real, 0.0]])
    # Landmarks count from the corner of the first pixel, OpenCV from its middle.
    matrix[:, 2] = _LEFT_EYE - matrix[:, :2] @ (left - 0.5) - 0.5
    upright = cv2.warpAffine(
        picture,
        matrix,
        (_WIDTH, _HEIGHT),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(upright, dtype=np.uint8)


@cache
def _projection() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean, and the columns ``(NUM_GRADIENTS, APPEARANCE_LENGTH)`` of the map."""
    tensors, _ = read_tensors(PROJECTION)
    try:
        mean, columns = (tensors[name].astype(np.float32) for name in ("mean", "columns"))
    except KeyError as err:
        raise CheckpointError(f"{PROJECTION} lacks {err}; install Lipwright again") from err
    if columns.shape != (len(mean), APPEARANCE_LENGTH):
        raise CheckpointError(
            f"{PROJECTION} maps {len(mean)} numbers by {columns.shape}; install Lipwright again"
        )
    return mean, columns


def _unit(vector: NDArray[np.floating]) -> Appearance:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), dtype=np.float32)
