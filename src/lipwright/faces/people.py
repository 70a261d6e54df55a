"""Find out who is in a video: a short look at its beginning, before anybody is followed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import NoFaceError
from lipwright.faces.appearance import SAME_PERSON, Appearance, likeness, mean_appearance
from lipwright.faces.boxes import Detection
from lipwright.faces.choose import KnownPerson, PersonAt, PersonNear
from lipwright.faces.crop import crop_box
from lipwright.faces.eyes import Glance, KnowingEyes, crop_of
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.shots import ShotDetector
from lipwright.faces.track import MAX_GAP
from lipwright.faces.tracker import SEARCH_EVERY, Tracker, is_taken, look_together

F = TypeVar("F")

SCAN_SECONDS = Fraction(10)
"""How long people are looked at, from the first frame on in which there are faces."""
FIRST_SECONDS = Fraction(1)
"""Likewise, for ``index`` and ``point``."""
_LOOK_EVERY = 6  # frames between two looks of the detector while there are faces


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sighting:
    """One person, seen through some frames of one shot."""

    times: tuple[Fraction, ...]
    """Time stamps in seconds of the frames that show the face, rising."""
    points: NDArray[np.float32]
    """``(N, NUM_LANDMARKS, 2)`` its landmarks in pixels of the frame."""
    appearance: Appearance
    """``(APPEARANCE_LENGTH,)`` over the sighting."""

    def box(self, index: int) -> NDArray[np.float32]:
        """``(4,)`` the crop rule's square in one of its frames."""
        return crop_of(FaceLandmarks(points=self.points[index], yaw=0.0, pitch=0.0))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Person:
    """Somebody who was seen."""

    sightings: tuple[Sighting, ...]
    """When and where, in the order of time; one at least."""

    @property
    def appearance(self) -> Appearance:
        """``(APPEARANCE_LENGTH,)``: every sighting counts by its length."""
        lengths = np.array([len(s.times) for s in self.sightings], dtype=np.float32)
        return mean_appearance(np.stack([s.appearance for s in self.sightings]) * lengths[:, None])

    @property
    def first_time(self) -> Fraction:
        """Of the first frame that shows the face, in seconds."""
        return self.sightings[0].times[0]

    def was_with(self, other: "Person") -> bool:
        """Whether both were seen in one frame."""
        return not self.times.isdisjoint(other.times)

    @property
    def times(self) -> set[Fraction]:
        """Time stamps in seconds of all frames that show the face."""
        return {time for sighting in self.sightings for time in sighting.times}


def find_people(
    frames: Iterable[tuple[F, Fraction]],
    eyes: KnowingEyes[F],
    *,
    seconds: Fraction = SCAN_SECONDS,
) -> list[Person]:
    """Look who is there, from the first frame on in which there are faces.

    What is kept is a kilobyte per face and frame, never a picture.

    Args:
        frames: Frames with their time stamps in seconds, in order; no more are taken than needed.
        eyes: See, and tell people apart.
        seconds: For how long.

    Returns:
        Everybody, in the order of the first sight, from left to right where that is the same.
        Empty if there is no face.
    """
    scan: _Scan[F] = _Scan(eyes)
    first: Fraction | None = None
    for frame, time in frames:
        if first is not None and time - first > seconds:
            break
        scan.look(frame, time)
        if first is None and scan.has_faces:
            first = time
    return scan.people()


def known_person(person: Person, people: Sequence[Person]) -> KnownPerson:
    """Whom to look for, and whom not to mistake for that.

    Args:
        person: That is looked for.
        people: Everybody who was seen.
    """
    others = [other for other in people if other is not person and other.was_with(person)]
    return KnownPerson(
        appearance=person.appearance, others=tuple(other.appearance for other in others)
    )


def chosen_person(people: Sequence[Person], choice: PersonAt | PersonNear) -> Person:
    """The person that is asked for by a place in the first frames.

    Args:
        people: Everybody who was seen.
        choice: The place.

    Raises:
        NoFaceError: If nobody was seen, or fewer than are counted.
    """
    if not people:
        raise NoFaceError("nobody is seen whom a face could be chosen from; see --min-face")
    start = min(person.first_time for person in people)
    if isinstance(choice, PersonNear):
        point, until = np.array([choice.x, choice.y]), start + FIRST_SECONDS
        return min(people, key=lambda person: _distance(person, point, until))
    present = [person for person in people if person.first_time == start]
    if choice.index > len(present):
        raise NoFaceError(
            f"face index:{choice.index}: the first frame with faces, at {float(start):.2f} s, "
            f"shows {len(present)}; give index:1 to index:{len(present)}, or point:X,Y"
        )
    return sorted(present, key=_first_middle)[choice.index - 1]


