"""The default flow: decode -> follow -> schedule -> generator -> composite, as frames come.

Frames stay in their own pixel format, and each stage works a few frames ahead of the next in a
thread of its own, so memory does not grow with the video and the first frame is out at once.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile, repeat
from math import ceil

from lipwright.composite import dissolve
from lipwright.errors import NoFaceError
from lipwright.faces.choose import Who
from lipwright.faces.eyes import KnowingEyes
from lipwright.faces.follow import FollowConfig, FollowedPeople, follow_people
from lipwright.inference.absence import with_absences
from lipwright.inference.ahead import run_ahead
from lipwright.inference.backend import BATCH_SIZE, GeneratorBackend
from lipwright.inference.job import Job, Outcome
from lipwright.inference.painter import Drawn, Painter
from lipwright.inference.restore import Restorer
from lipwright.inference.schedule import TAIL_SECONDS, Joint, Schedule, Shown, looped, show
from lipwright.inference.tally import Tally
from lipwright.inference.trackcache import TrackCache, Wanted
from lipwright.inference.utterance import Utterance
from lipwright.media import NativeFrame, encodable, read_native

# Frames that wait between two stages, and their bytes. Drawing takes a batch at a time: with room
# for two before it and behind it, neither neighbour waits for that (more room gains nothing). The
# larger frames are, the more everything waits for the encoder: at 1920x1080 four are enough
# behind it.
FOLLOW_AHEAD, FOLLOW_BYTES = 2 * BATCH_SIZE, 48 * 2**20
DRAWN_AHEAD, DRAWN_BYTES = 2 * BATCH_SIZE, 24 * 2**20
TAIL_BYTES = 256 * 2**20  # of frames kept to continue a video under a longer speech
# Seconds of a video's end that are kept even if it claims to be as long as the speech: it may be
# shorter, and is then continued.
_CLAIM_MARGIN = Fraction(1, 10)
_LEAD_SECONDS = Fraction(1)  # before a segment that are looked at
_BEYOND = Fraction(10**9)  # seconds: after the end of every video
_DISSOLVE_SECONDS = Fraction(8, 25)  # of a loop's end into its start
SourceFrame = FollowedPeople[NativeFrame]


@dataclass(frozen=True, slots=True)
class Role:
    """Somebody in the video, and what is to be said."""

    who: Who
    """Whom to follow."""
    utterance: Utterance
    """What is said."""


def stream_job(
    job: Job,
    roles: Sequence[Role],
    *,
    eyes: KnowingEyes[NativeFrame],
    backend: GeneratorBackend,
    tracks: TrackCache | None = None,
    restorer: Restorer | None = None,
) -> Generator[Drawn, None, None]:
    """Render a job frame by frame.

    Args:
        job: What is rendered and how.
        roles: Who says what; one at least.
        eyes: Find the faces.
        backend: Draws.
        tracks: Known ones, which save looking; without them faces are always followed anew.
        restorer: Works over the mouths that were drawn.

    Yields:
        The frames of the output, in order; closing it stops every stage.

    Raises:
        NoFaceError: If no frame shows a face, after the last frame; or at the first that does not,
            where the job asks for that.
        MediaError: If the source, or a speech, cannot be read to its end.
    """
    schedule = schedule_of(job, roles)
    config = FollowConfig(crop=backend.crop)
    followed = _followed(job, schedule, roles, eyes=eyes, config=config, tracks=tracks)
    painter = Painter([role.utterance for role in roles], backend, job.options, restorer=restorer)
    shown = _shown(with_absences(followed, job), job, schedule)
    tally = Tally(job.fps)
    with closing(painted_ahead(job, shown, painter)) as drawn:
        for frame in drawn:
            tally.add(frame.frame.time, frame.reason)
            yield frame
    require_face(job, tally.outcome())


def painted_ahead(
    job: Job, shown: Iterator[Shown[SourceFrame]], painter: Painter
) -> Generator[Drawn, None, None]:
    """Follow and draw in threads of their own, a few frames ahead.

    Args:
        job: Whose frames are large or small, which says how many may wait.
        shown: The frames of the output, with their faces.
        painter: Draws.

    Yields:
        The frames, in order; closing it stops every stage.
    """
    before, behind = (
        max(1, min(most, room // job.frame_bytes))
        for most, room in ((FOLLOW_AHEAD, FOLLOW_BYTES), (DRAWN_AHEAD, DRAWN_BYTES))
    )
    ready = run_ahead(shown, depth=before, name="lipwright-follow")
    drawn = run_ahead(painter.paint(ready), depth=behind, name="lipwright-draw")
    try:
        yield from drawn
    finally:
        drawn.close()
        ready.close()


def require_face(job: Job, outcome: Outcome) -> None:
    """Make sure that a face was seen.

    Args:
        job: What was rendered.
        outcome: What became of its frames.

    Raises:
        NoFaceError: If none of them showed one.
    """
    if {stretch.reason for stretch in outcome.stretches} == {"no face"}:
        raise NoFaceError(
            f"no face in any of the {outcome.num_frames} frames looked at in '{job.face}'; faces "
            f"smaller than {job.options.min_face:.0%} of the picture are not looked for "
            f"(--min-face)"
        )


def schedule_of(job: Job, roles: Sequence[Role]) -> Schedule:
    """When each frame of a job is shown.

    Args:
        job: Whose source.
        roles: Who says what; one at least.
    """
    duration = max(role.utterance.end for role in roles)
    return Schedule(
        fps=job.fps,
        duration=duration,
        tail=_tail(job, duration),
        extend=job.options.extend,
        is_cut=job.options.after_speech == "cut" or job.info.is_still,
    )


def _shown(
    followed: Iterator[SourceFrame], job: Job, schedule: Schedule
) -> Iterator[Shown[SourceFrame]]:
    """The source as it is scheduled; of a segment, its frames and no others."""
    if job.segment is None:
        yield from show(followed, schedule, time_of=lambda source: source.time)
        return
    start, end = job.segment
    for source in followed:
        if source.time > end:
            return
        if source.time >= start:
            yield Shown(time=source.time, source=source)


def _followed(
    job: Job,
    schedule: Schedule,
    roles: Sequence[Role],
    *,
    eyes: KnowingEyes[NativeFrame],
    config: FollowConfig,
    tracks: TrackCache | None,
) -> Iterator[SourceFrame]:
    """The source's frames and the faces in them."""
    who = [role.who for role in roles]
    if tracks is None or schedule.extend == "loop":  # a loop's frames are not those of the file
        yield from follow_people(source_frames(job, schedule), eyes, who, config)
        return
    wanted = Wanted(
        source=job.face,
        min_face=job.options.min_face,
        config=config,
        who=tuple(who),
        until=schedule.duration if schedule.is_cut else _BEYOND,
    )
    with closing(tracks.follow_people(source_frames(job, schedule), eyes, wanted)) as known:
        yield from known  # what is new is kept at the end


