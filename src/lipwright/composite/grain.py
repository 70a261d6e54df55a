"""Grain: how much of it a picture has, and more of it where something smooth was drawn."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

# Immerkaer, "Fast noise variance estimation", CVIU 64 (1996): the difference of two Laplacians,
# blind to slopes and bends; white noise of deviation s leaves one of 6 s.
_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
_GAIN = 6.0
_FROM_MEDIAN = 1.4826  # standard deviation of a normal variable over its median size
_TILE = 256
_FEWEST = 64  # pixels that say anything


@dataclass(frozen=True, kw_only=True, slots=True)
class Grain:
    """White noise of one frame."""

    deviation: float
    """Standard deviation as a share of the largest sample."""
    seed: int
    """The same seed gives the same noise."""

    def field(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """The noise itself.

        Args:
            size: Width and height.

        Returns:
            ``(height, width)`` float32 about 0.
        """
        width, height = size
        tile = _tile()
        x, y = self.seed % _TILE, self.seed // _TILE % _TILE
        rows, columns = -(-(y + height) // _TILE), -(-(x + width) // _TILE)
        if rows > 1 or columns > 1:
            tile = np.tile(tile, (rows, columns))
        noise = tile[y : y + height, x : x + width] * np.float32(self.deviation)
        return np.asarray(noise, dtype=np.float32)


def grain_seed(time: Fraction) -> int:
    """A seed of a frame's own, by its time stamp in seconds; the same on every machine."""
    return crc32(f"{time.numerator}/{time.denominator}".encode())


def noise_level(samples: NDArray[np.float32]) -> float | None:
    """How noisy a part of a picture is.

    Half of the pixels may hold edges without being counted as noise.

    Args:
        samples: ``(H, W)`` float32 of one colour or of the luma.

    Returns:
        Standard deviation of white noise that would look so, in the samples' unit; None if there
        are too few pixels.
    """
    if samples.size < _FEWEST:
        return None
    residual = np.abs(cv2.filter2D(samples, -1, _KERNEL)).reshape(-1)
    middle = residual.size // 2
    return float(np.partition(residual, middle)[middle]) * _FROM_MEDIAN / _GAIN


def missing_noise(wanted: float, found: float) -> float:
    """Standard deviation of the noise that brings one level to another; 0 if it is there."""
    return float(np.sqrt(max(0.0, wanted**2 - found**2)))


@cache
def _tile() -> NDArray[np.float32]:
    tile = np.random.default_rng(1).standard_normal((_TILE, _TILE), dtype=np.float32)
    tile.flags.writeable = False
    return tile
