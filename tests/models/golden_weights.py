"""Weights made of names and shapes alone, and inputs made of a seed: the same on every machine.

Everything is even noise, made from the raw 64-bit numbers of ``np.random.PCG64(seed)``: numpy
promises to keep those from version to version, which it does not for its distributions. The seed
is the CRC-32 of a tensor's name, so neither the order of the names nor what else is drawn matters.

Noise of He et al.'s scale would do for float32 alone. It makes every input look alike after
ten layers; centred, it makes a chaotic network in which rounding grows by half at each ReLU until
bfloat16 and int8 draw another picture. A network that has learned something does neither, and
these weights follow what such networks have in common:

* Kernels are centred over their inputs (Brock et al., "Characterizing signal propagation to close
  the performance gap in unnormalized ResNets", ICLR 2021), so what a ReLU adds to all channels is
  not passed on, and keep the variance of what they read.
* Most of what comes to a ReLU passes it: before one, shifts lie around 1, not around 0.
* Channels say things together: channel c belongs to family ``c % NUM_FAMILIES``, and a kernel is
  a part common to all members of a family plus an own part. So rounding averages out over a
  family, as it does in trained networks, while every single weight still matters.
* A residual convolution adds less than it is added to.

These choices were made while looking at the bf16 and int8 differences: that those are small here
says that the engines work, not that a trained network survives the precision.
"""

import math
import re
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Shapes = Mapping[str, tuple[int, ...]]
Arrays = dict[str, NDArray[np.generic]]

GAIN = 1.155  # of a layer whose input passed a ReLU with shift 1: sqrt(1 / var(relu(1 + normal)))
SHIFT = 1.0
RESIDUAL_GAIN = 0.2
COLOURS = 2.0  # what the released generator draws lies around sigmoid(-2 .. 2) in each colour
NUM_FAMILIES = 8
OWN_SHARE = 0.3  # of a kernel's scale: the part that it does not share with its family
NUM_TAPS = 9 / 4  # of a transposed 3x3 kernel with stride 2 that meet in one pixel

# Pixels and mel do not have unit variance as features have.
INPUT_GAINS = {
    "face_encoder_blocks.0.": 2.5,
    "face_encoder.0.": 2.5,
    "stem.": 2.5,
    "audio_encoder.0.": 0.43,
}
# Layers whose output is not a feature for another layer.
OUTPUT_GAINS = {
    "output_block.1.weight": 1.1,  # released generator, before a sigmoid
    "binary_pred.0.weight": 6.0,  # discriminator, before a sigmoid: one number of many alike
    "output.weight": 0.1,  # compact generator: a change of colours in [0, 1]
    "film.weight": 0.3,  # compact generator: changes of scales that are near 1
}
_IN_FAMILIES = re.compile(
    r"(audio_encoder|face_encoder|face_(en|de)coder_blocks|output_block|binary_pred)\."
)
_READS_INPUTS = re.compile(r"(audio_encoder|face_encoder|face_encoder_blocks)\.0\.")
# Of as many channels out as in and yet not residual: the first of a released stage, and the last
# convolutions of the released expert.
_NEVER_RESIDUAL = re.compile(r"face_(en|de)coder_blocks\.\d+\.0\.|face_encoder\.1[45]\.")


def golden_weights(shapes: Shapes) -> Arrays:
    """A state dict for these names and shapes.

    Args:
        shapes: Name -> shape, as a network's state dict has them.

    Returns:
        Name -> float32 array of that shape (int64 for counters).
    """
    return {name: _tensor(name, shapes) for name in shapes}


def even(
    name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0
) -> NDArray[np.float64]:
    """Even random numbers in [low, high) that belong to a name.

    Args:
        name: Of what they are for.
        shape: How many.
        low: The smallest.
        high: What they stay below.

    Returns:
        float64 of that shape, from the upper 53 bits of each raw number.
    """
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(math.prod(shape))
    numbers = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53  # in [0, 1)
    return low + (high - low) * numbers.reshape(shape)


