"""The one crop rule of preparation, training and inference: where in the frame the networks look.

(And, for generators that others trained, the released system's rule.)

The unit is the distance between the middle of the eyes and the middle of the mouth (or between
the eyes, whichever is longer, so that a nod does not shrink the crop). The crop is a square, 2.4
units wide, from 0.45 above the eyes to 0.95 below the mouth. A chin at rest is about 0.6 units
below the middle of the mouth, that of a wide open mouth 0.9. The lower half, which the generator
draws, begins between the nose and the upper lip.
"""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces.boxes import Detection
from lipwright.media.native_rgb import LARGEST_BOX

CROP_SIDE = 2.4  # units
EYES_TO_CENTRE = 0.75  # units, along the line from the eyes to the mouth
RELEASED_CHIN = 10  # pixels below the detector's box (pads 0 10 0 0)
MOUTH_ROW = 0.5 + (1.0 - EYES_TO_CENTRE) / CROP_SIDE  # of the crop's height, head upright


def crop_box(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Square around a face by its five landmarks.

    Args:
        landmarks: ``(5, 2)`` float32 pixels x y: eyes, nose, corners of the mouth.

    Returns:
        ``(4,)`` float32 half-open pixels x0 y0 x1 y1; may reach out of the frame.
    """
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    axis = mouth - eyes
    height = float(np.hypot(*axis))
    unit = max(height, float(np.hypot(*(landmarks[1] - landmarks[0]))), 1.0)
    down = axis / height if height > 0 else np.array([0.0, 1.0])
    centre = eyes + EYES_TO_CENTRE * unit * down
    half = CROP_SIDE * unit / 2
    return np.array([*(centre - half), *(centre + half)], dtype=np.float32)


def released_box(detection: Detection) -> NDArray[np.float32]:
    """The detector's box and ten pixels below it, as the released inference pads it.

    Args:
        detection: A face.

    Returns:
        ``(4,)`` float32 half-open pixels x0 y0 x1 y1, not square; may reach out of the frame.
    """
    return np.asarray(detection.box + np.array([0, 0, 0, RELEASED_CHIN]), dtype=np.float32)


CropRule = Literal["lipwright", "released"]
CROP_RULES: dict[CropRule, Callable[[Detection], NDArray[np.float32]]] = {
    "lipwright": lambda detection: crop_box(detection.landmarks),
    "released": released_box,
}


def widen(box: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Scale a box about its centre.

    Args:
        box: ``(4,)`` float32 half-open pixels x0 y0 x1 y1.
        factor: New side over old side.

    Returns:
        ``(4,)`` float32.
    """
    centre = (box[:2] + box[2:]) / 2
    half = (box[2:] - box[:2]) / 2 * factor
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def crop_face(
    frame: NDArray[np.uint8], box: NDArray[np.float32], *, size: int
) -> NDArray[np.uint8]:
    """Cut a square out of a frame, to a fraction of a pixel, and bring it to one size.

    Args:
        frame: ``(H, W, 3)`` uint8 RGB.
        box: ``(4,)`` float32 half-open pixels x0 y0 x1 y1; outside the frame its edge is repeated.
        size: Height and width of the result in pixels.

    Returns:
        ``(size, size, 3)`` uint8 RGB.

    Raises:
        ConfigError: If the box has no area.
    """
    _require_area(box)
    side = float(box[2] - box[0])
    # Shrinking by warping alone would skip pixels: take the box at about its own size first, then
    # average areas.
    size_taken = max(size, round(side))
    taken = cv2.warpAffine(
        frame,
        box_to_square(box, size_taken),
        (size_taken, size_taken),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if size_taken == size:
        return np.asarray(taken, dtype=np.uint8)
    resized = cv2.resize(taken, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, dtype=np.uint8)


def box_to_square(box: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """Affine map from the frame's pixel centres to those of a square cut from it.

    Args:
        box: ``(4,)`` float32 half-open pixels x0 y0 x1 y1.
        size: Side of the square in pixels.

    Returns:
        ``(2, 3)`` float64, for ``cv2.warpAffine``.

    Raises:
        ConfigError: If the box has no area.
    """
    _require_area(box)
    x0, y0, x1, y1 = (float(edge) for edge in box)
    scale_x, scale_y = size / (x1 - x0), size / (y1 - y0)
    # Edges are half a pixel from the centres that OpenCV counts in.
    return np.array(
        [
            [scale_x, 0.0, scale_x * (0.5 - x0) - 0.5],
            [0.0, scale_y, scale_y * (0.5 - y0) - 0.5],
        ]
    )


def _require_area(box: NDArray[np.float32]) -> None:
    width, height = (float(side) for side in box[2:] - box[:2])
    if not (width > 0 and height > 0):  # NaN too
        raise ConfigError(f"a face box needs a positive width and height, got {width} x {height}")
    if max(width, height) > LARGEST_BOX:
        raise ConfigError(
            f"a face box of {width} x {height} pixels is beyond {LARGEST_BOX}; find the face again"
        )
