"""A generator that moves pixels computes places in fp32, whatever the rest runs in."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from numpy.typing import NDArray

from lipwright.checkpoints import Metadata, openvino_core, read_onnx
from lipwright.conversion.export import export_onnx
from lipwright.conversion.quantise import MARGIN, quantise
from lipwright.faces.points import EYE_CORNERS, NUM_LANDMARKS
from lipwright.inference.openvino_backend import compile_graph, cpu_capabilities
from lipwright.inference.parity import BOUND, graph_difference, graph_inputs
from lipwright.models.articulated import ArticulatedGenerator
from lipwright.models.build import build_network, save_network

RESOLUTION, COLUMNS = 96, 41
SMALL = {
    "resolution": RESOLUTION, "width": 4, "fine": 4, "code": 8, "landmark_width": 2,
    "columns": COLUMNS, "hearing_width": 8,
}  # fmt: skip
Rows = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generator whose last layers do something, as after training."""
    torch.manual_seed(4)
    network = build_network("generator", "articulated", SMALL)
    assert isinstance(network, ArticulatedGenerator)
    with torch.no_grad():
        drawing, head = network.drawing, network.drawing.landmarks.head
        for layer in (drawing.flow, drawing.output):
            torch.nn.init.normal_(layer.weight, std=0.02)
        points = 0.2 * torch.randn(NUM_LANDMARKS, 2).clamp(-2, 2)
        points[list(EYE_CORNERS)] = torch.tensor([[-0.2, -0.15], [0.2, -0.15]])
        head[2].bias[:-2] = points.flatten()
        torch.nn.init.normal_(head[2].weight, std=0.002)
        torch.nn.init.normal_(network.hearing.last.weight, std=0.05)
    folder = tmp_path_factory.mktemp("moving")
    meta = Metadata(kind="generator", architecture="articulated", config=SMALL)
    save_network(network, folder / "moving.safetensors", meta)
    export_onnx(folder / "moving.safetensors", folder / "moving.onnx")
    return folder / "moving.onnx"


def drawn(network: ov.CompiledModel, rows: Rows) -> NDArray[np.float32]:
    return np.asarray(network(rows)["drawn"]).copy()


def rows_with_grain() -> Rows:
    """Smooth pictures with some grain, as skin has: it shows where pixels were taken from."""
    mel, faces = list(graph_inputs(RESOLUTION, COLUMNS))[3]
    grain = 0.05 * np.random.default_rng(5).standard_normal(faces.shape)
    return with_amplitude(mel, np.clip(faces + grain, 0, 1).astype(np.float32))


def with_amplitude(mel: NDArray[np.float32], faces: NDArray[np.float32]) -> Rows:
    amplitude = np.linspace(0.5, 1.5, len(mel), dtype=np.float32)
    return {"mel": mel, "faces": faces, "amplitude": amplitude}


def precisions(network: ov.CompiledModel, *kinds: str) -> set[str]:
    """Of the executed layers of some kinds."""
    executed = [op.get_rt_info() for op in network.get_runtime_model().get_ordered_ops()]
    return {
        str(layer["runtimePrecision"].value)
        for layer in executed
        if str(layer["layerType"].value) in kinds
    }


def test_bf16_draws_what_fp32_does_because_places_are_fp32(exported: Path) -> None:
    model, rows = read_onnx(exported)[0], rows_with_grain()
    full = drawn(compile_graph(model, "fp32"), rows)
    assert np.abs(drawn(compile_graph(model, "bf16"), rows) - full).max() <= BOUND
    if "BF16" not in cpu_capabilities():
        return  # it computes in fp32, whatever it is asked for
    hinted = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    assert np.abs(drawn(hinted, rows) - full).max() > BOUND  # all layers alike: it is lost


def test_what_computes_places_is_executed_in_fp32_and_the_rest_is_not(exported: Path) -> None:
    network = compile_graph(read_onnx(exported)[0], "bf16")
    places = ("GridSample", "MatMul", "FullyConnected", "GatherND", "Reduce", "Pooling")
    assert precisions(network, *places) == {"f32"}
    if "BF16" in cpu_capabilities():
        assert precisions(network, "Convolution") == {"bf16", "f32"}


def test_the_given_network_stays_as_it_was(exported: Path) -> None:
    model = read_onnx(exported)[0]
    names = [op.get_friendly_name() for op in model.get_ordered_ops()]
    compile_graph(model, "bf16")
    assert [op.get_friendly_name() for op in model.get_ordered_ops()] == names


def test_the_comparison_lets_bf16_through(exported: Path) -> None:
    assert graph_difference(exported, "bf16", exported) <= BOUND


def test_int8_leaves_places_alone(exported: Path) -> None:
    model = read_onnx(exported)[0]
    batches = [with_amplitude(*rows) for rows in graph_inputs(RESOLUTION, COLUMNS)]
    calibration, checks = batches[5], batches[4]
    made = quantise(model, calibration, checks=checks)
    assert made.difference <= MARGIN * BOUND
    assert made.int8_share > 0.3
    quantised = [op for op in made.model.get_ordered_ops() if op.get_type_name() == "FakeQuantize"]
    fed = {
        port.get_node().get_type_name()
        for op in quantised
        for port in op.output(0).get_target_inputs()
    }
    assert fed <= {"Convolution", "Reshape", "Slice", "Split", "StridedSlice", "Transpose"}
