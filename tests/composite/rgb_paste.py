"""The paste in RGB, plain to read: what the paste in a frame's own format is compared with."""

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.composite.mask import mouth_mask
from lipwright.faces import box_to_square


def paste(
    frame: NDArray[np.uint8], face: NDArray[np.uint8], box: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Blend a face into a frame through the soft mask.

    Args:
        frame: ``(H, W, 3)`` uint8 RGB; not modified.
        face: ``(S, S, 3)`` uint8 RGB, drawn for the box.
        box: ``(4,)`` float32 half-open pixels x0 y0 x1 y1; may reach out of the frame.

    Returns:
        ``(H, W, 3)`` uint8 RGB, a new array.

    Raises:
        ConfigError: If the box has no area.
    """
    to_square = box_to_square(box, face.shape[0])
    pasted = frame.copy()
    height, width = frame.shape[:2]
    x0, y0 = np.maximum(np.floor(box[:2]).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(box[2:]).astype(int), (width, height))
    if x0 >= x1 or y0 >= y1:
        return pasted
    # From the pixels of the square to those of the region of the frame that the box covers.
    to_square[:, 2] += to_square[:, :2] @ (x0, y0)
    size = (int(x1 - x0), int(y1 - y0))
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(face, to_square, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(
        mouth_mask(face.shape[0]), to_square, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )[:, :, None]
    region = frame[y0:y1, x0:x1]
    blended = region + share * (drawn.astype(np.float32) - region)
    pasted[y0:y1, x0:x1] = np.where(share > 0, np.rint(blended), region).astype(np.uint8)
    return pasted
