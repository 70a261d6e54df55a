"""Feed hostile files to child processes, and replace a child that dies, hangs or swells."""

import multiprocessing
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fuzz_child import Answer, Exercise, serve

SECONDS = 60.0  # for one file; most take a few hundredths
_SECONDS_TO_START = 300.0  # with its imports, on a busy machine
LARGEST = 3 << 30  # bytes of memory


@dataclass
class Tally:
    """What became of many files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """How many files, by the outcomes of their steps."""
    failures: list[str] = field(default_factory=list)
    """What must not happen, each with the name that repeats it."""

    def __str__(self) -> str:
        lines = [f"{count:6d}  {what}" for what, count in self.outcomes.most_common()]
        return "\n".join([f"{self.outcomes.total():6d}  files", *lines, *self.failures])


class Pool:
    """One child at a time; use it in a ``with`` block."""

    def __init__(
        self,
        exercise: Exercise,
        folder: Path,
        *,
        seconds: float = SECONDS,
        largest: int = LARGEST,
    ) -> None:
        self._exercise = exercise
        self._folder = folder
        self._seconds = seconds
        self._largest = largest
        for name in ("out", "elsewhere", "files"):
            (folder / name).mkdir()

    def __enter__(self) -> "Pool":
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, files: Iterable[tuple[str, bytes]]) -> Tally:
        """Have each file read; those that fail stay in the folder ``files``."""
        tally = Tally()
        for name, raw in files:
            path = self._folder / "files" / name
            path.write_bytes(raw)
            answer = self.ask(path)
            if answer.failure:
                tally.outcomes["failure"] += 1
                tally.failures.append(f"{name}: {answer.failure}")
            else:
                described = ", ".join(f"{key} {value}" for key, value in answer.outcomes.items())
                tally.outcomes[described] += 1
                path.unlink()
        return tally

    def ask(self, path: Path) -> Answer:
        """What becomes of one file."""
        self._pipe.send(path)
        try:
            if not self._pipe.poll(self._seconds):
                return self._replaced(f"hangs: no answer within {self._seconds:g} s")
            answer = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._child.join(self._seconds)
            return self._replaced(f"the interpreter died: exit code {self._child.exitcode}")
        if answer.peak_bytes > self._largest:
            return self._replaced(
                f"took {answer.peak_bytes >> 20} MiB of memory; {answer.outcomes}"
            )
        return answer

    def _replaced(self, failure: str) -> Answer:
        self._stop()
        said = (self._folder / "stderr").read_text(encoding="utf-8", errors="replace")
        self._start()
        return Answer({}, f"{failure}\n{said[-2000:]}")

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._child = context.Process(
            target=serve, args=(theirs, self._exercise, self._folder), daemon=True
        )
        (self._folder / "stderr").write_bytes(b"")
        self._child.start()
        theirs.close()
        if not self._pipe.poll(_SECONDS_TO_START) or not self._pipe.recv():
            raise TimeoutError("a child does not start")

    def _stop(self) -> None:
        self._child.kill()
        self._child.join()
        self._pipe.close()
