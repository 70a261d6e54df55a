"""A stage that works ahead: in order, bounded, and over when it should be."""

import threading
import time
from collections.abc import Iterator

import pytest

from lipwright.inference.ahead import run_ahead


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_items_come_in_order_and_the_thread_ends() -> None:
    assert list(run_ahead(range(100), depth=3, name="ordered")) == list(range(100))
    assert not threads("ordered")


def test_no_more_than_the_depth_is_made_ahead() -> None:
    made = 0

    def items() -> Iterator[int]:
        nonlocal made
        for index in range(50):
            made += 1
            yield index

    ahead = run_ahead(items(), depth=4, name="bounded")
    assert next(ahead) == 0
    time.sleep(0.3)
    assert made <= 1 + 4 + 1  # taken, waiting, in hand
    assert list(ahead) == list(range(1, 50))


def test_an_error_arrives_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken at 3")

    ahead = run_ahead(items(), depth=8, name="broken")
    assert next(ahead) == 1
    assert next(ahead) == 2
    with pytest.raises(ValueError, match="broken at 3"):
        next(ahead)
    assert not threads("broken")


def test_closing_early_closes_the_stage_in_its_own_thread() -> None:
    closed_in: list[str] = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed_in.append(threading.current_thread().name)

    ahead = run_ahead(items(), depth=2, name="closing")
    assert next(ahead) == 0
    ahead.close()
    assert closed_in == ["closing"]
    assert not threads("closing")


def test_stages_can_be_chained() -> None:
    first = run_ahead(range(20), depth=2, name="first")
    second = run_ahead((2 * item for item in first), depth=2, name="second")
    assert list(second) == list(range(0, 40, 2))
    assert not threads("first")
    assert not threads("second")
