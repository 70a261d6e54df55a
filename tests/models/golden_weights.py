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

import os

SHIFT = float(os.environ.get("SHIFT", "1"))
GAIN = float(os.environ.get("GAIN", "1.155"))
BS=float(os.environ.get('BS','3'))
NUM_FAMILIES=int(os.environ.get('FAM','8'))
OWN=float(os.environ.get('OWN','.3'))
RESIDUAL_GAIN = float(os.environ.get("RES", "0.4"))
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
    item = name.rpartition(".")[2]
    if item == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    if item == "running_var":
        values = rng.uniform(0.7, 1.4, shape)
    elif item == "running_mean":
        values = rng.uniform(-0.1, 0.1, shape)
    elif item == "bias":
        values = rng.uniform(-0.1, 0.1, shape)
        if _is_before_a_relu(name, shapes):
            values = SHIFT + BS * values
    elif item == "weight" and len(shape) == 1:  # gamma of a norm
        values = rng.uniform(0.8, 1.2, shape)
    elif item == "weight":
        values = _kernel(name, rng, shapes)
    else:
        raise ValueError(f"no rule for {name!r} of shape {shape}")
    return values.astype(np.float32)


def _kernel(name, rng, shapes):
    shape = shapes[name]
    is_transposed = shape[0] != _num_out(name, shapes)
    own = rng.standard_normal(shape)
    if is_transposed:
        own = own.swapaxes(0, 1)
    into = own.shape[1]
    own = _centred(own)
    if _families(name, shapes):
        r_in = NUM_FAMILIES if into % NUM_FAMILIES == 0 and not _reads_pixels(name) else into
        r_out = NUM_FAMILIES if own.shape[0] % NUM_FAMILIES == 0 else own.shape[0]
        base = _centred(rng.standard_normal((r_out, r_in, *own.shape[2:])))
        tiled = np.tile(base, (own.shape[0] // r_out, into // r_in, *(1,) * (own.ndim - 2)))
        own = OWN * own + math.sqrt((1 - OWN**2) * r_in / into) * tiled
    fan_in = into * (NUM_TAPS if is_transposed else own[0, 0].size)
    gain = next((g for end, g in LAST_GAINS.items() if _ends(name, end)), GAIN)
    if _is_residual(name, shapes):
        gain *= RESIDUAL_GAIN
    own = own * gain / math.sqrt(fan_in)
    return own.swapaxes(0, 1) if is_transposed else own

def _centred(values):
    if values.shape[1] >= 8:
        return (values - values.mean(axis=1, keepdims=True)) * math.sqrt(values.shape[1] / (values.shape[1] - 1))
    return values - values.mean(axis=tuple(range(1, values.ndim)), keepdims=True)

def _reads_pixels(name):
    return name.startswith(("audio_encoder.0.","face_encoder.0.","face_encoder_blocks.0."))

def _families(name, shapes):
    return name.startswith(("audio_encoder.","face_encoder.","face_encoder_blocks.","face_decoder_blocks.","output_block.","binary_pred."))

def _num_out(name, shapes):
    b = name.removesuffix("weight") + "bias"
    if b in shapes:
        return shapes[b][0]
    return shapes[name][0]


def _ends(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _is_residual(name, shapes):
    s = shapes[name]
    if name.endswith(("first.weight", "second.weight")):
        return name.endswith("second.weight")
    return (
        name.endswith("conv_block.0.weight")
        and len(s) == 4
        and s[0] == s[1]
        and s[-1] == 3
        and name.replace("conv_block.0", "conv_block.1") in shapes
    )


def _is_before_a_relu(name, shapes):
    if name.endswith("conv_block.1.bias"):
        return not _is_residual(name.replace("conv_block.1.bias", "conv_block.0.weight"), shapes)
    if name.endswith("conv_block.0.bias"):
        return name.replace("0.bias", "1.bias") not in shapes
    return name.endswith("first_norm.bias")
