"""Sharpen a drawn mouth with a face restoration network that the user supplies.

GFPGAN, CodeFormer and GPEN take a face that stands as those of FFHQ do, and give it back with more
detail. Only what was drawn is taken of that; what the network does to the light from frame to
frame is steadied.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lipwright.checkpoints import openvino_core, read_onnx
from lipwright.composite.face_mask import face_mask
from lipwright.composite.native import paste_native
from lipwright.errors import CheckpointError, ConfigError
from lipwright.faces.follow import Face
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.points import FIVE_POINTS
from lipwright.inference.steady import Steady
from lipwright.media import NativeFrame, rgb_region
from lipwright.media.display import Affine, between_centres, square_to_display

# FFHQ's template of 512 pixels: eyes at row 240.1, mouth at row 371.3, that is one unit of 131.2.
FFHQ_SIDE = 512 / 131.2  # units
FFHQ_EYES_TO_CENTRE = (256 - 240.1) / 131.2  # units
STEADY_SECONDS = 0.3
_LIGHT = 1 / 16  # of the side: standard deviation beyond which a change is one of the light
_CELL = 8  # pixels that count as one, in looking at the light


class Restorer(Protocol):
    """Whatever gives a face more detail."""

    @property
    def size(self) -> int:
        """Height and width in pixels of a face that it takes."""
        ...

    def restore(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Restore a face.

        Args:
            face: ``(size, size, 3)`` uint8 RGB, standing as FFHQ's do.

        Returns:
            ``(size, size, 3)`` float32 RGB in [0, 1].
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RestorerRecord:
    """What the ports of a restoration network say of it."""

    size: int
    """Height and width of a face in pixels."""
    face: str
    """Name of the input that takes it."""
    fidelity: str | None
    """Name of the input that says how close to stay to it, of CodeFormer's."""
    is_bgr: bool
    """Whether colours are BGR."""


