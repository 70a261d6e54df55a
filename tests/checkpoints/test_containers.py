import os
import subprocess  # noqa: TID251 - only named in a file that must not run it
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from container_makers import (
    MAKERS,
    PICKLED,
    STEP,
    SmallNetwork,
    record,
    save_legacy,
    save_raw_zip,
    save_safetensors,
    save_script,
    save_zip,
    tensor,
    text,
    with_optimizer,
    zip_contents,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import nn

from lipwright.checkpoints.containers import Container, read_container
from lipwright.checkpoints.unpickle import DAMAGE, Reader, unpickle
from lipwright.errors import CheckpointError

PICKLERS = pytest.mark.parametrize("save", [save_zip, save_legacy])
EVERY_TYPE = [
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.uint16,
    torch.bool,
    torch.complex64,
]
SIX = np.arange(6, dtype=np.float32)


def weights() -> dict[str, torch.Tensor]:
    return dict(SmallNetwork().state_dict())


def expected(original: torch.Tensor) -> NDArray[np.generic]:
    values = original.detach()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def assert_same(read: Container, written: dict[str, torch.Tensor]) -> None:
    assert set(read.tensors) == set(written)
    for name, original in written.items():
        found, wanted = read.tensors[name], expected(original)
        assert found.dtype == wanted.dtype, name
        assert found.shape == wanted.shape, name
        assert found.tobytes() == wanted.tobytes(), name


def kinds_of_views() -> dict[str, torch.Tensor]:
    base = torch.randn(6, 8)
    return {
        "whole": base,
        "same": base,
        "turned": base.t(),
        "rows": base[1:5:2],
        "column": base[:, 3],
        "single": base[2, 2],
        "repeated": base[0:1].expand(5, 8),
        "flipped axes": torch.randn(2, 3, 4).permute(2, 0, 1),
        "channels last": torch.randn(1, 3, 4, 4).to(memory_format=torch.channels_last),
        "empty": torch.zeros(0, 3),
        "zero-dimensional": torch.tensor(7),
        "parameter": nn.Parameter(torch.randn(3)),
        "frozen": nn.Parameter(torch.randn(3), requires_grad=False),
        "not finite": torch.tensor([float("nan"), float("inf"), -0.0]),
    }


@pytest.mark.parametrize("maker", MAKERS)
def test_every_container_gives_torch_s_own_values(maker: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    MAKERS[maker](path, weights())
    read = read_container(path)
    assert_same(read, weights())
    assert read.step == (STEP if "optimizer" in maker or "parallel" in maker else None)
    assert read.form.startswith(maker.split(maxsplit=1)[0].rstrip(","))


@pytest.mark.parametrize("maker", PICKLED)
def test_tensors_come_in_the_order_of_the_file(maker: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    PICKLED[maker](path, weights())
    assert list(read_container(path).tensors) == list(weights())


@pytest.mark.parametrize("is_traced", [False, True])
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_archive_gives_its_state_dict(is_traced: bool, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    save_script(path, SmallNetwork(), is_traced=is_traced)
    read = read_container(path)
    assert read.form == "TorchScript archive"
    assert_same(read, weights())
    assert list(read.tensors) == list(torch.jit.load(path).state_dict())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_module_used_twice_is_named_twice(tmp_path: Path) -> None:
    layer = nn.Conv2d(1, 1, 1)
    path = tmp_path / "w.pt"
    save_script(path, nn.Sequential(layer, nn.Sequential(layer)))
    assert list(read_container(path).tensors) == list(torch.jit.load(path).state_dict())


@PICKLERS
def test_every_kind_of_view_is_rebuilt(save: Callable[..., None], tmp_path: Path) -> None:
    written = kinds_of_views()
    save(tmp_path / "w", written)
    assert_same(read_container(tmp_path / "w"), written)


@PICKLERS
@pytest.mark.parametrize("dtype", EVERY_TYPE, ids=str)
def test_every_type_of_number_is_exact(
    save: Callable[..., None], dtype: torch.dtype, tmp_path: Path
) -> None:
    raw = torch.arange(256, dtype=torch.uint8).repeat(4)
    values = raw % 2 == 0 if dtype == torch.bool else raw.view(dtype)
    written = {"all": values, "part": values[5:9], "turned": values[:32].view(8, 4).t()}
    save(tmp_path / "w", written)
    assert_same(read_container(tmp_path / "w"), written)


@pytest.mark.parametrize("dtype", EVERY_TYPE, ids=str)
def test_safetensors_of_every_type_are_exact(dtype: torch.dtype, tmp_path: Path) -> None:
    values = torch.arange(24).to(dtype).view(2, 3, 4)
    save_safetensors(tmp_path / "w", {"a": values, "b": values[0, 0, 1]})
    assert_same(read_container(tmp_path / "w"), {"a": values, "b": values[0, 0, 1]})


@given(
    sizes=st.lists(st.integers(0, 3), max_size=4),
    steps=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    offset=st.integers(0, 20),
    save=st.sampled_from([save_zip, save_legacy]),
)
def test_any_strided_view_is_rebuilt(
    sizes: list[int],
    steps: list[int],
    offset: int,
    save: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    view = torch.arange(120.0).as_strided(sizes, steps[: len(sizes)], offset)
    path = tmp_path_factory.mktemp("view") / "w"
    save(path, {"view": view})
    assert_same(read_container(path), {"view": view})


def test_tensors_that_share_a_storage_share_memory(tmp_path: Path) -> None:
    base = torch.randn(1000)
    save_zip(tmp_path / "w", {"a": base, "b": base[10:]})
    tensors = read_container(tmp_path / "w").tensors
    assert np.shares_memory(tensors["a"], tensors["b"])


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "generator", "net", "params"])
@PICKLERS
def test_weights_are_found_under_their_wrapper(
    wrapper: str, save: Callable[..., None], tmp_path: Path
) -> None:
    save(tmp_path / "w", {"best_loss": torch.tensor(0.5), wrapper: weights(), "args": {"lr": 1}})
    assert_same(read_container(tmp_path / "w"), weights())


@PICKLERS
def test_a_step_may_be_a_number_of_numpy(save: Callable[..., None], tmp_path: Path) -> None:
    save(tmp_path / "w", {"state_dict": weights(), "global_step": np.int64(STEP), "x": np.float32})
    with pytest.raises(CheckpointError, match=r"numpy\.float32"):  # a class is no number
        read_container(tmp_path / "w")
    loss = np.float64(0.1)
    save(tmp_path / "w", {"state_dict": weights(), "loss": loss, "global_step": np.int64(STEP)})
    assert read_container(tmp_path / "w").step == STEP


def test_numbers_and_texts_among_bare_tensors_are_left_out(tmp_path: Path) -> None:
    written = weights() | {"global_step": 5, "note": "x", "nothing": None, "rate": 0.1}
    save_zip(tmp_path / "w", written)
    read = read_container(tmp_path / "w")
    assert_same(read, weights())
    assert read.step == 5


def test_only_a_prefix_of_all_names_is_taken_off(tmp_path: Path) -> None:
    save_zip(tmp_path / "w", {"module.a": torch.ones(1), "b": torch.ones(1)})
    assert list(read_container(tmp_path / "w").tensors) == ["module.a", "b"]


def test_safetensors_metadata_is_given(tmp_path: Path) -> None:
    save_file({"a": SIX}, tmp_path / "w", metadata={"licence": "MIT", "global_step": "12"})
    read = read_container(tmp_path / "w")
    assert read.metadata == {"licence": "MIT", "global_step": "12"}
    assert read.step == 12


def test_weights_of_a_gpu_are_read(tmp_path: Path) -> None:
    pickled = record({"a": tensor(shape=(2, 3), strides=(3, 1), where="cuda:0")})
    save_raw_zip(tmp_path / "w", pickled, {"0": SIX.tobytes()})
    np.testing.assert_array_equal(read_container(tmp_path / "w").tensors["a"], SIX.reshape(2, 3))


def test_weights_of_a_machine_with_the_other_byte_order_are_read(tmp_path: Path) -> None:
    pickled = record({"a": tensor(shape=(6,), strides=(1,))})
    save_raw_zip(tmp_path / "w", pickled, {"0": SIX.astype(">f4").tobytes()}, byte_order=b"big")
    np.testing.assert_array_equal(read_container(tmp_path / "w").tensors["a"], SIX)


def test_an_ordered_dict_of_python_2_is_read(tmp_path: Path) -> None:
    name = b"U\x01a"
    pairs = b"](]" + name + b"a" + tensor(shape=(6,), strides=(1,)) + b"ae"
    pickled = b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R."
    save_raw_zip(tmp_path / "w", pickled, {"0": SIX.tobytes()})
    np.testing.assert_array_equal(read_container(tmp_path / "w").tensors["a"], SIX)


def test_a_view_of_a_storage_of_early_torch_is_read(tmp_path: Path) -> None:
    save_legacy(tmp_path / "w", {"a": torch.arange(6.0)})
    raw = (tmp_path / "w").read_bytes()
    # The reference ends in None; put (key of the view, start 2, length 4) in its place.
    old = raw.replace(b"K\x06Ntq", b"K\x06" + text("v") + b"K\x02K\x04\x87tq")
    old = old.replace(b"QK\x00K\x06\x85", b"QK\x00K\x04\x85")
    assert len(old) > len(raw)
    (tmp_path / "w").write_bytes(old)
    np.testing.assert_array_equal(read_container(tmp_path / "w").tensors["a"], SIX[2:])


def test_a_file_without_checksums_is_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        save_zip(tmp_path / "w", weights())
    finally:
        torch.serialization.set_crc32_options(True)
    assert_same(read_container(tmp_path / "w"), weights())


def test_a_zip_packed_again_is_read(tmp_path: Path) -> None:
    save_zip(tmp_path / "w", weights())
    pickled, storages = zip_contents(tmp_path / "w")
    save_raw_zip(tmp_path / "w", pickled, storages, compression=zipfile.ZIP_DEFLATED)
    assert_same(read_container(tmp_path / "w"), weights())


# Nothing is run


class Gadget:
    """Runs something when it is unpickled by anything less careful."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


GADGETS: dict[str, Callable[[Path], Gadget]] = {
    "system": lambda mark: Gadget(os.system, f"touch '{mark}'"),  # noqa: TID251
    "mkdir": lambda mark: Gadget(os.mkdir, str(mark)),
    "eval": lambda mark: Gadget(eval, f"__import__('pathlib').Path({str(mark)!r}).touch()"),
    "exec": lambda mark: Gadget(exec, f"import os; os.mkdir({str(mark)!r})"),
    "method": lambda mark: Gadget(Path.touch, mark),
    "Popen": lambda mark: Gadget(subprocess.getoutput, f"touch '{mark}'"),
    "nested": lambda mark: Gadget(str, Gadget(os.mkdir, str(mark))),
    "numpy": lambda mark: Gadget(np.savetxt, str(mark), [1.0]),
    "torch": lambda mark: Gadget(torch.save, 1, str(mark)),
}
PLACES: dict[str, Callable[[object], object]] = {
    "alone": lambda gadget: gadget,
    "beside": lambda gadget: {"state_dict": weights(), "optimizer": gadget},
    "among": lambda gadget: weights() | {"x": gadget},
    "within": lambda gadget: with_optimizer(weights()) | {"args": [({"x": (gadget,)},)]},
}


@PICKLERS
@pytest.mark.parametrize("gadget", GADGETS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_in_a_file_is_run(
    save: Callable[..., None], gadget: str, place: str, protocol: int, tmp_path: Path
) -> None:
    mark = tmp_path / "was_run"
    save(tmp_path / "w", PLACES[place](GADGETS[gadget](mark)), protocol=protocol)
    with pytest.raises(CheckpointError, match="nothing was run"):
        read_container(tmp_path / "w")
    assert not mark.exists()


@pytest.mark.parametrize("gadget", GADGETS)
def test_the_gadgets_of_these_tests_are_live(gadget: str, tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    save_zip(tmp_path / "w", GADGETS[gadget](mark))
    torch.load(tmp_path / "w", weights_only=False)  # noqa: TID251 - to see it run
    assert mark.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02cposix\nsystem\nU\x08touch /xx\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02cbuiltins\n__import__\n.",
        b"\x80\x02ctorch.hub\nload\n.",
        b"\x80\x02ctorch\nload\n.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2.__globals__\n.",
        b"\x80\x02ccollections\nOrderedDict.__init__.__globals__\n.",
        b"\x80\x02c_codecs\ndecode\n.",
        b"(S'echo'\nios\nsystem\n.",
        b"\x80\x02\x82\x01.",
    ],
)
@PICKLERS
def test_names_that_are_not_in_the_table_are_refused(
    pickled: bytes, save: Callable[..., None], tmp_path: Path
) -> None:
    if save is save_zip:
        save_raw_zip(tmp_path / "w", pickled, {})
    else:
        save_legacy(tmp_path / "w", {})
        start = (tmp_path / "w").read_bytes().index(b"\x80\x02}q\x00.")
        head = (tmp_path / "w").read_bytes()[:start]
        (tmp_path / "w").write_bytes(head + pickled)
    with pytest.raises(CheckpointError, match=r"refused: .*nothing was run"):
        read_container(tmp_path / "w")


def test_a_plain_pickle_is_refused_by_what_it_wants_to_run(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"\x80\x02cposix\nsystem\nU\x08touch /xx\x85R.")
    with pytest.raises(CheckpointError, match=r"wants to run 'posix\.system'"):
        read_container(tmp_path / "w")
    (tmp_path / "w").write_bytes(b"\x80\x02}.")
    with pytest.raises(CheckpointError, match=r"not of torch\.save"):
        read_container(tmp_path / "w")


# Nor is the memory filled


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Fails a test that takes more than 64 MB."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(
    "sizes",
    [
        {"shape": (7,), "strides": (1,)},
        {"shape": (3,), "strides": (3,)},
        {"shape": (1,), "strides": (1,), "offset": 6},
        {"shape": (2, 2), "strides": (5, 1)},
        {"shape": (2,), "strides": (-1,), "offset": 3},
        {"shape": (2,), "strides": (1,), "offset": -1},
        {"shape": (-2,), "strides": (1,)},
        {"shape": (2, 3), "strides": (1,)},
        {"shape": (1 << 20, 1 << 20), "strides": (0, 0)},
        {"shape": (1 << 61, 1 << 61), "strides": (0, 0)},
        {"shape": (1 << 63,), "strides": (0,)},
        {"shape": (0, 1 << 61), "strides": (1, 1)},
        {"shape": (1,) * 65, "strides": (1,) * 65},
        {"shape": (6,), "strides": (1,), "num_stored": 7},
        {"shape": (6,), "strides": (1,), "num_stored": 5},
        {"shape": (1 << 50,), "strides": (1,), "num_stored": 1 << 50},
    ],
    ids=str,
)
def test_a_tensor_never_reaches_outside_of_its_storage(
    sizes: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    save_raw_zip(tmp_path / "w", record({"a": tensor(**sizes)}), {"0": SIX.tobytes()})
    with pytest.raises(CheckpointError):
        read_container(tmp_path / "w")


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02Nr\xff\xff\xff\xff.",  # the standard library reserves 64 GB
        b"\x80\x02})" + b"q\x00h\x00\x86" * 200 + b"Ns.",  # hashed for ever
        b"\x80\x02X\xff\xff\xff\x7f.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x05\x96\xff\xff\xff\xff\x0f\x00\x00\x00.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02" + b"](" * 100_000 + b".",
        b"\x80\x02" + b")" + b"\x85" * 100_000 + b".",
        b"\x80\x02](" + b"]" * 20_000 + b"e" + b"\x85ccollections\nOrderedDict\nR.",
        b"\x80\x02}(\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01Nu.",
    ],
    ids=range(10),
)
def test_a_small_pickle_takes_little_memory_and_time(pickled: bytes, tmp_path: Path) -> None:
    save_raw_zip(tmp_path / "w", pickled, {})
    with pytest.raises(CheckpointError):
        read_container(tmp_path / "w")


def test_a_pickle_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("lipwright.checkpoints.unpickle._MAX_INSTRUCTIONS", 1000)
    save_raw_zip(tmp_path / "w", b"\x80\x02" + b"N" * 1001 + b".", {})
    with pytest.raises(CheckpointError, match="more than 1000 instructions"):
        read_container(tmp_path / "w")


def test_modules_that_hold_each_other_are_given_up(tmp_path: Path) -> None:
    module = b"c__torch__\nA\n)\x81"
    holds_itself = b"\x80\x02" + module + b"q\x00}" + text("a") + b"h\x00sb."
    both = b"}(" + text("a") + b"h\x00" + text("b") + b"h\x00ub"
    doubled = b"\x80\x02" + module + (b"q\x00" + module + both) * 60 + b"."
    for pickled, reason in ((holds_itself, "deep"), (doubled, "modules")):
        save_raw_zip(tmp_path / "w", pickled, {})
        with pytest.raises(CheckpointError, match=reason):
            read_container(tmp_path / "w")


@pytest.mark.usefixtures("little_memory")
def test_a_zip_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w"
    pickled = record({"a": tensor(shape=(6,), strides=(1,), num_stored=6)})
    size = 32 << 20
    save_raw_zip(path, pickled, {"0": bytes(size)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="claim to be"):
        read_container(path)
    lying = path.read_bytes().replace(size.to_bytes(4, "little"), (24).to_bytes(4, "little"))
    path.write_bytes(lying)
    with pytest.raises(CheckpointError):
        read_container(path)


def test_a_zip_of_other_kinds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w"
    save_raw_zip(path, b"\x80\x02}.", {}, compression=zipfile.ZIP_LZMA)
    with pytest.raises(CheckpointError, match="unusual compression"):
        read_container(path)
    save_raw_zip(path, b"\x80\x02}.", {})
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="password"):
        read_container(path)
    np.savez(tmp_path / "other.npz", a=SIX)
    with pytest.raises(CheckpointError, match=r"without a checkpoint's data\.pkl.*a\.npy"):
        read_container(tmp_path / "other.npz")


def test_safetensors_that_overlap_without_end_are_refused(tmp_path: Path) -> None:
    size = 1 << 20
    entry = f'{{"dtype":"U8","shape":[{size}],"data_offsets":[0,{size}]}}'
    header = ("{" + ",".join(f'"{index}":{entry}' for index in range(100)) + "}").encode()
    (tmp_path / "w").write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(CheckpointError, match="refused"):
        read_container(tmp_path / "w")


# Files cut short and damaged


WHOLE = ("zip", "zip with optimizer", "legacy", "legacy with optimizer", "safetensors")


def whole_files(folder: Path) -> dict[str, bytes]:
    path = folder / "whole"
    files = {}
    for maker in WHOLE:
        MAKERS[maker](path, {"a": torch.randn(20), "b.c": torch.randn(3, 4).t()})
        files[maker] = path.read_bytes()
    save_script(path, nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)))
    return {**files, "TorchScript": path.read_bytes()}


every_file = pytest.mark.parametrize("kind", [*WHOLE, "TorchScript"])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return whole_files(tmp_path_factory.mktemp("whole"))


@every_file
def test_a_file_cut_anywhere_is_an_error(
    kind: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    whole = files[kind]
    path = tmp_path / "w"
    for length in sorted({*range(0, len(whole), 7), *range(len(whole) - 40, len(whole))}):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=str(path)):
            read_container(path)


@pytest.mark.usefixtures("little_memory")
@every_file
def test_a_damaged_file_is_read_or_refused(
    kind: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "w"
    for _ in range(300):
        damaged = np.frombuffer(files[kind], np.uint8).copy()
        where = rng.integers(0, damaged.size, rng.integers(1, 4))
        damaged[where] = rng.integers(0, 256, where.size)
        path.write_bytes(damaged.tobytes())
        read_or_refused(path)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("kind", ["zip", "zip with optimizer", "TorchScript"])
def test_a_damaged_pickle_in_a_whole_zip_is_read_or_refused(
    kind: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "w"
    path.write_bytes(files[kind])
    pickled, storages = zip_contents(path)
    num_read = 0
    for _ in range(300):
        damaged = np.frombuffer(pickled, np.uint8).copy()
        where = rng.integers(0, damaged.size, rng.integers(1, 4))
        damaged[where] = rng.integers(0, 256, where.size)
        save_raw_zip(path, damaged.tobytes(), storages)
        num_read += read_or_refused(path)
    assert 0 < num_read < 300  # the damage reaches the reader, and some of it is harmless


def read_or_refused(path: Path) -> bool:
    try:
        read = read_container(path)
    except CheckpointError:
        return False
    for array in read.tensors.values():
        array.tobytes()  # all of it is there
    return True


@given(st.binary(max_size=60))
def test_the_machine_takes_any_bytes(raw: bytes) -> None:
    try:
        unpickle(Reader(BytesIO(raw), len(raw)), Path("x"))
    except (CheckpointError, *DAMAGE):
        return


def test_a_file_cut_short_says_how_much_is_missing(files: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "w"
    whole = files["legacy"]
    path.write_bytes(whole[:-30])
    found = f"cut short: {len(whole) - 30} bytes found, {len(whole)} expected"
    with pytest.raises(CheckpointError, match=found):
        read_container(path)
    path.write_bytes(whole[: -30 - 8 - 48 - 8 - 80])
    with pytest.raises(CheckpointError, match=r"bytes found, (more than )?\d+ expected"):
        read_container(path)
    whole = files["safetensors"]
    path.write_bytes(whole[:-5])
    found = f"cut short: {len(whole) - 5} bytes found, {len(whole)} expected"
    with pytest.raises(CheckpointError, match=found):
        read_container(path)
    path.write_bytes(whole[:12])
    with pytest.raises(CheckpointError, match="cut short: 12 bytes found, more than"):
        read_container(path)


def test_a_zip_cut_short_says_how_much_is_missing_where_it_can(tmp_path: Path) -> None:
    path = tmp_path / "w"
    save_zip(path, {"a": torch.zeros(5000), "b": torch.zeros(5000)})
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(CheckpointError, match=r"20000 bytes found, more than 40\d\d\d expected"):
        read_container(path)
    pickled, raw = record({"a": tensor(shape=(6,), strides=(1,), num_stored=6000)}), bytes(24_000)
    save_raw_zip(path, pickled, {"0": raw})
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(CheckpointError, match=r"9000 bytes found, more than 24\d\d\d expected"):
        read_container(path)


# What is no checkpoint


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "is empty; download it again"),
        (b"<!DOCTYPE html><html>", "is a web page.*download it again in the browser"),
        (b"\xef\xbb\xbf\n  <HTML lang=en>", "is a web page"),
        (b"<?xml version='1.0'?>\n<!doctype html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
        (b"\x1f\x8b\x08\x00", "is a gzip archive; unpack it first"),
        (b"7z\xbc\xaf\x27\x1c\x00", "is a 7z archive"),
        (b"Rar!\x1a\x07\x01\x00", "is a RAR archive"),
        (b"BZh91AY", "is a bzip2 archive"),
        (b"x" * 257 + b"ustar\x0000", "is a tar archive"),
        (b"PK\x05\x06" + bytes(18), "is an empty zip archive"),
        (b"\x08\x08\x12\x07pytorch", "is an ONNX network"),
        (b"Entry not found", "begins with b'Entry not found'"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ],
)
def test_other_files_are_told_apart(head: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(head)
    with pytest.raises(CheckpointError, match=said):
        read_container(path)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such weights file"):
        read_container(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        read_container(tmp_path)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"epoch": 3, "optimizer": {}}, "no named tensors; keys found: 'epoch', 'optimizer'"),
        ({}, "keys found: none"),
        (torch.ones(2), "holds a single tensor"),
        ([torch.ones(2)], "holds a single list"),
        ({"a": torch.ones(2), "b": [1]}, "a list named 'b' among its tensors"),
        ({"a": torch.ones(2), 5: torch.ones(2)}, "a tensor named 5 among its tensors"),
    ],
)
@PICKLERS
def test_a_file_without_named_tensors_says_what_it_has(
    written: object, said: str, save: Callable[..., None], tmp_path: Path
) -> None:
    save(tmp_path / "w", written)
    with pytest.raises(CheckpointError, match=said):
        read_container(tmp_path / "w")


def test_a_network_saved_whole_is_refused_by_its_name(tmp_path: Path) -> None:
    save_zip(tmp_path / "w", nn.Linear(2, 2))
    with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
        read_container(tmp_path / "w")


def test_safetensors_of_a_type_that_numpy_lacks_say_so(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "w", {"a": torch.ones(2).to(torch.float8_e4m3fn)})
    with pytest.raises(CheckpointError, match="F8_E4M3, which numpy lacks"):
        read_container(tmp_path / "w")
    save_file({}, tmp_path / "w")
    with pytest.raises(CheckpointError, match="keys found: none"):
        read_container(tmp_path / "w")
