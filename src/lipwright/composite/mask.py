"""Which pixels of the face change: the mouth, cheeks and chin, with a soft edge."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

# In shares of the crop rule's square. The generator draws everything below the middle; the mask
# stays inside that, and inside the crop, so that its own edge is never seen.
TOP, BOTTOM = 0.5, 0.99
HALF_WIDTH = 0.42
FEATHER = 0.1
_ROUNDNESS = 3.0  # exponent of the superellipse: 2 is an ellipse, more is boxier


@cache
def mouth_mask(size: int) -> NDArray[np.float32]:
    """How much of each pixel comes from the generator.

    Args:
        size: Height and width of the face in pixels.

    Returns:
        ``(size, size)`` float32 in [0, 1], read-only: 0 in the upper half and, from 51 pixels
        on, along the border.
    """
    steps = (np.arange(size) + 0.5) / size
    across = np.abs(steps - 0.5) / HALF_WIDTH
    centre, half_height = (TOP + BOTTOM) / 2, (BOTTOM - TOP) / 2
    down = np.abs(steps - centre) / half_height
    radius = (across[None, :] ** _ROUNDNESS + down[:, None] ** _ROUNDNESS) ** (1 / _ROUNDNESS)
    # From 1 to 0 over the feather, inward from the edge, with no kink at either end.
    depth = np.clip((1 - radius) * half_height / FEATHER, 0, 1)
    mask = (depth * depth * (3 - 2 * depth)).astype(np.float32)
    mask.flags.writeable = False
    return mask