class OnnxRestorer:
    """Runs a restoration network in OpenVINO on the CPU; pictures in [-1, 1]."""

    def __init__(
        self, path: Path, *, fidelity: float = 0.7, num_threads: int | None = None
    ) -> None:
        """Load the network and find out which conventions it follows.

        Args:
            path: ONNX file of GFPGAN, CodeFormer or GPEN, or of any network with their ports.
            fidelity: How close CodeFormer stays to the face it is given, in [0, 1]; other networks
                do not take it.
            num_threads: Threads to use; all by default.

        Raises:
            CheckpointError: If the file is missing, damaged, or has other ports.
            ConfigError: If the fidelity is out of range.
        """
        _require_share("fidelity", fidelity)
        model, metadata = read_onnx(path)
        self._record = restorer_record(model, metadata, path)
        options: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32"}
        if num_threads is not None:
            options["INFERENCE_NUM_THREADS"] = num_threads
        self._network = openvino_core().compile_model(model, "CPU", options)
        self._given: dict[str, NDArray[np.floating]] = {}
        if self._record.fidelity is not None:
            port = self._network.input(self._record.fidelity)
            shape = [1 if n.is_dynamic else n.get_length() for n in port.partial_shape]
            kind = port.get_element_type().to_dtype()
            self._given[self._record.fidelity] = np.full(shape, fidelity, dtype=kind)

    @property
    def size(self) -> int:
        """Height and width in pixels of a face that it takes."""
        return self._record.size

    def restore(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Restore a face; see :class:`Restorer`."""
        pixels = face[..., ::-1] if self._record.is_bgr else face
        rows = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32) / 127.5 - 1
        restored = self._network({self._record.face: rows, **self._given})[0][0].transpose(1, 2, 0)
        rgb = restored[..., ::-1] if self._record.is_bgr else restored
        return np.asarray(np.clip((rgb + 1) / 2, 0, 1), dtype=np.float32)


class MouthRestorer:
    """Restores the mouths of the frames of one shot after another, in order."""

    def __init__(self, restorer: Restorer, *, strength: float) -> None:
        """Know nothing of a shot yet.

        Args:
            restorer: Does it.
            strength: Share of its change that is taken, in [0, 1].

        Raises:
            ConfigError: If the strength is out of range.
        """
        _require_share("strength", strength)
        self._restorer, self._strength = restorer, strength
        self.forget()

    def forget(self) -> None:
        """Begin anew: what comes next is another face, or another shot."""
        self._light: Steady[NDArray[np.float32]] = Steady(STEADY_SECONDS)

    def restore(self, frame: NativeFrame, face: Face, *, roll: float = 0.0) -> NativeFrame:
        """Restore what was drawn.

        Args:
            frame: With the drawn mouth in it; not modified.
            face: Where it is.
            roll: Radians by which the square that was drawn is turned against the frame.

        Returns:
            The frame with its mouth restored; itself where the landmarks are not known.
        """
        if face.landmarks is None or not self._strength:
            return frame
        size, turn = self._restorer.size, face.landmarks.roll
        box = ffhq_box(face.landmarks)
        given = rgb_region(frame, box, size=size, roll=turn)
        before = given.astype(np.float32) / np.float32(255)
        change = self._restorer.restore(given) - before
        light = _light_of(change)
        steady = self._light.at(frame.time, light) - light
        change += cv2.resize(steady, (size, size), interpolation=cv2.INTER_LINEAR)
        to_display = square_to_display(box, size, roll=turn)
        mask = _mask(face.box, face.landmarks.points, roll, to_display=to_display, size=size)
        restored = np.clip(before + change, 0, 1)
        mask *= np.float32(self._strength)
        return paste_native(frame, restored, box=box, mask=mask, roll=turn)


def ffhq_box(landmarks: FaceLandmarks) -> NDArray[np.float32]:
    """The square that restoration networks look at; to be turned by the face's roll.

    Args:
        landmarks: Of the face.

    Returns:
        ``(4,)`` float32 half-open pixels x0 y0 x1 y1; may reach out of the frame.
    """
    five = [landmarks.points[list(places)].mean(axis=0) for places in FIVE_POINTS]
    eyes, mouth = (five[0] + five[1]) / 2, (five[3] + five[4]) / 2
    unit = max(float(np.hypot(*(mouth - eyes))), 1.0)
    down = np.array([-np.sin(landmarks.roll), np.cos(landmarks.roll)])
    centre = eyes + FFHQ_EYES_TO_CENTRE * unit * down
    half = FFHQ_SIDE * unit / 2
    return np.array([*(centre - half), *(centre + half)], dtype=np.float32)


def restorer_record(model: ov.Model, metadata: dict[str, str], path: Path) -> RestorerRecord:
    """Find out which conventions a restoration network follows.

    A picture goes in and out, square and of 3 channels; a second input of one number is
    CodeFormer's fidelity. Colours are RGB unless metadata (``channel_order``) or the name of the
    input say BGR.

    Args:
        model: As read.
        metadata: Of the file.
        path: The file, for messages.

    Raises:
        CheckpointError: If its ports are others.
    """
    pictures = [port for port in model.inputs if _side(port.partial_shape) is not None]
    numbers = [port for port in model.inputs if _is_number(port.partial_shape)]
    sides = [_side(port.partial_shape) for port in (*pictures, model.outputs[0])]
    is_known = len(pictures) == 1 and len(numbers) <= 1 and sides[0] == sides[-1]
    if not is_known or len(pictures) + len(numbers) != len(model.inputs) or sides[0] is None:
        ports = ", ".join(
            f"{port.get_any_name()} {port.partial_shape}"
            for port in (*model.inputs, model.outputs[0])
        )
        raise CheckpointError(
            f"{path} is no restoration network that is known: it has {ports}; needed are "
            f"[1,3,S,S] in and out, and for CodeFormer one number"
        )
    name = pictures[0].get_any_name()
    return RestorerRecord(
        size=sides[0],
        face=name,
        fidelity=numbers[0].get_any_name() if numbers else None,
        is_bgr=metadata.get("channel_order", "rgb") == "bgr" or "bgr" in name.lower(),
    )


def _side(shape: ov.PartialShape) -> int | None:
    """Of a square picture of three channels; None for anything else."""
    if shape.rank.is_dynamic or len(shape) != 4 or not shape[1].compatible(ov.Dimension(3)):
        return None
    if shape[2].is_dynamic or shape[2] != shape[3]:
        return None
    return int(shape[2].get_length())


def _is_number(shape: ov.PartialShape) -> bool:
    return shape.rank.is_static and all(n.is_dynamic or n.get_length() == 1 for n in shape)


def _mask(
    drawn_box: NDArray[np.float32],
    points: NDArray[np.float32],
    roll: float,
    *,
    to_display: Affine,
    size: int,
) -> NDArray[np.float32]:
    """``(size, size)``: the mask of what was drawn, in a square of another place and size."""
    from_drawn = square_to_display(drawn_box, size, roll=roll)
    back = np.linalg.inv(from_drawn)
    mask = face_mask((points @ back[:2, :2].T + back[:2, 2]).astype(np.float32), size)
    place = between_centres(back @ to_display)
    moved = cv2.warpAffine(mask, place, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(moved, dtype=np.float32)


def _light_of(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is smooth of a change, in cells."""
    side = max(1, change.shape[0] // _CELL)
    cells = cv2.resize(change, (side, side), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(cells, (0, 0), _LIGHT * side, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, dtype=np.float32)


def _require_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} must be in [0, 1], got {value}")
