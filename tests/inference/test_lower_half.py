"""A generator that leaves the upper half out draws the lower half as it did."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from openvino import opset13 as ops

from lipwright.checkpoints import (
    DEFAULT_MODEL,
    Metadata,
    model_path,
    openvino_core,
    read_onnx,
)
from lipwright.conversion.export import export_onnx
from lipwright.inference import OpenVinoGenerator
from lipwright.inference.lower_half import draws_lower_half
from lipwright.models.build import build_network, save_network

SIZE = 48
KERNELS = [(3, 1, 1), (4, 1, 0), (2, 0, 0), (5, 2, 1)]  # taps, padding, output padding: all double


class Layers:
    """Builds a graph with weights of its own."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def weights(self, *shape: int) -> NDArray[np.float32]:
        return (self.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    def conv(self, value: ov.Output, num: int, *, taps: int = 3, stride: int = 1) -> ov.Output:
        pads = [taps // 2] * 2
        channels = value.get_shape()[1]
        stored = np.rint(100 * self.weights(num, channels, taps, taps)).astype(np.int8)
        weights = ops.multiply(ops.convert(stored, "f32"), np.float32(0.01))
        drawn = ops.convolution(value, weights, [stride] * 2, pads, pads, [1, 1])
        biased = ops.add(drawn, ops.constant(self.weights(1, num, 1, 1)))
        return ops.relu(biased).output(0)

    def enlarged(self, value: ov.Output, num: int, kernel: tuple[int, int, int]) -> ov.Output:
        taps, padding, more = kernel
        weights = self.weights(value.get_shape()[1], num, taps, taps)
        drawn = ops.convolution_backprop_data(
            value,
            weights,
            [2, 2],
            None,
            [padding] * 2,
            [padding] * 2,
            [1, 1],
            "EXPLICIT",
            [more] * 2,
        )
        return drawn.output(0)


def generator(seed: int, kernels: list[tuple[int, int, int]], *, last: str = "sigmoid") -> ov.Model:
    """Encoder, decoder, what skips from one to the other and residuals: as such networks are."""
    layers = Layers(seed)
    mel = ops.parameter([2, 1, 80, 16], np.float32, name="mel")
    faces = ops.parameter([2, 6, SIZE, SIZE], np.float32, name="faces")
    first = layers.conv(faces.output(0), 4, taps=7)
    maps = [first]
    for num in (6, 8, 8):
        half = layers.conv(maps[-1], num, stride=2)
        maps.append(ops.relu(ops.add(half, layers.conv(half, num))).output(0))
    heard = ops.reduce_mean(mel, ops.constant(np.array([2, 3])), keep_dims=True)
    value = ops.add(maps.pop(), heard).output(0)
    for kernel in kernels:
        value = layers.enlarged(value, 6, kernel)
        value = ops.relu(ops.add(value, layers.conv(value, 6))).output(0)
        value = ops.concat([value, maps.pop()], 1).output(0)
    drawn = layers.conv(value, 3, taps=1)
    # The second one mixes rows.
    drawn = (ops.sigmoid(drawn) if last == "sigmoid" else ops.softmax(drawn, 2)).output(0)
    for parameter, name in ((mel, "mel"), (faces, "faces")):
        parameter.output(0).set_names({name})
    drawn.set_names({"drawn"})
    return ov.Model([drawn], [mel, faces], "generator")


def draw(model: ov.Model, inputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return np.array(openvino_core().compile_model(model, "CPU", options)(inputs)["drawn"])


def rows_computed(model: ov.Model) -> int:
    """Of all convolutions' outputs."""
    return sum(
        op.get_output_shape(0)[2]
        for op in model.get_ordered_ops()
        if op.get_type_name().startswith("Convolution")
    )


def types_of_constants(model: ov.Model) -> list[str]:
    constants = [op for op in model.get_ops() if op.get_type_name() == "Constant"]
    return [op.get_output_element_type(0).get_type_name() for op in constants]


def some_inputs(rows: int, size: int, columns: int = 16) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(3)
    return {
        "mel": rng.uniform(-4, 4, (rows, 1, 80, columns)).astype(np.float32),
        "faces": rng.uniform(0, 1, (rows, 6, size, size)).astype(np.float32),
    }


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.lists(st.sampled_from(KERNELS), min_size=3, max_size=3))
def test_the_lower_half_is_the_same_and_the_upper_one_the_targets(
    seed: int, kernels: list[tuple[int, int, int]]
) -> None:
    model, inputs, half = generator(seed, kernels), some_inputs(2, SIZE), SIZE // 2
    cut = draws_lower_half(model)
    drawn, whole = draw(cut, inputs), draw(model, inputs)
    assert drawn[:, :, half:] == pytest.approx(whole[:, :, half:], abs=1e-6)
    assert np.array_equal(drawn[:, :, :half], inputs["faces"][:, :3, :half])
    assert rows_computed(cut) < rows_computed(model)


def test_weights_in_int8_stay_int8() -> None:
    model = generator(2, KERNELS[:3])
    kept = types_of_constants(draws_lower_half(model)).count("i8")
    assert kept == types_of_constants(model).count("i8") > 0


def test_what_ends_in_an_unknown_layer_stays_whole() -> None:
    model, inputs = generator(1, KERNELS[:3], last="softmax"), some_inputs(2, SIZE)
    cut = draws_lower_half(model)
    assert draw(cut, inputs) == pytest.approx(draw(model, inputs), abs=1e-6)
    assert rows_computed(cut) == rows_computed(model)


def test_the_shipped_model_draws_its_lower_half_only_by_itself() -> None:
    whole, lower = (OpenVinoGenerator(model_path(DEFAULT_MODEL), whole=w) for w in (True, False))
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, whole.resolution, whole.resolution, 3)).astype(np.uint8)
    windows = rng.uniform(-4, 4, (2, 1, 80, whole.columns)).astype(np.float32)
    drawn = [one.draw(pictures, pictures[::-1], windows) for one in (whole, lower)]
    assert drawn[0] == pytest.approx(drawn[1], abs=1e-6)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of the released architecture, untrained."""
    folder = tmp_path_factory.mktemp("released")
    with torch.random.fork_rng():
        torch.manual_seed(4)
        network = build_network("generator", "wav2lip", {}).eval()
    meta = Metadata(kind="generator", architecture="wav2lip", licence="MIT")
    save_network(network, folder / "mine.safetensors", meta)
    export_onnx(folder / "mine.safetensors", folder / "mine.onnx")
    return folder / "mine.onnx"


def test_the_released_architecture_saves_a_quarter_of_its_work(released: Path) -> None:
    model, _ = read_onnx(released)
    model.reshape({port: _single(port) for port in model.inputs})
    cut = draws_lower_half(model)
    assert _multiply_adds(cut) < 0.75 * _multiply_adds(model)


@pytest.mark.parametrize("num", [1, 8])
def test_the_released_architecture_draws_the_same_mouth(released: Path, num: int) -> None:
    whole, lower = (OpenVinoGenerator(released, num_threads=1, whole=w) for w in (True, False))
    rng = np.random.default_rng(5)
    targets, references = rng.integers(0, 256, (2, num, 96, 96, 3)).astype(np.uint8)
    windows = rng.uniform(-4, 4, (num, 1, 80, 16)).astype(np.float32)
    expected, drawn = (one.draw(targets, references, windows) for one in (whole, lower))
    assert drawn[:, 48:] == pytest.approx(expected[:, 48:], abs=1e-6)
    assert drawn[:, :48] == pytest.approx(targets[:, :48] / 255, abs=1e-6)


def _single(port: ov.Output) -> ov.PartialShape:
    return ov.PartialShape([1, *list(port.partial_shape)[1:]])


def _multiply_adds(model: ov.Model) -> int:
    total = 0
    for op in model.get_ordered_ops():
        if op.get_type_name() in ("Convolution", "ConvolutionBackpropData"):
            spread = op.get_type_name() == "ConvolutionBackpropData"
            values = op.get_input_shape(0) if spread else op.get_output_shape(0)
            total += int(np.prod(values[2:])) * int(np.prod(op.get_input_shape(1)))
    return total
