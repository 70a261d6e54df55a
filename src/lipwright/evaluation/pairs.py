"""What is evaluated: pairs of a face and a speech, and the video each is held against."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from lipwright.corpus.sources import find_clips
from lipwright.errors import ConfigError, EvaluationError

_REQUIRED = ("face", "speech")
_FILES = ("face", "speech", "truth", "motion", "rendered")
COLUMNS = ("name", *_FILES, "group", "at")
_RENDERED = (".mp4", ".mkv", ".mov")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A face, and what it is to say."""

    name: str
    """A file name without suffix; no two pairs have the same."""
    face: Path
    """Video or picture of the face."""
    speech: Path
    """Recording, or a video with sound."""
    truth: Path | None = None
    """Video of the same person saying this."""
    motion: Path | None = None
    """Video of somebody else saying this, whose mouth moves as it should."""
    rendered: Path | None = None
    """The video, where it was rendered before, perhaps by another tool."""
    group: str = ""
    """For means by group."""
    at: float | None = None
    """Seconds: render from the still of the face video at this time, not from the whole video."""


def read_pairs(path: Path, *, rendered: Path | None = None) -> list[Pair]:
    """Read pairs from a table or from a folder of videos.

    Args:
        path: A TSV file whose first line names its columns: ``face`` and ``speech``, and as needed
            ``name``, ``truth``, ``motion``, ``rendered``, ``group``, ``at``; paths are relative to
            it. Or a folder: each video with sound in it is rendered from the still of its first
            frame and its own speech, and held against itself; its subfolder is its group.
        rendered: Folder with a video for each pair, under its name, that was rendered before.

    Returns:
        At least one pair.

    Raises:
        ConfigError: If the table has an unknown column, a line without a needed value, two pairs
            of one name or a file that is missing; or the folder has no video, or no rendered one
            for a pair.
        CorpusError: If the folder cannot be read.
    """
    pairs = _from_folder(path) if path.is_dir() else _from_table(path)
    counts = Counter(pair.name for pair in pairs)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ConfigError(f"{path}: two pairs are called {twice[0]!r}; give names of their own")
    if rendered is not None:
        pairs = [_with_rendered(pair, rendered) for pair in pairs]
    return pairs


def _from_folder(folder: Path) -> list[Pair]:
    return [
        Pair(
            name=_safe(clip.clip),
            face=clip.picture,
            speech=clip.sound,
            truth=clip.picture,
            group=clip.clip.rpartition("/")[0],
            at=0.0,
        )
        for clip in find_clips([folder])
    ]


def _from_table(path: Path) -> list[Pair]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", strict=True)
            header = list(reader.fieldnames or [])
            _require_columns(path, header)
            pairs = [_pair(path, reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise ConfigError(f"cannot read the table of pairs {path}: {err}") from err
    if not pairs:
        raise ConfigError(f"{path} has no pairs below its header")
    return pairs


def _require_columns(path: Path, header: list[str]) -> None:
    for column in header:
        if column not in COLUMNS:
            near = get_close_matches(column, COLUMNS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(COLUMNS)}"
            raise ConfigError(f"{path}: unknown column {column!r}; {hint}")
    for column in _REQUIRED:
        if column not in header:
            raise ConfigError(
                f"{path}: no column {column!r}; the first line names the columns, with tabs "
                f"between them"
            )


def _pair(path: Path, line: int, row: dict[str | None, str | None]) -> Pair:
    where = f"{path} line {line}"
    if None in row:
        raise ConfigError(f"{where}: more values than columns")
    files: dict[str, Path | None] = {}
    for column in _FILES:
        value = row.get(column) or ""
        if not value and column in _REQUIRED:
            raise ConfigError(f"{where}: no {column}")
        files[column] = path.parent / value if value else None
        if value and not (path.parent / value).is_file():
            raise ConfigError(f"{where}: {column}: no such file: {value!r}")
    face, speech = files["face"], files["speech"]
    assert face is not None, "it is required"  # noqa: S101
    assert speech is not None, "it is required"  # noqa: S101
    name = row.get("name") or _safe(f"{face.stem}_{speech.stem}")
    if name != _safe(name):
        raise ConfigError(f"{where}: {name!r} is no name for a file; take letters, digits, - and _")
    return Pair(
        name=name,
        face=face,
        speech=speech,
        truth=files["truth"],
        motion=files["motion"],
        rendered=files["rendered"],
        group=row.get("group") or "",
        at=_seconds(where, row.get("at") or ""),
    )


def _seconds(where: str, text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError as err:
        raise ConfigError(f"{where}: at must be seconds, got {text!r}") from err
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"{where}: at must be seconds from 0 on, got {text!r}")
    return seconds


def _safe(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "_"


def _with_rendered(pair: Pair, folder: Path) -> Pair:
    paths = [folder / f"{pair.name}{suffix}" for suffix in _RENDERED]
    for path in paths:
        if path.is_file():
            fields = {column: getattr(pair, column) for column in COLUMNS}
            return Pair(**(fields | {"rendered": path}))
    raise ConfigError(
        f"no rendered video for {pair.name!r}: {str(paths[0])!r} is missing; or leave out the "
        f"folder of rendered videos"
    )


def write_pairs(pairs: Sequence[Pair], path: Path) -> None:
    """Write pairs as a table, with absolute paths, under a temporary name; then rename.

    Raises:
        EvaluationError: If the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(COLUMNS)
            for pair in pairs:
                values = {column: getattr(pair, column) for column in COLUMNS}
                values |= {c: values[c] and Path(values[c]).absolute() for c in _FILES}
                writer.writerow(["" if value is None else value for value in values.values()])
        temporary.replace(path)
    except OSError as err:
        raise EvaluationError(f"cannot write {path}: {err}; check the folder") from err
    finally:
        with suppress(OSError):  # where it cannot be removed it was not made
            temporary.unlink(missing_ok=True)
