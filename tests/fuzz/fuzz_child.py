"""Run in a process of its own: read a hostile file the way the product does, and say what came.

What is allowed: a result, or a `LipwrightError`. The parent sees to crashes, hangs and memory.
"""

import faulthandler
import os
import resource
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from lipwright.errors import LipwrightError

ADDRESS_SPACE = 16 << 30  # bytes; a bomb must not take the machine down with it
Step = Callable[[], object]
Exercise = Callable[[Path, Path], dict[str, Step]]
"""From a file, and a folder that may be written to, to what is done with the file, by name."""

_OPEN_FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod")
_ESCAPES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect")


@dataclass(frozen=True)
class Answer:
    """What became of one file."""

    outcomes: dict[str, str]
    """By step: ``ok``, or the name of the error."""
    failure: str = ""
    """What must not happen and did; else empty."""
    peak_bytes: int = 0
    """The most memory that the process has held so far."""


def serve(connection: Connection, exercise: Exercise, folder: Path) -> None:
    """Answer for each path that comes, until None comes."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    errors = (folder / "stderr").open("a", encoding="utf-8")
    os.dup2(errors.fileno(), 2)  # decoders complain there
    faulthandler.enable(errors)
    written: list[str] = []
    out, elsewhere = folder / "out", folder / "elsewhere"
    os.chdir(elsewhere)
    os.environ["TMPDIR"] = str(elsewhere)
    sys.addaudithook(lambda event, arguments: _watch(event, arguments, out, written))
    connection.send(True)
    while (path := connection.recv()) is not None:
        written.clear()
        outcomes, failure = _run(exercise(path, out))
        left = list(elsewhere.iterdir())
        if written or left:
            failure += f"\nreached outside: {written} {[entry.name for entry in left]}"
        for entry in left:
            entry.unlink()
        connection.send(Answer(outcomes, failure, _peak_bytes()))


def _run(steps: dict[str, Step]) -> tuple[dict[str, str], str]:
    outcomes = {}
    for name, step in steps.items():
        try:
            step()
        except LipwrightError as err:
            outcomes[name] = type(err).__name__
            if not str(err).strip():
                return outcomes, f"{name}: a {type(err).__name__} without a word"
        except BaseException:  # noqa: BLE001 - whatever it is, it is the finding
            return outcomes, f"{name}: {traceback.format_exc()}"
        else:
            outcomes[name] = "ok"
    return outcomes, ""


def _watch(event: str, arguments: tuple[object, ...], out: Path, written: list[str]) -> None:
    if event in _ESCAPES:
        written.append(f"{event} {arguments}")
    elif event == "open":
        name, _, flags = arguments
        if isinstance(flags, int) and flags & _OPEN_FOR_WRITING:
            _note(event, name, out, written)
    elif event in _CHANGES:
        _note(event, arguments[0], out, written)


def _note(event: str, name: object, out: Path, written: list[str]) -> None:
    if isinstance(name, str | bytes | Path):
        path = os.path.abspath(os.fsdecode(name))  # noqa: PTH100 - must not open anything
        if path != os.devnull and not path.startswith(f"{out}{os.sep}"):
            written.append(f"{event} {path}")


def _peak_bytes() -> int:
    # Not of getrusage, which goes on from the parent's.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
