"""Weights in torch draw what their exported graph draws elsewhere."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lipwright.checkpoints import Metadata
from lipwright.conversion.export import export_onnx
from lipwright.errors import CheckpointError, ConfigError, MissingExtraError
from lipwright.inference import OpenVinoGenerator, SyncOptions
from lipwright.inference.engines import open_generator
from lipwright.inference.networks import _file_for
from lipwright.inference.onnxruntime_backend import OnnxRuntimeGenerator
from lipwright.inference.torch_backend import TorchGenerator, torch_devices
from lipwright.models.build import build_network, save_network


def saved(folder: Path, *, kind: str = "generator", order: str = "rgb") -> Path:
    """A small generator of fresh weights, all of them at work."""
    options = {"width": 16, "speech_width": 32} if kind == "generator" else {}
    with torch.random.fork_rng():
        torch.manual_seed(4)
        network = build_network(kind, "compact", options)  # type: ignore[arg-type]
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    path = folder / f"{kind}-{order}.safetensors"
    meta = Metadata(
        kind=kind,  # type: ignore[arg-type]
        architecture="compact",
        config=options,
        channel_order=order,  # type: ignore[arg-type]
        licence="MIT",
    )
    save_network(network.eval(), path, meta)
    return path


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_all_engines_draw_the_same_of_one_network(tmp_path: Path, order: str) -> None:
    pytest.importorskip("onnxruntime")
    weights, graph = saved(tmp_path, order=order), tmp_path / "graph.onnx"
    export_onnx(weights, graph)
    ours = TorchGenerator(weights)
    others = (OpenVinoGenerator(graph), OnnxRuntimeGenerator(graph))
    rng = np.random.default_rng(1)
    size = ours.resolution
    targets, references = rng.integers(0, 256, (2, 5, size, size, 3), dtype=np.uint8)
    mel = rng.uniform(-4, 4, (5, 1, 80, ours.columns)).astype(np.float32)
    drawn = ours.draw(targets, references, mel)
    assert drawn.std(axis=0).mean() > 0.01  # it looks at what it is given
    for other in others:
        for name in ("resolution", "columns", "alignment", "crop", "licence"):
            assert getattr(ours, name) == getattr(other, name)
        assert np.abs(drawn - other.draw(targets, references, mel)).max() <= 1e-4


def test_weights_are_run_by_torch_and_it_is_said(tmp_path: Path) -> None:
    _, choice = open_generator(saved(tmp_path))
    assert (choice.engine, choice.precision) == ("torch", "fp32")
    assert "torch" in str(choice)


def test_reduced_precision_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'bf16' is for OpenVINO on the CPU.*--precision fp32"):
        open_generator(saved(tmp_path), precision="bf16")


def test_a_device_that_is_not_there_is_named_with_the_way_out(tmp_path: Path) -> None:
    if "cuda" in torch_devices():
        pytest.skip("CUDA is there")
    with pytest.raises(ConfigError, match=r"'cuda' is not there.*pytorch.org.*--device cpu"):
        open_generator(saved(tmp_path), device="cuda")
    with pytest.raises(ConfigError, match=r"'coreml' runs graphs.*lipwright export"):
        open_generator(saved(tmp_path), device="coreml")


def test_without_torch_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = saved(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lipwright\[train\]'"):
        open_generator(weights)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expert"):
        TorchGenerator(saved(tmp_path, kind="expert"))


def test_a_job_on_a_device_of_torch_takes_the_weights_themselves(tmp_path: Path) -> None:
    weights = saved(tmp_path)
    assert _file_for(weights, SyncOptions(device="mps")) == weights
