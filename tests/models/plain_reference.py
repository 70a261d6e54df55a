"""The released networks as tables and plain arithmetic in float64: what the fast ones must equal.

Written from REFERENCE section 2 (the released code's facts) and, for the variants, from the list of
their stages; nothing here is imported from lipwright. A table names each layer in its place, a
place gives the layer its name in the state dict, and ``shapes`` gives what a checkpoint holds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Arrays = Mapping[str, NDArray[np.generic]]
Rows = NDArray[np.float64]
Pair = tuple[int, int]
NORM_EPSILON = 1e-5
UNIT_EPSILON = 1e-12
WORK_SPACE = 2**18  # numbers: 2 MB; a whole map at once takes twice the time


@dataclass(frozen=True)
class Layer:
    """One convolution and what follows it."""

    before: int
    after: int
    kernel: int
    stride: int | Pair
    padding: int
    output_padding: int = 0
    is_transposed: bool = False
    is_residual: bool = False
    has_norm: bool = True
    has_block: bool = True  # kept under `conv_block.0`, with its norm under `conv_block.1`
    activation: Callable[[Tensor], Tensor] | None = functional.relu


Stage = tuple[Layer, ...]
Stages = tuple[Stage, ...]


def conv(before: int, after: int, k: int = 3, s: int | Pair = 1, p: int = 1) -> Layer:
    return Layer(before, after, k, s, p)


def same(channels: int) -> Layer:
    """A residual convolution."""
    return Layer(channels, channels, 3, 1, 1, is_residual=True)


def grow(before: int, after: int, k: int = 3, s: int = 2, p: int = 1, op: int = 1) -> Layer:
    """A transposed convolution."""
    return Layer(before, after, k, s, p, op, is_transposed=True)


def leaky(before: int, after: int, k: int, s: int | Pair = 1, p: int = 0) -> Layer:
    """A convolution without a norm."""
    return Layer(
        before, after, k, s, p, has_norm=False, activation=lambda x: functional.leaky_relu(x, 0.01)
    )


def last(before: int, after: int) -> Layer:
    """A bare convolution."""
    return Layer(before, after, 1, 1, 0, has_norm=False, has_block=False, activation=None)


# fmt: off
GENERATOR_SPEECH: Stage = (
    conv(1, 32), same(32), same(32),
    conv(32, 64, s=(3, 1)), same(64), same(64),
    conv(64, 128, s=3), same(128), same(128),
    conv(128, 256, s=(3, 2)), same(256),
    conv(256, 512, p=0), conv(512, 512, k=1, p=0),
)

FACES_96: Stages = (
    (conv(6, 16, k=7, p=3),),                         # 96
    (conv(16, 32, s=2), same(32), same(32)),          # 48
    (conv(32, 64, s=2), same(64), same(64), same(64)),  # 24
    (conv(64, 128, s=2), same(128), same(128)),       # 12
    (conv(128, 256, s=2), same(256), same(256)),      # 6
    (conv(256, 512, s=2), same(512)),                 # 3
    (conv(512, 512, p=0), conv(512, 512, k=1, p=0)),  # 1
)
DRAWING_96: Stages = (
    (conv(512, 512, k=1, p=0),),                            # 1
    (grow(1024, 512, s=1, p=0, op=0), same(512)),           # 3
    (grow(1024, 512), same(512), same(512)),                # 6
    (grow(768, 384), same(384), same(384)),                 # 12
    (grow(512, 256), same(256), same(256)),                 # 24
    (grow(320, 128), same(128), same(128)),                 # 48
    (grow(160, 64), same(64), same(64)),                    # 96
)

FACES_256: Stages = (
    (conv(6, 16, k=7, p=3),),                              # 256
    (conv(16, 32, s=2), same(32), same(32)),               # 128
    (conv(32, 64, s=2), same(64), same(64), same(64)),     # 64
    (conv(64, 128, s=2), same(128), same(128)),            # 32
    (conv(128, 256, s=2), same(256), same(256)),           # 16
    (conv(256, 512, s=2), same(512)),                      # 8
    (conv(512, 512, s=2), same(512)),                      # 4
    (conv(512, 512, k=4, p=0), conv(512, 512, k=1, p=0)),  # 1
)
DRAWING_256: Stages = (
    (conv(512, 512, k=1, p=0),),                        # 1
    (grow(1024, 512, k=4, s=1, p=0, op=0), same(512)),  # 4
    (grow(1024, 512), same(512)),                       # 8
    (grow(1024, 512), same(512), same(512)),            # 16
    (grow(768, 384), same(384), same(384)),             # 32
    (grow(512, 256), same(256), same(256)),             # 64
    (grow(320, 128), same(128), same(128)),             # 128
    (grow(160, 64), same(64), same(64)),                # 256
)

FACES_288: Stages = (
    (conv(6, 16, k=7, p=3),),                           # 288
    (conv(16, 32, k=5, s=2, p=2), same(32)),            # 144
    (conv(32, 32, s=2), same(32), same(32)),            # 72
    (conv(32, 64, s=2), same(64), same(64), same(64)),  # 36
    (conv(64, 128, s=2), same(128), same(128)),         # 18
    (conv(128, 256, s=2), same(256), same(256)),        # 9
    (conv(256, 512, s=2), same(512)),                   # 5
    (conv(512, 512, p=0), conv(512, 512, k=1, p=0)),    # 3
    (conv(512, 512, p=0), conv(512, 512, k=1, p=0)),    # 1
)
DRAWING_288: Stages = (
    (conv(512, 512, k=1, p=0),),                    # 1
    (grow(1024, 512, s=1, p=0, op=0), same(512)),   # 3
    (grow(1024, 512, op=0), same(512), same(512)),  # 5
    (grow(1024, 512, op=0), same(512), same(512)),  # 9
    (grow(768, 384), same(384), same(384)),         # 18
    (grow(512, 256), same(256), same(256)),         # 36
    (grow(320, 128), same(128), same(128)),         # 72
    (grow(160, 64), same(64), same(64)),            # 144
    (grow(96, 64), same(64), same(64)),             # 288
)

COMPRESSED_SPEECH: Stage = (
    conv(1, 8),
    conv(8, 16, s=(3, 1)),
    conv(16, 32, s=3),
    conv(32, 64, s=(3, 2)),
    conv(64, 128, p=0), conv(128, 128, k=1, p=0),
)
FACES_COMPRESSED: Stages = (
    (conv(6, 4, k=7, p=3),),  # 96
    (conv(4, 8, s=2),),       # 48
    (conv(8, 16, s=2),),      # 24
    (conv(16, 32, s=2),),     # 12
    (conv(32, 64, s=2),),     # 6
    (conv(64, 128, s=2),),    # 3
    (conv(128, 128, p=0), conv(128, 128, k=1, p=0)),  # 1
)
DRAWING_COMPRESSED: Stages = (
    (conv(128, 128, k=1, p=0),),          # 1
    (grow(256, 128, s=1, p=0, op=0),),    # 3
    (grow(256, 128),),                    # 6
    (grow(192, 96),),                     # 12
    (grow(128, 64),),                     # 24
    (grow(80, 32),),                      # 48
    (grow(40, 16),),                      # 96
)

EXPERT_FACES: Stage = (
    conv(15, 32, k=7, p=3),
    conv(32, 64, k=5, s=(1, 2), p=1), same(64), same(64),
    conv(64, 128, s=2), same(128), same(128), same(128),
    conv(128, 256, s=2), same(256), same(256),
    conv(256, 512, s=2), same(512), same(512),
    conv(512, 512, s=2), conv(512, 512, p=0), conv(512, 512, k=1, p=0),
)
EXPERT_SPEECH: Stage = (
    conv(1, 32), same(32), same(32),
    conv(32, 64, s=(3, 1)), same(64), same(64),
    conv(64, 128, s=3), same(128), same(128),
    conv(128, 256, s=(3, 2)), same(256), same(256),
    conv(256, 512, p=0), conv(512, 512, k=1, p=0),
)

JUDGED_FACES: Stages = (
    (leaky(3, 32, k=7, p=3),),
    (leaky(32, 64, k=5, s=(1, 2), p=2), leaky(64, 64, k=5, p=2)),
    (leaky(64, 128, k=5, s=2, p=2), leaky(128, 128, k=5, p=2)),
    (leaky(128, 256, k=5, s=2, p=2), leaky(256, 256, k=5, p=2)),
    (leaky(256, 512, k=3, s=2, p=1), leaky(512, 512, k=3, p=1)),
    (leaky(512, 512, k=3, s=2, p=1), leaky(512, 512, k=3, p=1)),
    (leaky(512, 512, k=3), leaky(512, 512, k=1)),
)
# fmt: on

Parts = Mapping[str, Stage | Stages]


def _generator(speech: Stage, faces: Stages, drawing: Stages, output: Stage) -> Parts:
    return {
        "audio_encoder": speech,
        "face_encoder_blocks": faces,
        "face_decoder_blocks": drawing,
        "output_block": output,
    }


GENERATORS: dict[str, Parts] = {
    "96": _generator(GENERATOR_SPEECH, FACES_96, DRAWING_96, (conv(80, 32), last(32, 3))),
    "256": _generator(GENERATOR_SPEECH, FACES_256, DRAWING_256, (conv(80, 32), last(32, 3))),
    "288": _generator(GENERATOR_SPEECH, FACES_288, DRAWING_288, (conv(80, 32), last(32, 3))),
    "compressed": _generator(
        COMPRESSED_SPEECH, FACES_COMPRESSED, DRAWING_COMPRESSED, (conv(20, 8), last(8, 3))
    ),
}
EXPERT: Parts = {"audio_encoder": EXPERT_SPEECH, "face_encoder": EXPERT_FACES}
DISCRIMINATOR: Parts = {"face_encoder_blocks": JUDGED_FACES, "binary_pred": (last(512, 1),)}


def draw(parts: Parts, state: Arrays, mel: NDArray[np.generic], faces: NDArray[np.generic]) -> Rows:
    """The generator: ``(B, 1, 80, 16)`` and ``(B, 6, R, R)`` -> ``(B, 3, R, R)`` in [0, 1]."""
    features = []
    x = _double(faces)
    for name, stage in _stages(parts, "face_encoder_blocks"):
        x = _run(stage, name, state, x)
        features.append(x)
    x = _run(_stage(parts, "audio_encoder"), "audio_encoder", state, _double(mel))
    for name, stage in _stages(parts, "face_decoder_blocks"):
        x = torch.cat([_run(stage, name, state, x), features.pop()], dim=1)
    return _sigmoid(_run(_stage(parts, "output_block"), "output_block", state, x))


def embed(state: Arrays, mel: NDArray[np.generic], faces: NDArray[np.generic]) -> tuple[Rows, Rows]:
    """The expert: ``(B, 1, 80, 16)`` and ``(B, 15, 48, 96)`` -> speech, lips ``(B, 512)``."""
    vectors = []
    for name, rows in (("audio_encoder", mel), ("face_encoder", faces)):
        x = _run(_stage(EXPERT, name), name, state, _double(rows)).numpy()[:, :, 0, 0]
        length = np.sqrt((x * x).sum(axis=1, keepdims=True))
        vectors.append(x / np.maximum(length, UNIT_EPSILON))
    return vectors[0], vectors[1]


def judge(state: Arrays, faces: NDArray[np.generic]) -> Rows:
    """The discriminator: ``(B, 3, T, 96, 96)`` -> ``(T*B, 1)``, all first frames first."""
    num_frames = faces.shape[2]
    x = _double(np.concatenate([faces[:, :, t, 48:, :] for t in range(num_frames)]))
    for name, stage in _stages(DISCRIMINATOR, "face_encoder_blocks"):
        x = _run(stage, name, state, x)
    return _sigmoid(_run(_stage(DISCRIMINATOR, "binary_pred"), "binary_pred", state, x))[:, :, 0, 0]


def shapes(parts: Parts) -> dict[str, tuple[int, ...]]:
    """What a checkpoint of these tables holds, by name."""
    found: dict[str, tuple[int, ...]] = {}
    for part in parts:
        for name, stage in _stages(parts, part):
            for index, layer in enumerate(stage):
                found |= _layer_shapes(layer, f"{name}.{index}")
    return found


def _layer_shapes(layer: Layer, name: str) -> dict[str, tuple[int, ...]]:
    first = f"{name}.conv_block.0" if layer.has_block else name
    channels = (layer.before, layer.after) if layer.is_transposed else (layer.after, layer.before)
    found: dict[str, tuple[int, ...]] = {
        f"{first}.weight": (*channels, layer.kernel, layer.kernel),
        f"{first}.bias": (layer.after,),
    }
    if layer.has_norm:
        for item in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.conv_block.1.{item}"] = (layer.after,)
        found[f"{name}.conv_block.1.num_batches_tracked"] = ()
    return found


def _stages(parts: Parts, part: str) -> list[tuple[str, Stage]]:
    """Name and layers of each stage; a part that is one flat stage has its own name."""
    named = []
    for index, stage in enumerate(parts[part]):
        if isinstance(stage, Layer):
            return [(part, _stage(parts, part))]
        named.append((f"{part}.{index}", stage))
    return named


def _stage(parts: Parts, part: str) -> Stage:
    return tuple(layer for layer in parts[part] if isinstance(layer, Layer))


def _run(stage: Stage, name: str, state: Arrays, x: Tensor) -> Tensor:
    for index, layer in enumerate(stage):
        x = _apply(layer, f"{name}.{index}", state, x)
    return x


def _apply(layer: Layer, name: str, state: Arrays, x: Tensor) -> Tensor:
    first = f"{name}.conv_block.0" if layer.has_block else name
    weight, bias = _double(state[f"{first}.weight"]), _double(state[f"{first}.bias"])
    if layer.is_transposed:
        out = functional.conv_transpose2d(
            x, weight, bias, layer.stride, layer.padding, layer.output_padding
        )
    else:
        out = _convolved(x, weight, bias, layer)
    if layer.has_norm:
        out = _normalised(out, f"{name}.conv_block.1", state)
    if layer.is_residual:
        out = out + x
    return layer.activation(out) if layer.activation else out


def _convolved(x: Tensor, weight: Tensor, bias: Tensor, layer: Layer) -> Tensor:
    """The convolution, so many rows at a time that torch's work space stays in the cache."""
    down, across = layer.stride if isinstance(layer.stride, tuple) else (layer.stride,) * 2
    x = functional.pad(x, (layer.padding,) * 4)
    num_rows = (x.shape[2] - layer.kernel) // down + 1
    num_columns = (x.shape[3] - layer.kernel) // across + 1
    strip = max(1, WORK_SPACE // (weight[0].numel() * num_columns))
    return torch.cat(
        [
            functional.conv2d(
                x[:, :, row * down : (row + strip - 1) * down + layer.kernel],
                weight,
                bias,
                layer.stride,
            )
            for row in range(0, num_rows, strip)
        ],
        dim=2,
    )


def _normalised(x: Tensor, name: str, state: Arrays) -> Tensor:
    gamma, beta, mean, variance = (
        _double(state[f"{name}.{item}"])[:, None, None]
        for item in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / torch.sqrt(variance + NORM_EPSILON) * gamma + beta


def _double(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.asarray(array, dtype=np.float64))


def _sigmoid(x: Tensor) -> Rows:
    rows: Rows = 1 / (1 + np.exp(-x.numpy()))
    return rows
