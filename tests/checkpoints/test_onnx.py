from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from lipwright.checkpoints import read_onnx, read_onnx_metadata
from lipwright.errors import CheckpointError

onnx = pytest.importorskip("onnx")

METADATA = {
    "kind": "generator",
    "resolution": "96",
    "step": "0",
    "licence": "",
    "training_data": 'GRID — "žluťoučký kůň", 1\n2',
    "flag": "true",
    "lipwright": '{"config": {"width": 4}}',
}


def write_network(path: Path, metadata: dict[str, str]) -> Path:
    """A network of one layer: y = x W."""
    make = onnx.helper
    weights = onnx.numpy_helper.from_array(
        np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32), "W"
    )
    graph = make.make_graph(
        [make.make_node("MatMul", ["x", "W"], ["y"])],
        "layer",
        [make.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 16])],
        [make.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 16])],
        [weights],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=10)
    make.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_network(tmp_path / "net.onnx", METADATA)


def test_metadata_comes_back_as_written(path: Path) -> None:
    assert read_onnx_metadata(path) == METADATA


def test_network_comes_back_and_runs(path: Path) -> None:
    model, metadata = read_onnx(path)
    assert metadata == METADATA
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    weights = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
    x = np.ones((3, 16), dtype=np.float32)
    np.testing.assert_allclose(compiled({"x": x})["y"], x @ weights, rtol=1e-5, atol=1e-5)


def test_network_without_metadata_has_none(tmp_path: Path) -> None:
    assert read_onnx_metadata(write_network(tmp_path / "net.onnx", {})) == {}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_truncated_network_is_refused_with_its_size(path: Path, share: float) -> None:
    whole = path.read_bytes()
    size = int(share * len(whole))
    path.write_bytes(whole[:size])
    with pytest.raises(CheckpointError, match=r"is not a whole ONNX file.*export it again") as err:
        read_onnx_metadata(path)
    assert f"{path} ({size} bytes)" in str(err.value)


@pytest.mark.parametrize("content", [b"garbage", bytes(1000), b"\x80\x02}q\x00."])
def test_garbage_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is not a whole ONNX file"):
        read_onnx(path)


def test_missing_file_and_folder_are_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.onnx", tmp_path):
        with pytest.raises(CheckpointError, match="no such model file") as caught:
            read_onnx(path)
        assert str(path) in str(caught.value)
