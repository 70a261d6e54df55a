"""Weights written as the programs of others write them: by torch, in every container."""

import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

STEP = 123_456
Maker = Callable[[Path, Mapping[str, torch.Tensor]], None]


class Block(nn.Module):
    """A convolution with batch normalisation, as lip-sync networks nest them."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(num_in, num_out, 3, padding=1), nn.BatchNorm2d(num_out)
        )
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.conv_block(x))


class SmallNetwork(nn.Module):
    """Nested modules, lists of them, and a parameter and a buffer of its own after them."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.encoder = nn.ModuleList([Block(3, 4), nn.Sequential(Block(4, 5), Block(5, 2))])
            self.output = nn.Conv2d(2, 3, 1, bias=False)
            self.scale = nn.Parameter(torch.randn(1, 3, 1, 1))
            self.register_buffer("mean", torch.randn(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.encoder:
            x = block(x)
        return self.output(x) * self.scale + self.mean.view(1, 3, 1, 1)


def with_optimizer(tensors: Mapping[str, torch.Tensor]) -> dict[str, object]:
    """The record that Wav2Lip's training saves, with an optimizer that has made a step."""
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()
    return {
        "state_dict": tensors,
        "optimizer": optimizer.state_dict(),
        "global_step": STEP,
        "global_epoch": 7,
    }


def parallel(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Named as ``DataParallel`` names them."""
    return {f"module.{name}": tensor for name, tensor in tensors.items()}


def save_zip(path: Path, record: object, *, protocol: int = 2) -> None:
    """As ``torch.save`` writes since 1.6."""
    torch.save(record, path, pickle_protocol=protocol)


def save_legacy(path: Path, record: object, *, protocol: int = 2) -> None:
    """As ``torch.save`` wrote before."""
    torch.save(record, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)


def save_safetensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """As Hugging Face's library writes; it refuses tensors that share memory."""
    save_file(
        {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, path
    )


def save_script(path: Path, network: nn.Module, *, is_traced: bool = False) -> None:
    """As ``torch.jit.save`` writes."""
    network = network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old files stay what they are
        if is_traced:
            script = torch.jit.trace(network, torch.zeros(1, 3, 8, 8))
        else:
            script = torch.jit.script(network)
        torch.jit.save(script, path)


PICKLED: dict[str, Maker] = {
    "zip": save_zip,
    "zip of protocol 4": lambda path, tensors: save_zip(path, tensors, protocol=4),
    "zip with optimizer": lambda path, tensors: save_zip(path, with_optimizer(tensors)),
    "zip, parallel": lambda path, tensors: save_zip(path, with_optimizer(parallel(tensors))),
    "legacy": save_legacy,
    "legacy of protocol 5": lambda path, tensors: save_legacy(path, tensors, protocol=5),
    "legacy with optimizer": lambda path, tensors: save_legacy(path, with_optimizer(tensors)),
    "legacy, parallel": lambda path, tensors: save_legacy(path, with_optimizer(parallel(tensors))),
}
MAKERS: dict[str, Maker] = {**PICKLED, "safetensors": save_safetensors}


def save_raw_zip(
    path: Path,
    pickled: bytes,
    storages: Mapping[str, bytes],
    *,
    byte_order: bytes | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """A zip as ``torch.save`` lays it out, around a pickle made by hand."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        if byte_order is not None:
            archive.writestr("archive/byteorder", byte_order)
        for key, raw in storages.items():
            archive.writestr(f"archive/data/{key}", raw)


def zip_contents(path: Path) -> tuple[bytes, dict[str, bytes]]:
    """The pickle and the storages of such a zip."""
    with zipfile.ZipFile(path) as archive:
        raw = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(raw[name] for name in raw if name.endswith("/data.pkl"))
    storages = {name.split("/")[-1]: raw[name] for name in raw if "/data/" in name}
    return pickled, storages


def text(value: str) -> bytes:
    """A text in a pickle."""
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def tensor(
    *,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int = 0,
    num_stored: int = 6,
    where: str = "cpu",
) -> bytes:
    """A float32 tensor in a pickle, seen through storage ``0``."""
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + text("storage")
        + b"ctorch\nFloatStorage\n"
        + text("0")
        + text(where)
        + _number(num_stored)
        + b"tQ"
        + _number(offset)
        + b"".join(b"(" + b"".join(map(_number, sizes)) + b"t" for sizes in (shape, strides))
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def record(items: Mapping[str, bytes]) -> bytes:
    """A pickled dict of pickled items."""
    return b"\x80\x02}(" + b"".join(text(key) + item for key, item in items.items()) + b"u."


def _number(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)
