"""Build the three networks of MTCNN as OpenVINO graphs from the weights in the mtcnn wheel.

The wheel is read, never imported: importing it would pull in TensorFlow. Its convolutions and
regressions are in ordinary (height, width) order, unlike the MATLAB originals; only the first dense
layer of the later two networks still expects its input columns first.
"""

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import joblib
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from lipwright.checkpoints import openvino_core
from lipwright.errors import CheckpointError

WEIGHTS_SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
REMEDY = "pip install 'mtcnn==1.0.0'"
RNET_SIDE = 24
ONET_SIDE = 48

Arrays = Iterator[NDArray[np.float32]]
"""Weights in layer order: each layer takes what is its own from the front."""


def read_weights(name: str) -> list[NDArray[np.float32]]:
    """Read one network's weights from the installed mtcnn wheel.

    Args:
        name: ``"pnet"``, ``"rnet"`` or ``"onet"``.

    Returns:
        Float32 arrays in layer order and TensorFlow layout: kernel, bias, PReLU slopes, ...

    Raises:
        CheckpointError: If the file is missing or is not, byte for byte, that of mtcnn 1.0.0.
    """
    path = weights_path(name)
    try:
        content = path.read_bytes()
    except OSError as err:
        raise CheckpointError(f"cannot read {path}: {err.strerror}; {REMEDY}") from err
    found = hashlib.sha256(content).hexdigest()
    if found != WEIGHTS_SHA256[name]:
        raise CheckpointError(
            f"{path} is not the file of mtcnn 1.0.0: its SHA-256 is {found}, "
            f"expected {WEIGHTS_SHA256[name]}; {REMEDY}"
        )
    # joblib unpickles, which can run code: only these very bytes, checked above, may reach it.
    weights: list[NDArray[np.float32]] = joblib.load(BytesIO(content))
    return weights


def weights_path(name: str) -> Path:
    """Find one network's weights file without importing the package that carries it.

    Args:
        name: ``"pnet"``, ``"rnet"`` or ``"onet"``.

    Returns:
        Where the file should be; it need not exist.

    Raises:
        CheckpointError: If mtcnn is not installed.
    """
    spec = find_spec("mtcnn")
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(
            f"the weights {name}.lz4 (SHA-256 {WEIGHTS_SHA256[name]}) come with the package mtcnn, "
            f"which is not installed; {REMEDY}"
        )
    return Path(spec.submodule_search_locations[0]) / "assets" / "weights" / f"{name}.lz4"


def pnet() -> ov.Model:
    """Build the proposal network, which looks at every 12 x 12 window of a picture, 2 pixels apart.

    Returns:
        Model from ``(1, H, W, 3)`` uint8 RGB to the score ``(1, h, w)`` in [0, 1] and the edges'
        offsets ``(1, h, w, 4)`` of each window, float32.
    """
    weights = iter(read_weights("pnet"))
    picture = ops.parameter([1, -1, -1, 3], dtype=np.uint8, name="picture")
    x = _normalise(picture)  # (1, 3, H, W)
    x = _convolve(x, weights)  # (1, 10, H - 2, W - 2)
    x = _max_pool(x, side=2, padding="same_upper")  # (1, 10, ceil(H / 2) - 1, ceil(W / 2) - 1)
    x = _convolve(x, weights)  # (1, 16, h + 2, w + 2)
    x = _convolve(x, weights)  # (1, 32, h, w)
    offsets = ops.transpose(_convolve_linear(x, weights), [0, 2, 3, 1])  # (1, h, w, 4)
    logits = _convolve_linear(x, weights)  # (1, 2, h, w)
    scores = _face_probability(logits)  # (1, h, w)
    return ov.Model([scores, offsets], [picture], "mtcnn_pnet")


def rnet() -> ov.Model:
    """Build the refinement network, which looks at one proposal at a time.

    Returns:
        Model from ``(N, 24, 24, 3)`` uint8 RGB to scores ``(N,)`` in [0, 1] and edge offsets
        ``(N, 4)``, float32.
    """
    weights = iter(read_weights("rnet"))
    patches = ops.parameter([-1, RNET_SIDE, RNET_SIDE, 3], dtype=np.uint8, name="patches")
    x = _normalise(patches)  # (N, 3, 24, 24)
    x = _convolve(x, weights)  # (N, 28, 22, 22)
    x = _max_pool(x, side=3, padding="same_upper")  # (N, 28, 11, 11)
    x = _convolve(x, weights)  # (N, 48, 9, 9)
    x = _max_pool(x, side=3, padding="valid")  # (N, 48, 4, 4)
    x = _convolve(x, weights)  # (N, 64, 3, 3)
    x = _connect(_columns_first(x), weights)  # (N, 128)
    offsets = _connect_linear(x, weights)  # (N, 4)
    scores = _face_probability(_connect_linear(x, weights))  # (N,)
    return ov.Model([scores, offsets], [patches], "mtcnn_rnet")


