"""Draw the mouths of frames, some at a time, and join them with their frames."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, islice

import numpy as np
from numpy.typing import NDArray

from lipwright.faces.follow import Face, FollowedPeople
from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.job import Reason, SyncOptions
from lipwright.inference.joining import Joiner, RollKeeper
from lipwright.inference.presence import Presence
from lipwright.inference.reference import FaceView, ReferenceKeeper, face_view, middle
from lipwright.inference.restore import MouthRestorer, Restorer
from lipwright.inference.schedule import Shown
from lipwright.inference.utterance import Utterance
from lipwright.media import NativeFrame

log = logging.getLogger(__name__)

BATCH_SIZE = 8  # frames drawn at a time
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
        """Draw frames in order."""
        while batch := list(islice(shown, BATCH_SIZE)):
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
            for frame, each in zip(frames, reasons, strict=True):
                yield Drawn(frame, next(reason for reason in _FROM_BEST if reason in each))

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
    shot: int
    face: Face
    roll: float
    """Radians by which the view is turned against the frame."""
    view: FaceView


class _Actor:
    """One person, of whom some things are known as long as a shot lasts."""

    def __init__(
        self,
        utterance: Utterance,
        backend: GeneratorBackend,
        options: SyncOptions,
        restorer: Restorer | None,
    ) -> None:
        self._utterance, self._backend = utterance, backend
        self._with_original = options.after_speech == "original"
        self._keeper, self._joiner = ReferenceKeeper(backend.resolution), Joiner()
        self._rolls, self._presence = RollKeeper(), Presence()
        self._holds = options.on_no_face == "hold"
        self._restorer = None
        if restorer is not None:
            self._restorer = MouthRestorer(restorer, strength=options.restore_strength)
        self._seen_shot = self._found_shot = self._kept_shot = self._joined_shot = 0

    def play(self, frames: list[NativeFrame], scenes: Sequence[_Scene]) -> list[Reason]:
        """Draw one person into frames.

        Args:
            frames: In order; those in which something is drawn are exchanged for new ones.
            scenes: What is known of the person in each.

        Returns:
            What became of each.
        """
        reasons: list[Reason] = [self._reason(scene) for scene in scenes]
        wanted = [
            self._take(place, frames[place], scene, scene.face)
            for place, (scene, reason) in enumerate(zip(scenes, reasons, strict=True))
            if reason == "synced" and scene.face is not None
        ]
        takes = self._in_sight(wanted)
        for hidden in {take.place for take in wanted} - {take.place for take in takes}:
            reasons[hidden] = "hidden"
        if not takes:
            return reasons
        references = self._references(takes)
        for take, reference, drawn in zip(
            takes, references, self._draw(takes, references), strict=True
        ):
            frames[take.place], share = self._joined(frames[take.place], take, reference, drawn)
            if share == 0:
                reasons[take.place] = "hidden"
        return reasons

    def _reason(self, scene: _Scene) -> Reason:
        if scene.face is None:
            return "no face"
        speaks = self._utterance.start <= scene.at < self._utterance.end
        return "synced" if speaks or not self._with_original else "no speech"

    def _take(self, place: int, frame: NativeFrame, scene: _Scene, face: Face) -> _Take:
        if scene.shot != self._seen_shot:
            self._rolls.forget()
            self._seen_shot = scene.shot
        roll = self._rolls.roll_of(face, scene.at)
        view = face_view(frame, face, resolution=self._backend.resolution, roll=roll)
        return _Take(place=place, at=scene.at, shot=scene.shot, face=face, roll=roll, view=view)

    def _in_sight(self, takes: Sequence[_Take]) -> list[_Take]:
        """Without faces that something hides, unless the job asks to hold them."""
        if self._holds:
            return list(takes)
        found: list[_Take] = []
        for shot, group in groupby(takes, key=lambda take: take.shot):
            if shot != self._found_shot:
                self._presence.forget()
                self._found_shot = shot
            together = list(group)
            views, times = [take.view for take in together], [take.at for take in together]
            there = self._presence.are_there(views, times)
            found += [take for take, is_there in zip(together, there, strict=True) if is_there]
        return found

    def _references(self, takes: Sequence[_Take]) -> list[NDArray[np.uint8]]:
        references = []
        for index, take in enumerate(takes):
            if take.shot != self._kept_shot:
                self._keeper.forget()
                self._kept_shot = take.shot
            self._keeper.offer([other.view for other in takes[index:] if other.shot == take.shot])
            references.append(self._keeper.reference_for(take.view))
        return references

    def _joined(
        self,
        frame: NativeFrame,
        take: _Take,
        reference: NDArray[np.uint8],
        drawn: NDArray[np.float32],
    ) -> tuple[NativeFrame, float]:
        """A frame with its new mouth, and how much of it is to be seen."""
        if take.shot != self._joined_shot:
            self._joiner.forget()
            if self._restorer is not None:
                self._restorer.forget()
            self._joined_shot = take.shot
        joined, share = self._joiner.join(
            frame, take.view, face=take.face, drawn=drawn, reference=reference, roll=take.roll
        )
        if self._restorer is not None and share > 0:
            joined = self._restorer.restore(joined, take.face, roll=take.roll)
        return joined, share

    def _draw(
        self, takes: Sequence[_Take], references: Sequence[NDArray[np.uint8]]
    ) -> NDArray[np.float32]:
        """``(B, R, R, 3)`` in [0, 1]."""
        windows, amplitudes = self._utterance.inputs([take.at for take in takes], self._backend)
        targets = [middle(take.view.picture, self._backend.resolution) for take in takes]
        return self._backend.draw(np.stack(targets), np.stack(references), windows, amplitudes)
