"""Read the weights of others, in every container that they come in, without running anything.

Four containers: what ``torch.save`` writes (a zip), what it wrote before version 1.6, what
``torch.jit.save`` writes, and safetensors. None of them needs torch to be read.
"""

import json
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints.elements import BFLOAT16, decode, item_size, largest_total, strided
from lipwright.checkpoints.pickled import Opened, cut_short, open_legacy, open_zip
from lipwright.checkpoints.sniff import Family, family_of
from lipwright.checkpoints.stand_ins import ScriptObject, TensorPlan, size_of
from lipwright.checkpoints.unpickle import DAMAGE
from lipwright.errors import CheckpointError

Form = Literal["zip pickle", "legacy pickle", "TorchScript archive", "safetensors"]
Tensors = dict[str, NDArray[np.generic]]
_WRAPPERS = ("state_dict", "model", "generator", "net", "params")
_PARALLEL = "module."  # torch's DataParallel puts it before every name
_MAX_DEPTH = 64
_MAX_PARTS = 200_000  # modules can be held twice, so a small file can have very many
_MAX_NAME = 512
_SAFETENSORS = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "BF16": BFLOAT16,
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U64": "u8",
    "U32": "u4",
    "U16": "u2",
    "U8": "u1",
    "BOOL": "b1",
    "C64": "c8",
}
_ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, NotImplementedError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """What a file of weights holds."""

    tensors: Tensors
    """Name -> array, in the file's order. Arrays may be read-only and may share memory where the
    file's tensors do. bfloat16 is given as float32, all else as it is."""
    form: Form
    """How the file is made."""
    step: int | None = None
    """Training steps taken, where the file has ``global_step``."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Free text of safetensors; else empty."""


def read_container(path: Path) -> Container:
    """Read a file of weights that any program wrote.

    Nothing in the file is executed. The tensors may lie bare in it, or under ``state_dict``,
    ``model``, ``generator``, ``net`` or ``params`` beside other things, which are left out; a
    ``module.`` before every name is taken off.

    Args:
        path: A .pth, .pt, .bin, .ckpt or .safetensors file; its name does not matter.

    Returns:
        Its tensors.

    Raises:
        CheckpointError: If the file is missing, cut short, damaged, no checkpoint, without
            tensors, or wants to run something; says what to do.
    """
    family = family_of(path)
    try:
        return _READERS[family](path)
    except (*DAMAGE, *_ZIP_DAMAGE) as err:
        raise CheckpointError(
            f"{path} ({path.stat().st_size} bytes) is cut short or damaged: "
            f"{str(err)[:200] or type(err).__name__}; download it again"
        ) from err
    except OSError as err:
        raise CheckpointError(f"cannot read {path}: {err}; check the disk it is on") from err


def _read_zip(path: Path) -> Container:
    return _read_pickled(path, open_zip, "zip pickle")


def _read_legacy(path: Path) -> Container:
    return _read_pickled(path, open_legacy, "legacy pickle")


def _read_pickled(
    path: Path, opener: Callable[[Path], AbstractContextManager[Opened]], form: Form
) -> Container:
    with opener(path) as opened:
        if isinstance(opened.root, ScriptObject):
            plans = dict(_script_tensors(opened.root))
            _require_tensors(path, plans, found=opened.root.state)
            return Container(tensors=_fill(path, plans, opened), form="TorchScript archive")
        if not isinstance(opened.root, dict):
            raise CheckpointError(
                f"{path} holds a single {_kind(opened.root)}, not named tensors; save a state_dict"
            )
        plans = dict(_named_tensors(path, _unwrapped(opened.root)))
        _require_tensors(path, plans, found=opened.root)
        step = opened.root.get("global_step")
        return Container(
            tensors=_fill(path, plans, opened), form=form, step=step if type(step) is int else None
        )


def _unwrapped(root: dict[object, object]) -> dict[object, object]:
    for held in (*(root.get(key) for key in _WRAPPERS), root):
        if isinstance(held, dict) and any(isinstance(item, TensorPlan) for item in held.values()):
            return held
    return {}


def _named_tensors(path: Path, held: dict[object, object]) -> Iterator[tuple[str, TensorPlan]]:
    for name, item in held.items():
        if isinstance(item, TensorPlan) and isinstance(name, str):
            yield name, item
        elif not (item is None or isinstance(item, str | int | float)):
            raise CheckpointError(
                f"{path} holds a {_kind(item)} named {repr(name)[:60]} among its tensors, which "
                f"is not understood; save the network's state_dict alone"
            )


