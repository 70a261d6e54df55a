"""Make a face's track steady: bridge gaps in straight lines, average over time, a moment late."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Generic, TypeVar

import numpy as np

from lipwright.faces.eyes import Box
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.track import line_at_zero

F = TypeVar("F")
_REACH = 3  # standard deviations that the smoothing window reaches
_TOLERANCE = 1e-9  # seconds by which floats may miss the exact time


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen(Generic[F]):
    """What is seen of a face in one frame, by itself."""

    frame: F
    """As it came."""
    time: Fraction
    """Its time stamp in seconds."""
    shot: int
    """Which shot of this face it belongs to: nothing is bridged from one to the next."""
    box: Box | None
    """``(4,)`` what the crop rule takes; None where the face is not seen."""
    landmarks: FaceLandmarks | None
    """Its points, likewise."""


_Timed = tuple[float, Seen[F]]  # seconds, faster to compare than fractions


def bridged(seen: Iterator[Seen[F]], max_gap: Fraction) -> Iterator[Seen[F]]:
    """Give frames without a face between two with one, not far apart and of one shot, a box.

    At the beginning and end of what is seen in a shot the box is held for as long.

    Args:
        seen: Of one face, in order.
        max_gap: Seconds without a face that are bridged.

    Yields:
        Every frame, in order.
    """
    waiting: deque[Seen[F]] = deque()  # without a face, undecided
    last: Seen[F] | None = None  # the last one with a face, of this shot
    for now in seen:
        if last is not None and last.shot != now.shot:
            yield from _held(waiting, last, max_gap)
            last = None
        elif last is None and waiting and waiting[0].shot != now.shot:
            yield from _emptied(waiting)
        if now.box is not None:
            if last is not None:
                yield from _between(waiting, last, now)
            else:
                yield from _held_before(waiting, now, max_gap)
            last = now
            yield now
            continue
        waiting.append(now)
        if last is not None and now.time - last.time > max_gap:
            yield from _held(waiting, last, max_gap)
            last = None
        while last is None and waiting and now.time - waiting[0].time > max_gap:
            yield waiting.popleft()  # whatever comes next is too far away
    if last is not None:
        yield from _held(waiting, last, max_gap)
    yield from _emptied(waiting)


def smoothed(seen: Iterator[Seen[F]], smoothing: Fraction) -> Iterator[Seen[F]]:
    """Average each box with its neighbours in time, in straight lines; see ``smooth_boxes``.

    Args:
        seen: Of one face, bridged, in order.
        smoothing: Standard deviation of the window in seconds; 0 for none.

    Yields:
        Every frame, in order.
    """
    deviation = float(smoothing)
    reach = _REACH * deviation + _TOLERANCE
    past: deque[_Timed[F]] = deque()  # frames that are out, for their boxes
    ahead: deque[_Timed[F]] = deque()
    for now in seen:
        ahead.append((float(now.time), now))
        while ahead and ahead[-1][0] - ahead[0][0] > reach:
            yield _smooth_first(past, ahead, deviation)
    while ahead:
        yield _smooth_first(past, ahead, deviation)


def _emptied(waiting: deque[Seen[F]]) -> Iterator[Seen[F]]:
    while waiting:
        yield waiting.popleft()


def _between(waiting: deque[Seen[F]], before: Seen[F], after: Seen[F]) -> Iterator[Seen[F]]:
    """Bridge a gap in a straight line."""
    assert before.box is not None and after.box is not None, "seen"  # noqa: S101, PT018
    for gap in _emptied(waiting):
        share = float((gap.time - before.time) / (after.time - before.time))
        box = (1 - share) * before.box + share * after.box
        yield replace(gap, box=box.astype(np.float32))


def _held(waiting: deque[Seen[F]], last: Seen[F], max_gap: Fraction) -> Iterator[Seen[F]]:
    """Hold the last box for a while after a face has gone."""
    for gap in _emptied(waiting):
        is_near = gap.shot == last.shot and gap.time - last.time <= max_gap
        yield replace(gap, box=last.box) if is_near else gap


def _held_before(waiting: deque[Seen[F]], first: Seen[F], max_gap: Fraction) -> Iterator[Seen[F]]:
    """Hold the first box back for a while before a face was found."""
    for gap in _emptied(waiting):
        is_near = gap.shot == first.shot and first.time - gap.time <= max_gap
        yield replace(gap, box=first.box) if is_near else gap


def _smooth_first(past: "deque[_Timed[F]]", ahead: "deque[_Timed[F]]", deviation: float) -> Seen[F]:
    time, first = ahead.popleft()
    box = first.box
    if box is not None and deviation:
        box = _smooth_box(past, (time, first), ahead, deviation)
    # What is kept of a frame that is out is its box alone.
    past.append((time, replace(first, frame=None, landmarks=None)))  # type: ignore[arg-type]
    while time - past[0][0] > _REACH * deviation + _TOLERANCE:
        past.popleft()
    return replace(first, box=box)


def _smooth_box(
    past: "deque[_Timed[F]]", now: "_Timed[F]", ahead: "deque[_Timed[F]]", deviation: float
) -> Box:
    time, first = now
    offsets, boxes = [0.0], [first.box]
    for side in (reversed(past), iter(ahead)):
        for at, other in side:
            is_far = abs(at - time) > _REACH * deviation + _TOLERANCE
            if other.box is None or other.shot != first.shot or is_far:
                break
            offsets.append(at - time)
            boxes.append(other.box)
    distances = np.array(offsets)
    weights = np.exp(-0.5 * (distances / deviation) ** 2)
    near = np.stack([box for box in boxes if box is not None])
    return line_at_zero(distances, near, weights).astype(np.float32)
