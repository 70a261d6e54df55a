"""How far the mouth is open, frame by frame, and how well two such curves agree."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError

MAX_LAG = 5  # frames


@dataclass(frozen=True, kw_only=True, slots=True)
class MouthMotion:
    """How a drawn mouth moves against the true one."""

    correlation: float
    """Pearson's, of the two openings; 1 is perfect."""
    amplitude: float
    """Standard deviation of the drawn opening over that of the true one; 1 is perfect."""
    lag_frames: int
    """Frames by which the drawn mouth is late, where the correlation is highest."""


def compare_motion(true: NDArray[np.float64], drawn: NDArray[np.float64]) -> MouthMotion:
    """Compare two curves of mouth opening.

    Args:
        true: ``(N,)`` opening in each frame of the true video.
        drawn: ``(N,)`` the same of the drawn one.

    Returns:
        Correlation at no lag, amplitude, and the lag with the highest correlation. A mouth that
        does not move at all correlates 0.

    Raises:
        ConfigError: If the curves differ in length, are shorter than 15 frames, not finite, or
            the true mouth does not move.
    """
    if true.shape != drawn.shape or true.ndim != 1:
        raise ConfigError(f"curves must be of one length, got {true.shape} and {drawn.shape}")
    if len(true) < 3 * MAX_LAG:
        raise ConfigError(f"at least {3 * MAX_LAG} frames are needed, got {len(true)}")
    if not (np.isfinite(true).all() and np.isfinite(drawn).all()):
        raise ConfigError("curves hold NaN or infinite openings; leave frames without a face out")
    if np.ptp(true) == 0:
        raise ConfigError("the true mouth does not move")
    by_lag = {
        lag: _correlation(
            true[max(0, -lag) : len(true) - max(0, lag)],
            drawn[max(0, lag) : len(drawn) - max(0, -lag)],
        )
        for lag in sorted(range(-MAX_LAG, MAX_LAG + 1), key=abs)  # of equals the shortest wins
    }
    return MouthMotion(
        correlation=by_lag[0],
        amplitude=float(np.std(drawn) / np.std(true)),
        lag_frames=max(by_lag, key=by_lag.__getitem__),
    )


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    # The deviation of equal values may be a rounding error above 0, their range is 0.
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
