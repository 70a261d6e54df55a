"""Stop when told to: signals become an exception, so that what is half-written is removed."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Of a terminal's Ctrl-C, of whoever ends processes, and of a terminal that is closed.
_SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


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
    """Turn the first signal that asks the process to stop into `Stopped`.

    Those after it are ignored until the block ends, for impatience would leave behind what the
    first one has removed. A signal that is ignored already, as under nohup, stays so.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can they be caught
        yield
        return
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in heard}

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in heard:
            signal.signal(each, signal.SIG_IGN)
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
