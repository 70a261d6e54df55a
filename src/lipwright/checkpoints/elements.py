"""Numbers as checkpoints store them: from raw bytes to arrays."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Order = Literal["<", ">"]
BFLOAT16 = "bf16"  # the one element that numpy has no name for; all others are numpy's codes
_MAX_DIMENSIONS = 32  # of numpy before 2.0
_MAX_GROWTH = 8  # a whole file in bfloat16 doubles; a few tensors may share one storage
_ALWAYS_ALLOWED = 16 << 20


def item_size(element: str) -> int:
    """Bytes of one stored number: ``element`` is a code of numpy, or ``BFLOAT16``."""
    return 2 if element == BFLOAT16 else np.dtype(element).itemsize


def decode(raw: bytes, element: str, *, order: Order = "<") -> NDArray[np.generic]:
    """Read stored numbers.

    Args:
        raw: A whole number of elements.
        element: What they are; bfloat16 becomes float32, which holds it exactly.
        order: Which end comes first: ``"<"`` the small one.

    Returns:
        ``(num_elements,)`` in the machine's own byte order; may be read-only.

    Raises:
        ValueError: If ``raw`` is not a whole number of elements.
    """
    if element == BFLOAT16:
        upper_halves = np.frombuffer(raw, np.dtype(np.uint16).newbyteorder(order))
        floats: NDArray[np.float32] = (upper_halves.astype(np.uint32) << 16).view(np.float32)
        return floats
    if element == "b1":  # not read as they are: a damaged file can hold a byte above 1
        return np.frombuffer(raw, np.uint8).astype(np.bool_)
    native = np.dtype(element)
    return np.frombuffer(raw, native.newbyteorder(order)).astype(native, copy=False)


def strided(
    storage: NDArray[np.generic], *, offset: int, shape: Sequence[int], strides: Sequence[int]
) -> NDArray[np.generic]:
    """See part of a storage as a tensor; never reaches outside of the storage.

    Args:
        storage: ``(num_elements,)``.
        offset: Element at which the tensor starts.
        shape: Of the tensor.
        strides: In elements, one for each dimension.

    Returns:
        A read-only view of this shape.

    Raises:
        ValueError: If the tensor would reach outside of the storage.
    """
    if len(shape) != len(strides) or len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"a tensor has {len(shape)} dimensions and {len(strides)} strides")
    if offset < 0 or any(value < 0 for value in (*shape, *strides)):
        raise ValueError(f"a tensor has a negative size: {offset}, {shape}, {strides}")
    if math.prod(shape) == 0:
        return np.empty(shape, storage.dtype)
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if last >= storage.size:
        raise ValueError(f"a tensor of {shape} wants element {last} of the {storage.size} stored")
    num_bytes = [step * storage.itemsize for step in strides]
    view: NDArray[np.generic] = as_strided(storage[offset:], shape, num_bytes, writeable=False)
    return view


def largest_total(file_size: int) -> int:
    """Bytes that all that is read from a file may take, far more than an honest file needs."""
    return _MAX_GROWTH * file_size + _ALWAYS_ALLOWED