def source_frames(job: Job, schedule: Schedule) -> Iterator[tuple[NativeFrame, Fraction]]:
    """The source's frames with their time stamps: once, or in a loop.

    Args:
        job: Whose source.
        schedule: How it is shown.
    """
    frames: Iterable[NativeFrame] = _decoded(job)
    if schedule.extend == "loop" and not job.info.is_still:
        joint = Joint(
            at=NativeFrame.at, dissolve=dissolve, overlap=ceil(_DISSOLVE_SECONDS * job.fps)
        )
        passes = (_decoded(job) for _ in repeat(None))
        frames = looped(passes, joint, schedule=schedule, time_of=lambda frame: frame.time)
    return ((frame, frame.time) for frame in frames)


def _decoded(job: Job) -> Iterator[NativeFrame]:
    frames = read_native(job.face)
    if job.segment is not None:
        first = job.segment[0] - _LEAD_SECONDS  # so that the face is known where it begins
        frames = dropwhile(lambda frame: frame.time < first, frames)
    # A still is brought to the encoder's format once, not each time that it is shown.
    return (encodable(frame) if frame.is_still else frame for frame in frames)


def _tail(job: Job, duration: Fraction) -> int:
    """Frames of the source's end that are kept: two seconds, or what is needed, or fits."""
    if job.options.extend != "pingpong":
        return 1
    needed = TAIL_SECONDS
    if job.info.duration is not None:  # it may be a little less than is claimed
        needed = min(needed, duration - job.info.duration + _CLAIM_MARGIN)
    return max(1, min(ceil(needed * job.info.fps), TAIL_BYTES // job.frame_bytes))
