"""What sees faces in frames, and what several followers share of one frame."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces.appearance import Appearance
from lipwright.faces.boxes import Detection
from lipwright.faces.crop import crop_box
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.points import FIVE_POINTS

F = TypeVar("F")
F_contra = TypeVar("F_contra", contravariant=True)
Box = NDArray[np.float32]
_COUNTS = np.array([[len(places)] for places in FIVE_POINTS], dtype=np.float32)
_BEGINS = np.cumsum([0, *(len(places) for places in FIVE_POINTS[:-1])])
_OF_FIVE = np.concatenate([np.array(places) for places in FIVE_POINTS])
Describe = Callable[[F, FaceLandmarks], Appearance]


class Eyes(Protocol[F_contra]):
    """Whatever can see faces in frames of a kind."""

    def detect(self, frame: F_contra) -> list[Detection]:
        """Find the faces, in pixels of the frame."""
        ...

    def confirm(self, frame: F_contra, box: Box) -> Detection | None:
        """The face whose crop is about this one, ``(4,)``; None if there is none to be seen.

        Far cheaper than looking for faces everywhere.
        """
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


class KnowingEyes(Eyes[F_contra], Protocol[F_contra]):
    """Eyes that can tell people apart."""

    def appearance(self, frame: F_contra, landmarks: FaceLandmarks) -> Appearance:
        """Describe a face by its landmarks; see ``faces.appearance``."""
        ...


class Glance(Generic[F]):
    """One frame, in which each thing is looked for once, however many want to know."""

    def __init__(self, frame: F, eyes: Eyes[F], describe: Describe[F] | None) -> None:
        """Look at nothing yet.

        Args:
            frame: That is looked at.
            eyes: See.
            describe: Tells people apart, where somebody needs to.
        """
        self._frame, self._eyes, self._describe = frame, eyes, describe
        self._faces: list[Detection] | None = None
        self._landmarks: dict[int, FaceLandmarks] = {}
        self._appearances: dict[int, Appearance] = {}

    @property
    def width(self) -> int:
        """Of the frame, in pixels."""
        return self._eyes.width(self._frame)

    def faces(self) -> list[Detection]:
        """All faces that the detector finds."""
        if self._faces is None:
            self._faces = self._eyes.detect(self._frame)
        return self._faces

    def confirmed(self, box: Box) -> Detection | None:
        """The face whose crop is about this one, if there is one."""
        return self._eyes.confirm(self._frame, box)

    def landmarks(self, box: Box) -> FaceLandmarks:
        """Landmarks of the face in a crop."""
        return self._eyes.landmarks(self._frame, box)

    def landmarks_of(self, face: Detection) -> FaceLandmarks:
        """Landmarks of one of :meth:`faces`."""
        key = id(face)  # the list of them keeps it alive
        if key not in self._landmarks:
            self._landmarks[key] = self.landmarks(crop_box(face.landmarks))
        return self._landmarks[key]

    def appearance_of(self, face: Detection) -> Appearance:
        """What one of :meth:`faces` looks like."""
        key = id(face)
        if key not in self._appearances:
            self._appearances[key] = self.appearance(self.landmarks_of(face))
        return self._appearances[key]

    def appearance(self, landmarks: FaceLandmarks) -> Appearance:
        """What the face with these landmarks looks like.

        Raises:
            ConfigError: If these eyes cannot tell people apart.
        """
        if self._describe is None:
            raise ConfigError("these eyes cannot tell people apart; follow a face by its position")
        return self._describe(self._frame, landmarks)


def crop_of(landmarks: FaceLandmarks) -> Box:
    """The crop rule's square of landmarks; that of a detector's five points differs by 1 %.

    Args:
        landmarks: Of a face.

    Returns:
        ``(4,)`` float32 half-open pixels x0 y0 x1 y1.
    """
    five = np.add.reduceat(landmarks.points[_OF_FIVE], _BEGINS) / _COUNTS
    return crop_box(five.astype(np.float32))
