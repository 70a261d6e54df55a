"""Where the face is in every frame: detection, tracking, and the one crop rule."""

from lipwright.faces.boxes import Boxes, Detection, FaceDetector
from lipwright.faces.choose import (
    FaceChoice,
    KnownPerson,
    PersonAt,
    PersonNear,
    PersonSpeaking,
    Who,
    parse_choice,
)
from lipwright.faces.crop import (
    CROP_RULES,
    CROP_SIDE,
    MOUTH_ROW,
    CropRule,
    box_to_square,
    crop_box,
    crop_face,
    widen,
)
from lipwright.faces.mesh import FaceMesh, mouth_opening, mouth_shape
from lipwright.faces.mtcnn import Mtcnn
from lipwright.faces.track import CHOICES, FaceTrack, require_choice, smooth_boxes, track_face

__all__ = [
    "CHOICES",
    "CROP_RULES",
    "CROP_SIDE",
    "MOUTH_ROW",
    "Boxes",
    "CropRule",
    "Detection",
    "FaceChoice",
    "FaceDetector",
    "FaceMesh",
    "FaceTrack",
    "KnownPerson",
    "Mtcnn",
    "PersonAt",
    "PersonNear",
    "PersonSpeaking",
    "Who",
    "box_to_square",
    "crop_box",
    "crop_face",
    "mouth_opening",
    "mouth_shape",
    "parse_choice",
    "require_choice",
    "smooth_boxes",
    "track_face",
    "widen",
]
