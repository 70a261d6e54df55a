"""Baselines of an evaluation: the true video with its frames in another order.

They cost no rendering, and say what a number is worth: a metric that does not tell the true video
from one that is late, does not move, or says something else, measures nothing.
"""

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError

SHIFT = 5  # frames by which the shifted baseline is late

Order = NDArray[np.int64]
"""``(N,)``: which frame of the source comes where."""


def as_it_is(num_frames: int) -> Order:
    """The true video: every frame in its place."""
    return np.arange(num_frames, dtype=np.int64)


def static(openings: NDArray[np.float64]) -> Order:
    """A mouth that never moves: the frame whose mouth is least open, all the time.

    Args:
        openings: ``(N,)`` opening of the mouth in each frame.

    Raises:
        ConfigError: If there are none, or one is not finite.
    """
    if not openings.size or not np.isfinite(openings).all():
        raise ConfigError("openings must be finite, and at least one")
    return np.full(len(openings), int(np.argmin(openings)), dtype=np.int64)


def shifted(num_frames: int, *, by: int = SHIFT) -> Order:
    """Every frame ``by`` frames late (early, if negative); the clip's end frames fill up."""
    return np.clip(np.arange(num_frames, dtype=np.int64) - by, 0, max(0, num_frames - 1))


def other(num_frames: int, num_other_frames: int) -> Order:
    """Frames of another clip that says something else, to and fro if it is shorter.

    Args:
        num_frames: Frames that are needed.
        num_other_frames: Frames of the other clip.

    Raises:
        ConfigError: If the other clip has no frame.
    """
    if num_other_frames < 1:
        raise ConfigError("the other clip has no frame")
    period = max(1, 2 * (num_other_frames - 1))
    place = np.arange(num_frames, dtype=np.int64) % period
    return np.minimum(place, period - place)
