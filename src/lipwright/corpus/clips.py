"""A prepared corpus, open for training: its clips by split, each for random access."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lipwright.corpus.ledger import LEDGER_NAME, Accepted, Ledger, Split
from lipwright.corpus.pack import PackReader
from lipwright.errors import CorpusError

_OPEN_PACKS = 1024  # files held open at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Clips:
    """The clips of one split."""

    folder: Path
    """The corpus."""
    entries: tuple[Accepted, ...]
    """Their lines of the ledger, in order of name."""

    def __len__(self) -> int:
        return len(self.entries)

    def open(self, index: int) -> PackReader:
        """Open a clip; the ones last used stay open."""
        return _open(self.folder / self.entries[index].file)


@lru_cache(maxsize=_OPEN_PACKS)
def _open(path: Path) -> PackReader:
    return PackReader(path)


def load_clips(
    folder: Path,
    split: Split,
    *,
    speakers: Iterable[str] | None = None,
    with_puppets: bool = True,
) -> Clips:
    """Open one split of a corpus.

    Args:
        folder: What ``prepare_corpus`` wrote.
        split: Which part.
        speakers: Only these; all by default.
        with_puppets: Take puppets too, not only real clips.

    Returns:
        Its clips.

    Raises:
        CorpusError: If there is no corpus, or the split is empty.
    """
    if not (folder / LEDGER_NAME).exists():
        raise CorpusError(
            f"{str(folder)!r} is not a corpus (no {LEDGER_NAME}); make one: lipwright prepare "
            f"FOLDER --to {folder}"
        )
    wanted = None if speakers is None else set(speakers)
    entries = tuple(
        line
        for line in sorted(Ledger(folder).lines(), key=lambda line: line.clip)
        if isinstance(line, Accepted)
        and line.split == split
        and (with_puppets or line.driver is None)
        and (wanted is None or line.speaker in wanted)
    )
    if not entries:
        of_whom = "" if wanted is None else f" of the speakers {', '.join(sorted(wanted))}"
        raise CorpusError(
            f"{folder} has no clips{of_whom} in the split {split!r}; the reasons are in "
            f"{LEDGER_NAME}, the lists in the split it was prepared with"
        )
    return Clips(folder=folder, entries=entries)
