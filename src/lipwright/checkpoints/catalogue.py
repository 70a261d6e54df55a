"""Models that lie elsewhere, as a small TOML file describes them.

::

    [models.some-name]
    repository = "owner/name"  # of the Hugging Face hub; or urls = ["https://..."], or both
    revision = "0123456789abcdef0123456789abcdef01234567"
    file = "weights.safetensors"
    sha256 = "..."
    licence = "research-only"  # an SPDX name, or a word of its own
    kind = "generator"
    resolution = 96
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import quote, urlsplit

from lipwright.checkpoints.download import require_url
from lipwright.checkpoints.home import catalogue_path
from lipwright.errors import ConfigError

Kind = Literal["generator", "expert", "landmarks", "judge"]
KINDS: tuple[Kind, ...] = ("generator", "expert", "landmarks", "judge")
SUFFIXES = (".onnx", ".safetensors", ".pth", ".pt", ".ckpt", ".bin")
_HUB = "https://huggingface.co"
_KEYS = (
    "urls",
    "repository",
    "revision",
    "file",
    "sha256",
    "size",
    "licence",
    "kind",
    "resolution",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteModel:
    """A model that can be fetched."""

    name: str
    """Its name."""
    kind: Kind
    """What it does."""
    resolution: int
    """Height and width of a face in pixels."""
    licence: str
    """Of the weights: an SPDX name, or a word such as ``research-only``."""
    sha256: str
    """Of the file, in lower case."""
    urls: tuple[str, ...]
    """Mirrors, in the order in which they are tried."""
    file: str
    """What it is called once it is here: its name with the suffix of the file."""
    size: int | None = None
    """Bytes of the file, where known."""

    def __post_init__(self) -> None:
        require_name(self.name)
        if self.resolution < 1:
            raise ConfigError(f"resolution must be at least 1, got {self.resolution}")
        if self.size is not None and self.size < 1:
            raise ConfigError(f"size must be at least 1 byte, got {self.size}")
        if not re.fullmatch(r"[A-Za-z0-9.+-]+", self.licence):
            raise ConfigError(
                f"licence must be an SPDX name or a word such as research-only, got "
                f"{self.licence!r}"
            )
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ConfigError(f"sha256 must be 64 hexadecimal digits, got {self.sha256!r}")
        if not self.urls:
            raise ConfigError("there must be a URL or a repository of the hub")
        for url in self.urls:
            require_url(url)
        if self.file not in [self.name + suffix for suffix in SUFFIXES]:
            raise ConfigError(
                f"its file must end in one of {' '.join(SUFFIXES)}, got {self.file!r}; where the "
                f'URL does not tell, say it: file = "weights.pth"'
            )


def is_name(text: str) -> bool:
    """Whether a model could be called so."""
    has_letters = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text) is not None
    return has_letters and not text.endswith(SUFFIXES)


def require_name(name: str) -> None:
    """Make sure that a model's name can be a file's name, and no path.

    Raises:
        ConfigError: If it cannot.
    """
    if not is_name(name):
        raise ConfigError(
            f"a model's name is made of letters, digits and . _ - only, begins with a letter or "
            f"digit, and has no file suffix; got {name!r}"
        )


def load_catalogue(path: Path | None = None) -> dict[str, RemoteModel]:
    """Read which models can be fetched.

    Args:
        path: TOML file; by default the user's own, which need not exist.

    Returns:
        Name -> model, in the order of the file.

    Raises:
        ConfigError: If it cannot be read, a key is unknown (with the nearest known one), or a
            value is missing, of the wrong type, or not to be trusted.
    """
    if path is None:
        path = catalogue_path()
        if not path.exists():
            return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as err:
        raise ConfigError(f"cannot read the catalogue {path}: {err}") from err
    loaded = {}
    try:
        _require_known(table, ["models"])
        models = _table(table, "models")
        for name in models:
            loaded[name] = _model(name, _table(models, name))
    except ConfigError as err:
        raise ConfigError(f"{path}: {err}") from err
    return loaded


def find_remote(name: str, path: Path | None = None) -> RemoteModel:
    """Look a model up in a catalogue.

    Args:
        name: Its name.
        path: TOML file; by default the user's own.

    Returns:
        The model.

    Raises:
        ConfigError: If it is no name, the catalogue does not know it (lists those that it knows,
            or shows how to write one), or cannot be read.
    """
    require_name(name)
    models = load_catalogue(path)
    where = path or catalogue_path()
    if not models:
        raise ConfigError(
            f"no catalogue describes {name!r}: write {where} (or give --catalogue FILE) with\n"
            f'[models."{name}"]\nurls = ["https://..."]\nsha256 = "..."\nlicence = "..."\n'
            f"resolution = 96"
        )
    if name not in models:
        raise ConfigError(f"{where}: no model {name!r}; {_nearest(name, models)}")
    return models[name]


def _model(name: str, entry: Mapping[str, object]) -> RemoteModel:
    try:
        _require_known(entry, _KEYS)
        urls = (*_hub_urls(entry), *_texts(entry, "urls"))
        file = _text(entry, "file", default=urlsplit(urls[0]).path if urls else "")
        return RemoteModel(
            name=name,
            kind=_kind(_text(entry, "kind", default="generator")),
            resolution=_number(entry, "resolution"),
            licence=_text(entry, "licence"),
            sha256=_text(entry, "sha256").lower(),
            urls=urls,
            file=name + PurePosixPath(file).suffix.lower(),
            size=_number(entry, "size") if "size" in entry else None,
        )
    except ConfigError as err:
        raise ConfigError(f"model {name!r}: {err}") from err


def _hub_urls(entry: Mapping[str, object]) -> tuple[str, ...]:
    """Where the hub keeps a file of a repository at a commit."""
    if "repository" not in entry:
        if "revision" in entry:
            raise ConfigError("revision is of a repository, and no repository is given")
        return ()
    repository, revision = _text(entry, "repository"), _text(entry, "revision")
    file = _text(entry, "file")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repository, re.ASCII):
        raise ConfigError(f"repository must be OWNER/NAME, got {repository!r}")
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ConfigError(
            f"revision must be a commit (40 hexadecimal digits), got {revision!r}: what a branch "
            f"or tag names may change"
        )
    parts = file.split("/")
    if not all(parts) or {".", ".."} & set(parts):
        raise ConfigError(f"file must be a path within the repository, got {file!r}")
    hub = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB  # as the hub's own client does
    return (f"{hub}/{repository}/resolve/{revision}/{quote(file)}",)


def _kind(value: str) -> Kind:
    for kind in KINDS:
        if value == kind:
            return kind
    *others, last = KINDS
    raise ConfigError(f"kind must be {', '.join(others)} or {last}, got {value!r}")


def _text(entry: Mapping[str, object], key: str, *, default: str | None = None) -> str:
    value = entry.get(key, default)
    if value is None:
        raise ConfigError(f"{key} is missing")
    if not isinstance(value, str):
        raise ConfigError(f"{key} must be a text in quotes, got {value!r}")
    return value


def _number(entry: Mapping[str, object], key: str) -> int:
    if key not in entry:
        raise ConfigError(f"{key} is missing")
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{key} must be a whole number, got {value!r}")
    return value


def _texts(entry: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = entry.get(key, [])
    if not isinstance(value, list):
        raise ConfigError(f"{key} must be a list, got {value!r}")
    return tuple(_text({key: item}, key) for item in value)


def _table(table: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{key} must be a table, got {value!r}")
    return value


def _require_known(table: Iterable[str], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"unknown key {key!r}; {_nearest(key, known)}")


def _nearest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
