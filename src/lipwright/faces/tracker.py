"""Find faces in frame after frame: look rarely, track by landmarks, no face for two followers.

Mostly the detector looks at the tracked face alone, and only now and then at the whole frame: what
else there is does not matter while the face is where it is thought to be.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Generic, TypeVar

import numpy as np

from lipwright.faces.boxes import Detection
from lipwright.faces.choose import Chooser
from lipwright.faces.crop import CROP_RULES, CropRule, crop_box
from lipwright.faces.eyes import Box, Glance, crop_of
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.track import overlap

F = TypeVar("F")

SEARCH_EVERY = 3  # frames between two looks of the detector while there is no face
SAME_FACE = 0.5  # of two crops, intersection over union: side by side, faces have less
_MIN_OVERLAP = 0.3  # of a detected and a tracked crop of one face: intersection over union
CONFIRMED_IN_A_ROW = 4  # looks at the face that is tracked alone; then one at everything
_LARGEST_STEP = 0.25  # of the crop's side from frame to frame: more, and the detector looks
_LARGEST_GROWTH = 1.2  # likewise


class Tracker(Generic[F]):
    """Finds one face in frame after frame of a shot."""

    def __init__(
        self, chooser: Chooser[F], *, crop: CropRule, look_every: int, max_gap: Fraction
    ) -> None:
        """Follow nobody yet.

        Args:
            chooser: Says whom.
            crop: Rule of the boxes of :meth:`box_of`.
            look_every: Frames between two looks of the detector at a face that is tracked.
            max_gap: Seconds for which a face that is gone may come back where it was.
        """
        self._chooser, self._crop = chooser, crop
        self._look_every, self._max_gap = look_every, max_gap
        self.num_let_go = 0
        """How often somebody else's face was found where the face had been."""
        self.forget()

    @property
    def place(self) -> Box | None:
        """``(4,)`` the crop of the face as it was last seen; None while it is not."""
        return self._box if self._lost_at is None else None

    def forget(self) -> None:
        """Begin anew: the next frame is of another shot."""
        self._box: Box | None = None
        self._within = np.array([0, 0, 1, 1], dtype=np.float32)
        self._lost_at: Fraction | None = None
        self._until_look = self._num_confirmed = 0

    def look(
        self, glance: Glance[F], time: Fraction, *, taken: Sequence[Box] = ()
    ) -> FaceLandmarks | None:
        """Find the face in the next frame.

        Args:
            glance: The frame.
            time: Its time stamp in seconds.
            taken: ``(4,)`` each: crops of faces that others follow.

        Returns:
            Its landmarks; None if it is not seen.
        """
        found = self._track(glance, taken)
        self._until_look -= 1
        if self._until_look < 0 or (self.may_return(time) and found is None):
            found = self._detect(glance, found, time, taken=taken)
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

    def may_return(self, time: Fraction) -> bool:
        """Whether there was a face a moment ago, and it may come back."""
        if self._box is None:
            return False
        return self._lost_at is None or time - self._lost_at <= self._max_gap

    def _track(self, glance: Glance[F], taken: Sequence[Box]) -> FaceLandmarks | None:
        """Landmarks from where the face was; None if it cannot have moved so."""
        if self._box is None or self._lost_at is not None:
            return None
        found = glance.landmarks(self._box)
        before, after = self._box, crop_of(found)
        side = float(before[2] - before[0])
        step = float(np.abs((after - before)[:2] + (after - before)[2:]).max()) / 2 / side
        growth = float(after[2] - after[0]) / side
        is_smooth = step < _LARGEST_STEP and 1 / _LARGEST_GROWTH < growth < _LARGEST_GROWTH
        return found if is_smooth and not is_taken(after, taken) else None

    def _detect(
        self,
        glance: Glance[F],
        tracked: FaceLandmarks | None,
        time: Fraction,
        *,
        taken: Sequence[Box],
    ) -> FaceLandmarks | None:
        """The face that the detector sees: the one that was tracked, if it is still there."""
        last = crop_of(tracked) if tracked is not None else self._box
        if self.may_return(time) and last is not None:
            chosen = None if tracked is None else self._confirmed(glance, last)
            if chosen is None:
                chosen = _nearest(last, _free(glance, taken))
            if chosen is None:
                self._until_look = 0  # look again at once
                return None
            found = tracked if tracked is not None else glance.landmarks_of(chosen)
            if self._chooser.keeps(found, glance):
                self._remember(chosen)
                return found
            self.num_let_go += 1
            self.forget()
        chosen = self._chooser.choose(_free(glance, taken), glance)
        if chosen is None:
            self._until_look = SEARCH_EVERY - 1
            return None
        self._remember(chosen)
        return glance.landmarks_of(chosen)

    def _confirmed(self, glance: Glance[F], last: Box) -> Detection | None:
        """The face that is tracked, seen without looking at the rest of the frame."""
        chosen = None
        if self._num_confirmed < CONFIRMED_IN_A_ROW:
            close = glance.confirmed(last)
            chosen = None if close is None else _nearest(last, [close])
        self._num_confirmed = 0 if chosen is None else self._num_confirmed + 1
        return chosen

    def _remember(self, chosen: Detection) -> None:
        """Where the crop rule's box lies about the face, until the next look."""
        self._until_look = self._look_every - 1
        square = crop_box(chosen.landmarks)
        taken = CROP_RULES[self._crop](chosen)
        self._within = (taken - np.tile(square[:2], 2)) / (square[2] - square[0])
        if self._crop == "lipwright":
            self._within = np.array([0, 0, 1, 1], dtype=np.float32)


def look_together(
    trackers: Sequence[Tracker[F]], glance: Glance[F], time: Fraction
) -> list[FaceLandmarks | None]:
    """Let several trackers look at one frame; no two take the same face.

    Args:
        trackers: Who is in front keeps a face that two would track.
        glance: The frame.
        time: Its time stamp in seconds.

    Returns:
        Per tracker its face's landmarks; None if it is not seen.
    """
    found = []
    for index, tracker in enumerate(trackers):
        # Those in front where they are in this frame, those behind where they last were.
        places = [other.place for at, other in enumerate(trackers) if at != index]
        taken = [place for place in places if place is not None]
        found.append(tracker.look(glance, time, taken=taken))
    return found


def _free(glance: Glance[F], taken: Sequence[Box]) -> list[Detection]:
    """All faces but those that others follow."""
    return [face for face in glance.faces() if not is_taken(crop_box(face.landmarks), taken)]


def _nearest(last: Box, faces: Sequence[Detection]) -> Detection | None:
    """The face that is where one was, among several; None if none of them is."""
    chosen = max(faces, key=lambda face: overlap(last, crop_box(face.landmarks)), default=None)
    if chosen is None or overlap(last, crop_box(chosen.landmarks)) < _MIN_OVERLAP:
        return None
    return chosen


def is_taken(box: Box, taken: Sequence[Box]) -> bool:
    """Whether a crop, ``(4,)``, is of a face that one of other crops is of."""
    return any(overlap(box, other) >= SAME_FACE for other in taken)
