"""What a checkpoint's pickle may ask for, and the harmless things that it gets instead.

Nothing here comes from torch, and nothing of the file is executed: a name of the file is looked up
in one table, and what is not in the table is refused.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lipwright.checkpoints.elements import BFLOAT16, item_size

Arguments = tuple[object, ...]
_LARGEST = 1 << 62  # no honest size comes near; keeps sums within 64 bits
_NUMPY_SCALARS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})


@dataclass(frozen=True, slots=True)
class Element:
    """A type of storage, or a dtype."""

    code: str


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers that lie elsewhere in the file, or a stretch of them."""

    key: str
    element: Element
    num_stored: int
    """Elements under the key."""
    start: int
    """First element of the stretch."""
    num_elements: int
    """Length of the stretch."""

    @property
    def num_bytes(self) -> int:
        """Bytes under the key."""
        return self.num_stored * item_size(self.element.code)


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """Where a tensor's numbers lie; nothing is read yet."""

    storage: Storage
    code: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of the tensor as an array."""
        size = 4 if self.code == BFLOAT16 else item_size(self.code)
        return size * math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class ScriptClass:
    """A class of a TorchScript archive: only its name."""

    name: str


@dataclass(slots=True, eq=False)
class ScriptObject:
    """A module of a TorchScript archive: only what it holds."""

    state: dict[object, object] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class NumpyType:
    """A numpy dtype; the byte order is told after it is made."""

    code: str
    order: str = "<"


@dataclass(frozen=True, slots=True)
class Builder:
    """A function of ours that stands in for one that the file names."""

    build: Callable[[Arguments], object]


def stand_in(module: str, name: str) -> object | None:
    """Look up what a file's global name gets; None if it is not allowed."""
    if module == "__torch__" or module.startswith("__torch__."):
        return ScriptClass(f"{module}.{name}")
    return _TABLE.get((module, name))


def size_of(value: object) -> int:
    """A number of elements, or an offset.

    Raises:
        ValueError: If it is none.
    """
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise ValueError("a size in the file is not a possible number")
    return value


def _sizes(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > 64:
        raise ValueError("a shape in the file is not a short list of numbers")
    return tuple(size_of(item) for item in value)


def _tensor(arguments: Arguments) -> TensorPlan:
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, Storage):
        raise TypeError("a tensor in the file has no storage")
    return TensorPlan(
        storage, storage.element.code, size_of(offset), _sizes(shape), _sizes(strides)
    )


def _tensor_with_dtype(arguments: Arguments) -> TensorPlan:
    storage, offset, shape, strides, _, _, dtype = arguments[:7]
    if not (isinstance(storage, Storage) and isinstance(dtype, Element)):
        raise TypeError("a tensor in the file has no storage or no dtype")
    return TensorPlan(storage, dtype.code, size_of(offset), _sizes(shape), _sizes(strides))


def _parameter(arguments: Arguments) -> TensorPlan:
    tensor = arguments[0]
    if not isinstance(tensor, TensorPlan):
        raise TypeError("a parameter in the file has no tensor")
    return tensor


def _ordered(arguments: Arguments) -> dict[object, object]:
    # Its pairs come afterwards, as with every dict; Python 2 gave them here, as a list of lists.
    ordered: dict[object, object] = {}
    if not arguments:
        return ordered
    pairs = _list(arguments)
    for pair in pairs:
        if not isinstance(pair, tuple | list):
            raise TypeError("an OrderedDict in the file has no pairs")
        key, value = pair
        if not isinstance(key, str):
            raise TypeError("an OrderedDict in the file has a key that is no text")
        ordered[key] = value
    pairs.clear()  # else a small file could have a long list copied without end
    return ordered


def _list(arguments: Arguments) -> list[object]:
    (items,) = arguments
    if not isinstance(items, list):
        raise TypeError("a list in the file is none")
    return items


def _first(arguments: Arguments) -> object:
    return arguments[0]


def _encoded(arguments: Arguments) -> bytes:
    text, encoding = arguments
    if not isinstance(text, str) or len(text) > 64 or encoding != "latin1":
        raise ValueError("the file encodes a text that is no number of numpy")
    return text.encode("latin1")


def _numpy_type(arguments: Arguments) -> NumpyType:
    code = arguments[0]
    if not isinstance(code, str) or code not in _NUMPY_SCALARS:
        raise ValueError("a number of numpy in the file is of an unknown type")
    return NumpyType(code)


def _numpy_scalar(arguments: Arguments) -> object:
    kind, raw = arguments
    if not isinstance(kind, NumpyType) or not isinstance(raw, bytes):
        raise TypeError("a number of numpy in the file is damaged")
    (value,) = np.frombuffer(raw, np.dtype(kind.order + kind.code)).tolist()
    return value


_STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
}
_DTYPES = {
    "float32": "f4",
    "float64": "f8",
    "float16": "f2",
    "bfloat16": BFLOAT16,
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "b1",
    "complex64": "c8",
    "complex128": "c16",
}
_TABLE: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): Builder(_ordered),
    ("torch._utils", "_rebuild_tensor"): Builder(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Builder(_tensor),
    ("torch._utils", "_rebuild_tensor_v3"): Builder(_tensor_with_dtype),
    ("torch._utils", "_rebuild_parameter"): Builder(_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Builder(_parameter),
    ("torch", "Size"): Builder(_first),
    ("torch", "device"): Builder(_first),
    ("torch.serialization", "_get_layout"): Builder(_first),
    ("torch.storage", "UntypedStorage"): Element("u1"),
    ("torch", "UntypedStorage"): Element("u1"),
    ("torch.jit._pickle", "build_intlist"): Builder(_list),
    ("torch.jit._pickle", "build_doublelist"): Builder(_list),
    ("torch.jit._pickle", "build_boollist"): Builder(_list),
    ("torch.jit._pickle", "build_tensorlist"): Builder(_list),
    ("torch.jit._pickle", "restore_type_tag"): Builder(_first),
    ("_codecs", "encode"): Builder(_encoded),
    ("numpy", "dtype"): Builder(_numpy_type),
    ("numpy.core.multiarray", "scalar"): Builder(_numpy_scalar),
    ("numpy._core.multiarray", "scalar"): Builder(_numpy_scalar),
    **{("torch", name): Element(code) for name, code in (_STORAGES | _DTYPES).items()},
}
