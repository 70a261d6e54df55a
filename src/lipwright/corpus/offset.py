"""Measure by how many frames sound and picture of a clip are apart, by a lip-sync expert.

As Chung and Zisserman, "Out of Time" (ACCV-W 2016): the lips of every few frames are compared
with the speech at every shift; the shift whose mean similarity is highest is the offset, and how
far it stands out from the median is the confidence.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path, openvino_core, read_onnx
from lipwright.corpus.pack import CORPUS_FPS, CROP_MARGIN
from lipwright.errors import CheckpointError
from lipwright.faces import widen
from lipwright.faces.expert import LandmarkExpert
from lipwright.faces.landmarks import Landmarker
from lipwright.faces.motion import lip_motion
from lipwright.speech import (
    EXPERT_LEAD,
    NUM_MELS,
    WINDOW_LENGTH,
    Mel,
    cut_windows,
    expert_columns,
    window_starts,
)

MAX_SHIFT = 12  # frames to either side
PIXEL_FRAMES = 5  # that an expert on pixels looks at
_BATCH = 64  # windows at a time, so that memory does not grow with the clip


@dataclass(frozen=True, kw_only=True, slots=True)
class Offset:
    """By how much sound and picture are apart."""

    frames: int
    """Frames by which the sound comes too early (negative: too late): moving it later by this
    much, in frames of 40 ms, would put it right."""
    confidence: float
    """Similarity at that shift less the median over shifts: 0 for none, 1 at most."""


class OffsetMeter(Protocol):
    """Whatever can measure an offset, by embeddings of lips and speech."""

    @property
    def frames(self) -> int:
        """Frames of a window, 25 a second: the fewest that can be measured."""
        ...

    def measure(self, crops: list[NDArray[np.uint8]], mel: Mel) -> Offset:
        """Compare crops (with margin, 25 a second) with the mel that belongs to them."""
        ...

    def embed(
        self, crops: list[NDArray[np.uint8]], mel: Mel
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed the lips of every window of crops, and the speech that belongs to them.

        Args:
            crops: As :meth:`measure` takes them; W = number of crops - ``frames`` + 1.
            mel: ``(80, num_columns)``; column 0 at the first crop, silence after the last one.

        Returns:
            Speech and lips, each ``(W, E)`` float32 of unit length.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Expert:
    """An expert's two halves, each by itself, and what it says of itself."""

    speech: ov.Model
    """``mel`` -> ``speech``."""
    lips: ov.Model
    """``faces`` -> ``lips``; of ``mel``, which it takes too, it looks at the batch size only."""
    resolution: int
    """Width of the faces in pixels."""
    is_bgr: bool
    """Whether it takes blue first."""


def read_expert(path: Path) -> Expert:
    """Read an expert that was exported to ONNX; nothing is compiled.

    Args:
        path: ONNX file with inputs ``mel`` and ``faces``, outputs ``speech`` and ``lips``.

    Returns:
        The expert.

    Raises:
        CheckpointError: If the file is missing, damaged, or not an expert.
    """
    model, metadata = read_onnx(path)
    if metadata.get("kind") != "expert":
        raise CheckpointError(
            f"{path} holds a {metadata.get('kind', 'network without metadata')}, "
            f"an expert is needed"
        )
    try:
        mel, faces = (model.input(name).get_node() for name in ("mel", "faces"))
        return Expert(
            speech=ov.Model([model.output("speech").get_node()], [mel], "speech"),
            # The exporter takes the batch size of both halves from the mel.
            lips=ov.Model([model.output("lips").get_node()], [mel, faces], "lips"),
            resolution=int(metadata["resolution"]),
            is_bgr=metadata.get("channel_order") == "bgr",
        )
    except (RuntimeError, KeyError, ValueError) as err:
        raise CheckpointError(
            f"{path} is not an expert as Lipwright exports them: {err}; export it again"
        ) from err


