"""What is logged while a command runs, for the user to read: each line once."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Notices(logging.Handler):
    """Prints messages on standard error, above any bar; one that was printed is not repeated."""

    def __init__(self) -> None:
        """Have printed nothing yet."""
        super().__init__(logging.WARNING)
        self.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        self._printed: set[str] = set()
        self._turn = Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message."""
        text = self.format(record)
        with self._turn:
            if text not in self._printed:
                self._printed.add(text)
                print(text, file=sys.stderr)  # looked up now: bars put another in its place


@contextmanager
def notices() -> Iterator[None]:
    """Print what is logged during a block."""
    handler, root = Notices(), logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
