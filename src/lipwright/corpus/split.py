"""Who is trained on and who is kept for judging: splits that part speakers, never clips of one.

A split comes from a TOML file, from the file lists of the released system, or, without either,
from folders called train, val and test.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from lipwright.corpus.ledger import SPLITS, Split
from lipwright.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitRule:
    """How clips are shared out."""

    patterns: Mapping[Split, tuple[str, ...]] = field(default_factory=dict)
    """Clip names, or patterns of them such as ``s26/*``; a folder's name takes all in it."""
    one_speaker_per_clip: tuple[str, ...] = ()
    """Patterns of clips that lie in one folder though each has a speaker of its own."""
    default: Split | None = "train"
    """Where clips go that no pattern names; None leaves them out."""
    _listed: Mapping[Split, "_Patterns"] = field(init=False, repr=False, compare=False)
    _apart: "_Patterns" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        listed = {split: _Patterns(patterns) for split, patterns in self.patterns.items()}
        object.__setattr__(self, "_listed", listed)
        object.__setattr__(self, "_apart", _Patterns(self.one_speaker_per_clip))

    def speaker(self, clip: str) -> str:
        """Who speaks: the folder that the clip lies in, unless the rule says otherwise."""
        if self._apart.match(clip):
            return clip
        parts = PurePosixPath(clip).parent.parts
        # The same person may have a folder in each split, which would be no split at all.
        named = [part for part in parts if part not in SPLITS] or list(parts)
        return PurePosixPath(*named).as_posix()

    def split(self, clip: str) -> Split | None:
        """Which part the clip belongs to; None if it is on no list.

        Raises:
            ConfigError: If the clip is on the lists of two parts.
        """
        found = [split for split, patterns in self._listed.items() if patterns.match(clip)]
        if len(found) > 1:
            raise ConfigError(
                f"the split lists clip {clip!r} in both {found[0]!r} and {found[1]!r}; list it once"
            )
        if found:
            return found[0]
        for part in PurePosixPath(clip).parent.parts:
            for split in SPLITS:
                if part == split:
                    return split
        return self.default


class _Patterns:
    """Names and patterns to hold clips against; lists of many thousand names stay fast."""

    def __init__(self, patterns: Iterable[str]) -> None:
        stripped = [pattern.rstrip("/") for pattern in patterns]
        self._names = frozenset(stripped)
        self._globs = [pattern for pattern in stripped if set(pattern) & set("*?[")]

    def match(self, clip: str) -> bool:
        folders = (folder.as_posix() for folder in PurePosixPath(clip).parents)
        if clip in self._names or not self._names.isdisjoint(folders):
            return True
        return any(
            fnmatchcase(clip, pattern) or fnmatchcase(clip, f"{pattern}/*")
            for pattern in self._globs
        )


def load_split(path: Path) -> SplitRule:
    """Read a split.

    Args:
        path: A TOML file with the keys ``train``, ``val``, ``test`` (lists of clips, folders or
            patterns), ``one_speaker_per_clip`` and ``default``; or a folder that holds the lists
            ``train.txt``, ``val.txt``, ``test.txt`` whose lines begin with a clip's name.

    Returns:
        The rule.

    Raises:
        ConfigError: If it cannot be read or holds an unknown key or value.
    """
    if path.is_dir():
        return _from_lists(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as err:
        raise ConfigError(f"cannot read the split {path}: {err}") from err
    known = {*SPLITS, "one_speaker_per_clip", "default"}
    if unknown := sorted(set(table) - known):
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    default = table.pop("default", "train")
    if default not in (*SPLITS, "none"):
        raise ConfigError(f"{path}: default must be train, val, test or none, got {default!r}")
    for key, names in table.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"{path}: {key} must be a list of clip names or patterns")
    return SplitRule(
        patterns={split: tuple(table.get(split, ())) for split in SPLITS},
        one_speaker_per_clip=tuple(table.get("one_speaker_per_clip", ())),
        default=None if default == "none" else default,
    )


def _from_lists(folder: Path) -> SplitRule:
    patterns: dict[Split, tuple[str, ...]] = {}
    for split in SPLITS:
        path = folder / f"{split}.txt"
        if path.exists():
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as err:
                raise ConfigError(f"cannot read the split {path}: {err}") from err
            patterns[split] = tuple(line.split()[0] for line in lines if line.strip())
    if not patterns:
        raise ConfigError(f"{folder} holds no train.txt, val.txt or test.txt")
    return SplitRule(patterns=patterns, default=None)


def require_disjoint(rule: SplitRule, clips: Iterable[str]) -> None:
    """Make sure that nobody speaks in two splits.

    Args:
        rule: How clips are shared out.
        clips: Names of all clips.

    Raises:
        ConfigError: If a speaker or a clip stands in two splits; names it and the splits.
    """
    seen: dict[str, Split] = {}
    for clip in clips:
        split, speaker = rule.split(clip), rule.speaker(clip)
        if split is None:
            continue
        if seen.setdefault(speaker, split) != split:
            raise ConfigError(
                f"speaker {speaker!r} is in both {seen[speaker]!r} and {split!r}; a split must "
                f"part speakers (if every clip of the folder is somebody else, list it under "
                f"one_speaker_per_clip)"
            )
