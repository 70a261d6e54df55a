"""Draw the mouths of frames, some at a time, and join them with their frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lipwright.faces.follow import Face, FollowedPeople
from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.job import Reason, SyncOptions
from lipwright.inference.joining import Joiner
from lipwright.inference.reference import FaceView, ReferenceKeeper, face_view, middle
from lipwright.inference.schedule import Shown
from lipwright.inference.utterance import Utterance
from lipwright.media import NativeFrame

BATCH_SIZE = 8  # frames drawn at a time
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
        self, utterances: Sequence[Utterance], backend: GeneratorBackend, options: SyncOptions
    ) -> None:
        """Know nobody yet.

        Args:
            utterances: What everybody who is followed says, in that order.
            backend: Draws.
            options: How it is to be done.
        """
        self._actors = [_Actor(utterance, backend, options) for utterance in utterances]

    def paint(self, shown: Iterator[Shown[_SourceFrame]]) -> Iterator[Drawn]:
        """Draw frames in order."""
        while batch := list(islice(shown, BATCH_SIZE)):
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scene:
    """One face of one frame."""

    at: Fraction
    """When it is shown, in seconds of the output."""
    shot: int
    face: Face | None


class _Actor:
    """One person, whose reference and joint last as long as a shot."""

    def __init__(
        self, utterance: Utterance, backend: GeneratorBackend, options: SyncOptions
    ) -> None:
        self._utterance, self._backend = utterance, backend
        self._with_original = options.after_speech == "original"
        self._keeper, self._joiner = ReferenceKeeper(backend.resolution), Joiner()
        self._seen_shot = self._joined_shot = 0

    def play(self, frames: list[NativeFrame], scenes: Sequence[_Scene]) -> list[Reason]:
        """Draw one person into frames.

        Args:
            frames: In order; those in which something is drawn are exchanged for new ones.
            scenes: What is known of the person in each.

        Returns:
            What became of each.
        """
        reasons: list[Reason] = [self._reason(scene) for scene in scenes]
        places = [place for place, reason in enumerate(reasons) if reason == "synced"]
        faces = [scenes[place].face for place in places]
        views = [
            face_view(frames[place], face, resolution=self._backend.resolution)
            for place, face in zip(places, faces, strict=True)
            if face is not None
        ]
        if not views:
            return reasons
        references = self._references([scenes[place].shot for place in places], views)
        drawn = self._draw([scenes[place].at for place in places], views, references)
        for place, face, view, reference, picture in zip(
            places, faces, views, references, drawn, strict=True
        ):
            if face is None:
                continue
            if scenes[place].shot != self._joined_shot:
                self._joiner.forget()
                self._joined_shot = scenes[place].shot
            frames[place], share = self._joiner.join(
                frames[place], view, face=face, drawn=picture, reference=reference
            )
            if share == 0:
                reasons[place] = "hidden"
        return reasons

    def _reason(self, scene: _Scene) -> Reason:
        if scene.face is None:
            return "no face"
        speaks = self._utterance.start <= scene.at < self._utterance.end
        return "synced" if speaks or not self._with_original else "no speech"

    def _references(
        self, shots: Sequence[int], views: Sequence[FaceView]
    ) -> list[NDArray[np.uint8]]:
        references = []
        for index, (shot, view) in enumerate(zip(shots, views, strict=True)):
            if shot != self._seen_shot:
                self._keeper.forget()
                self._seen_shot = shot
            rest = zip(shots[index:], views[index:], strict=True)
            self._keeper.offer([other for other_shot, other in rest if other_shot == shot])
            references.append(self._keeper.reference_for(view))
        return references

    def _draw(
        self,
        times: Sequence[Fraction],
        views: Sequence[FaceView],
        references: Sequence[NDArray[np.uint8]],
    ) -> NDArray[np.float32]:
        """``(B, R, R, 3)`` in [0, 1]."""
        windows, amplitudes = self._utterance.inputs(times, self._backend)
        targets = [middle(view.picture, self._backend.resolution) for view in views]
        return self._backend.draw(np.stack(targets), np.stack(references), windows, amplitudes)
