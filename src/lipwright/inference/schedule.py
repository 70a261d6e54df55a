"""When each frame of the output is shown, and which frame of the source it shows: pure arithmetic.

Frames of the source are taken as they come and let go as soon as they are over, save for the last
ones, which are played to and fro where the speech is longer than the source.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Generic, TypeVar

from lipwright.errors import ConfigError

S = TypeVar("S")

TAIL_SECONDS = Fraction(2)  # of the video's end, played to and fro under a longer speech


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How a source is shown for as long as a speech lasts."""

    fps: Fraction
    """Rate at which a picture that stands still, and the end of the source, are continued."""
    duration: Fraction
    """Of the speech, in seconds: the output ends with it."""
    tail: int
    """Frames at the end of the source that are played to and fro under a longer speech."""

    def __post_init__(self) -> None:
        if self.tail < 1 or self.fps <= 0 or self.duration <= 0:
            raise ConfigError(
                f"a schedule needs tail, fps and duration above 0, got {self.tail}, {self.fps} "
                f"and {self.duration}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown(Generic[S]):
    """A frame of the output."""

    time: Fraction
    """Its time stamp in seconds."""
    source: S
    """The frame of the source that it shows."""


def show(
    sources: Iterable[S], schedule: Schedule, *, time_of: Callable[[S], Fraction]
) -> Iterator[Shown[S]]:
    """Show a source: as it is, while it lasts; its end to and fro, without a jump, from then on.

    A frame that stands for long is shown several times, for the mouth goes on moving.

    Args:
        sources: Frames of the source in order; those past the end of the speech are not asked for.
        schedule: How.
        time_of: Time stamp of a frame, in seconds; rising.

    Yields:
        The frames of the output, in order.
    """
    period, duration = 1 / schedule.fps, schedule.duration
    kept: deque[S] = deque(maxlen=schedule.tail)
    for source in sources:
        start = time_of(source)
        if kept:
            for time in _held(time_of(kept[-1]), min(start, duration), period=period):
                yield Shown(time=time, source=kept[-1])
        if start >= duration:
            return
        kept.append(source)
    if not kept:
        return
    end = time_of(kept[-1]) + period
    for time in _held(time_of(kept[-1]), min(end, duration), period=period):
        yield Shown(time=time, source=kept[-1])
    for beyond in range(ceil((duration - end) / period)):
        source = kept[-1 - to_and_fro(beyond + 1, len(kept))]
        yield Shown(time=end + beyond * period, source=source)


def _held(start: Fraction, end: Fraction, *, period: Fraction) -> Iterator[Fraction]:
    """Time stamps of one frame of the source: one, or several if it is shown for long."""
    yield start
    if end - start <= 2 * period:
        return
    time = start + period
    while time + period / 2 < end:
        yield time
        time += period


def to_and_fro(step: int, length: int) -> int:
    """Distance from the first of ``length`` places after so many steps to the last and back."""
    if length == 1:
        return 0
    period = 2 * (length - 1)
    return min(step % period, period - step % period)
