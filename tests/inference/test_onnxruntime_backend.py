"""ONNX Runtime draws what OpenVINO does, and says what is missing."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_MODEL, model_path
from lipwright.errors import CheckpointError, ConfigError, MissingExtraError
from lipwright.inference import OpenVinoGenerator
from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.engines import open_generator
from lipwright.inference.onnxruntime_backend import (
    OnnxRuntimeGenerator,
    is_built_for_cuda,
    onnxruntime_devices,
)

Rows = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]


def rows_for(backend: GeneratorBackend, count: int) -> Rows:
    rng = np.random.default_rng(count)
    size = backend.resolution
    # Smooth, as faces are: a generator that moves pixels makes of a rounding error in a place as
    # large a difference as its neighbours differ.
    coarse = rng.integers(0, 256, (2 * count, 8, 8, 3), dtype=np.uint8)
    pictures = [
        cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC) for picture in coarse
    ]
    targets, references = np.stack(pictures).reshape(2, count, size, size, 3)
    mel = rng.uniform(-4, 4, (count, 1, 80, backend.columns)).astype(np.float32)
    return targets, references, mel


def test_the_shipped_generator_draws_the_same_as_in_openvino() -> None:
    pytest.importorskip("onnxruntime")
    path = model_path(DEFAULT_MODEL)
    ours, theirs = OpenVinoGenerator(path), OnnxRuntimeGenerator(path)
    for name in ("resolution", "columns", "alignment", "crop", "licence"):
        assert getattr(ours, name) == getattr(theirs, name)
    for count in (1, 3, 8):
        rows = rows_for(ours, count)
        a, b = ours.draw(*rows), theirs.draw(*rows)
        assert a.shape == b.shape == (count, ours.resolution, ours.resolution, 3)
        assert a.dtype == b.dtype == np.float32
        assert np.abs(a - b).max() <= 1e-4


def test_the_lower_half_of_a_target_is_not_looked_at() -> None:
    pytest.importorskip("onnxruntime")
    backend = OnnxRuntimeGenerator(model_path(DEFAULT_MODEL), num_threads=1)
    targets, references, mel = rows_for(backend, 2)
    hidden = targets.copy()
    hidden[:, backend.resolution // 2 :] = 7
    drawn = backend.draw(targets, references, mel)
    assert np.array_equal(drawn, backend.draw(hidden, references, mel))


@pytest.mark.parametrize("device", ["cuda", "directml"])
def test_a_device_that_is_not_there_is_named_with_the_way_out(device: str) -> None:
    pytest.importorskip("onnxruntime")
    if device in onnxruntime_devices():
        pytest.skip(f"this ONNX Runtime is built for {device}")
    with pytest.raises(ConfigError, match=rf"'{device}' is not there.*--device cpu"):
        open_generator(model_path(DEFAULT_MODEL), device=device)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["libonnxruntime_providers_cuda.so", "other.so"])
def test_a_build_for_cuda_is_told_by_its_files_without_importing_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    (capi / name).touch()
    (capi.parent / "__init__.py").write_text("raise AssertionError('it is imported')")
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert is_built_for_cuda() == ("cuda" in name)


def test_without_onnxruntime_a_device_of_its_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert onnxruntime_devices() == ()
    with pytest.raises(MissingExtraError, match=r"'cuda' needs ONNX Runtime.*onnxruntime-gpu"):
        open_generator(model_path(DEFAULT_MODEL), device="cuda")


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(model_path(DEFAULT_MODEL).read_bytes()[:50_000])
    with pytest.raises(CheckpointError, match="50000 bytes"):
        OnnxRuntimeGenerator(broken)
    with pytest.raises(CheckpointError, match="no such model file"):
        OnnxRuntimeGenerator(tmp_path / "nothing.onnx")
    other = tmp_path / "mine.int8.xml"
    other.write_text("<net/>")
    with pytest.raises(ConfigError, match="--device cpu"):
        OnnxRuntimeGenerator(other)
