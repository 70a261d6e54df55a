"""What a reader must not do, done on purpose: the fuzzing itself is tested with these."""

import os
import signal
from pathlib import Path

import numpy as np
from fuzz_child import Step

from lipwright.errors import MediaError


def exercise_badly(path: Path, out: Path) -> dict[str, Step]:
    """One step, chosen by what the file's name begins with."""
    return {"step": _STEPS.get(path.name.partition("-")[0], lambda: None)}


def _refuse() -> None:
    raise MediaError("no picture; give another file")


def _refuse_silently() -> None:
    raise MediaError


def _raise() -> None:
    raise ZeroDivisionError("of the reader's own")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _hang() -> None:
    signal.pause()


def _swell() -> None:
    np.ones(600 << 20, dtype=np.uint8)


def _write_beside() -> None:
    Path("beside.txt").write_text("escaped", encoding="utf-8")


def _call_a_program() -> None:
    os.system("true")  # noqa: S605, S607, TID251 - to see it told


_STEPS: dict[str, Step] = {
    "refuse": _refuse,
    "mute": _refuse_silently,
    "raise": _raise,
    "die": _die,
    "hang": _hang,
    "swell": _swell,
    "beside": _write_beside,
    "call": _call_a_program,
}
