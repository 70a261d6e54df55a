"""From what a user calls a model to a graph that the runtime can load; converts on the fly."""

import logging
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from lipwright.checkpoints import available_models, model_path, read_onnx_metadata
from lipwright.checkpoints.download import sha256_of
from lipwright.checkpoints.home import home
from lipwright.errors import CheckpointError, require

log = logging.getLogger(__name__)

_RUNNABLE = (".onnx", ".xml")


def licence_of(model: str | Path, found: str) -> str:
    """Licence of a model: what the list of models says counts more than what the file says.

    Args:
        model: Name or path.
        found: What the file says.

    Returns:
        The licence's name; ``unknown`` if nobody says.
    """
    listed = {entry.name: entry.licence for entry in available_models()}
    return listed.get(str(model), found)


def runnable_model(model: str | Path) -> Path:
    """Find a model, and bring a foreign one into the form that the runtime reads.

    A checkpoint of another form than Lipwright's own is converted once; the result is kept
    under the SHA-256 of the file, so that the next job finds it.

    Args:
        model: Name of a model, or path of a file: ONNX, or any checkpoint that
            ``lipwright convert`` reads.

    Returns:
        An ONNX file with Lipwright's metadata, or the .xml that ``lipwright export`` writes in
        int8.

    Raises:
        CheckpointError: If there is no such model, or it is damaged or another network.
        MissingExtraError: If it needs to be converted and torch is not installed.
    """
    path = model_path(str(model))
    if path.suffix.lower() in _RUNNABLE and "kind" in read_onnx_metadata(path):
        return path
    cached = home() / "converted" / f"{sha256_of(path)}.onnx"
    if not cached.is_file():
        _convert(path, cached)
    return cached


def _convert(path: Path, to: Path) -> None:
    # The converter needs torch, which the runtime does without: it is imported only here.
    for library in ("torch", "onnx", "onnxscript"):
        require(library, extra="train")
    convert = import_module("lipwright.conversion.convert").convert
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=to.parent) as folder:
            conversion = convert(path, Path(folder) / "converted")
            if conversion.metadata.kind != "generator":
                raise CheckpointError(f"{path} holds a {conversion.title}; a generator is needed")
            conversion.onnx.replace(to)
    except OSError as err:
        raise CheckpointError(
            f"cannot keep the converted {path} in {to.parent}: {err}; set LIPWRIGHT_HOME to "
            f"another folder"
        ) from err
    log.warning("converted %s (%s); it is kept as %s", path, conversion.title, to)