def _tensor(name: str, shapes: Shapes) -> NDArray[np.generic]:
    shape = shapes[name]
    layer, _, item = name.rpartition(".")
    if item == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    if item == "weight" and len(shape) > 1:
        return _kernel(name, shapes).astype(np.float32)
    if item == "weight":  # gamma of a norm
        low, high = 0.8, 1.2
    elif item == "running_var":
        low, high = 0.7, 1.4
    elif name == "output_block.1.bias":
        low, high = -COLOURS, COLOURS
    elif item == "bias" and _is_shift(layer, shapes):
        low, high = SHIFT - 0.3, SHIFT + 0.3
    elif item in ("bias", "running_mean"):
        low, high = -0.1, 0.1
    else:
        raise ValueError(f"no rule for {name!r} of shape {shape}")
    return even(name, shape, low, high).astype(np.float32)


def _kernel(name: str, shapes: Shapes) -> NDArray[np.float64]:
    """A kernel ``(out, in, ...)``, or a transposed one ``(in, out, ...)``."""
    shape = shapes[name]
    is_transposed = shape[0] != shapes.get(name.replace("weight", "bias"), shape)[0]
    out, into = (shape[1], shape[0]) if is_transposed else shape[:2]
    window = shape[2:]
    kernel = _centred_noise(f"{name}, own", (out, into, *window))
    if _IN_FAMILIES.match(name) and window:
        num_out = out if out % NUM_FAMILIES else NUM_FAMILIES
        num_in = into if into % NUM_FAMILIES or _READS_INPUTS.match(name) else NUM_FAMILIES
        common = _centred_noise(f"{name}, common", (num_out, num_in, *window))
        common = np.tile(common, (out // num_out, into // num_in, *(1 for _ in window)))
        # A family's members add up, so that fewer numbers make the same variance.
        kernel *= OWN_SHARE
        kernel += math.sqrt((1 - OWN_SHARE**2) * num_in / into) * common
    fan_in = into * (NUM_TAPS if is_transposed else math.prod(window))
    kernel *= _gain(name, shapes) / math.sqrt(fan_in)
    return kernel.swapaxes(0, 1) if is_transposed else kernel


def _centred_noise(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """``(out, in, ...)`` of unit variance, without its mean over the inputs.

    Where there are few inputs, without its mean over them and the window.
    """
    noise = even(name, shape, -math.sqrt(3), math.sqrt(3))
    axes = (1,) if shape[1] >= NUM_FAMILIES else tuple(range(1, len(shape)))
    num = math.prod(shape[axis] for axis in axes)
    if num == 1:
        return noise
    noise -= noise.mean(axis=axes, keepdims=True)
    return noise * math.sqrt(num / (num - 1))


def _gain(name: str, shapes: Shapes) -> float:
    for end, gain in OUTPUT_GAINS.items():
        if f".{name}".endswith(f".{end}"):
            return gain
    for start, gain in INPUT_GAINS.items():
        if name.startswith(start):
            return gain * GAIN
    return GAIN * RESIDUAL_GAIN if _is_residual(name.removesuffix(".weight"), shapes) else GAIN


def _is_residual(layer: str, shapes: Shapes) -> bool:
    """Whether what a convolution gives is added to what it was given."""
    if layer.endswith(".second"):  # of the compact generator's modulated blocks
        return True
    shape = shapes[f"{layer}.weight"]
    return (
        f"{layer.removesuffix('0')}1.running_mean" in shapes  # a norm follows
        and shape[0] == shape[1]
        and shape[2:] == (3, 3)
        and not _NEVER_RESIDUAL.match(layer)
    )


def _is_shift(layer: str, shapes: Shapes) -> bool:
    """Whether a bias is the last that is added before a ReLU, apart from a residual."""
    if layer.endswith("conv_block.1"):
        return not _is_residual(f"{layer.removesuffix('1')}0", shapes)
    if layer.endswith("conv_block.0"):  # where no norm follows
        return f"{layer.removesuffix('0')}1.bias" not in shapes
    return layer.endswith("first_norm")
