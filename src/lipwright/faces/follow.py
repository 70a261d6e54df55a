"""Follow faces through frames as they come: look rarely, track by landmarks, smooth, late.

The detector looks at every few frames; between its looks the face's own landmarks say where it is.
Frames come out in order, a fraction of a second after they went in: as long as the smoothing looks
ahead, and as long as a gap may last that is bridged. Nothing else is kept, however long the video.
Several followers share one pass of frames, one look of the detector, and no face.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Generic, TypeVar

from lipwright.errors import ConfigError
from lipwright.faces.bridge import Seen, bridged, smoothed
from lipwright.faces.choose import Who, chooser_for
from lipwright.faces.crop import CropRule
from lipwright.faces.eyes import Box, Describe, Eyes, Glance, KnowingEyes, crop_of
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.shots import ShotDetector
from lipwright.faces.track import MAX_GAP, SMOOTHING, require_choice
from lipwright.faces.tracker import SEARCH_EVERY, Tracker, is_taken, look_together

__all__ = [
    "LOOK_EVERY",
    "SEARCH_EVERY",
    "Box",
    "Eyes",
    "Face",
    "FollowConfig",
    "Followed",
    "FollowedPeople",
    "KnowingEyes",
    "crop_of",
    "follow_face",
    "follow_people",
]

F = TypeVar("F")
T = TypeVar("T")

LOOK_EVERY = 6  # frames between two looks of the detector while the face is tracked


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """Where the face is in one frame."""

    box: Box
    """``(4,)`` what the crop rule takes, smoothed in time."""
    landmarks: FaceLandmarks | None
    """Its points and pose; None where it was not seen but bridged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed(Generic[F]):
    """A frame, and where the face is in it."""

    frame: F
    """As it came."""
    time: Fraction
    """Its time stamp in seconds."""
    face: Face | None
    """None where there is none."""
    shot: int
    """Which shot it belongs to, from 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowedPeople(Generic[F]):
    """A frame, and where each one of several people is in it."""

    frame: F
    """As it came."""
    time: Fraction
    """Its time stamp in seconds."""
    faces: tuple[Face | None, ...]
    """One for everybody who is followed, in that order; None who is not there."""
    shot: int
    """Which shot it belongs to, from 0."""

    def alone(self, index: int = 0) -> Followed[F]:
        """The same, of one of the people."""
        return Followed(frame=self.frame, time=self.time, face=self.faces[index], shot=self.shot)


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowConfig:
    """How a face is followed."""

    crop: CropRule = "lipwright"
    """Rule that says which box around the face is followed."""
    choice: str = "largest"
    """Which face :func:`follow_face` takes, where several are seen first: see ``faces.track``."""
    look_every: int = LOOK_EVERY
    """Frames between two looks of the detector at a face that is tracked."""
    smoothing: Fraction = SMOOTHING
    """Standard deviation of the smoothing window in seconds; 0 for none."""
    max_gap: Fraction = MAX_GAP
    """Seconds without a face that are bridged."""

    def __post_init__(self) -> None:
        require_choice(self.choice)
        if self.look_every < 1 or self.smoothing < 0 or self.max_gap < 0:
            raise ConfigError(
                f"look_every must be at least 1, smoothing and max_gap at least 0, got "
                f"{self.look_every}, {self.smoothing} and {self.max_gap}"
            )


def follow_face(
    frames: Iterable[tuple[F, Fraction]], eyes: Eyes[F], config: FollowConfig | None = None
) -> Iterator[Followed[F]]:
    """Follow one face; gaps within a shot are bridged in straight lines, longer ones are left.

    Args:
        frames: Frames with their time stamps in seconds, in order.
        eyes: Sees.
        config: How.

    Yields:
        Every frame, in order.
    """
    config = config or FollowConfig()
    for together in _followed(frames, eyes, None, [config.choice], config):
        yield together.alone()


def follow_people(
    frames: Iterable[tuple[F, Fraction]],
    eyes: KnowingEyes[F],
    who: Sequence[Who],
    config: FollowConfig | None = None,
) -> Iterator[FollowedPeople[F]]:
    """Follow several faces at once; gaps are treated as :func:`follow_face` does.

    Where a position is followed, every shot chooses anew; a person is looked for by sight after
    every cut and every longer gap, and nobody else is taken. No face is given to two of them; who
    stands in front in ``who`` keeps what two would track.

    Args:
        frames: Frames with their time stamps in seconds, in order.
        eyes: See, and tell people apart.
        who: Whom to follow; one at least.
        config: How; its ``choice`` does not count.

    Yields:
        Every frame, in order.

    Raises:
        ConfigError: If nobody is to be followed, or by an unknown position.
    """
    if not who:
        raise ConfigError("nobody is to be followed; name one person at least")
    yield from _followed(frames, eyes, eyes.appearance, who, config or FollowConfig())


def _followed(
    frames: Iterable[tuple[F, Fraction]],
    eyes: Eyes[F],
    describe: Describe[F] | None,
    who: Sequence[Who],
    config: FollowConfig,
) -> Iterator[FollowedPeople[F]]:
    # One branch per person, and one for the shots; who waits longest says how much is kept.
    plain, *branches = _branches(_seen(frames, eyes, describe, who, config), len(who) + 1)
    steady = [_steady(branch, index, config) for index, branch in enumerate(branches)]
    for each in zip(*steady, strict=True):
        shot, _ = next(plain)
        first = each[0]
        yield FollowedPeople(frame=first.frame, time=first.time, faces=_apart(each), shot=shot)


def _branches(items: Iterator[T], num: int) -> list[Iterator[T]]:
    """Iterators that each give all items; only what one of them has yet to give is kept.

    ``itertools.tee`` lets go of what all have given in blocks of 57 items: a second of pictures.
    """
    waiting: list[deque[T]] = [deque() for _ in range(num)]

    def branch(own: deque[T]) -> Iterator[T]:
        while True:
            if not own:
                for item in islice(items, 1):
                    for each in waiting:
                        each.append(item)
            if not own:
                return
            yield own.popleft()

    return [branch(own) for own in waiting]


def _steady(
    seen: Iterator[tuple[int, tuple[Seen[F], ...]]], index: int, config: FollowConfig
) -> Iterator[Seen[F]]:
    alone = (each[index] for _, each in seen)
    return smoothed(bridged(alone, config.max_gap), config.smoothing)


def _apart(each: Sequence[Seen[F]]) -> tuple[Face | None, ...]:
    """Faces of one frame; who was not seen but bridged makes room for who is in that place."""
    faces: list[Face | None] = [None] * len(each)
    taken: list[Box] = []
    for index in sorted(range(len(each)), key=lambda index: each[index].landmarks is None):
        box, landmarks = each[index].box, each[index].landmarks
        if box is not None and not (landmarks is None and is_taken(box, taken)):
            faces[index] = Face(box=box, landmarks=landmarks)
            taken.append(box)
    return tuple(faces)


def _seen(
    frames: Iterable[tuple[F, Fraction]],
    eyes: Eyes[F],
    describe: Describe[F] | None,
    who: Sequence[Who],
    config: FollowConfig,
) -> Iterator[tuple[int, tuple[Seen[F], ...]]]:
    """Shot, and what is seen of each face in each frame, by itself."""
    shots, shot = ShotDetector(), 0
    trackers: list[Tracker[F]] = [
        Tracker(
            chooser_for(one),
            crop=config.crop,
            look_every=config.look_every,
            max_gap=config.max_gap,
        )
        for one in who
    ]
    for frame, time in frames:
        if shots.is_cut(eyes.thumbnail(frame)):
            shot += 1
            for tracker in trackers:
                tracker.forget()
        found = look_together(trackers, Glance(frame, eyes, describe), time)
        yield (
            shot,
            tuple(
                Seen(
                    frame=frame,
                    time=time,
                    # A face that was let go is somebody's of whom nothing else is known.
                    shot=shot + tracker.num_let_go,
                    box=None if face is None else tracker.box_of(face),
                    landmarks=face,
                )
                for tracker, face in zip(trackers, found, strict=True)
            ),
        )
