"""Choose the picture of the person that the generator starts from.

The frame itself would be nearest in pose, but its mouth still says the old words, and some of that
would show. So an earlier frame is kept for as long as the upper half of the face, which speech
hardly moves, looks about the same.
"""

import numpy as np
from numpy.typing import NDArray

# Mean difference of the upper halves, in levels of 255. Over the corpus, 3 s of a person looking
# into the camera stay below it more than 90 times of 100; a turned head or another light does not.
MAX_CHANGE = 16.0


class ReferenceKeeper:
    """Keeps one crop until the face has moved away from it."""

    def __init__(self) -> None:
        self._crop: NDArray[np.uint8] | None = None

    def reference_for(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The reference for the next face of a video.

        Args:
            crop: ``(R, R, 3)`` uint8 RGB.

        Returns:
            The crop that was kept, or this one if it differs too much from that.
        """
        if self._crop is None or _change(self._crop, crop) > MAX_CHANGE:
            self._crop = crop
        return self._crop


def _change(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    half = a.shape[0] // 2
    return float(np.abs(a[:half].astype(np.int16) - b[:half]).mean())
