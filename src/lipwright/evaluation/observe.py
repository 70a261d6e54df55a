"""What an evaluation sees of a video: the face of each frame, cut out, and its landmarks."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lipwright.corpus import CORPUS_FPS, CROP_MARGIN
from lipwright.errors import NoFaceError
from lipwright.faces import FaceDetector, FaceMesh, crop_face, track_face, widen
from lipwright.faces.landmarks import Landmarker
from lipwright.faces.points import MESH_INDICES, shape_of_mouth
from lipwright.faces.views import Views
from lipwright.media import VideoFrame, read_frames, retime

FACE_SIZE = 160  # pixels: side of the crop rule's square in what is measured
DETECT_EVERY = 3  # frames
NUM_VIEWS = 4  # looks at each face: what they differ in belongs to the measure, not to the mouth
MIN_SHARE = 0.9  # of frames that must show the face


class PointFinder(Protocol):
    """Whatever finds the landmarks of ``faces.points`` in a frame."""

    name: str
    """For the protocol."""

    def points(self, frame: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(NUM_LANDMARKS, 2)`` x y in pixels of the frame, of the face in the rule's square."""
        ...


class OwnPoints:
    """Landmarks by the network that ships with Lipwright: the mean of several looks."""

    def __init__(self, path: Path, *, num_threads: int | None = None) -> None:
        self.name = f"{path.name}, {NUM_VIEWS} views"
        self._network = Landmarker(path, num_threads=num_threads, with_mirror=True)
        self._views = Views(NUM_VIEWS)

    def points(self, frame: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`PointFinder`."""
        return self._views.mean(lambda view: self._network.find(frame, view).points, box)


class MeshPoints:
    """Landmarks by MediaPipe's face mesh, which the user supplies: the mean of several looks."""

    def __init__(self, path: Path, *, num_threads: int | None = None) -> None:
        self.name = f"{path.name}, {NUM_VIEWS} views"
        self._network = FaceMesh(path, num_threads=num_threads)
        self._views = Views(NUM_VIEWS)

    def points(self, frame: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`PointFinder`."""
        points = self._views.mean(lambda view: self._network.points(frame, view), box)
        return points[list(MESH_INDICES)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """A video as it is measured, at 25 frames a second."""

    crops: tuple[NDArray[np.uint8], ...]
    """``(S, S, 3)`` uint8 RGB each: the crop rule's square with the corpus' margin."""
    points: NDArray[np.float32]
    """``(N, P, 2)`` landmarks in pixels of the video."""
    boxes: NDArray[np.float32]
    """``(N, 4)`` the crop rule's square in pixels of the video."""

    @property
    def num_frames(self) -> int:
        """Frames seen."""
        return len(self.crops)

    @property
    def shape(self) -> NDArray[np.float64]:
        """``(N, 4)``: opening, width, height, jaw; see ``faces.points.shape_of_mouth``."""
        return shape_of_mouth(self.points).astype(np.float64)

    @property
    def faces(self) -> list[NDArray[np.uint8]]:
        """The crop rule's square itself, ``(FACE_SIZE, FACE_SIZE, 3)`` each."""
        edge = (self.crops[0].shape[0] - FACE_SIZE) // 2
        inside = slice(edge, edge + FACE_SIZE)
        return [crop[inside, inside] for crop in self.crops]

    def taken(self, indices: NDArray[np.int64]) -> "Observation":
        """The same video with its frames in another order.

        Args:
            indices: ``(M,)`` which frame comes where.
        """
        return Observation(
            crops=tuple(self.crops[index] for index in indices),
            points=self.points[indices],
            boxes=self.boxes[indices],
        )


def observe(
    path: Path, *, detector: FaceDetector, finder: PointFinder, max_frames: int
) -> Observation:
    """Look at the face of a video.

    Args:
        path: A video.
        detector: Finds faces, in every third frame.
        finder: Finds landmarks.
        max_frames: Frames after which the rest is left out.

    Returns:
        What is seen; a frame without a face shows where it was last, or will be.

    Raises:
        MediaError: If the video cannot be read.
        NoFaceError: If more than a tenth of its frames have no face.
    """
    track = track_face(
        ((frame.pixels, frame.time) for frame in _frames(path, max_frames)),
        detector,
        every=DETECT_EVERY,
    )
    share = float(track.is_found.mean())
    if share < MIN_SHARE:
        raise NoFaceError(
            f"only {share:.0%} of the frames of '{path}' show a face; at least {MIN_SHARE:.0%} "
            f"are needed to measure it"
        )
    boxes = _filled(track.boxes)
    size = round(FACE_SIZE * CROP_MARGIN)
    crops, points = [], []
    for frame, box in zip(_frames(path, max_frames), boxes, strict=True):
        crops.append(crop_face(frame.pixels, widen(box, CROP_MARGIN), size=size))
        points.append(finder.points(frame.pixels, box))
    return Observation(crops=tuple(crops), points=np.stack(points), boxes=boxes)


def _frames(path: Path, max_frames: int) -> Iterator[VideoFrame]:
    for index, frame in enumerate(retime(read_frames(path), fps=Fraction(CORPUS_FPS))):
        if index == max_frames:
            return
        yield frame


def _filled(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes with that of the nearest frame in time where there is none."""
    known = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    nearest = np.abs(np.arange(len(boxes))[:, None] - known).argmin(axis=1)
    filled: NDArray[np.float32] = boxes[known[nearest]]
    return filled
