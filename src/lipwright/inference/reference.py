"""Choose the picture of the person that the generator starts from, and lay it onto the face.

The frame itself would be nearest in pose, but its mouth still says the old words, and some of that
would show. So an earlier frame with a mouth at rest is kept for as long as the upper half of the
face, which speech hardly moves, looks about the same. It is turned, scaled and shifted so that eyes
and nose lie where the face has them, as in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.faces.crop import widen
from lipwright.faces.follow import Face
from lipwright.faces.motion import alignment
from lipwright.faces.points import shape_of_mouth
from lipwright.media import NativeFrame, rgb_region
from lipwright.media.display import square_to_display

VIEW_MARGIN = 1.3  # side of what is taken of a frame over that of the crop rule
# Mean difference of the upper halves, in levels of 255. Over the corpus, 3 s of a person looking
# into the camera stay below it more than 90 times of 100; a turned head or another light does not.
MAX_CHANGE = 16.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceView:
    """What is seen of a face in one frame, with room to turn it."""

    picture: NDArray[np.uint8]
    """``(V, V, 3)`` uint8 RGB: the crop rule's square widened by ``VIEW_MARGIN``."""
    points: NDArray[np.float32] | None
    """``(NUM_LANDMARKS, 2)`` landmarks in pixels of the picture, if they are known."""


def face_view(frame: NativeFrame, face: Face, *, resolution: int, roll: float = 0.0) -> FaceView:
    """See a face as a generator of some resolution will.

    Args:
        frame: That shows it.
        face: Where it is.
        resolution: R: height and width of what the generator takes, in pixels.
        roll: Radians by which the view is turned against the frame.
    """
    size = view_size(resolution)
    wide = widen(face.box, size / resolution)
    points = None
    if face.landmarks is not None:
        there = np.linalg.inv(square_to_display(wide, size, roll=roll))
        points = (face.landmarks.points @ there[:2, :2].T + there[:2, 2]).astype(np.float32)
    return FaceView(picture=rgb_region(frame, wide, size=size, roll=roll), points=points)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What a generator starts from."""

    picture: NDArray[np.uint8]
    """``(R, R, 3)`` uint8 RGB."""
    points: NDArray[np.float32] | None
    """``(NUM_LANDMARKS, 2)`` landmarks as shares of its side, if they are known."""


class ReferenceKeeper:
    """Keeps one view until the face has moved away from it."""

    def __init__(self, resolution: int) -> None:
        """Keep nothing yet.

        Args:
            resolution: R: height and width of what the generator takes, in pixels.
        """
        self._resolution = resolution
        self._kept: FaceView | None = None

    def forget(self) -> None:
        """Begin anew: what comes next is another face, or another shot."""
        self._kept = None

    def offer(self, views: Sequence[FaceView]) -> None:
        """Show views among which the first reference may be chosen: the one most at rest.

        Args:
            views: Of one face; looked at only while nothing is kept.
        """
        if self._kept is None and views:
            self._kept = min(views, key=_openness)

    def reference_for(self, view: FaceView) -> Reference:
        """The reference for the next face of a video.

        Args:
            view: Of that face.

        Returns:
            The view that is kept, laid onto this one; this one itself if it differs too much from
            that.
        """
        plain = self._as_it_is(view)
        if self._kept is not None:
            laid = self._laid_onto(view, self._kept)
            if _change(laid.picture, plain.picture) <= MAX_CHANGE:
                return laid
        self._kept = view
        return plain

    def _as_it_is(self, view: FaceView) -> Reference:
        size = self._resolution
        edge = (view.picture.shape[0] - size) // 2
        points = None if view.points is None else (view.points - edge) / np.float32(size)
        return Reference(picture=middle(view.picture, size), points=points)

    def _laid_onto(self, view: FaceView, kept: FaceView) -> Reference:
        if view.points is None or kept.points is None:
            return self._as_it_is(kept)
        size = self._resolution
        matrix = alignment(kept.points, view.points)
        matrix[:, 2] -= (view.picture.shape[0] - size) // 2
        points = (kept.points @ matrix[:, :2].T + matrix[:, 2]) / size
        # Landmarks count from the corner of the first pixel, OpenCV from its middle.
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
        laid = cv2.warpAffine(
            kept.picture,
            matrix,
            (size, size),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return Reference(picture=np.asarray(laid, dtype=np.uint8), points=points.astype(np.float32))


def landmarks_of(references: Sequence[Reference]) -> NDArray[np.float32] | None:
    """Those of all references, ``(B, P, 2)``, for a generator; None if some are not known."""
    points = [reference.points for reference in references if reference.points is not None]
    return np.stack(points) if len(points) == len(references) else None


def middle(picture: NDArray[np.uint8], resolution: int) -> NDArray[np.uint8]:
    """The crop rule's square out of a view.

    Args:
        picture: ``(V, V, 3)``, see :class:`FaceView`; V and the resolution are both even or odd.
        resolution: Of the square in pixels.

    Returns:
        ``(resolution, resolution, 3)``, a view into the picture's memory.
    """
    edge = (picture.shape[0] - resolution) // 2
    return picture[edge : edge + resolution, edge : edge + resolution]


def view_size(resolution: int) -> int:
    """Side of a view around a square of so many pixels: V, even or odd as that is."""
    return resolution + 2 * round(resolution * (VIEW_MARGIN - 1) / 2)


def _openness(view: FaceView) -> float:
    return np.inf if view.points is None else float(shape_of_mouth(view.points)[0])


def _change(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    half = a.shape[0] // 2
    return float(np.abs(a[:half].astype(np.int16) - b[:half]).mean())
