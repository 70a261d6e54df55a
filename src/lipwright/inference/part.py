"""Draw a part of a job: from a moment on, or single moments; the rest is decoded and no more.

The frames are those that the whole job would show, at the same times. Faces are followed anew a
little before what is drawn, so smoothing and reference may differ a little from the whole job's.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, dropwhile

from lipwright.faces.eyes import KnowingEyes
from lipwright.faces.follow import FollowConfig, FollowedPeople, follow_people
from lipwright.inference.absence import with_absences
from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.job import Job
from lipwright.inference.painter import Drawn, Painter
from lipwright.inference.restore import Restorer
from lipwright.inference.schedule import Schedule, Shown, show
from lipwright.inference.streaming import (
    TAIL_BYTES,
    Role,
    SourceFrame,
    painted_ahead,
    schedule_of,
    source_frames,
)
from lipwright.media import NativeFrame

LEAD_SECONDS = Fraction(2)  # followed before the first frame that is drawn, if memory allows
GLANCE_FRAMES = 12  # that are followed before a single moment
_Timed = tuple[NativeFrame, Fraction]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """What a part is drawn with."""

    job: Job
    """What is rendered and how; no segment of a video."""
    roles: Sequence[Role]
    """Who says what."""
    eyes: KnowingEyes[NativeFrame]
    """Find the faces."""
    backend: GeneratorBackend
    """Draws."""
    restorer: Restorer | None = None
    """Works over the mouths that were drawn."""


def stream_from(stage: Stage, start: Fraction) -> Generator[Drawn, None, None]:
    """Render a job from a moment on.

    Args:
        stage: See.
        start: In seconds of the output.

    Yields:
        The frames of the output from then on, in order; closing it stops every stage.

    Raises:
        NoFaceError: At the first frame without a face, if the job asks for that.
        MediaError: If the source cannot be read to its end.
    """
    schedule = schedule_of(stage.job, stage.roles)
    sources = _followed_from(stage, schedule, start)
    shown = show(sources, schedule, time_of=lambda source: source.time)
    return _painted(stage, dropwhile(lambda one: one.time < start, shown))


def stream_moments(stage: Stage, moments: Sequence[Fraction]) -> Generator[Drawn, None, None]:
    """Render single frames of a job.

    Args:
        stage: See.
        moments: In seconds of the output, rising.

    Yields:
        For each moment the first frame that is shown then or later, if there is one; none twice.

    Raises:
        MediaError: If the source cannot be read.
    """
    schedule = schedule_of(stage.job, stage.roles)
    sources = _followed_around(stage, schedule, moments)
    shown = show(sources, schedule, time_of=lambda source: source.time)
    return _painted(stage, _at_moments(shown, moments))


def _painted(stage: Stage, shown: Iterator[Shown[SourceFrame]]) -> Generator[Drawn, None, None]:
    utterances = [role.utterance for role in stage.roles]
    painter = Painter(utterances, stage.backend, stage.job.options, restorer=stage.restorer)
    return painted_ahead(stage.job, shown, painter)


def _followed_from(stage: Stage, schedule: Schedule, start: Fraction) -> Iterator[SourceFrame]:
    """The source, its faces followed from a little before a moment, or before its end."""
    that_fit = max(GLANCE_FRAMES, TAIL_BYTES // stage.job.frame_bytes)
    num_before = schedule.tail + min(round(LEAD_SECONDS * stage.job.fps), that_fit)
    frames = iter(source_frames(stage.job, schedule))
    held: deque[_Timed] = deque()
    for timed in frames:
        held.append(timed)
        if timed[1] >= start:
            break
        if len(held) > num_before:
            yield _unseen(stage, held.popleft())
    followed = _follow(stage, chain(held, frames))
    yield from with_absences(followed, stage.job)


def _followed_around(
    stage: Stage, schedule: Schedule, moments: Sequence[Fraction]
) -> Iterator[SourceFrame]:
    """The source, its faces followed in the few frames up to each moment, and in its last ones."""
    num_before = max(schedule.tail, GLANCE_FRAMES)
    held: deque[_Timed] = deque()
    waiting = deque(moments)
    for timed in source_frames(stage.job, schedule):
        held.append(timed)
        if len(held) > num_before:
            yield _unseen(stage, held.popleft())
        if waiting and waiting[0] <= timed[1]:
            yield from _follow(stage, held)
            held.clear()
        while waiting and waiting[0] <= timed[1]:
            waiting.popleft()
    yield from _follow(stage, held)


def _follow(stage: Stage, frames: Iterable[_Timed]) -> Iterator[SourceFrame]:
    who = [role.who for role in stage.roles]
    config = FollowConfig(crop=stage.backend.crop)
    for followed in follow_people(frames, stage.eyes, who, config):
        yield replace(followed, shot=followed.shot + 1)


def _unseen(stage: Stage, timed: _Timed) -> SourceFrame:
    frame, time = timed
    return FollowedPeople(frame=frame, time=time, faces=(None,) * len(stage.roles), shot=0)


def _at_moments(
    shown: Iterator[Shown[SourceFrame]], moments: Sequence[Fraction]
) -> Iterator[Shown[SourceFrame]]:
    waiting = deque(moments)
    for one in shown:
        if waiting and waiting[0] <= one.time:
            yield one
        while waiting and waiting[0] <= one.time:
            waiting.popleft()
        if not waiting:
            return
