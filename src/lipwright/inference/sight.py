"""Eyes for native frames: a detector on a small picture, the landmark network on the face."""

from dataclasses import replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.faces import FaceDetector, widen
from lipwright.faces.appearance import VIEW_MARGIN, VIEW_SIZE, Appearance, describe
from lipwright.faces.boxes import Detection
from lipwright.faces.eyes import crop_of
from lipwright.faces.landmarks import LANDMARK_MARGIN, FaceLandmarks, Landmarker
from lipwright.faces.mtcnn_networks import ONET_SIDE
from lipwright.media import NativeFrame, rgb_region, thumbnail
from lipwright.media.display import square_to_display

FACE_HEIGHT = 40  # pixels that the smallest face is shrunk to; the detector finds those of 12
THUMBNAIL_WIDTH = 32  # pixels, to see cuts
_LEANS = (45.0, -45.0)  # degrees by which a picture without a face is turned to look again
_LEANING = 0.26  # radians from which landmarks are looked for again in a turned crop: 15 degrees
_MOST_LOOKS = 2  # of these
# Where the detector's last network expects a face, in sides of the crop rule's square: over 38
# clips of GRID 0.99 (0.03) wide and 0.19 (0.02) above the square's middle.
_PATCH_SIDE, _PATCH_ABOVE = 1.05, 0.2


class CloseDetector(FaceDetector, Protocol):
    """A detector that can look at one face alone."""

    def confirm(self, patch: NDArray[np.uint8]) -> Detection | None:
        """Judge whether a face fills ``(ONET_SIDE, ONET_SIDE, 3)`` uint8 RGB; in its pixels."""
        ...


class NativeEyes:
    """Sees faces in native frames; see ``faces.eyes.KnowingEyes``."""

    def __init__(self, detector: CloseDetector, landmarker: Landmarker, *, min_face: float) -> None:
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
        seen = self._detector.detect(small) or self._leaning(small)
        back = np.array([width / small.shape[1], height / small.shape[0]], dtype=np.float32)
        return [
            replace(
                found,
                box=found.box * np.tile(back, 2),
                landmarks=found.landmarks * back,
            )
            for found in seen
        ]

    def confirm(self, frame: NativeFrame, box: NDArray[np.float32]) -> Detection | None:
        """The face whose crop is about this one; see ``faces.eyes.Eyes``."""
        side = box[2] - box[0]
        patch = widen(box, _PATCH_SIDE)
        patch[1::2] -= _PATCH_ABOVE * side
        found = self._detector.confirm(rgb_region(frame, patch, size=ONET_SIDE))
        if found is None:
            return None
        corner, scale = patch[:2], (patch[2:] - patch[:2]) / ONET_SIDE
        return replace(
            found,
            box=(found.box * np.tile(scale, 2) + np.tile(corner, 2)).astype(np.float32),
            landmarks=(found.landmarks * scale + corner).astype(np.float32),
        )

    def landmarks(self, frame: NativeFrame, box: NDArray[np.float32]) -> FaceLandmarks:
        """Find the landmarks of the face in a crop, in upright display pixels.

        Of a head that leans the network sees less well; it looks again at the crop turned upright.
        """
        wide = widen(box, LANDMARK_MARGIN)
        size = self._landmarker.resolution
        found = self._landmarker.locate(rgb_region(frame, wide, size=size), wide)
        roll = 0.0
        for _ in range(_MOST_LOOKS):
            if abs(found.roll - roll) < _LEANING:
                break
            roll = found.roll
            square = np.array([0, 0, size, size], dtype=np.float32)
            upright = self._landmarker.locate(rgb_region(frame, wide, size=size, roll=roll), square)
            back = square_to_display(wide, size, roll=roll)
            points = (upright.points @ back[:2, :2].T + back[:2, 2]).astype(np.float32)
            found = replace(upright, points=points)
        return found

    def _leaning(self, small: NDArray[np.uint8]) -> list[Detection]:
        """Faces of heads that lean so far that the detector does not find them upright."""
        height, width = small.shape[:2]
        for degrees in _LEANS:
            matrix, size = _turned_about(width, height, degrees)
            turned = cv2.warpAffine(small, matrix, size, borderMode=cv2.BORDER_REPLICATE)
            if seen := self._detector.detect(np.asarray(turned, dtype=np.uint8)):
                back = np.asarray(cv2.invertAffineTransform(matrix), dtype=np.float64)
                return [_moved(found, back) for found in seen]
        return []

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


def _turned_about(
    width: int, height: int, degrees: float
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """A turn of a picture about its middle, for OpenCV, and the size that then holds all of it."""
    radians = np.deg2rad(degrees)
    cosine, sine = abs(np.cos(radians)), abs(np.sin(radians))
    size = (
        int(np.ceil(width * cosine + height * sine)),
        int(np.ceil(width * sine + height * cosine)),
    )
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    matrix = np.asarray(turn, dtype=np.float64)
    matrix[:, 2] += np.array([size[0] - width, size[1] - height]) / 2
    return matrix, size


def _moved(found: Detection, matrix: NDArray[np.float64]) -> Detection:
    """A face where an affine map of the picture puts it; its box stays square to the picture."""
    points = found.landmarks @ matrix[:, :2].T + matrix[:, 2]
    middle = (found.box[:2] + found.box[2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = (found.box[2:] - found.box[:2]) / 2
    return replace(
        found,
        box=np.concatenate([middle - half, middle + half]).astype(np.float32),
        landmarks=points.astype(np.float32),
    )
