"""The models that come with Lipwright: from a name to a verified file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lipwright.errors import CheckpointError

_FOLDER = Path(__file__).parent.parent / "weights"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelEntry:
    """A model that can be asked for by name."""

    name: str
    """Its name."""
    kind: str
    """What it does: ``generator`` or ``expert``."""
    file: str
    """File in the package's weights folder."""
    sha256: str
    """Of the file."""
    licence: str
    """Of the weights."""

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return _FOLDER / self.file


DEFAULT_MODEL = "lipwright-96"
DEFAULT_EXPERT = "lipwright-expert-96"
_MODELS = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name=DEFAULT_MODEL,
            kind="generator",
            file="lipwright-96.onnx",
            sha256="8835d739c8051aa8f3d7a5e6b78975b0fbba3ddeea4b49e197378fa2fd4fa3f0",
            licence="Apache-2.0",
        ),
        ModelEntry(
            name=DEFAULT_EXPERT,
            kind="expert",
            file="lipwright-expert-96.onnx",
            sha256="841429c5ce30f82cef01e1d740342b5f948bdf7675876d8fffd5d6728d2527b8",
            licence="Apache-2.0",
        ),
    )
}


def available_models() -> list[ModelEntry]:
    """The models that can be asked for by name."""
    return list(_MODELS.values())


def model_path(model: str) -> Path:
    """Find a model's file and make sure that it is whole.

    Args:
        model: A known name, or the path of an ONNX file.

    Returns:
        The file.

    Raises:
        CheckpointError: If the name is unknown (lists the known ones), or the file is missing or
            not the one that was shipped.
    """
    entry = _MODELS.get(model)
    if entry is None:
        path = Path(model)
        if path.is_file():
            return path
        if path.suffix == ".onnx" or len(path.parts) > 1:
            raise CheckpointError(f"no such model file: {model!r}")
        raise CheckpointError(
            f"unknown model {model!r}; known: {', '.join(_MODELS)}; or give the path of an .onnx "
            f"file"
        )
    if not entry.path.is_file():
        raise CheckpointError(f"{entry.path} is missing: install lipwright again")
    found = hashlib.sha256(entry.path.read_bytes()).hexdigest()
    if found != entry.sha256:
        raise CheckpointError(
            f"{entry.path} is damaged (SHA-256 {found[:12]}..., expected {entry.sha256[:12]}...): "
            f"install lipwright again"
        )
    return entry.path
