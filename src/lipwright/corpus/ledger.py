"""The book of a corpus: one line for every clip that was looked at, taken or turned down."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lipwright.errors import CorpusError

LEDGER_NAME = "ledger.jsonl"
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
_NAMES = "surrogateescape"  # keeps file names that are not UTF-8 as they are


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A clip that was taken."""

    clip: str
    """Name of the clip: its path below the prepared folder, without suffix."""
    speaker: str
    """Who speaks."""
    split: Split
    """Which part of the corpus it belongs to."""
    num_frames: int
    """Pictures at 25 a second."""
    file: str
    """The pack, relative to the corpus folder."""
    offset_frames: int | None = None
    """Measured: by how many frames the sound must be moved later to fit the picture."""
    confidence: float | None = None
    """How sure that measurement is: see ``corpus.offset``."""
    driver: str | None = None
    """Of a puppet: the clip whose speech and motion it was given. None for a real clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """A clip that was turned down, and why."""

    clip: str
    """Name of the clip: its path below the prepared folder, without suffix."""
    reason: str
    """What was wrong, in words."""


LedgerLine = Accepted | Rejection


class Ledger:
    """The ledger of a corpus folder; lines are appended as clips are finished."""

    def __init__(self, folder: Path) -> None:
        """Point at the ledger of a corpus.

        Args:
            folder: The corpus; need not exist yet.
        """
        self.path = folder / LEDGER_NAME

    def append(self, *lines: LedgerLine) -> None:
        """Add lines to the file, all at once.

        Raises:
            CorpusError: If the file cannot be written.
        """
        text = "".join(_text(line) for line in lines)
        try:
            with self.path.open("a", encoding="utf-8", errors=_NAMES) as file:
                file.write(text)
        except OSError as err:
            raise CorpusError(f"cannot write {self.path}: {err}; check the free space") from err

    def lines(self) -> Iterator[LedgerLine]:
        """Every finished clip; a last line cut short by a crash is passed over.

        Raises:
            CorpusError: If another line is damaged.
        """
        if not self.path.exists():
            return
        # Bytes: a crash may cut a line in the middle of a letter.
        rows = self.path.read_bytes().split(b"\n")
        for number, row in enumerate(rows, start=1):
            if not row.strip():
                continue
            try:
                record = json.loads(row.decode("utf-8", errors=_NAMES))
                status = record.pop("status")
                yield Accepted(**record) if status == "accepted" else Rejection(**record)
            except (ValueError, TypeError, KeyError, AttributeError) as err:
                if number == len(rows):
                    return
                raise CorpusError(f"{self.path} line {number} is damaged: {err}") from err

    def drop_torn_line(self) -> None:
        """Cut off a last line that a crash left unfinished, so that appending stays safe."""
        if self.path.exists():
            with self.path.open("r+b") as file:
                text = file.read()
                if not text.endswith(b"\n"):
                    file.truncate(text.rfind(b"\n") + 1)


def _text(line: LedgerLine) -> str:
    status = "accepted" if isinstance(line, Accepted) else "rejected"
    return json.dumps({"status": status, **asdict(line)}, ensure_ascii=False) + "\n"


def summary(lines: Iterable[LedgerLine]) -> str:
    """Counts of what was taken and of each reason for turning down, as text.

    Args:
        lines: Lines of a ledger.

    Returns:
        Several lines of text.
    """
    taken: Counter[str] = Counter()
    frames: Counter[str] = Counter()
    speakers: dict[str, set[str]] = {}
    reasons: Counter[str] = Counter()
    for line in lines:
        if isinstance(line, Accepted):
            taken[line.split] += 1
            frames[line.split] += line.num_frames
            speakers.setdefault(line.split, set()).add(line.speaker)
        else:
            reasons[line.reason.split(":")[0]] += 1
    rows = [
        f"{split}: {taken[split]} clips, {frames[split] / 25 / 60:.1f} minutes, "
        f"{len(speakers[split])} speakers"
        for split in SPLITS
        if taken[split]
    ]
    rows.append(f"rejected: {reasons.total()} clips")
    rows += [f"  {count} x {reason}" for reason, count in reasons.most_common()]
    return "\n".join(rows)