def onet() -> ov.Model:
    """Build the output network, which judges a face for good and places its landmarks.

    Returns:
        Model from ``(N, 48, 48, 3)`` uint8 RGB to scores ``(N,)`` in [0, 1], edge offsets
        ``(N, 4)``, and landmarks ``(N, 10)``: five x, then five y, in widths and heights of the
        patch from its top left corner, float32.
    """
    weights = iter(read_weights("onet"))
    patches = ops.parameter([-1, ONET_SIDE, ONET_SIDE, 3], dtype=np.uint8, name="patches")
    x = _normalise(patches)  # (N, 3, 48, 48)
    x = _convolve(x, weights)  # (N, 32, 46, 46)
    x = _max_pool(x, side=3, padding="same_upper")  # (N, 32, 23, 23)
    x = _convolve(x, weights)  # (N, 64, 21, 21)
    x = _max_pool(x, side=3, padding="valid")  # (N, 64, 10, 10)
    x = _convolve(x, weights)  # (N, 64, 8, 8)
    x = _max_pool(x, side=2, padding="same_upper")  # (N, 64, 4, 4)
    x = _convolve(x, weights)  # (N, 128, 3, 3)
    x = _connect(_columns_first(x), weights)  # (N, 256)
    offsets = _connect_linear(x, weights)  # (N, 4)
    landmarks = _connect_linear(x, weights)  # (N, 10)
    scores = _face_probability(_connect_linear(x, weights))  # (N,)
    return ov.Model([scores, offsets, landmarks], [patches], "mtcnn_onet")


def compiled(model: ov.Model, *, num_threads: int | None) -> ov.CompiledModel:
    """Prepare a network for running on the CPU.

    Args:
        model: One of the networks above.
        num_threads: Threads it may use; None leaves the choice to OpenVINO.

    Returns:
        The network, ready to run.
    """
    config: dict[str, str | int] = {
        "PERFORMANCE_HINT": "LATENCY",
        # Small maps gain nothing from bf16, and oneDNN gets narrow ones wrong in it.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    if num_threads is not None:
        config["INFERENCE_NUM_THREADS"] = num_threads
    return openvino_core().compile_model(model, "CPU", config)


def _normalise(pixels: ov.Node) -> ov.Node:
    """Bring ``(N, H, W, 3)`` uint8 to the ``(N, 3, H, W)`` in [-1, 1] of the networks' training."""
    x = ops.convert(pixels, np.float32)
    x = ops.multiply(ops.subtract(x, np.float32(127.5)), np.float32(1 / 128))
    return ops.transpose(x, [0, 3, 1, 2])


def _convolve(x: ov.Node, weights: Arrays) -> ov.Node:
    """Convolve and apply PReLU."""
    return ops.prelu(_convolve_linear(x, weights), next(weights).reshape(-1))


def _convolve_linear(x: ov.Node, weights: Arrays) -> ov.Node:
    """Convolve without padding; kernels come as (height, width, in, out)."""
    kernel = np.ascontiguousarray(next(weights).transpose(3, 2, 0, 1))
    x = ops.convolution(x, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    return ops.add(x, next(weights).reshape(1, -1, 1, 1))


def _max_pool(x: ov.Node, *, side: int, padding: str) -> ov.Node:
    """Halve a map, keeping each square's largest value; TensorFlow's "same" pads at the end."""
    pooled = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [side, side], "floor", padding)
    return pooled.output(0)


def _columns_first(x: ov.Node) -> ov.Node:
    """Flatten ``(N, C, H, W)`` in the order (W, H, C): the MATLAB heritage of the dense layers."""
    return ops.reshape(ops.transpose(x, [0, 3, 2, 1]), [0, -1], special_zero=True)


def _connect(x: ov.Node, weights: Arrays) -> ov.Node:
    """Apply a dense layer and PReLU."""
    return ops.prelu(_connect_linear(x, weights), next(weights))


def _connect_linear(x: ov.Node, weights: Arrays) -> ov.Node:
    """Apply a dense layer; its matrix comes as (in, out)."""
    return ops.add(ops.matmul(x, next(weights), False, False), next(weights))


def _face_probability(logits: ov.Node) -> ov.Node:
    """Turn (not a face, face) on axis 1 into the probability of a face, dropping the axis."""
    return ops.gather(ops.softmax(logits, 1), np.int64(1), np.int64(1))
