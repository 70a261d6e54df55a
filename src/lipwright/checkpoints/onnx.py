"""What an ONNX network says of itself."""

from pathlib import Path

import openvino as ov

from lipwright.errors import CheckpointError


def read_onnx(path: Path) -> tuple[ov.Model, dict[str, str]]:
    """Read a network and its metadata.

    Args:
        path: An ONNX file.

    Returns:
        The network, not yet compiled, and its metadata: free text by name.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"no such model file: {str(path)!r}")
    try:
        model = ov.Core().read_model(path)
    except RuntimeError as err:
        size = path.stat().st_size
        raise CheckpointError(
            f"{path} ({size} bytes) is not a whole ONNX file; copy or export it again"
        ) from err
    if not model.has_rt_info("framework"):
        return model, {}
    return model, dict(model.get_rt_info("framework").value)


def read_onnx_metadata(path: Path) -> dict[str, str]:
    """Read only the metadata of an ONNX file; errors as :func:`read_onnx`."""
    return read_onnx(path)[1]
