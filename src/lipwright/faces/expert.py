"""How well a mouth's motion fits what is heard: Lipwright's expert, which sees landmarks.

It is given windows of speech as arrays, so that neither room needs the other.
"""

from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lipwright.checkpoints import openvino_core, read_onnx
from lipwright.errors import CheckpointError, ConfigError

# Five frames are 16 columns of speech: `speech.expert_columns`, which this room cannot import.
_WHOLE_FRAMES, _WHOLE_COLUMNS = 5, 16
_BATCH = 64  # windows at a time, so that memory does not grow with the clip


class LandmarkExpert:
    """Embeds motion of lips, and speech, so that what belongs together lies together."""

    def __init__(self, path: Path, *, num_threads: int = 1) -> None:
        """Load the expert.

        Args:
            path: ONNX file with inputs ``mel`` and ``motion``, outputs ``speech`` and ``lips``.
            num_threads: Threads to use.

        Raises:
            CheckpointError: If the file is missing, damaged, or not such an expert, or looks at
                another time than it hears.
        """
        model, metadata = read_onnx(path)
        names = {name for port in model.inputs for name in port.names}
        if metadata.get("kind") != "expert" or "motion" not in names:
            raise CheckpointError(f"{path} is no expert that sees landmarks; give another file")
        options = {"INFERENCE_NUM_THREADS": num_threads, "INFERENCE_PRECISION_HINT": "f32"}
        mel, motion = (model.input(name).get_node() for name in ("mel", "motion"))
        speech = ov.Model([model.output("speech").get_node()], [mel], "speech")
        # The exporter takes the batch size of both halves from the mel.
        lips = ov.Model([model.output("lips").get_node()], [mel, motion], "lips")
        self._speech = openvino_core().compile_model(speech, "CPU", options)
        self._lips = openvino_core().compile_model(lips, "CPU", options)
        shape = model.input("mel").partial_shape
        self._mel_shape = tuple(shape[axis].get_length() for axis in (1, 2, 3))
        self._frames: int = model.input("motion").partial_shape[1].get_length()
        columns = self._mel_shape[2]
        if _WHOLE_FRAMES * columns != _WHOLE_COLUMNS * self._frames:
            raise CheckpointError(
                f"{path} looks at {self._frames} frames and hears {columns} columns, which is "
                f"another time; give another file"
            )

    @property
    def frames(self) -> int:
        """Frames of a window, 25 a second; it hears 16 columns for every five."""
        return self._frames

    def embed_lips(self, motion: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed every window of frames that follow each other.

        Args:
            motion: ``(N, MOTION_LENGTH)`` of ``faces.motion.lip_motion``, 25 a second; N at least
                ``frames``.

        Returns:
            ``(N - frames + 1, E)`` float32 of unit length.

        Raises:
            ConfigError: If there are too few frames.
        """
        if len(motion) < self.frames:
            raise ConfigError(f"the expert looks at {self.frames} frames, got {len(motion)}")
        windows = np.lib.stride_tricks.sliding_window_view(motion, self.frames, axis=0)
        taken = np.ascontiguousarray(windows.transpose(0, 2, 1))  # (N - F + 1, F, M)
        found = []
        for first in range(0, len(taken), _BATCH):
            batch = taken[first : first + _BATCH]
            no_mel = np.zeros((len(batch), *self._mel_shape), dtype=np.float32)
            found.append(self._lips({"mel": no_mel, "motion": batch})["lips"])
        return np.asarray(np.concatenate(found), dtype=np.float32)

    def embed_speech(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed stretches of speech.

        Args:
            windows: ``(W, 1, 80, 16 frames / 5)`` float32 in [-4, 4]: of ``frames`` frames each.

        Returns:
            ``(W, E)`` float32 of unit length.
        """
        batches = (windows[first : first + _BATCH] for first in range(0, len(windows), _BATCH))
        found = [self._speech({"mel": batch})["speech"] for batch in batches]
        return np.asarray(np.concatenate(found), dtype=np.float32)
