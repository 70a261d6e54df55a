"""What an ONNX network says of itself; and the one core of OpenVINO that all networks share."""

from functools import cache, lru_cache
from pathlib import Path

import openvino as ov

from lipwright.errors import CheckpointError

_SAID = "framework"  # where OpenVINO puts the metadata of ONNX files


@cache
def openvino_core() -> ov.Core:
    """The process' core of OpenVINO, made when it is first needed and never closed.

    A core moves the thread's signal stack into memory of its own and back when it is closed; of
    several that are not closed in reverse order, one leaves it in memory that is gone, and the
    next signal kills the process (seen with OpenVINO 2026.4.1).
    """
    return ov.Core()


def read_onnx(path: Path) -> tuple[ov.Model, dict[str, str]]:
    """Read a network and its metadata.

    Args:
        path: An ONNX file, or the .xml of OpenVINO's own format, with its .bin beside it.

    Returns:
        The network, not yet compiled, and its metadata: free text by name.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"no such model file: {str(path)!r}")
    try:
        model = openvino_core().read_model(path)
        metadata = dict(model.get_rt_info(_SAID).value) if model.has_rt_info(_SAID) else {}
    except (RuntimeError, UnicodeDecodeError) as err:  # names and metadata may be damaged text
        size = path.stat().st_size
        what = "ONNX file"
        if path.suffix.lower() == ".xml":
            what = f"OpenVINO network with its {path.with_suffix('.bin').name}"
        raise CheckpointError(
            f"{path} ({size} bytes) is not a whole {what}; copy or export it again"
        ) from err
    return model, metadata


def read_onnx_metadata(path: Path) -> dict[str, str]:
    """Read only the metadata of an ONNX file; errors as :func:`read_onnx`."""
    try:
        found = path.stat()
    except OSError:
        return read_onnx(path)[1]  # which says what is wrong
    return dict(_metadata(path, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=8)
def _metadata(path: Path, _changed: int, _num_bytes: int) -> dict[str, str]:
    """Of a file as it is: several steps of a start ask for it, and each reads the whole graph."""
    return read_onnx(path)[1]