class ExpertOffsetMeter:
    """Measures with an expert that was exported to ONNX."""

    def __init__(self, path: Path, *, num_threads: int = 1) -> None:
        """Load the expert.

        Args:
            path: See :func:`read_expert`.
            num_threads: Threads to use.

        Raises:
            CheckpointError: If the file is not an expert.
        """
        expert = read_expert(path)
        options = {"INFERENCE_NUM_THREADS": num_threads, "INFERENCE_PRECISION_HINT": "f32"}
        self._speech = openvino_core().compile_model(expert.speech, "CPU", options)
        self._lips = openvino_core().compile_model(expert.lips, "CPU", options)
        self._resolution = expert.resolution
        self._is_bgr = expert.is_bgr

    @property
    def frames(self) -> int:
        """Frames of a window: five."""
        return PIXEL_FRAMES

    def measure(self, crops: list[NDArray[np.uint8]], mel: Mel) -> Offset:
        """Measure the offset of one clip.

        Args:
            crops: ``(S, S, 3)`` uint8 RGB each, 25 a second, with the pack's margin; at least
                five.
            mel: ``(80, num_columns)``; column 0 at the first crop.

        Returns:
            The offset.
        """
        return offset_of(*self.embed(crops, mel))

    def embed(
        self, crops: list[NDArray[np.uint8]], mel: Mel
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed one clip; see :class:`OffsetMeter`."""
        num_windows = len(crops) - PIXEL_FRAMES + 1
        lips = [
            self._embed_lips(crops[first : first + _BATCH + PIXEL_FRAMES - 1])
            for first in range(0, num_windows, _BATCH)
        ]
        return _embed_speech(self._speech, mel, num_windows), np.concatenate(lips)

    def _embed_lips(self, crops: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """``(W, E)``: one row for every five crops that follow each other."""
        faces = self.faces(crops)
        no_mel = np.zeros((len(faces), 1, NUM_MELS, WINDOW_LENGTH), dtype=np.float32)
        lips: NDArray[np.float32] = self._lips({"mel": no_mel, "faces": faces})["lips"]
        return lips

    def faces(self, crops: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Cut what the expert sees of every five crops that follow each other.

        Args:
            crops: ``(S, S, 3)`` uint8 RGB each, with the pack's margin.

        Returns:
            ``(W, 15, R/2, R)`` float32 in [0, 1]: W = number of crops - 4.
        """
        size = round(self._resolution * CROP_MARGIN)
        edge = (size - self._resolution) // 2
        lower = slice(edge + self._resolution // 2, edge + self._resolution)
        halves = np.stack(
            [
                cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)[
                    lower, edge : edge + self._resolution
                ]
                for crop in crops
            ]
        ).transpose(0, 3, 1, 2)  # (N, 3, R/2, R)
        if self._is_bgr:
            halves = halves[:, ::-1]
        stacked = [halves[i : i + PIXEL_FRAMES] for i in range(len(halves) - PIXEL_FRAMES + 1)]
        windows = np.stack(stacked).astype(np.float32) / np.float32(255)
        return windows.reshape(len(windows), 3 * PIXEL_FRAMES, *halves.shape[2:])


class MotionOffsetMeter:
    """Measures with an expert that sees landmarks, which Lipwright's own network finds."""

    def __init__(self, path: Path, *, num_threads: int = 1) -> None:
        """Load the expert and the landmark network.

        Args:
            path: ONNX file with inputs ``mel`` and ``motion``, outputs ``speech`` and ``lips``.
            num_threads: Threads to use.

        Raises:
            CheckpointError: If the file is not such an expert.
        """
        self._expert = LandmarkExpert(path, num_threads=num_threads)
        self._landmarker = Landmarker(
            model_path(DEFAULT_LANDMARKS), num_threads=num_threads, with_mirror=True
        )

    @property
    def frames(self) -> int:
        """Frames of a window, as the expert was trained."""
        return self._expert.frames

    def measure(self, crops: list[NDArray[np.uint8]], mel: Mel) -> Offset:
        """Measure the offset of one clip; see :class:`OffsetMeter`."""
        return offset_of(*self.embed(crops, mel))

    def embed(
        self, crops: list[NDArray[np.uint8]], mel: Mel
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed one clip; see :class:`OffsetMeter`. Lips are at rest where the clip's median is."""
        size = crops[0].shape[0]
        box = widen(np.array([0, 0, size, size], dtype=np.float32), 1 / CROP_MARGIN)
        points = np.stack([self._landmarker.find(crop, box).points for crop in crops])
        windows = _windows_of(mel, len(crops) - self.frames + 1, frames=self.frames)
        return self._expert.embed_speech(windows), self._expert.embed_lips(lip_motion(points))


def open_meter(path: Path, *, num_threads: int = 1) -> ExpertOffsetMeter | MotionOffsetMeter:
    """Load whichever expert a file holds.

    Args:
        path: ONNX file of an expert: on pixels, or on landmarks.
        num_threads: Threads to use.

    Raises:
        CheckpointError: If the file is missing, damaged, or not an expert.
    """
    model, metadata = read_onnx(path)
    names = {name for port in model.inputs for name in port.names}
    is_motion = metadata.get("kind") == "expert" and "motion" in names
    meter = MotionOffsetMeter if is_motion else ExpertOffsetMeter
    return meter(path, num_threads=num_threads)


def _embed_speech(network: ov.CompiledModel, mel: Mel, num_windows: int) -> NDArray[np.float32]:
    """``(W, E)``: the speech of every five frames that follow each other."""
    windows = _windows_of(mel, num_windows, frames=PIXEL_FRAMES)
    speech = [
        network({"mel": windows[first : first + _BATCH]})["speech"]
        for first in range(0, num_windows, _BATCH)
    ]
    return np.asarray(np.concatenate(speech), dtype=np.float32)


def _windows_of(mel: Mel, num_windows: int, *, frames: int) -> NDArray[np.float32]:
    """``(W, 1, 80, C)``: what is heard in so many frames, from each frame on."""
    times = (Fraction(index, CORPUS_FPS) for index in range(num_windows))
    starts = window_starts(times, lead=EXPERT_LEAD)
    return cut_windows(mel, starts, length=expert_columns(frames))


def offset_of(speech: NDArray[np.float32], lips: NDArray[np.float32]) -> Offset:
    """Find the shift at which speech and lips agree best.

    Windows whose shifted speech lies beyond the clip do not count: silence there would be nearer to
    many lips than other speech is, and draw the best shift outward.

    Args:
        speech: ``(W, E)`` of unit length; row i belongs to row i of lips.
        lips: ``(W, E)`` of unit length.

    Returns:
        The offset, between ``-MAX_SHIFT`` and ``MAX_SHIFT``; less far where the clip is shorter.
    """
    num_windows = len(lips)
    max_shift = min(MAX_SHIFT, num_windows - 1)
    shifts = range(-max_shift, max_shift + 1)  # frames by which the speech is later
    similarity = np.array(
        [
            _mean_cosine(speech[max(s, 0) :], lips[max(-s, 0) :], count=num_windows - abs(s))
            for s in shifts
        ]
    )
    best = int(np.argmax(similarity))
    # Best at a shift of +2 means that the lips fit the speech of two frames later: it comes late,
    # and must be moved earlier.
    return Offset(frames=-shifts[best], confidence=float(similarity[best] - np.median(similarity)))


def _mean_cosine(speech: NDArray[np.float32], lips: NDArray[np.float32], *, count: int) -> float:
    return float((speech[:count] * lips[:count]).sum(axis=1).mean())
