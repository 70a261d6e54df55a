"""Engines that run a generator: from masked faces and windows of speech to drawn faces."""

from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lipwright.checkpoints import openvino_core, read_onnx
from lipwright.errors import CheckpointError
from lipwright.faces import CROP_RULES, CropRule
from lipwright.speech import ALIGNMENTS, FRONT_END, NUM_MELS, WINDOW_LENGTH, Alignment

T = TypeVar("T", bound=str)


class GeneratorBackend(Protocol):
    """A generator, ready to draw."""

    @property
    def resolution(self) -> int:
        """Height and width of a face in pixels."""
        ...

    @property
    def alignment(self) -> Alignment:
        """Which stretch of speech it draws a frame from."""
        ...

    @property
    def crop(self) -> CropRule:
        """Which box around a face it looks at."""
        ...

    def draw(
        self,
        targets: NDArray[np.uint8],
        references: NDArray[np.uint8],
        windows: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Draw faces that say the speech.

        Args:
            targets: ``(B, R, R, 3)`` uint8 RGB; the lower half is not looked at.
            references: ``(B, R, R, 3)`` uint8 RGB of the same person.
            windows: ``(B, 1, 80, 16)`` float32 mel in [-4, 4].

        Returns:
            ``(B, R, R, 3)`` float32 RGB in [0, 1].
        """
        ...


Precision = Literal["fp32", "bf16"]
_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoGenerator:
    """Runs an exported generator in OpenVINO on the CPU."""

    def __init__(
        self, path: Path, *, precision: Precision = "fp32", num_threads: int | None = None
    ) -> None:
        """Load and compile the network.

        Args:
            path: ONNX file, or .xml in int8, with inputs ``mel`` and ``faces``, as Lipwright
                exports them.
            precision: Of the arithmetic; ``bf16`` pays only on CPUs that have it.
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
        self.licence = metadata.get("licence", "unknown")
        """Of its weights."""
        self._is_bgr = metadata.get("channel_order") == "bgr"
        self._alignment = _one_of(ALIGNMENTS, metadata, "alignment", path)
        self._crop = _one_of(tuple(CROP_RULES), metadata, "crop", path)
        self._batch = _fixed_batch(model, path)
        options: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
        if num_threads is not None:
            options["INFERENCE_NUM_THREADS"] = num_threads
        self._network = openvino_core().compile_model(model, "CPU", options)

    @property
    def resolution(self) -> int:
        """Height and width of a face in pixels."""
        return self._resolution

    @property
    def alignment(self) -> Alignment:
        """Which stretch of speech it draws a frame from."""
        return self._alignment

    @property
    def crop(self) -> CropRule:
        """Which box around a face it looks at."""
        return self._crop

    def draw(
        self,
        targets: NDArray[np.uint8],
        references: NDArray[np.uint8],
        windows: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Draw faces that say the speech; see :class:`GeneratorBackend`."""
        faces = np.concatenate([targets, references], axis=3).astype(np.float32)  # (B, R, R, 6)
        faces[:, self._resolution // 2 :, :, :3] = 0
        if self._is_bgr:
            faces = faces[..., [2, 1, 0, 5, 4, 3]]
        faces = np.ascontiguousarray(faces.transpose(0, 3, 1, 2)) / np.float32(255)
        batches = zip(*(_split(rows, self._batch) for rows in (windows, faces)), strict=True)
        results = [self._network({"mel": mel, "faces": face})["drawn"] for mel, face in batches]
        drawn = np.concatenate(results).transpose(0, 2, 3, 1)  # (B, R, R, 3)
        rgb = drawn[..., ::-1] if self._is_bgr else drawn
        return np.asarray(np.clip(rgb, 0, 1), dtype=np.float32)


def to_pixels(drawn: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round drawn faces in [0, 1] to pixels."""
    return np.rint(drawn * 255).astype(np.uint8)


def _split(rows: NDArray[np.float32], size: int | None) -> list[NDArray[np.float32]]:
    """Rows in the portions that a network takes: all at once, or so many."""
    return [rows] if size is None else [rows[i : i + size] for i in range(0, len(rows), size)]


def _fixed_batch(model: ov.Model, path: Path) -> int | None:
    """1 for a graph that takes one face at a time, as some exports do; None for any number."""
    batch = model.input("faces").partial_shape[0]
    if batch.is_dynamic:
        return None
    if batch.get_length() != 1:
        raise CheckpointError(
            f"{path} takes batches of {batch.get_length()} faces only; export it for any number"
        )
    return 1


def _one_of(known: tuple[T, ...], metadata: dict[str, str], key: str, path: Path) -> T:
    """A convention that the file names; Lipwright's own, the first one, if it names none."""
    for value in known:
        if metadata.get(key, known[0]) == value:
            return value
    raise CheckpointError(f"{path} asks for {key} {metadata[key]!r}; known: {', '.join(known)}")


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
