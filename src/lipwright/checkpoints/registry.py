"""Models by name: the shipped, the converted and the remote ones; from a name to a verified file.

Beside each model in the models folder lies ``NAME.json``, written when the model was put there:
its SHA-256, and what it is, which its own metadata tell only after the whole graph is read.
"""

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from lipwright.checkpoints.catalogue import (
    KINDS,
    SUFFIXES,
    RemoteModel,
    find_remote,
    is_name,
    load_catalogue,
    require_name,
)
from lipwright.checkpoints.download import OnProgress, download, sha256_of
from lipwright.checkpoints.home import models_folder, written_whole
from lipwright.checkpoints.licences import require_licence
from lipwright.checkpoints.onnx import read_onnx_metadata
from lipwright.errors import CheckpointError, ConfigError

log = logging.getLogger(__name__)

Source = Literal["shipped", "converted", "remote"]
_FOLDER = Path(__file__).parent.parent / "weights"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelEntry:
    """A model that can be asked for by name."""

    name: str
    """Its name."""
    kind: str
    """What it does: ``generator``, ``expert``, ``landmarks`` or ``judge``."""
    resolution: int
    """Height and width of a face in pixels."""
    licence: str
    """Of the weights."""
    sha256: str
    """Of the file."""
    source: Source
    """Comes with Lipwright, was put into the models folder, or is fetched from elsewhere."""
    path: Path
    """Where the file lies, or will lie once it is fetched."""
    origin: str = ""
    """The file it was converted from, or the host it is fetched from."""
    size: int | None = None
    """Bytes, as far as they were written down; see :attr:`num_bytes`."""

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.path.name

    @property
    def is_on_disk(self) -> bool:
        """Whether the file is there."""
        return self.path.is_file()

    @property
    def num_bytes(self) -> int | None:
        """Bytes of the file, or that it will have; None if nobody knows."""
        return self.path.stat().st_size if self.is_on_disk else self.size


DEFAULT_MODEL = "lipwright-160"
TINY_MODEL = "lipwright-tiny"
DEFAULT_EXPERT = "lipwright-expert"
DEFAULT_LANDMARKS = "lipwright-landmarks"
_SHA256 = {
    DEFAULT_MODEL: "8eee337f8c7902e24e76052949371e34594c0b42c8e57ddc9d92a25edb68cdda",
    TINY_MODEL: "9b8bc266c1406e0c6372681e12a17c57f9b2f8e7657f1e3f851b9133edbf2214",
    DEFAULT_EXPERT: "e710c4a2ff27599e485d92e3249d4a1669a57cf518c71af851b22e58009fd498",
    DEFAULT_LANDMARKS: "02a4865ae488a853d26c059de88bec42431472e4fcda1abcb7d96d5c474ace07",
}
_SHIPPED = (  # name, kind, resolution
    (DEFAULT_MODEL, "generator", 160),
    (TINY_MODEL, "generator", 160),
    (DEFAULT_EXPERT, "expert", 96),
    (DEFAULT_LANDMARKS, "landmarks", 128),
)
_MODELS = {
    name: ModelEntry(
        name=name,
        kind=kind,
        resolution=resolution,
        licence="Apache-2.0",
        sha256=_SHA256[name],
        source="shipped",
        path=_FOLDER / f"{name}.onnx",
    )
    for name, kind, resolution in _SHIPPED
}


def available_models() -> list[ModelEntry]:
    """The models that can be asked for by name: shipped, converted, remote.

    A file in the models folder that is no model is left out, with a warning.

    Raises:
        ConfigError: If the user's catalogue cannot be read.
    """
    catalogue = load_catalogue()
    listed = dict(_MODELS)
    for name in _kept_names():
        if name in _MODELS:
            log.warning("%s in %s is hidden by the shipped model", name, models_folder())
            continue
        try:
            kept = _kept(name, catalogue)
        except (CheckpointError, ConfigError) as err:
            log.warning("left out: %s", err)
            continue
        if kept is not None:
            listed[name] = kept
    for name, remote in catalogue.items():
        if name not in listed:
            listed[name] = _remote_entry(remote)
        elif listed[name].source != "remote":
            log.warning(
                "remote model %s is hidden by the %s one; give it another name in the catalogue",
                name,
                listed[name].source,
            )
    order = get_args(Source)
    return sorted(listed.values(), key=lambda entry: order.index(entry.source))


