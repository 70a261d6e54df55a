"""Landmarks at run time: by the small network that ships with Lipwright."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import openvino_core, read_onnx
from lipwright.errors import CheckpointError
from lipwright.faces.crop import crop_face, widen
from lipwright.faces.points import EYE_CORNERS, MIRROR, NUM_LANDMARKS

LANDMARK_MARGIN = 1.3  # side of what the network sees over that of the crop rule
_TURNED, _FROM_RIGHT = np.array([-1, 1], np.float32), np.array([1, 0], np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceLandmarks:
    """Where the points of one face are, and how the head is turned."""

    points: NDArray[np.float32]
    """``(NUM_LANDMARKS, 2)`` x y in pixels of the frame, the first one's corner at 0; their order
    and groups stand in ``faces.points``."""
    yaw: float
    """Radians; positive where the face looks to the picture's right."""
    pitch: float
    """Radians; positive where it looks down."""

    @property
    def roll(self) -> float:
        """Radians by which the line of the eyes is turned; positive clockwise."""
        left, right = (self.points[index] for index in EYE_CORNERS)
        return float(np.arctan2(right[1] - left[1], right[0] - left[0]))


class Landmarker:
    """The network, ready to find points."""

    def __init__(
        self, path: Path, *, num_threads: int | None = None, with_mirror: bool = False
    ) -> None:
        """Load the network.

        Args:
            path: ONNX file that ``lipwright export`` wrote of a landmark network.
            num_threads: Threads to use; all by default.
            with_mirror: Look at the mirrored face too and take the mean: steadier by a little, at
                twice the cost. For measuring.

        Raises:
            CheckpointError: If the file is missing, damaged, or another network.
        """
        model, metadata = read_onnx(path)
        if metadata.get("kind") != "landmarks":
            raise CheckpointError(
                f"{path} holds a {metadata.get('kind', 'network without metadata')}, a landmark "
                f"network is needed"
            )
        self.resolution = int(metadata["resolution"])
        """Height and width of what the network sees, in pixels."""
        found = model.output("points").partial_shape
        if found.rank.get_length() != 3 or found[1].get_length() != NUM_LANDMARKS:
            raise CheckpointError(
                f"{path} gives points {found}, {NUM_LANDMARKS} are needed; export it again"
            )
        self._with_mirror = with_mirror
        options: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32"}
        if num_threads is not None:
            options["INFERENCE_NUM_THREADS"] = num_threads
        # Known shapes run faster, and find the same.
        side = self.resolution
        model.reshape({"faces": [2 if with_mirror else 1, 3, side, side]})
        self._network = openvino_core().compile_model(model, "CPU", options)

    def find(self, frame: NDArray[np.uint8], box: NDArray[np.float32]) -> FaceLandmarks:
        """Find the points of one face.

        Args:
            frame: ``(H, W, 3)`` uint8 RGB.
            box: ``(4,)`` the crop rule's square, in pixels.

        Returns:
            Its points and pose.
        """
        wide = widen(box, LANDMARK_MARGIN)
        return self.locate(crop_face(frame, wide, size=self.resolution), wide)

    def locate(self, crop: NDArray[np.uint8], wide: NDArray[np.float32]) -> FaceLandmarks:
        """Find the points of one face that was cut out already.

        Args:
            crop: ``(R, R, 3)`` uint8 RGB, R being ``resolution``.
            wide: ``(4,)`` what it shows of the frame: the crop rule's square, widened by
                ``LANDMARK_MARGIN``.

        Returns:
            Its points and pose, in the frame.
        """
        faces = np.stack(cv2.split(crop))[None] / np.float32(255)  # (1, 3, R, R)
        if self._with_mirror:
            faces = np.concatenate([faces, faces[..., ::-1]])
        result = self._network({"faces": faces}, share_inputs=True)
        shares, poses = result["points"], result["pose"]
        if self._with_mirror:
            shares = (shares[:1] + _FROM_RIGHT + _TURNED * shares[1:, list(MIRROR)]) / 2
            poses = (poses[:1] + _TURNED * poses[1:]) / 2
        points = shares[0] * (wide[2:] - wide[:2]) + wide[:2]
        yaw, pitch = poses[0].tolist()
        return FaceLandmarks(points=np.asarray(points, dtype=np.float32), yaw=yaw, pitch=pitch)
