"""Static int8: within its bound, or not at all."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops

from lipwright.checkpoints import Metadata, openvino_core, read_onnx
from lipwright.cli.export import export_command
from lipwright.conversion.export import export_onnx
from lipwright.conversion.quantise import BOUND, Quantised, export_int8, quantise
from lipwright.errors import CheckpointError, ConfigError
from lipwright.inference import OpenVinoGenerator
from lipwright.inference.model import runnable_model
from lipwright.models.build import build_network, save_network
from lipwright.models.compact import CompactGenerator

SIZE = 12
LOUD = 30.0  # one channel of the hostile layer's input is so many times as large as the others


def rows(count: int, seed: int) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return {"faces": rng.random((count, 3, SIZE, SIZE), dtype=np.float32)}


def network(*, is_hostile: bool) -> ov.Model:
    """Three convolutions; a hostile second one hears what a very loud channel drowns."""
    rng = np.random.default_rng(7)
    faces = ops.parameter([-1, 3, SIZE, SIZE], ov.Type.f32, name="faces")
    faces.output(0).set_names({"faces"})
    x = faces.output(0)
    for number, (into, out) in enumerate([(3, 8), (8, 8), (8, 3)]):
        kernel = rng.normal(0, (2 / (9 * into)) ** 0.5, (out, into, 3, 3)).astype(np.float32)
        if is_hostile and number == 0:
            kernel[0] = LOUD * np.abs(kernel[0])
        if is_hostile and number == 1:
            kernel[:, 0] /= LOUD
        node = ops.convolution(x, ops.constant(kernel), [1, 1], [1, 1], [1, 1], [1, 1])
        node.set_friendly_name(f"convolution {number}")
        x = (ops.relu(node) if number < 2 else ops.sigmoid(node)).output(0)
    x.set_names({"drawn"})
    return ov.Model([x], [faces], "network")


def difference(made: Quantised, model: ov.Model, inputs: dict[str, NDArray[np.float32]]) -> float:
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    drawn = [
        openvino_core().compile_model(graph, "CPU", options)(inputs)["drawn"].copy()
        for graph in (made.model, model)
    ]
    return float(np.abs(drawn[0] - drawn[1]).max())


def test_all_of_a_friendly_network_is_int8_and_unseen_rows_stay_within_the_bound() -> None:
    model = network(is_hostile=False)
    made = quantise(model, rows(32, 0), checks=rows(32, 1))
    assert made.in_full == ()
    assert made.int8_share == 1
    assert 0 < made.difference <= BOUND
    assert difference(made, model, rows(20, 2)) <= BOUND


def test_a_hostile_layer_stays_fp32_and_unseen_rows_stay_within_the_bound() -> None:
    model = network(is_hostile=True)
    made = quantise(model, rows(32, 0), checks=rows(32, 1))
    assert made.in_full == ("convolution 1",)
    work = [3 * 8, 8 * 8, 8 * 3]  # multiply-adds of each, to a common factor
    assert made.int8_share == pytest.approx((work[0] + work[2]) / sum(work))
    assert 0 < made.difference <= BOUND
    assert difference(made, model, rows(20, 2)) <= BOUND


def test_the_given_network_is_left_as_it_was() -> None:
    model = network(is_hostile=False)
    names = [op.get_friendly_name() for op in model.get_ordered_ops()]
    quantise(model, rows(8, 0), checks=rows(8, 1))
    assert [op.get_friendly_name() for op in model.get_ordered_ops()] == names


def test_an_impossible_bound_is_refused_with_the_numbers_and_the_way_out() -> None:
    with pytest.raises(
        CheckpointError,
        match=r"off by .*e-\d+ with all 3 convolutions, and by .*e-\d+ with one alone; at most "
        r"7\.0e-08 is permitted .* fp32 network, which also runs in bf16",
    ):
        quantise(network(is_hostile=False), rows(8, 0), checks=rows(8, 1), bound=1e-7)


@pytest.mark.parametrize("counts", [(0, 8), (8, 0)])
def test_no_rows_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="faces has 0"):
        quantise(network(is_hostile=False), rows(counts[0], 0), checks=rows(counts[1], 1))


def saved(folder: Path, kind: str = "generator") -> Path:
    config = {"width": 8, "speech_width": 16} if kind == "generator" else {"width": 8}
    path = folder / f"{kind}.safetensors"
    meta = Metadata(kind=kind, architecture="compact", config=config, licence="Apache-2.0")
    torch.manual_seed(5)
    network = build_network(kind, "compact", config)
    if isinstance(network, CompactGenerator):  # a fresh one changes nothing
        torch.nn.init.normal_(network.output.weight, std=0.02)
    save_network(network, path, meta)
    return path


def test_export_in_int8_makes_a_model_that_the_runtime_draws_with(
    tmp_path: Path, pack_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, out = saved(tmp_path), tmp_path / "mine.int8.xml"
    export_command(weights, out=out, precision="int8", calibrate=pack_corpus)
    said = capsys.readouterr().out
    assert "of fp32 on 80 inputs" in said
    assert "% of the multiply-adds" in said
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {weights.name, "mine.int8.xml", "mine.int8.bin"}
    metadata = read_onnx(out)[1]
    assert metadata["precision"] == "int8"
    assert (metadata["kind"], metadata["licence"]) == ("generator", "Apache-2.0")
    assert runnable_model(out) == out
    export_onnx(weights, tmp_path / "mine.onnx")
    rng = np.random.default_rng(3)
    faces = rng.integers(0, 256, (2, 3, 96, 96, 3), dtype=np.uint8)
    mel = rng.uniform(-4, 4, (3, 1, 80, 16)).astype(np.float32)
    drawn = [
        OpenVinoGenerator(tmp_path / name).draw(*faces, mel) for name in ("mine.onnx", out.name)
    ]
    assert 0 < np.abs(drawn[0] - drawn[1]).max() <= BOUND


@pytest.mark.parametrize("name", ["mine.onnx", "none/mine.xml"])
def test_int8_is_written_as_xml_into_a_folder_that_exists(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"must end in \.xml"):
        export_int8(saved(tmp_path), tmp_path / name, calibration=rows(1, 0), checks=rows(1, 1))


def test_int8_needs_a_corpus_and_a_corpus_needs_int8(tmp_path: Path) -> None:
    for precision, corpus in (("int8", None), ("fp32", tmp_path)):
        with pytest.raises(ConfigError, match=r"--calibrate CORPUS_FOLDER \(what lipwright prep"):
            export_command(
                tmp_path / "w.safetensors",
                out=tmp_path / "x.xml",
                precision=precision,
                calibrate=corpus,
            )


def test_only_generators_are_exported_in_int8(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds a expert; only generators"):
        export_command(
            saved(tmp_path, "expert"), out=tmp_path / "x.xml", precision="int8", calibrate=tmp_path
        )


def test_a_network_that_lost_its_weights_file_is_not_whole(tmp_path: Path) -> None:
    ov.save_model(network(is_hostile=False), tmp_path / "n.xml")
    (tmp_path / "n.bin").unlink()
    with pytest.raises(CheckpointError, match=r"not a whole OpenVINO network with its n\.bin"):
        read_onnx(tmp_path / "n.xml")