def model_path(model: str) -> Path:
    """Find a model's file and make sure that it is whole.

    Args:
        model: A known name, or the path of a file.

    Returns:
        The file: ONNX, unless the model was fetched in the form of its publisher.

    Raises:
        CheckpointError: If the name is unknown (lists the known ones), or the file is missing or
            not the one that was shipped, converted or fetched.
        ConfigError: If the name is none of a shipped model and the user's catalogue cannot be read.
    """
    if model in _MODELS:
        return _verified(_MODELS[model], "install lipwright again")
    if is_name(model):
        catalogue = load_catalogue()
        kept = _kept(model, catalogue)
        if kept is not None:
            again = f"convert it again; if you changed it, remove {_record(model)}"
            fetch = f"fetch it again: lipwright models pull {model}"
            return _verified(kept, again if kept.source == "converted" else fetch)
        if model in catalogue:
            raise CheckpointError(_not_fetched(_remote_entry(catalogue[model])))
    path = Path(model)
    if path.is_file():
        return path
    if path.suffix in SUFFIXES or len(path.parts) > 1:
        raise CheckpointError(f"no such model file: {model!r}")
    known = dict.fromkeys([*_MODELS, *_kept_names(), *load_catalogue()])
    raise CheckpointError(
        f"unknown model {model!r}; known: {', '.join(known)}; or give the path of an .onnx file"
    )


def require_free_name(name: str) -> None:
    """Make sure that a converted model may have a name; it may replace one of its kind.

    Raises:
        ConfigError: If it is no name, or a shipped or fetched model has it.
    """
    require_name(name)
    kept = _read_record(name)
    taken = _MODELS.get(name) or (kept if kept and kept.source == "remote" else None)
    if taken is not None:
        raise ConfigError(f"the name {name!r} is taken by a {taken.source} model; choose another")


def register_model(
    path: Path, *, name: str, kind: str, resolution: int, licence: str, origin: str
) -> ModelEntry:
    """Put a converted model into the models folder, so that it can be asked for by name.

    Args:
        path: ONNX file; copied, unless it lies in its place already.
        name: What to call it; a converted model of that name is replaced.
        kind: What it does: ``generator`` or ``expert``.
        resolution: Height and width of a face in pixels.
        licence: Of the weights.
        origin: What it was converted from.

    Returns:
        The model.

    Raises:
        ConfigError: If the name is not one, or taken by a shipped or a fetched model.
        CheckpointError: If the file is missing or the folder cannot be written.
    """
    require_free_name(name)
    if not path.is_file():
        raise CheckpointError(f"no such model file: {str(path)!r}")
    target = models_folder() / f"{name}.onnx"
    if not (target.exists() and target.samefile(path)):
        _copy(path, target)
    return _write_record(
        ModelEntry(
            name=name,
            kind=kind,
            resolution=resolution,
            licence=licence,
            sha256=sha256_of(target),
            source="converted",
            path=target,
            origin=origin,
            size=target.stat().st_size,
        )
    )


def pull_model(
    name: str,
    *,
    accept_licence: str | None = None,
    catalogue: Path | None = None,
    on_progress: OnProgress | None = None,
) -> ModelEntry:
    """Fetch a remote model into the models folder; one that is there is only checked.

    Args:
        name: Its name in the catalogue.
        accept_licence: The licence that the user accepts, if it is not permissive.
        catalogue: TOML file; by default the user's own.
        on_progress: Called with the bytes that are there, and of the whole file.

    Returns:
        The model.

    Raises:
        ConfigError: If the catalogue does not know the name or cannot be read, or a shipped or
            converted model has it.
        LicenceError: If its licence needs to be accepted.
        DownloadError: If it cannot be fetched.
        CheckpointError: If the models folder cannot be written.
    """
    if name in _MODELS:
        raise ConfigError(f"{name} comes with Lipwright; there is nothing to fetch")
    remote = find_remote(name, catalogue)
    kept = _read_record(name)
    if kept is not None and kept.source == "converted" and kept.sha256 != remote.sha256:
        raise ConfigError(
            f"{name} is a converted model in {models_folder()}; give the remote one another name "
            f"in the catalogue"
        )
    require_licence(name, remote.licence, accept=accept_licence)
    to = models_folder() / remote.file
    download(remote.urls, to, sha256=remote.sha256, size=remote.size, on_progress=on_progress)
    return _write_record(_remote_entry(remote))


