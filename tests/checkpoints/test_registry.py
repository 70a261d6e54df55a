import hashlib
from pathlib import Path

import pytest

from lipwright.checkpoints import (
    DEFAULT_EXPERT,
    DEFAULT_MODEL,
    available_models,
    model_path,
    read_onnx_metadata,
    registry,
)
from lipwright.checkpoints.registry import ModelEntry
from lipwright.errors import CheckpointError

CONTENT = b"weights as they were shipped"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with one model in it, known by the name ``small``."""
    entry = ModelEntry(
        name="small",
        kind="generator",
        file="small.onnx",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="Apache-2.0",
    )
    monkeypatch.setattr(registry, "_FOLDER", tmp_path)
    monkeypatch.setattr(registry, "_MODELS", {"small": entry})
    (tmp_path / "small.onnx").write_bytes(CONTENT)
    return tmp_path / "small.onnx"


def test_defaults_are_known_models_of_their_kind() -> None:
    kinds = {entry.name: entry.kind for entry in available_models()}
    assert kinds[DEFAULT_MODEL] == "generator"
    assert kinds[DEFAULT_EXPERT] == "expert"


@pytest.mark.parametrize("name", [entry.name for entry in available_models()])
def test_shipped_model_is_whole_and_says_what_the_table_says(name: str) -> None:
    (entry,) = [entry for entry in available_models() if entry.name == name]
    if not entry.sha256:
        pytest.skip(f"{name} is not shipped yet")
    metadata = read_onnx_metadata(model_path(name))
    assert metadata["kind"] == entry.kind
    assert metadata["licence"] == entry.licence


def test_known_name_is_a_verified_file(shipped: Path) -> None:
    assert model_path("small") == shipped


@pytest.mark.parametrize("content", [CONTENT + b"!", CONTENT[:-1], b"", b"something else"])
def test_damaged_shipped_file_is_refused_by_its_sha256(shipped: Path, content: bytes) -> None:
    shipped.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is damaged \(SHA-256 .*install .* again") as caught:
        model_path("small")
    assert str(shipped) in str(caught.value)
    assert hashlib.sha256(CONTENT).hexdigest()[:12] in str(caught.value)


def test_missing_shipped_file_is_refused_with_the_way_out(shipped: Path) -> None:
    shipped.unlink()
    with pytest.raises(CheckpointError, match=r"small\.onnx is missing: install lipwright again"):
        model_path("small")


@pytest.mark.parametrize("name", ["lipwright-97", "smal", ""])
def test_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"unknown model '{name}'") as caught:
        model_path(name)
    for entry in available_models():
        assert entry.name in str(caught.value)


def test_path_of_a_file_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"any")
    assert model_path(str(path)) == path
    monkeypatch.chdir(tmp_path)
    assert model_path("mine.onnx") == Path("mine.onnx")


@pytest.mark.parametrize("name", ["gone.onnx", "folder/gone", "/gone.onnx"])
def test_missing_path_is_refused_as_a_path(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"no such model file: '{name}'"):
        model_path(name)
