"""Video as people have it: for every situation a clip, a command, and what is to come of it.

A maker without test functions: `test_situations.py` says of each row what must be true of the
result, and `benchmarks/situations.py` makes them all to be looked at.
"""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from situation import Situation
from situations_of_formats import FORMATS
from situations_of_people import FACES
from situations_of_rates import RATES
from situations_of_time import TIME

from lipwright.cli import main

SITUATIONS = {each.name: each for each in (*FACES, *TIME, *RATES, *FORMATS)}


@dataclass(frozen=True)
class Played:
    """What came of a situation."""

    code: int
    """Exit code."""
    face: Path
    """The video or picture that was given."""
    out: Path
    """The result; whether it is there or not."""
    printed: bytes
    """What was printed to standard output."""
    told: str
    """What was printed to standard error."""

    @cached_property
    def result(self) -> dict[str, Any]:
        """The JSON that was printed."""
        return dict(json.loads(self.printed or self.told[self.told.index("{") :]))

    @property
    def fates(self) -> list[tuple[float, float, str]]:
        """Start, end and reason of each stretch."""
        return [(s["start"], s["end"], s["reason"]) for s in self.result["stretches"]]


def play(situation: Situation, folder: Path) -> Played:
    """Run one situation through the command line, in this process.

    Args:
        situation: Which.
        folder: Empty; for the clips, and a folder ``out`` for the result.
    """
    place = folder / "out"
    place.mkdir(parents=True)
    is_piped = situation.out == "-"
    out = place / ("piped.mp4" if is_piped else situation.out)
    given = [str(word) for word in situation.command(folder)]
    to = "-" if is_piped else str(out)
    command = ("sync", *given, "-o", to, "--precision", "fp32", "--json")
    printed, told = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with _fed(folder / "stdin"), redirect_stdout(printed), redirect_stderr(told):
        code = _exit_code(command)
    printed.flush()
    piped = printed.buffer.getvalue()
    if is_piped:
        out.write_bytes(piped)
        piped = b""
    return Played(code, Path(given[0]), out, piped, told.getvalue())


def _exit_code(command: tuple[str, ...]) -> int:
    try:
        main(command)
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@contextmanager
def _fed(path: Path) -> Iterator[None]:
    """Give a file, if it is there, to standard input."""
    if not path.exists():
        yield
        return
    before = sys.stdin
    with path.open() as fed:
        sys.stdin = fed
        try:
            yield
        finally:
            sys.stdin = before
