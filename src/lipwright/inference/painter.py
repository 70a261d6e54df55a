"""Draw the mouths of frames, some at a time, and join them with their frames."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, islice

import numpy as np
from numpy.typing import NDArray

from lipwright.faces.follow import Face, FollowedPeople
from lipwright.inference.backend import BATCH_SIZE, GeneratorBackend
from lipwright.inference.job import Reason, SyncOptions
from lipwright.inference.joining import Joiner, RollKeeper
from lipwright.inference.presence import Presence
from lipwright.inference.reference import (
    FaceView,
    Reference,
    ReferenceKeeper,
    face_view,
    landmarks_of,
    middle,
)
from lipwright.inference.restore import MouthRestorer, Restorer
from lipwright.inference.schedule import Shown
from lipwright.inference.utterance import Utterance
from lipwright.media import NativeFrame

log = logging.getLogger(__name__)

LARGEST_FACE = 3  # sides of what the generator draws; from there on the mouth looks soft
_FROM_BEST: tuple[Reason, ...] = ("synced", "hidden", "no speech", "no face")
_SourceFrame = FollowedPeople[NativeFrame]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A frame of the output."""

    frame: NativeFrame
    """As it is to be encoded, its time stamp that of the output."""
    reason: Reason
    """Whether its mouth was drawn anew, or why not."""