class _Once(Generic[F]):
    """Takes one certain detection, and keeps it while it looks like what was seen of it."""

    def __init__(self, face: Detection, seen: Sequence[Appearance]) -> None:
        self._face, self._seen = face, seen

    def choose(self, faces: Sequence[Detection], _glance: Glance[F]) -> Detection | None:
        return next((face for face in faces if face is self._face), None)

    def keeps(self, landmarks: FaceLandmarks, glance: Glance[F]) -> bool:
        # Not every cut is noticed. Whoever is parted wrongly is joined again by `_Scan.people`.
        known = mean_appearance(np.stack(self._seen))
        return likeness(known, glance.appearance(landmarks)) >= SAME_PERSON


class _Spell(Generic[F]):
    """Somebody who is being seen."""

    def __init__(self, face: Detection) -> None:
        self._times: list[Fraction] = []
        self._points: list[NDArray[np.float32]] = []
        self._appearances: list[Appearance] = []
        self.tracker: Tracker[F] = Tracker(
            _Once(face, self._appearances),
            crop="lipwright",
            look_every=_LOOK_EVERY,
            max_gap=MAX_GAP,
        )

    def add(self, found: FaceLandmarks, glance: Glance[F], time: Fraction) -> None:
        if len(self._times) % _LOOK_EVERY == 0:
            self._appearances.append(glance.appearance(found))
        self._times.append(time)
        self._points.append(found.points)

    def sighting(self) -> Sighting:
        return Sighting(
            times=tuple(self._times),
            points=np.stack(self._points),
            appearance=mean_appearance(np.stack(self._appearances)),
        )


class _Scan(Generic[F]):
    """Follows everybody."""

    def __init__(self, eyes: KnowingEyes[F]) -> None:
        self._eyes = eyes
        self._shots = ShotDetector()
        self._now: list[_Spell[F]] = []
        self._past: list[Sighting] = []
        self._until_look = 0

    @property
    def has_faces(self) -> bool:
        return bool(self._now or self._past)

    def look(self, frame: F, time: Fraction) -> None:
        if self._shots.is_cut(self._eyes.thumbnail(frame)):
            self._end(self._now)
            self._until_look = 0
        glance = Glance(frame, self._eyes, self._eyes.appearance)
        for spell, found in zip(
            self._now, look_together([s.tracker for s in self._now], glance, time), strict=True
        ):
            if found is not None:
                spell.add(found, glance, time)
        self._end([spell for spell in self._now if not spell.tracker.may_return(time)])
        self._until_look -= 1
        if self._until_look < 0:
            self._welcome(glance, time)
            self._until_look = (_LOOK_EVERY if self._now else SEARCH_EVERY) - 1

    def _welcome(self, glance: Glance[F], time: Fraction) -> None:
        """Begin to follow whoever is new."""
        for face in glance.faces():
            places = [spell.tracker.place for spell in self._now]
            taken = [place for place in places if place is not None]
            if is_taken(crop_box(face.landmarks), taken):
                continue
            spell: _Spell[F] = _Spell(face)
            found = spell.tracker.look(glance, time, taken=taken)
            if found is not None:
                spell.add(found, glance, time)
                self._now.append(spell)

    def _end(self, spells: Sequence[_Spell[F]]) -> None:
        self._past += [spell.sighting() for spell in spells]
        self._now = [spell for spell in self._now if spell not in spells]

    def people(self) -> list[Person]:
        """Sightings that look alike and were never at one time are one person."""
        sightings = self._past + [spell.sighting() for spell in self._now]
        people: list[Person] = []
        for sighting in sorted(sightings, key=lambda sighting: sighting.times[0]):
            alone = Person(sightings=(sighting,))
            alike = [
                (likeness(person.appearance, sighting.appearance), at)
                for at, person in enumerate(people)
                if not person.was_with(alone)
            ]
            most, at = max(alike, default=(-1.0, 0))
            if most >= SAME_PERSON:
                people[at] = Person(sightings=(*people[at].sightings, sighting))
            else:
                people.append(alone)
        return sorted(people, key=lambda person: (person.first_time, _first_middle(person)))


def _first_middle(person: Person) -> float:
    box = person.sightings[0].box(0)
    return float(box[0] + box[2]) / 2


def _distance(person: Person, point: NDArray[np.float64], until: Fraction) -> tuple[float, float]:
    """From a point to the nearest of a person's early faces: to its crop, and to its middle."""
    boxes = [
        sighting.box(index)
        for sighting in person.sightings
        for index, time in enumerate(sighting.times)
        if time <= until
    ]
    return (
        min(
            (_outside(box, point), float(np.hypot(*((box[:2] + box[2:]) / 2 - point))))
            for box in boxes
        )
        if boxes
        else (np.inf, np.inf)
    )


def _outside(box: NDArray[np.float32], point: NDArray[np.float64]) -> float:
    return float(np.hypot(*np.maximum(np.maximum(box[:2] - point, point - box[2:]), 0)))
