"""Look at one face from several boxes: what looks differ in is no part of the face."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces.crop import widen

_SHIFT, _RESIZE = 0.03, 0.06  # at most, as shares of the side


class Views:
    """Boxes about a face: its own, then some moved by up to 3 % and resized by up to 6 %.

    One look is not to be trusted with a mouth: from boxes that differ by no more than that,
    MediaPipe's face mesh reads openings of the same mouths that correlate 0.86 with each other.
    """

    def __init__(self, num_views: int) -> None:
        """Choose them, for the same number always the same.

        Args:
            num_views: How many, the face's own box among them.

        Raises:
            ConfigError: If that is below 1.
        """
        if num_views < 1:
            raise ConfigError(f"num_views must be at least 1, got {num_views}")
        rng = np.random.default_rng(num_views)
        self._views = [(0.0, 0.0, 1.0)] + [
            (*rng.uniform(-_SHIFT, _SHIFT, 2), 1 + rng.uniform(-_RESIZE, _RESIZE))
            for _ in range(num_views - 1)
        ]

    def of(self, box: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The boxes.

        Args:
            box: ``(4,)`` the face's own.

        Returns:
            ``(4,)`` float32 each.
        """
        side = np.tile(box[2:] - box[:2], 2)
        return [
            widen((box + side * [right, down, right, down]).astype(np.float32), size)
            for right, down, size in self._views
        ]

    def mean(
        self,
        look: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        box: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Look from every box, and take the mean.

        Args:
            look: What is seen from a box; of the same shape each time.
            box: ``(4,)`` the face's own.

        Returns:
            float32 of that shape.
        """
        return np.asarray(np.mean([look(view) for view in self.of(box)], axis=0), dtype=np.float32)
