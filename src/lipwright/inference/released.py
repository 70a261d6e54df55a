"""The released system's way of rendering, step by step and bit for bit.

For people who compare with results that they already have: same windows, same boxes, same
rounding, same hard paste (https://github.com/Rudrabha/Wav2Lip, ``inference.py``, state of 2025-04).
The default flow is better in every step; see :mod:`lipwright.inference.pipeline`. What differs is
the face detector, MTCNN in place of S3FD, whose weights are for research only, and the colour
conversion of the video codec.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.speech import MEL_RATE, WINDOW_LENGTH, Mel

SMOOTHING_WINDOW = 5  # boxes: T in the released code
Pads = tuple[int, int, int, int]
PADS: Pads = (0, 10, 0, 0)  # pixels added above, below, left and right of the detector's box
Picture = NDArray[np.uint8]
IntBoxes = NDArray[np.int64]
"""``(N, 4)`` int64: half-open pixels x0 y0 x1 y1."""


def released_windows(mel: Mel, fps: float) -> NDArray[np.float32]:
    """Cut the speech of every frame; the last window is moved back to end with the speech.

    Args:
        mel: ``(80, num_columns)`` float32 in [-4, 4].
        fps: Frames per second of the video.

    Returns:
        ``(N, 1, 80, 16)`` float32: there are as many frames as windows, up to 0.2 s fewer than
        the speech has time for.

    Raises:
        ConfigError: If the speech is shorter than a window or the rate is not positive.
    """
    num_columns = mel.shape[1]
    if num_columns < WINDOW_LENGTH or not fps > 0:
        raise ConfigError(
            f"the released windows need {WINDOW_LENGTH} columns of mel and a rate above 0, got "
            f"{num_columns} and {fps}"
        )
    step = MEL_RATE / fps  # in floating point, as released: 80. / fps
    starts = []
    index = 0
    while int(index * step) + WINDOW_LENGTH <= num_columns:
        starts.append(int(index * step))
        index += 1
    starts.append(num_columns - WINDOW_LENGTH)
    columns = np.array(starts)[:, None] + np.arange(WINDOW_LENGTH)
    return np.ascontiguousarray(mel[:, columns].transpose(1, 0, 2)[:, None])


def released_source(index: int, num_frames: int) -> int:
    """Frame of the video that is shown at an index: the video starts over when it ends."""
    return index % num_frames


def padded_box(
    box: NDArray[np.floating], *, width: int, height: int, pads: Pads = PADS
) -> tuple[int, int, int, int]:
    """Whole pixels of a detector's box, padded and kept inside the picture.

    Args:
        box: ``(4,)`` x0 y0 x1 y1 in pixels; cut off to whole ones, below 0 taken as 0.
        width: Of the picture.
        height: Of the picture.
        pads: Pixels above, below, left and right.

    Returns:
        x0 y0 x1 y1.
    """
    x0, y0, x1, y1 = (int(edge) for edge in np.clip(box, 0, None))
    above, below, left, right = pads
    return max(0, x0 - left), max(0, y0 - above), min(width, x1 + right), min(height, y1 + below)


def smooth_in_place(boxes: IntBoxes, window: int = SMOOTHING_WINDOW) -> IntBoxes:
    """Replace each box by the mean of itself and the next ones, cut off to whole pixels.

    The released code writes the means into the array that it goes on reading; towards the end,
    where the window is the last boxes, that includes smoothed ones.

    Args:
        boxes: ``(N, 4)`` int64.
        window: Boxes of a mean.

    Returns:
        ``(N, 4)`` int64, a new array.
    """
    smoothed = boxes.copy()
    num = len(smoothed)
    for index in range(num):
        near = smoothed[num - window :] if index + window > num else smoothed[index:][:window]
        smoothed[index] = near.mean(axis=0)  # assigning to whole numbers cuts off
    return smoothed


def cut_face(frame: Picture, box: NDArray[np.int64], size: int) -> Picture:
    """Cut a box out and bring it to a square, bilinear, whatever its proportions.

    Args:
        frame: ``(H, W, 3)`` uint8.
        box: ``(4,)`` int64.
        size: Side of the result in pixels.

    Returns:
        ``(size, size, 3)`` uint8.

    Raises:
        ConfigError: If the box holds no pixel.
    """
    x0, y0, x1, y1 = (int(edge) for edge in box)
    face = frame[y0:y1, x0:x1]
    if not face.size:
        raise ConfigError(f"the box {x0} {y0} {x1} {y1} holds no pixel of the picture")
    return np.asarray(cv2.resize(face, (size, size)), dtype=np.uint8)


def released_pixels(drawn: NDArray[np.float32]) -> Picture:
    """Turn a drawn face in [0, 1] into pixels, cutting off what is behind the point."""
    return np.asarray(drawn * 255.0).astype(np.uint8)


def paste_hard(frame: Picture, face: Picture, box: NDArray[np.int64]) -> Picture:
    """Put a face over its box, edge to edge.

    Args:
        frame: ``(H, W, 3)`` uint8; not modified.
        face: ``(S, S, 3)`` uint8.
        box: ``(4,)`` int64.

    Returns:
        ``(H, W, 3)`` uint8, a new array.
    """
    x0, y0, x1, y1 = (int(edge) for edge in box)
    pasted = frame.copy()
    pasted[y0:y1, x0:x1] = cv2.resize(face, (x1 - x0, y1 - y0))
    return pasted
