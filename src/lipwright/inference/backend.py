"""Engines that run a generator: from masked faces and windows of speech to drawn faces."""

from pathlib import Path
from typing import Protocol

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lipwright.checkpoints import read_onnx
from lipwright.errors import CheckpointError
from lipwright.speech import FRONT_END, NUM_MELS, WINDOW_LENGTH


class GeneratorBackend(Protocol):
    """A generator, ready to draw."""

    @property
    def resolution(self) -> int:
        """Height and width of a face in pixels."""
        ...

    def draw(
        self,
        targets: NDArray[np.uint8],
        references: NDArray[np.uint8],
        windows: NDArray[np.float32],
    ) -> NDArray[np.uint8]:
        """Draw faces that say the speech.

        Args:
            targets: ``(B, R, R, 3)`` uint8 RGB; the lower half is not looked at.
            references: ``(B, R, R, 3)`` uint8 RGB of the same person.
            windows: ``(B, 1, 80, 16)`` float32 mel in [-4, 4].

        Returns:
            ``(B, R, R, 3)`` uint8 RGB.
        """
        ...


class OpenVinoGenerator:
    """Runs an exported generator in OpenVINO on the CPU, in 32 bit floating point."""

    def __init__(self, path: Path, *, num_threads: int | None = None) -> None:
        """Load and compile the network.

        Args:
            path: ONNX file with inputs ``mel`` and ``faces``, as Lipwright exports them.
            num_threads: Threads to use; all by default.

        Raises:
            CheckpointError: If the file is damaged or holds something else.
        """
        model, metadata = read_onnx(path)
        if metadata.get("kind") != "generator":
            raise CheckpointError(
                f"{path} holds a {metadata.get('kind', 'network without metadata')}, a generator "
                f"is needed"
            )
        resolution = metadata.get("resolution", "")
        if not resolution.isdecimal():
            raise CheckpointError(
                f"{path} does not say its resolution (found {resolution!r}); export it again with "
                f"lipwright export"
            )
        self._resolution = int(resolution)
        _require_interface(model, path, self._resolution)
        if metadata.get("mel", FRONT_END) != FRONT_END:
            raise CheckpointError(
                f"{path} was trained on another front end: mel {metadata['mel']}, this is "
                f"{FRONT_END}"
            )
        self._is_bgr = metadata.get("channel_order") == "bgr"
        options: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32"}
        if num_threads is not None:
            options["INFERENCE_NUM_THREADS"] = num_threads
        self._network = ov.Core().compile_model(model, "CPU", options)

    @property
    def resolution(self) -> int:
        """Height and width of a face in pixels."""
        return self._resolution

    def draw(
        self,
        targets: NDArray[np.uint8],
        references: NDArray[np.uint8],
        windows: NDArray[np.float32],
    ) -> NDArray[np.uint8]:
        """Draw faces that say the speech; see :class:`GeneratorBackend`."""
        faces = np.concatenate([targets, references], axis=3).astype(np.float32)  # (B, R, R, 6)
        faces[:, self._resolution // 2 :, :, :3] = 0
        if self._is_bgr:
            faces = faces[..., [2, 1, 0, 5, 4, 3]]
        faces = np.ascontiguousarray(faces.transpose(0, 3, 1, 2)) / np.float32(255)
        drawn = self._network({"mel": windows, "faces": faces})["drawn"]  # (B, 3, R, R)
        rounded = np.rint(np.clip(drawn, 0, 1) * 255).astype(np.uint8)
        pixels: NDArray[np.uint8] = rounded.transpose(0, 2, 3, 1)
        return pixels[..., ::-1] if self._is_bgr else pixels


def _require_interface(model: ov.Model, path: Path, resolution: int) -> None:
    """Make sure that the graph takes and gives what its metadata says."""
    found = {
        name: port.partial_shape for port in (*model.inputs, *model.outputs) for name in port.names
    }
    expected = {
        "mel": ov.PartialShape([-1, 1, NUM_MELS, WINDOW_LENGTH]),
        "faces": ov.PartialShape([-1, 6, resolution, resolution]),
        "drawn": ov.PartialShape([-1, 3, resolution, resolution]),
    }
    for name, shape in expected.items():
        if name not in found or not found[name].compatible(shape):
            raise CheckpointError(
                f"{path} is not a generator of {resolution} px: {name!r} is "
                f"{found.get(name, 'missing')}, expected {shape}"
            )