def _script_tensors(root: ScriptObject) -> Iterator[tuple[str, TensorPlan]]:
    """Name the tensors as ``state_dict()`` does: a module's own first, then its modules'."""
    waiting = [("", 0, root)]
    num_left = _MAX_PARTS
    while waiting:
        prefix, depth, module = waiting.pop()
        num_left -= 1 + len(module.state)
        if num_left < 0:
            raise ValueError(f"its modules have more than {_MAX_PARTS} parts")
        modules = []
        for name, item in module.state.items():
            if not isinstance(name, str) or len(prefix) + len(name) > _MAX_NAME:
                raise ValueError("a module in it has a part without a proper name")
            if isinstance(item, TensorPlan):
                yield prefix + name, item
            elif isinstance(item, ScriptObject):
                modules.append((f"{prefix}{name}.", depth + 1, item))
        if modules and depth >= _MAX_DEPTH:
            raise ValueError(f"its modules are nested more than {_MAX_DEPTH} deep")
        waiting.extend(reversed(modules))


def _fill(path: Path, plans: dict[str, TensorPlan], opened: Opened) -> Tensors:
    _check_total(path, (plan.num_bytes for plan in plans.values()))
    stored: Tensors = {}
    tensors = {}
    for name, plan in plans.items():
        storage = plan.storage
        key = f"{plan.code} {storage.key}"
        if key not in stored:
            stored[key] = decode(opened.load(storage), plan.code, order=opened.order)
        elements = stored[key]
        if storage.num_elements != storage.num_stored:
            elements = elements[storage.start : storage.start + storage.num_elements]
        tensors[name] = strided(
            elements, offset=plan.offset, shape=plan.shape, strides=plan.strides
        )
    return _without_parallel(tensors)


def _read_safetensors(path: Path) -> Container:
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        start = 8 + length
        if num_bytes < start:
            raise cut_short(path, f"more than {start}")
        header = json.loads(file.read(length).decode())
        metadata = header.pop("__metadata__", {})
        slots = {name: _slot(path, name, entry) for name, entry in header.items()}
        expected = start + max((slot.end for slot in slots.values()), default=0)
        if num_bytes < expected:
            raise cut_short(path, f"{expected}")
        _check_total(path, (slot.end - slot.begin for slot in slots.values()))
        tensors = {name: _tensor_at(file, start, slot) for name, slot in slots.items()}
    _require_tensors(path, tensors, found=metadata)
    texts = {key: text for key, text in metadata.items() if isinstance(text, str)}
    step = texts.get("global_step", "")
    return Container(
        tensors=_without_parallel(tensors),
        form="safetensors",
        step=int(step) if re.fullmatch(r"[0-9]{1,18}", step) else None,
        metadata=texts,
    )


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a tensor lies in safetensors."""

    code: str
    shape: tuple[int, ...]
    begin: int
    end: int


def _slot(path: Path, name: str, entry: Mapping[str, object]) -> _Slot:
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not (isinstance(kind, str) and isinstance(shape, list) and isinstance(offsets, list)):
        raise TypeError("its header is not of safetensors")
    if kind not in _SAFETENSORS:
        raise CheckpointError(
            f"{path} holds {name[:60]!r} as {kind[:20]}, which numpy lacks; convert it to F32"
        )
    begin, end = (size_of(offset) for offset in offsets)
    sizes = tuple(size_of(size) for size in shape)
    if len(sizes) > 32 or end - begin != math.prod(sizes) * item_size(_SAFETENSORS[kind]):
        raise ValueError(f"its header gives {name[:60]!r} a shape that is not that of its bytes")
    return _Slot(_SAFETENSORS[kind], sizes, begin, end)


def _tensor_at(file: BinaryIO, start: int, slot: _Slot) -> NDArray[np.generic]:
    file.seek(start + slot.begin)
    return decode(file.read(slot.end - slot.begin), slot.code).reshape(slot.shape)


def _check_total(path: Path, sizes: Iterable[int]) -> None:
    num_bytes = path.stat().st_size
    if sum(sizes) > largest_total(num_bytes):
        raise CheckpointError(
            f"{path}: refused: its tensors would take more than {largest_total(num_bytes)} bytes, "
            f"it has {num_bytes}; it is damaged or made to fill the memory"
        )


def _require_tensors(path: Path, tensors: Sized, *, found: Iterable[object]) -> None:
    if not tensors:
        keys = ", ".join(repr(key)[:60] for key in list(found)[:12]) or "none"
        raise CheckpointError(
            f"{path} holds no named tensors; keys found: {keys}; give a file of weights, or save "
            f"the network's state_dict"
        )


def _without_parallel(tensors: Tensors) -> Tensors:
    if all(name.startswith(_PARALLEL) for name in tensors):
        return {name.removeprefix(_PARALLEL): array for name, array in tensors.items()}
    return tensors


def _kind(item: object) -> str:
    return "tensor" if isinstance(item, TensorPlan) else type(item).__name__


_READERS: dict[Family, Callable[[Path], Container]] = {
    "zip": _read_zip,
    "pickle": _read_legacy,
    "safetensors": _read_safetensors,
}
