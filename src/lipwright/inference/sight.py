"""Eyes for native frames: a detector on a small picture, the landmark network on the face."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lipwright.faces import FaceDetector, widen
from lipwright.faces.appearance import VIEW_MARGIN, VIEW_SIZE, Appearance, describe
from lipwright.faces.boxes import Detection
from lipwright.faces.eyes import crop_of
from lipwright.faces.landmarks import LANDMARK_MARGIN, FaceLandmarks, Landmarker
from lipwright.media import NativeFrame, rgb_region, thumbnail

FACE_HEIGHT = 40  # pixels that the smallest face is shrunk to; the detector finds those of 12
THUMBNAIL_WIDTH = 32  # pixels, to see cuts


class NativeEyes:
    """Sees faces in native frames; see ``faces.eyes.KnowingEyes``."""

    def __init__(self, detector: FaceDetector, landmarker: Landmarker, *, min_face: float) -> None:
        """Take the networks.

        Args:
            detector: Finds faces down to ``min_face``.
            landmarker: Finds their landmarks.
            min_face: Height of the smallest face, as a share of the picture's shorter side.
        """
        self._detector, self._landmarker, self._min_face = detector, landmarker, min_face

    def detect(self, frame: NativeFrame) -> list[Detection]:
        """Find the faces, in upright display pixels."""
        width, height = frame.display.width, frame.display.height
        smallest = self._min_face * min(width, height)
        shrunk_width = max(1, round(width * min(1.0, FACE_HEIGHT / max(smallest, 1.0))))
        small = thumbnail(frame, shrunk_width)
        back = np.array([width / small.shape[1], height / small.shape[0]], dtype=np.float32)
        return [
            replace(
                found,
                box=found.box * np.tile(back, 2),
                landmarks=found.landmarks * back,
            )
            for found in self._detector.detect(small)
        ]

    def landmarks(self, frame: NativeFrame, box: NDArray[np.float32]) -> FaceLandmarks:
        """Find the landmarks of the face in a crop, in upright display pixels."""
        wide = widen(box, LANDMARK_MARGIN)
        crop = rgb_region(frame, wide, size=self._landmarker.resolution)
        return self._landmarker.locate(crop, wide)

    def appearance(self, frame: NativeFrame, landmarks: FaceLandmarks) -> Appearance:
        """Describe a face by its landmarks; see ``faces.appearance``."""
        wide = widen(crop_of(landmarks), VIEW_MARGIN)
        points = (landmarks.points - wide[:2]) * (VIEW_SIZE / (wide[2:] - wide[:2]))
        picture = rgb_region(frame, wide, size=VIEW_SIZE)
        return describe(picture, np.asarray(points, dtype=np.float32))

    def thumbnail(self, frame: NativeFrame) -> NDArray[np.uint8]:
        """The frame made small, to see cuts."""
        return thumbnail(frame, THUMBNAIL_WIDTH)

    def width(self, frame: NativeFrame) -> int:
        """Of the upright picture, in pixels."""
        return frame.display.width
