"""What an engine that runs a generator offers, and what all of them ask of a model at the door."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import Metadata
from lipwright.errors import CheckpointError, ConfigError
from lipwright.faces import CROP_RULES, CropRule
from lipwright.speech import ALIGNMENTS, FRONT_END, NUM_MELS, WINDOW_LENGTH, Alignment

T = TypeVar("T", bound=str)
Precision = Literal["fp32", "bf16", "int8"]
# The same on every machine, for the first picture of a person is chosen among those of a batch. On
# two cores a face costs 8 % more in fours than in eights, which is 1 % of a job; but with half as
# many frames on their way, a job is as fast and takes 50 MB less at 1920x1080.
BATCH_SIZE = 4
"""Faces that a job draws at a time."""
AMPLITUDE = "amplitude"
"""Name of the input that says how far the mouth moves."""
LANDMARKS = "landmarks"
"""Name of the output, within a graph that looks for them, of the reference's landmarks."""
_WITH_AMPLITUDE = ("articulated",)
Shape = tuple[int | None, ...]
"""Lengths of a port's dimensions; None where any length is taken, as of a batch."""


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
    def columns(self) -> int:
        """Mel columns of that stretch."""
        ...

    @property
    def crop(self) -> CropRule:
        """Which box around a face it looks at."""
        ...

    @property
    def licence(self) -> str:
        """Of its weights; ``unknown`` if the file does not say."""
        ...

    @property
    def with_amplitude(self) -> bool:
        """Whether it can be told how far the mouth moves."""
        ...

    def draw(
        self,
        targets: NDArray[np.uint8],
        references: NDArray[np.uint8],
        windows: NDArray[np.float32],
        amplitudes: NDArray[np.float32] | None = None,
        landmarks: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Draw faces that say the speech.

        Args:
            targets: ``(B, R, R, 3)`` uint8 RGB; the lower half is not looked at.
            references: ``(B, R, R, 3)`` uint8 RGB of the same person.
            windows: ``(B, 1, 80, columns)`` float32 mel in [-4, 4].
            amplitudes: ``(B,)`` how far the mouth moves from rest: 0 not at all, 1 as the model
                does by itself; None for 1. Only where ``with_amplitude``.
            landmarks: ``(B, P, 2)`` those of ``faces.points`` in the references, as shares of
                their sides, where they are known: they spare looking for them.

        Returns:
            ``(B, R, R, 3)`` float32 RGB in [0, 1]. Of a backend that was not opened for all of the
            picture, the upper half may be the target's.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorRecord:
    """What a model says of itself, checked."""

    resolution: int
    """Height and width of a face in pixels."""
    columns: int
    """Mel columns of a window."""
    alignment: Alignment
    """Which stretch of speech it draws a frame from."""
    crop: CropRule
    """Which box around a face it looks at."""
    licence: str
    """Of its weights."""
    is_bgr: bool
    """Whether it takes and gives colours as BGR."""
    batch: int | None
    """Faces that it takes at a time: 1, as some exports do, or None for any number."""
    with_amplitude: bool
    """Whether it can be told how far the mouth moves."""


def graph_record(
    metadata: Mapping[str, str], ports: Mapping[str, Shape], path: Path
) -> GeneratorRecord:
    """Check what an exported graph says of itself, and that it takes and gives just that.

    Args:
        metadata: Of the file.
        ports: Name of each input and output -> its shape.
        path: The file, for messages.

    Returns:
        What it is.

    Raises:
        CheckpointError: If it is no generator, was made for another front end or follows a
            convention that is not known.
    """
    _require_generator(metadata.get("kind", "network without metadata"), path)
    resolution = metadata.get("resolution", "")
    if not resolution.isdecimal():
        raise CheckpointError(
            f"{path} does not say its resolution (found {resolution!r}); export it again with "
            f"lipwright export"
        )
    columns = _require_interface(ports, path, int(resolution))
    _require_front_end(metadata.get("mel", FRONT_END), path)
    return GeneratorRecord(
        resolution=int(resolution),
        columns=columns,
        alignment=_one_of(ALIGNMENTS, metadata, "alignment", path),
        crop=_one_of(tuple(CROP_RULES), metadata, "crop", path),
        licence=metadata.get("licence", "unknown"),
        is_bgr=metadata.get("channel_order") == "bgr",
        batch=_fixed_batch(ports, path),
        with_amplitude=AMPLITUDE in ports,
    )


def weights_record(meta: Metadata, path: Path, *, resolution: int) -> GeneratorRecord:
    """Check what a weights file says of itself.

    Args:
        meta: Of the file.
        path: The file, for messages.
        resolution: Height and width in pixels of the faces that the network takes.

    Returns:
        What it is.

    Raises:
        CheckpointError: If it is no generator, was made for another front end or follows a
            convention that is not known.
    """
    _require_generator(meta.kind, path)
    _require_front_end(meta.mel, path)
    conventions: dict[str, str] = {"alignment": meta.alignment, "crop": meta.crop}
    return GeneratorRecord(
        resolution=resolution,
        columns=int(meta.config.get("columns", WINDOW_LENGTH)),
        alignment=_one_of(ALIGNMENTS, conventions, "alignment", path),
        crop=_one_of(tuple(CROP_RULES), conventions, "crop", path),
        licence=meta.licence,
        is_bgr=meta.channel_order == "bgr",
        batch=None,
        with_amplitude=meta.architecture in _WITH_AMPLITUDE,
    )


def prepare_faces(
    targets: NDArray[np.uint8], references: NDArray[np.uint8], *, is_bgr: bool
) -> NDArray[np.float32]:
    """Bring faces into the form that networks take.

    Args:
        targets: ``(B, R, R, 3)`` uint8 RGB.
        references: The same.
        is_bgr: Whether the network takes colours as BGR.

    Returns:
        ``(B, 6, R, R)`` float32 in [0, 1], contiguous: the target, its lower half black, and the
        reference.
    """
    num, size = targets.shape[:2]
    faces = np.zeros((num, 6, size, size), dtype=np.float32)
    order = (2, 1, 0) if is_bgr else (0, 1, 2)
    half = size // 2
    # Plane by plane: OpenCV takes channels apart an order of magnitude faster than NumPy.
    for row, target, reference in zip(faces, targets, references, strict=True):
        upper, whole = cv2.split(target[:half]), cv2.split(reference)
        for place, channel in enumerate(order):
            np.divide(upper[channel], np.float32(255), out=row[place, :half])
            np.divide(whole[channel], np.float32(255), out=row[3 + place])
    return faces


def finish_faces(drawn: NDArray[np.float32], *, is_bgr: bool) -> NDArray[np.float32]:
    """Bring what a network drew into the form of a frame.

    Args:
        drawn: ``(B, 3, R, R)`` float32.
        is_bgr: Whether its colours are BGR.

    Returns:
        ``(B, R, R, 3)`` float32 RGB in [0, 1], contiguous.
    """
    order = slice(None, None, -1 if is_bgr else 1)
    faces = np.empty((*drawn.shape[:1], *drawn.shape[2:], 3), dtype=np.float32)
    for face, planes in zip(faces, drawn, strict=True):
        cv2.merge(list(planes[order]), face)
    return np.clip(faces, 0, 1, out=faces)


def network_inputs(
    record: GeneratorRecord,
    faces: NDArray[np.float32],
    windows: NDArray[np.float32],
    amplitudes: NDArray[np.float32] | None,
    landmarks: NDArray[np.float32] | None = None,
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """What a network takes, in the portions that it takes: all at once, or one by one.

    Args:
        record: What the network says of itself.
        faces: ``(B, 6, R, R)`` float32, see :func:`prepare_faces`.
        windows: ``(B, 1, 80, columns)`` float32 mel in [-4, 4].
        amplitudes: ``(B,)`` or None, see :class:`GeneratorBackend`.
        landmarks: ``(B, P, 2)`` float32, where the network shall be told them.

    Yields:
        Name of each input -> its rows.
    """
    rows = {"mel": np.ascontiguousarray(windows, dtype=np.float32), "faces": faces}
    if record.with_amplitude:
        given = np.ones(len(faces)) if amplitudes is None else amplitudes
        rows[AMPLITUDE] = np.asarray(given, dtype=np.float32)
    elif amplitudes is not None:
        raise ConfigError("this generator cannot be told how far the mouth moves")
    if landmarks is not None:
        rows[LANDMARKS] = np.ascontiguousarray(landmarks, dtype=np.float32)
    size = record.batch or max(1, len(faces))
    for start in range(0, len(faces), size):
        yield {name: array[start : start + size] for name, array in rows.items()}


def to_pixels(drawn: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round drawn faces in [0, 1] to pixels."""
    return np.rint(drawn * 255).astype(np.uint8)


def _require_generator(kind: str, path: Path) -> None:
    if kind != "generator":
        raise CheckpointError(f"{path} holds a {kind}, a generator is needed")


def _require_front_end(mel: str, path: Path) -> None:
    if mel != FRONT_END:
        raise CheckpointError(
            f"{path} was trained on another front end: mel {mel}, this is {FRONT_END}"
        )


def _one_of(known: tuple[T, ...], metadata: Mapping[str, str], key: str, path: Path) -> T:
    """A convention that the file names; Lipwright's own, the first one, if it names none."""
    for value in known:
        if metadata.get(key, known[0]) == value:
            return value
    raise CheckpointError(f"{path} asks for {key} {metadata[key]!r}; known: {', '.join(known)}")


def _require_interface(ports: Mapping[str, Shape], path: Path, resolution: int) -> int:
    """Make sure that a graph takes and gives what its metadata says.

    Returns:
        How many columns of mel it takes.
    """
    expected: dict[str, Shape] = {
        "mel": (None, 1, NUM_MELS, None),
        "faces": (None, 6, resolution, resolution),
        "drawn": (None, 3, resolution, resolution),
    }
    for name, shape in expected.items():
        if name not in ports or not _fits(ports[name], shape):
            found = _in_words(ports[name]) if name in ports else "missing"
            raise CheckpointError(
                f"{path} is not a generator of {resolution} px: {name!r} is {found}, expected "
                f"{_in_words(shape)}"
            )
    if AMPLITUDE in ports and not _fits(ports[AMPLITUDE], (None,)):
        raise CheckpointError(
            f"{path} takes {AMPLITUDE!r} as {_in_words(ports[AMPLITUDE])}, expected [?]"
        )
    columns = ports["mel"][3]
    if columns is None:
        raise CheckpointError(f"{path} does not say how many columns of mel it takes")
    return columns


def _fits(found: Shape, expected: Shape) -> bool:
    return len(found) == len(expected) and all(
        None in (a, b) or a == b for a, b in zip(found, expected, strict=True)
    )


def _in_words(shape: Shape) -> str:
    return f"[{','.join('?' if length is None else str(length) for length in shape)}]"


def _fixed_batch(ports: Mapping[str, Shape], path: Path) -> int | None:
    batch = ports["faces"][0]
    if batch not in (None, 1):
        raise CheckpointError(
            f"{path} takes batches of {batch} faces only; export it for any number"
        )
    return batch
