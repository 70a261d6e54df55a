"""468 points of a face, by a MediaPipe face mesh network that the user supplies."""

from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lipwright.checkpoints import openvino_core
from lipwright.errors import CheckpointError
from lipwright.faces.crop import crop_face, widen
from lipwright.faces.points import MESH_INDICES, shape_of_mouth

LEFT_EYE_OUTER, RIGHT_EYE_OUTER = 33, 263  # of the picture, not of the person
FOREHEAD, CHIN = 10, 152
NUM_POINTS = 468
MESH_SIZE = 192  # pixels: what the network takes
MESH_MARGIN = 1.5  # of its square over that of the crop rule: measured best against MTCNN
_TAKES, _GIVES = [1, MESH_SIZE, MESH_SIZE, 3], [1, 1, 1, 3 * NUM_POINTS]


class FaceMesh:
    """The network, ready to find points."""

    def __init__(self, path: Path, *, num_threads: int | None = None) -> None:
        """Load the network.

        Args:
            path: ``face_landmark.tflite`` of MediaPipe: 192x192 RGB in [0, 1] -> 468 points.
            num_threads: Threads to use; all by default.

        Raises:
            CheckpointError: If the file is missing or another network.
        """
        if not path.is_file():
            raise CheckpointError(f"no such landmark network: {str(path)!r}")
        options: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32"}
        if num_threads is not None:
            options["INFERENCE_NUM_THREADS"] = num_threads
        try:
            model = openvino_core().read_model(path)
        except RuntimeError as err:
            raise CheckpointError(f"cannot read {path} as a network") from err
        # MediaPipe's face detector takes the same pictures: only the points tell them apart.
        takes, gives = model.inputs[0].partial_shape, model.outputs[0].partial_shape
        if takes != ov.PartialShape(_TAKES) or gives != ov.PartialShape(_GIVES):
            raise CheckpointError(
                f"{path} turns {takes} into {gives}, a face mesh {_TAKES} into {_GIVES}"
            )
        self._network = openvino_core().compile_model(model, "CPU", options)

    def points(self, frame: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
        """Find the points of one face.

        Args:
            frame: ``(H, W, 3)`` uint8 RGB.
            box: ``(4,)`` the crop rule's square, in pixels.

        Returns:
            ``(468, 2)`` float32 x y in pixels of the frame.
        """
        return self.solid(frame, box)[:, :2]

    def solid(self, frame: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
        """Find the points of one face in space.

        Args:
            frame: ``(H, W, 3)`` uint8 RGB.
            box: ``(4,)`` the crop rule's square, in pixels.

        Returns:
            ``(468, 3)`` float32 x y z in pixels of the frame; z grows away from the viewer.
        """
        wide = widen(box, MESH_MARGIN)
        crop = crop_face(frame, wide, size=MESH_SIZE)
        result = self._network(crop[None].astype(np.float32) / 255)[0]
        points = np.asarray(result, dtype=np.float32).reshape(-1, 3)
        scale = float(wide[2] - wide[0]) / MESH_SIZE
        return np.asarray(points * scale + [*wide[:2], 0], dtype=np.float32)


def mouth_opening(points: NDArray[np.float32]) -> float:
    """Gap between the inner lips, as a share of the distance between the outer eye corners.

    Args:
        points: ``(468, 2)`` pixels of MediaPipe's face mesh.

    Returns:
        0 for a closed mouth; about 0.3 for a wide open one.
    """
    return float(mouth_shape(points)[0])


def mouth_shape(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a mouth does; see :func:`lipwright.faces.points.shape_of_mouth`.

    Args:
        points: ``(..., 468, 2)`` of MediaPipe's face mesh, in any unit.

    Returns:
        ``(..., 4)`` float32: opening, width, height, jaw.
    """
    return shape_of_mouth(points[..., MESH_INDICES, :])


def head_pose(solid: NDArray[np.float32]) -> NDArray[np.float32]:
    """How a head is turned, from its points in space.

    The head's axes are the line of the outer eye corners and, upright to it, the line from the
    forehead to the chin; the third is where the face looks.

    Args:
        solid: ``(468, 3)`` of MediaPipe's face mesh, in any unit.

    Returns:
        ``(2,)`` float32 yaw and pitch in radians, as of a head whose roll was taken out: yaw is
        positive where it looks to the picture's right, pitch where it looks down. A face looked
        straight at has a pitch of about 0, for the line to the chin leans a little.
    """
    across = solid[RIGHT_EYE_OUTER] - solid[LEFT_EYE_OUTER]
    roll = np.arctan2(across[1], across[0])
    cos, sin = np.cos(-roll), np.sin(-roll)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    across = turn @ across
    down = turn @ (solid[CHIN] - solid[FOREHEAD])
    forward = -np.cross(across, down)  # towards the viewer, where z falls
    forward /= np.linalg.norm(forward)
    yaw = np.arctan2(forward[0], -forward[2])
    pitch = np.arctan2(forward[1], np.hypot(forward[0], forward[2]))
    return np.array([yaw, pitch], dtype=np.float32)