def _verified(entry: ModelEntry, way_out: str) -> Path:
    if not entry.is_on_disk:
        raise CheckpointError(f"{entry.path} is missing: {way_out}")
    found = sha256_of(entry.path)
    if found != entry.sha256:
        raise CheckpointError(
            f"{entry.path} is damaged (SHA-256 {found[:12]}..., expected {entry.sha256[:12]}...): "
            f"{way_out}"
        )
    return entry.path


def _not_fetched(entry: ModelEntry) -> str:
    if entry.is_on_disk:
        return f"{entry.path} is still to be checked: lipwright models pull {entry.name}"
    return f"model {entry.name} is not on disk; fetch it: lipwright models pull {entry.name}"


def _remote_entry(remote: RemoteModel) -> ModelEntry:
    return ModelEntry(
        name=remote.name,
        kind=remote.kind,
        resolution=remote.resolution,
        licence=remote.licence,
        sha256=remote.sha256,
        source="remote",
        path=models_folder() / remote.file,
        origin=urlsplit(remote.urls[0]).hostname or "",
        size=remote.size,
    )


def _kept_names() -> list[str]:
    """Names of what lies in the models folder."""
    paths = list(models_folder().glob("*"))
    names = {path.stem for path in paths if path.suffix in SUFFIXES}
    noted = {path.stem for path in paths if path.suffix in (".json", ".onnx")}
    return sorted(name for name in names & noted if is_name(name))


def _kept(name: str, catalogue: dict[str, RemoteModel]) -> ModelEntry | None:
    """A model of the models folder; one that was put there by hand is written down."""
    kept = _read_record(name)
    if kept is not None:
        # Of a fetched one, the catalogue has the last word: on its licence, and on its SHA-256.
        is_described = kept.source == "remote" and name in catalogue
        return _remote_entry(catalogue[name]) if is_described else kept
    path = models_folder() / f"{name}.onnx"
    if name in catalogue or not path.is_file():
        return None  # a remote one has to be pulled, which checks it
    metadata = read_onnx_metadata(path)
    kind, resolution = metadata.get("kind", ""), metadata.get("resolution", "")
    if kind not in KINDS or not resolution.isdecimal():
        raise CheckpointError(
            f"{path} does not say what it is (kind {kind!r}, resolution {resolution!r}); put a "
            f"file there that lipwright export wrote"
        )
    return register_model(
        path,
        name=name,
        kind=kind,
        resolution=int(resolution),
        licence=metadata.get("licence", "unknown"),
        origin=path.name,
    )


def _record(name: str) -> Path:
    return models_folder() / f"{name}.json"


def _read_record(name: str) -> ModelEntry | None:
    """What is written beside a model; None if there is nothing, or the model is gone."""
    path = _record(name)
    if not path.is_file():
        return None
    way_out = f"remove it, and convert or pull {name} again"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        entry = ModelEntry(
            name=name,
            kind=str(record["kind"]),
            resolution=int(record["resolution"]),
            licence=str(record["licence"]),
            sha256=str(record["sha256"]),
            source=record["source"],
            path=path.with_name(str(record["file"])),
            origin=str(record["from"]),
            size=int(record["size"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise CheckpointError(f"{path} is damaged: {err!r}; {way_out}") from err
    is_file_name = entry.file in [name + suffix for suffix in SUFFIXES]
    if entry.source not in get_args(Source) or not is_file_name:
        raise CheckpointError(
            f"{path} is damaged: source {entry.source!r}, file {entry.file!r}; {way_out}"
        )
    return entry if entry.is_on_disk else None


def _write_record(entry: ModelEntry) -> ModelEntry:
    record = {
        "file": entry.file,
        "sha256": entry.sha256,
        "size": entry.num_bytes,
        "kind": entry.kind,
        "resolution": entry.resolution,
        "licence": entry.licence,
        "source": entry.source,
        "from": entry.origin,
    }
    path = _record(entry.name)
    try:
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    except OSError as err:
        raise CheckpointError(f"cannot write {path}: {err}; check the folder") from err
    return entry


def _copy(path: Path, target: Path) -> None:
    try:
        with written_whole(target) as temporary:
            shutil.copyfile(path, temporary)
            _record(target.stem).unlink(missing_ok=True)  # it speaks of the file that goes
    except OSError as err:
        raise CheckpointError(
            f"cannot write {target}: {err}; check the folder and the free space"
        ) from err
