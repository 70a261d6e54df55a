"""Follow one face through frames as they come: look rarely, track by landmarks, smooth, late.

The detector looks at every few frames; between its looks the face's own landmarks say where it is.
Frames come out in order, a fraction of a second after they went in: as long as the smoothing looks
ahead, and as long as a gap may last that is bridged. Nothing else is kept, however long the video.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces.boxes import Detection
from lipwright.faces.crop import CROP_RULES, CropRule, crop_box
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.points import FIVE_POINTS
from lipwright.faces.shots import ShotDetector
from lipwright.faces.track import CHOICES, MAX_GAP, SMOOTHING, line_at_zero, overlap, require_choice

F = TypeVar("F")
F_contra = TypeVar("F_contra", contravariant=True)
Box = NDArray[np.float32]

LOOK_EVERY = 6  # frames between two looks of the detector while the face is tracked
SEARCH_EVERY = 3  # and while there is none
_MIN_OVERLAP = 0.3  # of a detected and a tracked crop of one face: intersection over union
_LARGEST_STEP = 0.25  # of the crop's side from frame to frame: more, and the detector looks
_LARGEST_GROWTH = 1.2  # likewise
_REACH = 3  # standard deviations that the smoothing window reaches


class Eyes(Protocol[F_contra]):
    """Whatever can see faces in frames of a kind."""

    def detect(self, frame: F_contra) -> list[Detection]:
        """Find the faces, in pixels of the frame."""
        ...

    def landmarks(self, frame: F_contra, box: Box) -> FaceLandmarks:
        """Find the landmarks of the face in a crop, in pixels of the frame."""
        ...

    def thumbnail(self, frame: F_contra) -> NDArray[np.uint8]:
        """``(h, w, 3)`` uint8: the frame made small, to see cuts."""
        ...

    def width(self, frame: F_contra) -> int:
        """Of the frame, in pixels."""
        ...


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
class FollowConfig:
    """How a face is followed."""

    crop: CropRule = "lipwright"
    """Rule that says which box around the face is followed."""
    choice: str = "largest"
    """Which face, where several are seen first: see ``faces.track``."""
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
    seen = _seen(frames, eyes, config)
    yield from _smoothed(_bridged(seen, config.max_gap), config.smoothing)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen(Generic[F]):
    frame: F
    time: Fraction
    shot: int
    box: Box | None
    landmarks: FaceLandmarks | None


def _seen(
    frames: Iterable[tuple[F, Fraction]], eyes: Eyes[F], config: FollowConfig
) -> Iterator[_Seen[F]]:
    """What is seen of the face in each frame, by itself."""
    shots, shot = ShotDetector(), 0
    tracker = _Tracker(eyes, config)
    for frame, time in frames:
        if shots.is_cut(eyes.thumbnail(frame)):
            shot += 1
            tracker.forget()
        found = tracker.look(frame, time)
        box = None if found is None else tracker.box_of(found)
        yield _Seen(frame=frame, time=time, shot=shot, box=box, landmarks=found)


def crop_of(landmarks: FaceLandmarks) -> Box:
    """The crop rule's square of landmarks; that of a detector's five points differs by 1 %.

    Args:
        landmarks: Of a face.

    Returns:
        ``(4,)`` float32 half-open pixels x0 y0 x1 y1.
    """
    five = [landmarks.points[list(places)].mean(axis=0) for places in FIVE_POINTS]
    return crop_box(np.stack(five).astype(np.float32))


class _Tracker(Generic[F]):
    """Finds the face in frame after frame."""

    def __init__(self, eyes: Eyes[F], config: FollowConfig) -> None:
        self._eyes, self._config = eyes, config
        self.forget()

    def forget(self) -> None:
        """Begin anew: the next frame is of another shot."""
        self._box: Box | None = None
        self._within = np.array([0, 0, 1, 1], dtype=np.float32)
        self._lost_at: Fraction | None = None
        self._until_look = 0

    def look(self, frame: F, time: Fraction) -> FaceLandmarks | None:
        """The face's landmarks in the next frame; None if it is not seen."""
        found = self._track(frame)
        self._until_look -= 1
        if self._until_look < 0 or (self._is_tracking(time) and found is None):
            found = self._detect(frame, found, time)
        if found is None:
            if self._lost_at is None and self._box is not None:
                self._lost_at = time
            return None
        self._box, self._lost_at = crop_of(found), None
        return found

    def box_of(self, landmarks: FaceLandmarks) -> Box:
        """What the crop rule takes, which lies about the face as it did at the last look."""
        square = crop_of(landmarks)
        corner, side = np.tile(square[:2], 2), square[2] - square[0]
        return np.asarray(corner + side * self._within, dtype=np.float32)

    def _is_tracking(self, time: Fraction) -> bool:
        """Whether there was a face a moment ago, and it may come back."""
        if self._box is None:
            return False
        return self._lost_at is None or time - self._lost_at <= self._config.max_gap

    def _track(self, frame: F) -> FaceLandmarks | None:
        """Landmarks from where the face was; None if it cannot have moved so."""
        if self._box is None or self._lost_at is not None:
            return None
        found = self._eyes.landmarks(frame, self._box)
        before, after = self._box, crop_of(found)
        side = float(before[2] - before[0])
        step = float(np.abs((after - before)[:2] + (after - before)[2:]).max()) / 2 / side
        growth = float(after[2] - after[0]) / side
        is_smooth = step < _LARGEST_STEP and 1 / _LARGEST_GROWTH < growth < _LARGEST_GROWTH
        return found if is_smooth else None

    def _detect(
        self, frame: F, tracked: FaceLandmarks | None, time: Fraction
    ) -> FaceLandmarks | None:
        """The face that the detector sees: the one that was tracked, if it is still there."""
        detections = self._eyes.detect(frame)
        config, may_return = self._config, self._is_tracking(time)
        last = crop_of(tracked) if tracked is not None else self._box
        if may_return and last is not None:
            chosen = max(
                detections, key=lambda d: overlap(last, crop_box(d.landmarks)), default=None
            )
            if chosen is None or overlap(last, crop_box(chosen.landmarks)) < _MIN_OVERLAP:
                self._until_look = 0  # look again at once
                return None
        else:
            width = self._eyes.width(frame)
            chosen = max(detections, key=lambda d: CHOICES[config.choice](d, width), default=None)
            if chosen is None:
                self._until_look = SEARCH_EVERY - 1
                return None
        self._until_look = config.look_every - 1
        square = crop_box(chosen.landmarks)
        taken = CROP_RULES[config.crop](chosen)
        self._within = (taken - np.tile(square[:2], 2)) / (square[2] - square[0])
        if config.crop == "lipwright":
            self._within = np.array([0, 0, 1, 1], dtype=np.float32)
        return tracked if tracked is not None else self._eyes.landmarks(frame, square)


