"""Read a list of jobs from a file, and refuse what is wrong in it before anything is rendered.

[defaults]
preset = "fast"

[[job]]
face = "anna.mp4"
speech = "anna.wav"
out = "dubbed/anna.mp4"
min-face = 0.05
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.errors import ConfigError, LipwrightError
from lipwright.inference.casting import Voice, read_voices
from lipwright.inference.job import SyncOptions
from lipwright.media import Encoding, require_output

T = TypeVar("T")

# Fields whose flag is not their name with dashes.
OPTION_FLAGS = {"use_cache": "cache"}  # so that the other one is --no-cache
ENCODING_FLAGS = {"codec": "video_codec"}
_OPTION_KEYS = OPTION_FLAGS | {"face": "whose_face"}  # for face is the video here
_OWN_KEYS = ("face", "speech", "map", "out", "model")


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchJob:
    """One video to be rendered; see :func:`lipwright.sync`."""

    face: str | Path
    """Shows the face."""
    speech: str | Path | tuple[Voice, ...]
    """What is said, and by whom."""
    out: Path
    """What is written."""
    model: str = DEFAULT_MODEL
    """Which draws."""
    options: SyncOptions = field(default_factory=SyncOptions)
    """How."""
    encoding: Encoding = field(default_factory=Encoding)
    """How pictures are encoded."""


def read_jobs(path: Path) -> tuple[BatchJob, ...]:
    """Read jobs from a file.

    Args:
        path: A TOML file: a table ``[[job]]`` each, with ``face``, ``speech`` or ``map``, and
            ``out``, and perhaps ``model`` and options of ``lipwright sync`` by the names of their
            flags (``whose-face`` for ``--face``), ``true`` or ``false`` where a flag has no
            value. ``[defaults]`` holds what jobs share. Paths count from the file's folder.

    Raises:
        ConfigError: If it cannot be read, or with every job that cannot be done: an unknown key,
            a wrong value, an input that is not there, an output that cannot be written or is
            that of another job.
    """
    try:
        held = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise ConfigError(f"cannot read the jobs '{path}': {err}") from err
    defaults, tables = held.pop("defaults", {}), held.pop("job", [])
    is_list = isinstance(tables, list) and all(isinstance(table, dict) for table in tables)
    if held or not tables or not is_list or not isinstance(defaults, dict):
        raise ConfigError(
            f"the jobs '{path}' must hold tables [[job]], at most one [defaults], and nothing "
            f"else; found {', '.join(sorted(held)) or 'no job'}"
        )
    jobs: list[BatchJob] = []
    problems: list[str] = []
    if "out" in defaults:
        problems.append("[defaults]: out is one job's alone; give every job its own")
    for number, table in enumerate(tables, start=1):
        try:
            job = _job(table, defaults, path.parent)
            _require_possible(job, jobs)
            jobs.append(job)
        except LipwrightError as err:
            problems.append(f"job {number}: {err}")
    if problems:
        raise ConfigError("\n".join([f"nothing is rendered; '{path}' has", *problems]))
    return tuple(jobs)


def _job(table: Mapping[str, object], defaults: Mapping[str, object], folder: Path) -> BatchJob:
    pair = ("speech", "map")
    if any(key in table for key in pair):
        defaults = {key: value for key, value in defaults.items() if key not in pair}
    settings = {**defaults, **table}
    options, encoding = _flags(SyncOptions, _OPTION_KEYS), _flags(Encoding, ENCODING_FLAGS)
    known = [*_OWN_KEYS, *options, *encoding]
    for key, value in settings.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"unknown key {key!r}; {hint}")
        if key in _OWN_KEYS and not isinstance(value, str):
            raise ConfigError(f"{key} must be a text, got {value!r}")
    for key in ("face", "out"):
        if key not in settings:
            raise ConfigError(f"it has no {key}")
    if sum(key in settings for key in pair) != 1:
        raise ConfigError("it needs either speech or map, which says who says what")
    own = {key: str(settings[key]) for key in _OWN_KEYS if key in settings}
    return BatchJob(
        face=_input(own["face"], folder),
        speech=(
            _input(own["speech"], folder) if "speech" in own else read_voices(folder / own["map"])
        ),
        out=folder / own["out"],
        model=_model(own.get("model", DEFAULT_MODEL), folder),
        options=_built(SyncOptions, options, settings, folder),
        encoding=_built(Encoding, encoding, settings, folder),
    )


def _flags(kind: type[object], names: Mapping[str, str]) -> dict[str, str]:
    """Flag -> the field it is of."""
    return {names.get(name, name).replace("_", "-"): name for name in get_type_hints(kind)}


def _built(
    kind: type[T], flags: Mapping[str, str], settings: Mapping[str, object], folder: Path
) -> T:
    hints = get_type_hints(kind)
    values = {
        name: _value(hints[name], settings[flag], flag=flag, folder=folder)
        for flag, name in flags.items()
        if flag in settings
    }
    return kind(**values)


def _value(hint: object, value: object, *, flag: str, folder: Path) -> object:
    """A value as TOML gives it for a field of some type; paths count from the folder."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for kind in kinds:
        if get_origin(kind) is Literal:
            if value in get_args(kind):
                return value
        elif kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        elif kind is Path and isinstance(value, str):
            return folder / value
        elif kind is not NoneType and type(value) is kind:  # true and false are no numbers
            return value
    raise ConfigError(f"{flag} cannot be {value!r}; it takes {_described(kinds)}")


def _described(kinds: tuple[object, ...]) -> str:
    names = {
        str: "a text",
        Path: "a path",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
    }
    said = []
    for kind in kinds:
        if get_origin(kind) is Literal:
            said.append("one of " + ", ".join(str(known) for known in get_args(kind)))
        elif isinstance(kind, type) and kind in names:
            said.append(names[kind])
    return " or ".join(said)


def _input(name: str, folder: Path) -> str | Path:
    if name == "-":
        raise ConfigError("'-' would be standard input, which a list of jobs cannot share")
    return name if "://" in name else folder / name


def _model(name: str, folder: Path) -> str:
    """A name, or a path that counts from the folder if a file is there."""
    return str(folder / name) if (folder / name).is_file() else name


def _require_possible(job: BatchJob, others: list[BatchJob]) -> None:
    voices = job.speech if isinstance(job.speech, tuple) else (Voice(speech=job.speech),)
    for source in (job.face, *(voice.speech for voice in voices)):
        if isinstance(source, Path) and not source.exists() and "%" not in source.name:
            raise ConfigError(f"no such file: '{source}'")
    if job.out.name == "-":
        raise ConfigError("a list of jobs writes files, not standard output")
    require_output(job.out)
    if any(job.out.resolve() == other.out.resolve() for other in others):
        raise ConfigError(f"'{job.out}' is written by a job before it too")
