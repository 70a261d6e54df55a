"""What is evaluated: pairs of a face and a speech, and the video each is held against."""

import csv
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from lipwright.checkpoints import written_whole
from lipwright.corpus.sources import VIDEO_SUFFIXES
from lipwright.errors import ConfigError, EvaluationError, MediaError
from lipwright.media import probe

log = logging.getLogger(__name__)

_REQUIRED = ("face", "speech")
_FILES = ("face", "speech", "truth", "motion", "rendered")
COLUMNS = ("name", *_FILES, "group", "at")
_RENDERED = (".mp4", ".mkv", ".mov")
_SOUNDS = (".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".wma")


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
            it. Or a folder: each video in or below it that has sound, or beside which lies a sound
            file of the same stem, is rendered from the still of its first frame and that speech,
            and held against itself; its name is its path with ``_`` between folders, its subfolder
            its group.
        rendered: Folder with a video for each pair, under its name, that was rendered before.

    Returns:
        At least one pair; those of a folder in order of path. A video that cannot be read is
        among them, so that the evaluation says why.

    Raises:
        ConfigError: If the table has an unknown column, a line without a needed value, two pairs
            of one name or a file that is missing; or the folder has no video with sound, or no
            rendered one for a pair.
    """
    pairs = list(_from_folder(path)) if path.is_dir() else _from_table(path)
    if not pairs:
        raise ConfigError(
            f"no pairs in '{path}'; a folder needs videos that have sound or a sound file of the "
            f"same name beside them, a table lines below its header"
        )
    _require_own_names(path, pairs)
    return pairs if rendered is None else [_with_rendered(pair, rendered) for pair in pairs]


def _require_own_names(path: Path, pairs: Sequence[Pair]) -> None:
    seen: dict[str, Pair] = {}
    for pair in pairs:
        # Some file systems do not tell A from a.
        first = seen.setdefault(pair.name.casefold(), pair)
        if first is not pair:
            raise ConfigError(
                f"{path}: two pairs are called {pair.name!r}: of '{first.face}' and "
                f"'{pair.face}'; give them names of their own in the column name, or rename a file"
            )


def _from_folder(folder: Path) -> Iterator[Pair]:
    videos = [path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES]
    for video in sorted(path for path in videos if path.is_file()):
        speech = _speech_of(video)
        if speech is None:
            log.warning("%s: left out, it has no sound, and no sound file lies beside it", video)
            continue
        below = video.relative_to(folder)
        yield Pair(
            name=_safe(below.with_suffix("").as_posix()),
            face=video,
            speech=speech,
            truth=video,
            group="" if below.parent == Path() else below.parent.as_posix(),
            at=0.0,
        )


def _speech_of(video: Path) -> Path | None:
    """The file with a video's sound: itself, else one that lies beside it."""
    try:
        if probe(video).has_sound:
            return video
    except MediaError as err:
        log.warning("%s", err)
        return video
    beside = (video.with_suffix(suffix) for suffix in _SOUNDS)
    return next((path for path in beside if path.is_file()), None)


def _from_table(path: Path) -> list[Pair]:
    try:
        # Spreadsheets begin UTF-8 with a mark.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", strict=True)
            _require_columns(path, list(reader.fieldnames or []))
            return [_pair(path, reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise ConfigError(
            f"cannot read the table of pairs '{path}' ({err}); give a text file in UTF-8 with "
            f"tabs between columns, or a folder of videos"
        ) from err


def _require_columns(path: Path, header: list[str]) -> None:
    for index, column in enumerate(header):
        if column not in COLUMNS:
            near = get_close_matches(column.lower(), COLUMNS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(COLUMNS)}"
            raise ConfigError(f"{path}: unknown column {column!r}; {hint}")
        if column in header[:index]:
            raise ConfigError(f"{path}: column {column!r} stands there twice; remove one")
    for column in _REQUIRED:
        if column not in header:
            raise ConfigError(
                f"{path}: no column {column!r}; the first line names the columns, with tabs "
                f"between them"
            )


def _pair(path: Path, line: int, row: dict[str | None, str | None]) -> Pair:
    where = f"{path} line {line}"
    if None in row:
        raise ConfigError(f"{where}: more values than columns; remove a tab, or name a column")
    texts = {column: row.get(column) or "" for column in COLUMNS}
    for column in _REQUIRED:
        if not texts[column]:
            raise ConfigError(f"{where}: no {column}; each pair needs one")
    files = {
        column: _file(f"{where}: {column}", path.parent, texts[column])
        for column in _FILES
        if texts[column]
    }
    stems = dict.fromkeys(files[column].stem for column in _REQUIRED)
    name = texts["name"] or _safe("_".join(stems))
    if name != _safe(name):
        raise ConfigError(
            f"{where}: name: {name!r} is no name for a file; take letters, digits, dots, - and _, "
            f"such as {_safe(name)!r}"
        )
    return Pair(
        name=name,
        face=files["face"],
        speech=files["speech"],
        truth=files.get("truth"),
        motion=files.get("motion"),
        rendered=files.get("rendered"),
        group=texts["group"],
        at=_seconds(where, texts["at"]),
    )


def _file(where: str, folder: Path, text: str) -> Path:
    path = folder / text
    if not path.is_file():
        raise ConfigError(
            f"{where}: no such file: {text!r}; paths are relative to the table's folder '{folder}'"
        )
    return path


def _seconds(where: str, text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"{where}: at must be seconds from 0 on, got {text!r}; such as 1.5")
    return seconds


def _safe(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "_"


def _with_rendered(pair: Pair, folder: Path) -> Pair:
    for suffix in _RENDERED:
        path = folder / f"{pair.name}{suffix}"
        if path.is_file():
            return replace(pair, rendered=path)
    raise ConfigError(
        f"no rendered video of {pair.name!r}: '{folder / pair.name}' is missing with each of "
        f"{', '.join(_RENDERED)}; render it, take the pair out, or leave out the folder of "
        f"rendered videos"
    )


def write_pairs(pairs: Sequence[Pair], path: Path) -> None:
    """Write pairs as a table, with absolute paths, under a temporary name; then rename.

    Raises:
        EvaluationError: If the file cannot be written.
    """
    try:
        with (
            written_whole(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(COLUMNS)
            for pair in pairs:
                values = {column: getattr(pair, column) for column in COLUMNS}
                values |= {c: values[c] and Path(values[c]).absolute() for c in _FILES}
                writer.writerow(["" if value is None else value for value in values.values()])
    except OSError as err:
        raise EvaluationError(f"cannot write {path}: {err}; check the folder") from err
