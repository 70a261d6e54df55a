"""Notice where one shot ends and the next begins: a face is never followed across."""

import numpy as np
from numpy.typing import NDArray

# Levels of 255 by which a picture's small version differs from the one before. In a shot it does so
# by a few; across a cut usually by tens.
LEAST_CHANGE = 18.0
_TIMES_USUAL = 4.0  # a cut changes so many times as much as frames of the shot usually do
_MEMORY = 0.85  # share of what is usual that a frame leaves


class ShotDetector:
    """Sees frames one after the other, and says where a new shot begins."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None
        self._usual = 0.0

    def is_cut(self, thumbnail: NDArray[np.uint8]) -> bool:
        """Whether a frame begins a new shot; the first one does not.

        Args:
            thumbnail: ``(h, w, 3)`` uint8: the frame made small, always to the same size.

        Returns:
            True where it differs from the frame before much more than frames of that shot did.
        """
        now = thumbnail.astype(np.float32)
        if self._before is None or self._before.shape != now.shape:
            self._before = now
            return False
        change = float(np.abs(now - self._before).mean())
        self._before = now
        is_cut = change > max(LEAST_CHANGE, _TIMES_USUAL * self._usual)
        self._usual = 0.0 if is_cut else _MEMORY * self._usual + (1 - _MEMORY) * change
        return is_cut
