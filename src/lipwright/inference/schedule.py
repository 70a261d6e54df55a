"""When each frame of the output is shown, and which frame of the source it shows: pure arithmetic.

Frames of the source are taken as they come and let go as soon as they are over, save for the last
ones, which may be played to and fro where the speech is longer than the source.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Generic, Literal, TypeVar, get_args

from lipwright.errors import ConfigError

S = TypeVar("S")

TAIL_SECONDS = Fraction(2)  # of the video's end, played to and fro under a longer speech


Extend = Literal["pingpong", "loop", "freeze", "trim"]
EXTENDS: tuple[Extend, ...] = get_args(Extend)


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How a source is shown for as long as a speech lasts."""

    fps: Fraction
    """Rate at which a picture that stands still, and the end of the source, are continued."""
    duration: Fraction
    """From the start of the output to the end of the speech, in seconds."""
    tail: int
    """Frames at the end of the source that are played to and fro under a longer speech."""
    extend: Extend = "pingpong"
    """What a longer speech sees after the source's end: its last frames to and fro, all of it
    again, its last frame, or nothing: the output ends there."""
    is_cut: bool = True
    """Whether a longer source is cut where the speech ends."""

    def __post_init__(self) -> None:
        if self.tail < 1 or self.fps <= 0 or self.duration <= 0:
            raise ConfigError(
                f"a schedule needs tail, fps and duration above 0, got {self.tail}, {self.fps} "
                f"and {self.duration}"
            )
        if self.extend not in EXTENDS:
            raise ConfigError(f"extend must be one of {', '.join(EXTENDS)}; got {self.extend!r}")


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
        sources: Frames of the source in order; those past the end of a schedule that cuts are not
            asked for.
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
            until = min(start, duration) if schedule.is_cut else start
            for time in _held(time_of(kept[-1]), until, period=period):
                yield Shown(time=time, source=kept[-1])
        if start >= duration and schedule.is_cut:
            return
        kept.append(source)
    if not kept:
        return
    end = time_of(kept[-1]) + period
    until = min(end, duration) if schedule.is_cut else end
    for time in _held(time_of(kept[-1]), until, period=period):
        yield Shown(time=time, source=kept[-1])
    if schedule.extend == "trim":
        return
    for beyond in range(ceil((duration - end) / period)):
        back = 0 if schedule.extend == "freeze" else to_and_fro(beyond + 1, len(kept))
        yield Shown(time=end + beyond * period, source=kept[-1 - back])


@dataclass(frozen=True, kw_only=True, slots=True)
class Joint(Generic[S]):
    """How the end of one pass over a source becomes the beginning of the next."""

    at: Callable[[S, Fraction], S]
    """The same frame with another time stamp."""
    dissolve: Callable[[S, S, float], S]
    """From the first frame towards the second by a share in (0, 1), with the second's time."""
    overlap: int
    """Frames that dissolve; none where a pass has not twice as many."""


def looped(
    passes: Iterable[Iterable[S]],
    joint: Joint[S],
    *,
    schedule: Schedule,
    time_of: Callable[[S], Fraction],
) -> Iterator[S]:
    """Show a source again and again for as long as a schedule lasts; nothing jumps in between.

    Args:
        passes: Each gives the frames of the source in order; there must be enough of them.
        joint: Joins them.
        schedule: How long, and how long the last frame of a source is shown.
        time_of: Time stamp of a frame, in seconds; rising.

    Yields:
        Frames in the order of time, which goes on through all passes.
    """
    ending: deque[S] = deque()  # of the pass before, still to be shown
    start = Fraction(0)
    for frames in passes:
        num_frames = 0
        waiting: deque[S] = deque()
        origin: Fraction | None = None
        for frame in frames:
            origin = time_of(frame) if origin is None else origin
            moved = joint.at(frame, start + time_of(frame) - origin)
            num_frames += 1
            if ending:
                share = num_frames / (num_frames + len(ending))
                moved = joint.dissolve(ending.popleft(), moved, share)
            waiting.append(moved)
            if len(waiting) > joint.overlap:
                yield waiting.popleft()
        if not waiting:
            return
        start = time_of(waiting[-1]) + 1 / schedule.fps
        if start >= schedule.duration:
            yield from waiting
            return
        if num_frames < 2 * joint.overlap or not joint.overlap:
            yield from waiting
        else:
            ending, start = waiting, time_of(waiting[0])


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
