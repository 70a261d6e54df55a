"""Let a stage of the flow work ahead of the next one: a thread of its own, bounded memory."""

from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 0.05  # seconds between two looks at whether the other side has stopped
_JOIN = 30.0  # seconds that a stage is given to finish what it is in the middle of


class _Ended:
    """What a stage passes on when nothing more comes: the reason, if it is an error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def run_ahead(items: Iterable[T], *, depth: int, name: str) -> Generator[T, None, None]:
    """Take items in a thread, some ahead of whoever asks for them.

    The thread starts when the first item is asked for, and is over when this generator is: at the
    end, at an error, or when it is closed.

    Args:
        items: Iterated, and closed if it can be, in the thread alone.
        depth: Items that may wait; the thread works on one more.
        name: Of the thread.

    Yields:
        The items, in order.

    Raises:
        BaseException: Whatever ``items`` raised, when all before it have been taken.
    """
    waiting: Queue[T | _Ended] = Queue(maxsize=depth)
    stop = Event()
    thread = Thread(target=_produce, args=(items, waiting, stop), name=name, daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _Ended):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stop.set()
        _drain(waiting)
        thread.join(_JOIN)


def _produce(items: Iterable[T], waiting: "Queue[T | _Ended]", stop: Event) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(waiting, item, stop):
                break
    except BaseException as err:  # noqa: BLE001 - raised again by the thread that waits for items
        error = err
    close = getattr(items, "close", None)
    if close is not None:
        close()
    _put(waiting, _Ended(error), stop)


def _put(waiting: "Queue[T | _Ended]", item: T | _Ended, stop: Event) -> bool:
    """Hand an item over; False if nobody wants it any more."""
    while not stop.is_set():
        try:
            waiting.put(item, timeout=_PATIENCE)
        except Full:
            continue
        return True
    return False


def _drain(waiting: "Queue[T | _Ended]") -> None:
    while True:
        try:
            waiting.get_nowait()
        except Empty:
            return