class Painter:
    """Draws the people of a video, each saying something of their own."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        backend: GeneratorBackend,
        options: SyncOptions,
        *,
        restorer: Restorer | None = None,
    ) -> None:
        """Know nobody yet.

        Args:
            utterances: What everybody who is followed says, in that order.
            backend: Draws.
            options: How it is to be done.
            restorer: Works over what was drawn.
        """
        self._actors = [_Actor(utterance, backend, options, restorer) for utterance in utterances]
        self._drawn_size = backend.resolution
        self._minds_size = restorer is None

    def paint(self, shown: Iterator[Shown[_SourceFrame]]) -> Iterator[Drawn]:
        """Draw frames in order; what was handed on is not kept while the next ones come."""
        while drawn := deque(self._painted(list(islice(shown, BATCH_SIZE)))):
            while drawn:
                yield drawn.popleft()

    def _painted(self, batch: Sequence[Shown[_SourceFrame]]) -> list[Drawn]:
        self._tell_size([face for one in batch for face in one.source.faces if face])
        frames = [one.source.frame.at(one.time) for one in batch]
        reasons: list[set[Reason]] = [set() for _ in batch]
        for role, actor in enumerate(self._actors):
            scenes = [
                _Scene(at=one.time, shot=one.source.shot, face=one.source.faces[role])
                for one in batch
            ]
            for place, reason in enumerate(actor.play(frames, scenes)):
                reasons[place].add(reason)
        return [
            Drawn(frame, next(reason for reason in _FROM_BEST if reason in each))
            for frame, each in zip(frames, reasons, strict=True)
        ]

    def _tell_size(self, faces: Sequence[Face]) -> None:
        """Say once that a face is much larger than what is drawn of it."""
        side = max((float(face.box[2] - face.box[0]) for face in faces), default=0.0)
        if self._minds_size and side > LARGEST_FACE * self._drawn_size:
            self._minds_size = False
            log.warning(
                "a face is %.0f pixels wide and is drawn at %d, so the mouth will look softer than "
                "the rest; a face restorer sharpens it (--restore), and so does a smaller video",
                side,
                self._drawn_size,
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scene:
    """One person in one frame."""

    at: Fraction
    """When it is shown, in seconds of the output."""
    shot: int
    face: Face | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Take:
    """A face that is to be drawn."""

    place: int
    """Of its frame in the batch."""
    at: Fraction
    face: Face
    roll: float
    """Radians by which the view is turned against the frame."""
    view: FaceView


class _Shot:
    """What is known of one person as long as a shot lasts."""

    def __init__(self, number: int, resolution: int, restorer: MouthRestorer | None) -> None:
        self.number = number
        self.rolls, self.presence = RollKeeper(), Presence()
        self.keeper, self.joiner = ReferenceKeeper(resolution), Joiner()
        self.restorer = restorer


class _Actor:
    """One person, shot by shot."""

    def __init__(
        self,
        utterance: Utterance,
        backend: GeneratorBackend,
        options: SyncOptions,
        restorer: Restorer | None,
    ) -> None:
        self._utterance, self._backend = utterance, backend
        self._options, self._restorer = options, restorer
        self._shot: _Shot | None = None

    def play(self, frames: list[NativeFrame], scenes: Sequence[_Scene]) -> list[Reason]:
        """Draw one person into frames.

        Args:
            frames: In order; those in which something is drawn are exchanged for new ones.
            scenes: What is known of the person in each.

        Returns:
            What became of each.
        """
        reasons: list[Reason] = [self._reason(scene) for scene in scenes]
        wanted = [place for place, reason in enumerate(reasons) if reason == "synced"]
        for number, places in groupby(wanted, key=lambda place: scenes[place].shot):
            shot = self._in_shot(number)
            takes = [
                _taken(place, frames[place], scenes[place], shot, self._backend.resolution)
                for place in places
            ]
            for place in {take.place for take in takes} - self._draw_into(frames, takes, shot):
                reasons[place] = "hidden"
        return reasons

    def _reason(self, scene: _Scene) -> Reason:
        if scene.face is None:
            return "no face"
        speaks = self._utterance.start <= scene.at < self._utterance.end
        return "synced" if speaks or self._options.after_speech != "original" else "no speech"

    def _in_shot(self, number: int) -> _Shot:
        if self._shot is None or self._shot.number != number:
            restorer = None
            if self._restorer is not None:
                restorer = MouthRestorer(self._restorer, strength=self._options.restore_strength)
            self._shot = _Shot(number, self._backend.resolution, restorer)
        return self._shot

    def _draw_into(
        self, frames: list[NativeFrame], takes: Sequence[_Take], shot: _Shot
    ) -> set[int]:
        """Draw the faces of one shot; places of the frames in which that is to be seen."""
        takes = self._in_sight(takes, shot)
        if not takes:
            return set()
        references = []
        for index, take in enumerate(takes):
            shot.keeper.offer([other.view for other in takes[index:]])
            references.append(shot.keeper.reference_for(take.view))
        drawn = self._drawn(takes, references)
        seen = set()
        for take, reference, mouth in zip(takes, references, drawn, strict=True):
            joined, share = shot.joiner.join(
                frames[take.place],
                take.view,
                face=take.face,
                drawn=mouth,
                reference=reference.picture,
                roll=take.roll,
            )
            if share > 0:
                seen.add(take.place)
                if shot.restorer is not None:
                    joined = shot.restorer.restore(joined, take.face, roll=take.roll)
            frames[take.place] = joined
        return seen

    def _in_sight(self, takes: Sequence[_Take], shot: _Shot) -> list[_Take]:
        """Without faces that something hides, unless the job asks to hold them."""
        if self._options.on_no_face == "hold":
            return list(takes)
        views, times = [take.view for take in takes], [take.at for take in takes]
        there = shot.presence.are_there(views, times)
        return [take for take, is_there in zip(takes, there, strict=True) if is_there]

    def _drawn(
        self, takes: Sequence[_Take], references: Sequence[Reference]
    ) -> NDArray[np.float32]:
        """``(B, R, R, 3)`` in [0, 1]."""
        windows, amplitudes = self._utterance.inputs([take.at for take in takes], self._backend)
        targets = [middle(take.view.picture, self._backend.resolution) for take in takes]
        return self._backend.draw(
            np.stack(targets),
            np.stack([reference.picture for reference in references]),
            windows,
            amplitudes,
            landmarks_of(references),
        )


def _taken(place: int, frame: NativeFrame, scene: _Scene, shot: _Shot, resolution: int) -> _Take:
    assert scene.face is not None, "there is nothing to draw"  # noqa: S101 - a caller's promise
    roll = shot.rolls.roll_of(scene.face, scene.at)
    view = face_view(frame, scene.face, resolution=resolution, roll=roll)
    return _Take(place=place, at=scene.at, face=scene.face, roll=roll, view=view)
