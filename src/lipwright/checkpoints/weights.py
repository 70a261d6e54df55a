"""Weights as safetensors: nothing in the file is executed, and it says what it is."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lipwright.errors import CheckpointError

Kind = Literal["generator", "expert", "discriminator", "landmarks", "hearing", "drawing"]
Tensors = dict[str, NDArray[np.generic]]
FORMAT = "lipwright-weights-1"
_TYPES = frozenset(  # of safetensors, those that are numpy's own
    {"BOOL", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "F16", "F32", "F64", "C64"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """What a weights file says of itself."""

    kind: Kind
    """What the network does."""
    architecture: str
    """Name that ``models.build`` knows, for example ``compact``."""
    config: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Dimensions of the network."""
    step: int = 0
    """Training steps taken."""
    licence: str = "unknown"
    """Of the weights, as an SPDX name where there is one."""
    training_data: str = ""
    """What it was trained on, with attributions."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """Order of the colours it takes and gives."""
    alignment: Literal["centred", "trained", "released"] = "centred"
    """Which stretch of speech a generator draws a frame from: see ``speech.aligned_starts``."""
    crop: Literal["lipwright", "released"] = "lipwright"
    """Which box around a face it looks at: see ``faces.CROP_RULES``."""
    mel: str = "16000/800/200/80/55-7600"
    """Front end: rate, window, hop, bands, range in Hz."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Anything else."""


def write_weights(path: Path, tensors: Mapping[str, NDArray[np.generic]], meta: Metadata) -> None:
    """Write weights with their metadata under a temporary name, then rename.

    Args:
        path: File to write; its folder must exist.
        tensors: Name -> array.
        meta: What they are.

    Raises:
        CheckpointError: If the file cannot be written.
    """
    write_tensors(path, tensors, {"format": FORMAT, "lipwright": json.dumps(asdict(meta))})


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str]
) -> None:
    """Write named arrays with free metadata under a temporary name, then rename.

    Args:
        path: File to write; its folder must exist.
        tensors: Name -> array.
        metadata: Free text by name.

    Raises:
        CheckpointError: If the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    # Not ascontiguousarray, which turns single values into arrays of one.
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    try:
        temporary.write_bytes(save(contiguous, metadata=dict(metadata)))
        temporary.replace(path)
    except (OSError, SafetensorError) as err:
        raise CheckpointError(
            f"cannot write {path}: {err}; check the folder, the free space and the tensors' types"
        ) from err
    finally:
        with suppress(OSError):  # where it cannot be removed it was not made
            temporary.unlink(missing_ok=True)


def read_metadata(path: Path) -> Metadata:
    """Read what a weights file says of itself, without its weights.

    Args:
        path: A file that :func:`write_weights` wrote.

    Returns:
        Its metadata.

    Raises:
        CheckpointError: If the file is missing, damaged, or of another format.
    """
    return _metadata(path, _open(path).metadata() or {})


def read_weights(path: Path, *, kind: Kind) -> tuple[Tensors, Metadata]:
    """Read weights and make sure that they are of the kind asked for.

    Args:
        path: A file that :func:`write_weights` wrote.
        kind: What is expected.

    Returns:
        Name -> array, and the metadata.

    Raises:
        CheckpointError: If the file is missing, damaged, truncated, of another format or kind, or
            holds a value that is not finite.
    """
    tensors, free = read_tensors(path)
    meta = _metadata(path, free)
    if meta.kind != kind:
        raise CheckpointError(f"{path} holds a {meta.kind}, a {kind} is needed; give another file")
    for name, array in tensors.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise CheckpointError(
                f"{path} is not usable: {name!r} holds NaN or infinite values; take a file of an "
                f"earlier step"
            )
    return tensors, meta


def read_tensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    """Read named arrays and free metadata.

    Args:
        path: A safetensors file.

    Returns:
        Name -> array, and the metadata.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    file = _open(path)
    try:
        for name in file.keys():  # noqa: SIM118 - no mapping
            # Asked first: what else the process has imported decides if other types can be read.
            kind = file.get_slice(name).get_dtype()
            if kind not in _TYPES:
                raise CheckpointError(
                    f"{path} holds {name!r} as {kind}, which numpy lacks; convert it to F32"
                )
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as err:
        raise CheckpointError(f"cannot read {path}: {err}; copy or download it again") from err


def _open(path: Path) -> safe_open:
    if not path.is_file():
        raise CheckpointError(f"no such weights file: {str(path)!r}")
    try:
        return safe_open(str(path), framework="numpy")
    except (SafetensorError, OSError) as err:
        size = path.stat().st_size
        raise CheckpointError(
            f"{path} ({size} bytes) is not a whole safetensors file: {err}; copy or download it "
            f"again"
        ) from err


def _metadata(path: Path, free: Mapping[str, str]) -> Metadata:
    if free.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a weights file of this version: format {free.get('format')!r}, "
            f"expected {FORMAT!r}; give a file that Lipwright wrote"
        )
    try:
        record = json.loads(free["lipwright"])
        known = {item.name for item in fields(Metadata)}
        return Metadata(**{key: value for key, value in record.items() if key in known})
    except (KeyError, ValueError, TypeError, AttributeError) as err:
        raise CheckpointError(
            f"{path}: its metadata is damaged: {err}; copy or write it again"
        ) from err
