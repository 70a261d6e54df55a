import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lipwright.checkpoints import (
    Metadata,
    read_metadata,
    read_tensors,
    read_weights,
    write_tensors,
    write_weights,
)
from lipwright.checkpoints.weights import FORMAT, Tensors
from lipwright.errors import CheckpointError

META = Metadata(
    kind="expert",
    architecture="compact",
    config={"resolution": 96, "objective": "contrastive", "dropout": 0.1, "flag": True},
    step=1200,
    licence="Apache-2.0",
    training_data='GRID — "Cooke et al.", žluťoučký\nkůň',
    channel_order="bgr",
    notes={"temperature": "0.07"},
)


def tensors() -> Tensors:
    rng = np.random.default_rng(0)
    return {
        "conv.weight": rng.normal(size=(4, 3, 2)).astype(np.float32),
        "turned": np.asfortranarray(rng.normal(size=(3, 5))),
        "every_second": np.arange(20, dtype=np.int64)[::2],
        "num_batches_tracked": np.array(7, dtype=np.int64),
        "empty": np.zeros((0, 3), dtype=np.float16),
        "flags": np.array([True, False]),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "expert.safetensors"
    write_weights(path, tensors(), META)
    return path


def assert_equal(found: Tensors, expected: Tensors) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def test_weights_come_back_as_they_were_with_their_metadata(path: Path) -> None:
    found, meta = read_weights(path, kind="expert")
    assert_equal(found, tensors())
    assert meta == META
    assert read_metadata(path) == META
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_tensors_come_back_with_free_metadata(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", tensors(), {"any": "thing"})
    found, free = read_tensors(tmp_path / "a.safetensors")
    assert_equal(found, tensors())
    assert free == {"any": "thing"}


def test_writing_replaces_what_was_there(path: Path) -> None:
    write_weights(path, {"a": np.ones(2)}, META)
    assert_equal(read_weights(path, kind="expert")[0], {"a": np.ones(2)})


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_file_is_refused_with_the_way_out(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    for read in (read_metadata, read_tensors):
        with pytest.raises(CheckpointError, match=r"is not a whole .*download it again") as caught:
            read(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"garbage", b"\xff" * 64, b"\x80\x02}q\x00.", b"PK\x03\x04" * 9]
)
def test_garbage_is_refused_with_the_way_out(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="again") as caught:
        read_weights(path, kind="expert")
    assert str(path) in str(caught.value)


def test_missing_file_and_folder_are_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.safetensors", tmp_path):
        with pytest.raises(CheckpointError, match="no such weights file") as caught:
            read_weights(path, kind="expert")
        assert str(path) in str(caught.value)


def test_wrong_kind_is_refused_and_both_are_named(path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a expert, a generator is needed") as caught:
        read_weights(path, kind="generator")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_that_are_not_finite_are_refused_by_tensor(
    path: Path, value: float, dtype: type
) -> None:
    spoiled = np.zeros((3, 3), dtype=dtype)
    spoiled[1, 2] = value
    write_weights(path, {**tensors(), "conv.bias": spoiled}, META)
    with pytest.raises(CheckpointError, match=r"'conv\.bias' holds NaN or infinite") as caught:
        read_weights(path, kind="expert")
    assert str(path) in str(caught.value)


def test_foreign_safetensors_are_refused_with_the_way_out(path: Path) -> None:
    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=r"format None.*give a file that Lipwright wrote"):
        read_weights(path, kind="expert")
    save_file({"a": np.zeros(3)}, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="format 'pt'"):
        read_metadata(path)


def test_types_that_numpy_lacks_are_refused_by_file(path: Path) -> None:
    header = {"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(CheckpointError, match="as BF16, which numpy lacks; convert") as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "5", "null", "{}", '{"kind": "expert"}', None])
def test_damaged_metadata_is_refused_by_file(path: Path, text: str | None) -> None:
    free = {"format": FORMAT} if text is None else {"format": FORMAT, "lipwright": text}
    save_file({"a": np.zeros(3)}, path, metadata=free)
    with pytest.raises(CheckpointError, match="its metadata is damaged") as caught:
        read_metadata(path)
    assert str(path) in str(caught.value)


def test_metadata_of_a_later_version_is_read_as_far_as_known(path: Path) -> None:
    text = json.dumps({"kind": "expert", "architecture": "compact", "colour_of_the_sky": "blue"})
    save_file({"a": np.zeros(3)}, path, metadata={"format": FORMAT, "lipwright": text})
    assert read_metadata(path) == Metadata(kind="expert", architecture="compact")


def test_failing_write_leaves_nothing_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "file").write_text("a file where a folder is needed")
    for path in (
        tmp_path / "folder.safetensors",
        tmp_path / "file" / "a.safetensors",
        tmp_path / "gone" / "a.safetensors",
        tmp_path / f"{'x' * 300}.safetensors",
    ):
        with pytest.raises(CheckpointError, match="cannot write") as caught:
            write_weights(path, tensors(), META)
        assert str(path) in str(caught.value)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "folder.safetensors"]


def test_write_that_fails_half_way_keeps_what_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def disk_full(target: Path, data: bytes) -> int:
        with target.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        write_weights(path, tensors(), META)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_what_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot write .*a\.safetensors"):
        write_tensors(tmp_path / "a.safetensors", {"a": np.array([object()])}, {})
    assert list(tmp_path.iterdir()) == []
