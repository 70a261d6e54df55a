"""Whom to follow: a place in the picture, or a person who is known by sight."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Generic, Protocol, TypeVar

from lipwright.errors import ConfigError
from lipwright.faces.appearance import OTHER_PERSON, SAME_PERSON, Appearance, likeness
from lipwright.faces.boxes import Detection
from lipwright.faces.eyes import Glance
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.track import CHOICES

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class PersonAt:
    """``index:N``: the N-th person from the left of the first frame in which there are faces.

    That frame is found by looking at every third frame from the first one on. Persons are counted
    from 1, by the middles of their faces; those who come later have no number.
    """

    index: int

    def __str__(self) -> str:
        """As it is given."""
        return f"index:{self.index}"


@dataclass(frozen=True, slots=True)
class PersonNear:
    """``point:X,Y``: the person whose face comes nearest to a point.

    Looked at is the second that begins with the first frame in which there are faces. The point is
    in pixels of the upright picture, as it is shown, from its left upper corner; within a face its
    distance is 0, and of several such faces the one whose middle is nearest counts.
    """

    x: float
    y: float

    def __str__(self) -> str:
        """As it is given."""
        return f"point:{self.x:g},{self.y:g}"


@dataclass(frozen=True, slots=True)
class PersonSpeaking:
    """``speaking``: the person whose mouth fits the video's own sound best.

    Looked at are the ten seconds that begin with the first frame in which there are faces.
    """

    def __str__(self) -> str:
        """As it is given."""
        return "speaking"


FaceChoice = str | PersonAt | PersonNear | PersonSpeaking
"""A name of ``CHOICES`` (every shot chooses anew), or a person (looked for in every shot)."""


def parse_choice(text: str) -> FaceChoice:
    """Read a choice as it is given on the command line.

    Args:
        text: ``largest``, ``central``, ``leftmost``, ``rightmost``, ``index:N``, ``point:X,Y`` or
            ``speaking``.

    Returns:
        What it means.

    Raises:
        ConfigError: If it means nothing; says what would.
    """
    way, _, value = text.partition(":")
    if text in CHOICES:
        return text
    if text == "speaking":
        return PersonSpeaking()
    if way == "index":
        if not re.fullmatch(r"[1-9][0-9]{0,3}", value):
            raise ConfigError(
                f"face {text!r}: persons are counted from 1, left to right; as in index:1"
            )
        return PersonAt(int(value))
    if way == "point":
        return _point(text, value.split(","))
    raise ConfigError(
        f"unknown face choice {text!r}; one of: {', '.join(CHOICES)}, index:N, point:X,Y, speaking"
    )


def _point(text: str, values: list[str]) -> PersonNear:
    try:
        x, y = (float(value) for value in values)
    except ValueError as err:
        raise ConfigError(f"face {text!r}: a point is two numbers; as in point:320,180") from err
    if not (isfinite(x) and isfinite(y)):
        raise ConfigError(f"face {text!r}: a point is in pixels of the picture")
    return PersonNear(x, y)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KnownPerson:
    """Somebody who is known by sight."""

    appearance: Appearance
    """``(APPEARANCE_LENGTH,)`` of the person."""
    others: tuple[Appearance, ...] = ()
    """Of people who are certainly somebody else: they were seen together."""


Who = str | KnownPerson
"""Whom a follower takes: a name of ``CHOICES``, or a person."""


class Chooser(Protocol[F]):
    """Says which face to take where none is followed, and whether it still is the right one."""

    def choose(self, faces: Sequence[Detection], glance: Glance[F]) -> Detection | None:
        """Take one of the faces that nobody else follows, or none."""
        ...

    def keeps(self, landmarks: FaceLandmarks, glance: Glance[F]) -> bool:
        """Whether a face that was followed until now may be followed on."""
        ...


class _ByPosition(Generic[F]):
    """Takes whatever is there."""

    def __init__(self, choice: str) -> None:
        self._rank = CHOICES[choice]

    def choose(self, faces: Sequence[Detection], glance: Glance[F]) -> Detection | None:
        width = glance.width
        return max(faces, key=lambda face: self._rank(face, width), default=None)

    def keeps(self, _landmarks: FaceLandmarks, _glance: Glance[F]) -> bool:
        return True


class _BySight(Generic[F]):
    """Takes one person, and nobody who looks more like somebody else."""

    def __init__(self, person: KnownPerson) -> None:
        self._person = person

    def choose(self, faces: Sequence[Detection], glance: Glance[F]) -> Detection | None:
        best, most = None, SAME_PERSON
        for face in faces:
            seen = glance.appearance_of(face)
            alike = likeness(self._person.appearance, seen)
            if alike >= most and alike > self._to_others(seen):
                best, most = face, alike
        return best

    def keeps(self, landmarks: FaceLandmarks, glance: Glance[F]) -> bool:
        seen = glance.appearance(landmarks)
        alike = likeness(self._person.appearance, seen)
        # A head that turns is less like itself too: only somebody else's face is let go.
        to_others = self._to_others(seen)
        return alike >= OTHER_PERSON and not (to_others >= SAME_PERSON and to_others > alike)

    def _to_others(self, seen: Appearance) -> float:
        return max((likeness(other, seen) for other in self._person.others), default=-1.0)


def chooser_for(who: Who) -> Chooser[F]:
    """What chooses the faces of a follower.

    Args:
        who: Whom it takes.

    Raises:
        ConfigError: If it is a name and not of ``CHOICES``.
    """
    if isinstance(who, KnownPerson):
        return _BySight(who)
    if who not in CHOICES:
        raise ConfigError(f"unknown face choice {who!r}; one of: {', '.join(CHOICES)}")
    return _ByPosition(who)
