"""Stop when told to: signals become an exception, so that what is half-written is removed."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Of a terminal's Ctrl-C, of whoever ends processes, and of a terminal that is closed.
_SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

_PATIENCE = 10.0  # seconds after a signal within which others do not count


class Stopped(KeyboardInterrupt):
    """The process was told to stop."""

    def __init__(self, number: int) -> None:
        """Say by what.

        Args:
            number: Of the signal.
        """
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """By convention of shells."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn a signal that asks the process to stop into `Stopped`.

    Those that follow within ten seconds are ignored, for impatience would leave behind what is
    being removed. A signal that is ignored already, as under nohup, stays so.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can they be caught
        yield
        return
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in heard}

    last = float("-inf")

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last < _PATIENCE:
            return
        last = time.monotonic()
        raise Stopped(number)

    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def flush_output() -> OSError | None:
    """Send on what standard output still holds.

    Returns:
        Why nobody takes it; the interpreter then does not try again when it ends.
    """
    try:
        sys.stdout.flush()
    except OSError as err:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        return err
    return None