def _bridged(seen: Iterator[_Seen[F]], max_gap: Fraction) -> Iterator[_Seen[F]]:
    """Frames without a face between two with one, not far apart and of one shot, get a box.

    At the beginning and end of what is seen in a shot the box is held for as long.
    """
    waiting: deque[_Seen[F]] = deque()  # without a face, undecided
    last: _Seen[F] | None = None  # the last one with a face, of this shot
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


def _emptied(waiting: deque[_Seen[F]]) -> Iterator[_Seen[F]]:
    while waiting:
        yield waiting.popleft()


def _between(waiting: deque[_Seen[F]], before: _Seen[F], after: _Seen[F]) -> Iterator[_Seen[F]]:
    """Bridge a gap in a straight line."""
    assert before.box is not None and after.box is not None, "seen"  # noqa: S101, PT018
    for gap in _emptied(waiting):
        share = float((gap.time - before.time) / (after.time - before.time))
        box = (1 - share) * before.box + share * after.box
        yield replace(gap, box=box.astype(np.float32))


def _held(waiting: deque[_Seen[F]], last: _Seen[F], max_gap: Fraction) -> Iterator[_Seen[F]]:
    """Hold the last box for a while after a face has gone."""
    for gap in _emptied(waiting):
        is_near = gap.shot == last.shot and gap.time - last.time <= max_gap
        yield replace(gap, box=last.box) if is_near else gap


def _held_before(
    waiting: deque[_Seen[F]], first: _Seen[F], max_gap: Fraction
) -> Iterator[_Seen[F]]:
    """Hold the first box back for a while before a face was found."""
    for gap in _emptied(waiting):
        is_near = gap.shot == first.shot and first.time - gap.time <= max_gap
        yield replace(gap, box=first.box) if is_near else gap


def _smoothed(seen: Iterator[_Seen[F]], smoothing: Fraction) -> Iterator[Followed[F]]:
    """Average each box with its neighbours in time, in straight lines; see ``smooth_boxes``."""
    reach = _REACH * smoothing
    past: deque[_Seen[F]] = deque()  # frames that are out, for their boxes
    ahead: deque[_Seen[F]] = deque()
    for now in seen:
        ahead.append(now)
        while ahead and now.time - ahead[0].time > reach:
            yield _smooth_first(past, ahead, smoothing)
    while ahead:
        yield _smooth_first(past, ahead, smoothing)


def _smooth_first(
    past: deque[_Seen[F]], ahead: deque[_Seen[F]], smoothing: Fraction
) -> Followed[F]:
    first = ahead.popleft()
    face = None
    if first.box is not None:
        box = _smooth_box(past, first, ahead, smoothing) if smoothing else first.box
        face = Face(box=box, landmarks=first.landmarks)
    # What is kept of a frame that is out is its box alone.
    past.append(replace(first, frame=None, landmarks=None))  # type: ignore[arg-type]
    while first.time - past[0].time > _REACH * smoothing:
        past.popleft()
    return Followed(frame=first.frame, time=first.time, face=face, shot=first.shot)


def _smooth_box(
    past: deque[_Seen[F]], first: _Seen[F], ahead: deque[_Seen[F]], smoothing: Fraction
) -> Box:
    near = [first]
    for side in (reversed(past), iter(ahead)):
        for other in side:
            is_far = abs(other.time - first.time) > _REACH * smoothing
            if other.box is None or other.shot != first.shot or is_far:
                break
            near.append(other)
    offsets = np.array([float(other.time - first.time) for other in near])
    boxes = np.stack([other.box for other in near if other.box is not None])
    weights = np.exp(-0.5 * (offsets / float(smoothing)) ** 2)
    return line_at_zero(offsets, boxes, weights).astype(np.float32)
