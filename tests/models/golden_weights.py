"""Weights made of names and shapes alone, and inputs made of a seed: the same on every machine.

Each tensor has its own ``np.random.Generator(PCG64(seed))`` (numpy keeps that stream, and its
``standard_normal`` and ``uniform``, from version to version); the seed is the CRC-32 of the
tensor's name, so neither the order of the names nor what else is drawn matters.

The values let signals through however deep a network is:

* Kernels are normal, centred for each output and scaled by ``sqrt(2 / (1 - 1 / pi) / fan_in)``
  (Brock et al., "Characterizing signal propagation to close the performance gap in unnormalized
  ResNets", ICLR 2021): the gain of He et al. 2015 for kernels whose sum is zero. Kernels that are
  not centred pass on the mean of what a ReLU gave, and after ten layers every input looks alike.
* The kernels of residual convolutions, known by a norm and as many channels out as in, are scaled
  down, or each would add as much again to what it is added to.
* Norms are near the identity: gamma in [0.8, 1.2], running variance in [0.7, 1.4].
"""

import math
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Shapes = Mapping[str, tuple[int, ...]]
Arrays = dict[str, NDArray[np.generic]]

GAIN = math.sqrt(2 / (1 - 1 / math.pi))
RESIDUAL_GAIN = 0.4
NUM_TAPS = 9 / 4  # of a transposed 3x3 kernel with stride 2 that meet in one pixel
# Of layers that no norm and no ReLU follows.
LAST_GAINS = {
    "output_block.1.weight": 1.0,  # released generator, before a sigmoid
    "binary_pred.0.weight": 6.0,  # discriminator, before a sigmoid
    "output.weight": 0.1,  # compact generator: a change of colours in [0, 1]
    "film.weight": 0.3,  # compact generator: changes of scales that are near 1
}


def golden_weights(shapes: Shapes) -> Arrays:
    """A state dict for these names and shapes.

    Args:
        shapes: Name -> shape, as a network's state dict has them.

    Returns:
        Name -> float32 array of that shape (int64 for counters).
    """
    return {name: _tensor(name, shape, shapes) for name, shape in shapes.items()}


def golden_rng(name: str) -> np.random.Generator:
    """The generator of random numbers that belongs to a name."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def random_mel(rng: np.random.Generator, batch: int) -> NDArray[np.float32]:
    """``(batch, 1, 80, 16)`` float32, even in [-4, 4]."""
    return rng.uniform(-4, 4, (batch, 1, 80, 16)).astype(np.float32)


def random_pixels(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """uint8 of this shape, even in 0..255."""
    return rng.integers(0, 256, shape, dtype=np.uint8)


def _tensor(name: str, shape: tuple[int, ...], shapes: Shapes) -> NDArray[np.generic]:
    rng = golden_rng(name)
    layer, _, item = name.rpartition(".")
    if item == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    if item == "running_var":
        values = rng.uniform(0.7, 1.4, shape)
    elif item == "weight" and len(shape) == 1:  # gamma of a norm
        values = rng.uniform(0.8, 1.2, shape)
    elif item == "weight":
        values = _kernel(name, rng.standard_normal(shape), shapes)
    elif item in ("bias", "running_mean"):
        values = rng.uniform(-0.1, 0.1, shape)
    else:
        raise ValueError(f"no rule for {name!r} of shape {shape}")
    return values.astype(np.float32)


def _kernel(name: str, values: NDArray[np.float64], shapes: Shapes) -> NDArray[np.float64]:
    """Centre and scale a kernel ``(out, in, ...)``, or a transposed one ``(in, out, ...)``."""
    norm = _norm_behind(name)
    num_out = (shapes.get(f"{name.removesuffix('weight')}bias") or shapes[norm])[0]
    is_transposed = values.shape[0] != num_out
    if is_transposed:
        values = values - values.mean(axis=0, keepdims=True)
        fan_in = values.shape[0] * NUM_TAPS
    else:
        values = values - values.mean(axis=tuple(range(1, values.ndim)), keepdims=True)
        fan_in = values[0].size
    gain = next((g for end, g in LAST_GAINS.items() if _ends(name, end)), GAIN)
    if norm in shapes and values.shape[0] == values.shape[1] and values.shape[-1] == 3:
        gain *= RESIDUAL_GAIN
    return values * gain / math.sqrt(fan_in)


def _ends(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _norm_behind(name: str) -> str:
    """Name of the running mean of the norm that follows a kernel, if one does."""
    layer = name.removesuffix(".weight")
    if layer.endswith("conv_block.0"):
        return f"{layer.removesuffix('0')}1.running_mean"
    return f"{layer}_norm.running_mean"  # of the compact generator's modulated blocks
