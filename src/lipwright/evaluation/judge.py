"""Judges of lip sync: networks that embed lips and speech of a clip, and the score of that.

Two: Lipwright's own expert, and SyncNet v2 with weights that the user supplies, by which the field
publishes LSE-D and LSE-C. Neither needs torch.
"""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import openvino_core, read_onnx
from lipwright.corpus import CORPUS_FPS
from lipwright.corpus.offset import open_meter
from lipwright.errors import CheckpointError, MediaError
from lipwright.evaluation.sync import LSE_SHIFT, SyncScore, sync_score
from lipwright.speech import Mel, mel_spectrogram
from lipwright.speech.mel import SAMPLE_RATE
from lipwright.speech.mfcc import cut_cepstra, mel_cepstra, to_int16

Crops = list[NDArray[np.uint8]]

SYNCNET_RESOLUTION = 224  # pixels
SYNCNET_FRAMES = 5  # of a window
_SYNCNET_BATCH = 16  # windows at a time: three million values each
_SAMPLES_PER_FRAME = SAMPLE_RATE // CORPUS_FPS


class SyncJudge(Protocol):
    """Whatever can say how well lips fit speech."""

    def score(self, crops: Crops, speech: NDArray[np.float32]) -> SyncScore:
        """Score one clip; what is longer, picture or speech, is cut.

        Args:
            crops: ``(S, S, 3)`` uint8 RGB each, 25 a second: the face, as the judge wants it cut.
            speech: ``(N,)`` float32 mono at 16 kHz in [-1, 1]; sample 0 at the first crop.

        Returns:
            The score.

        Raises:
            MediaError: If the clip is too short, or the speech is empty or not finite.
        """
        ...


class ExpertJudge:
    """Judges by an expert that Lipwright exported.

    Crops are cut as in a packed clip: the square of the crop rule, widened by ``CROP_MARGIN``. Its
    embeddings have unit length, so windows whose shifted speech lies beyond the clip are left out;
    see ``evaluation.sync``.
    """

    def __init__(self, path: Path, *, num_threads: int = 1) -> None:
        """Load the expert.

        Args:
            path: ONNX file, see :func:`lipwright.corpus.offset.read_expert`.
            num_threads: Threads to use.

        Raises:
            CheckpointError: If the file is not an expert.
        """
        self._meter = open_meter(path, num_threads=num_threads)

    def score(self, crops: Crops, speech: NDArray[np.float32]) -> SyncScore:
        """Score one clip of at least a window and 15 frames; see :class:`SyncJudge`."""
        return self.score_mel(crops[: len(speech) // _SAMPLES_PER_FRAME], mel_spectrogram(speech))

    def score_mel(self, crops: Crops, mel: Mel) -> SyncScore:
        """Score a clip whose mel is at hand, as it is in a packed clip.

        Args:
            crops: As :meth:`score` takes them.
            mel: ``(80, num_columns)`` float32 in [-4, 4]; column 0 at the first crop. Speech that
                ends before the crops goes on in silence.

        Returns:
            The score.

        Raises:
            MediaError: If there are fewer crops than a window and the 15 shifts to one side take.
        """
        _require_frames(len(crops), at_least=self._meter.frames + LSE_SHIFT)
        return sync_score(*self._meter.embed(crops, mel), beyond="left out")


class SyncNetJudge:
    """Judges by SyncNet v2, as published LSE-D and LSE-C are measured.

    Crops may be any square around the face; a number can be compared with a published one if they
    are cut as there: the whole frame of LRS2, LRS3 and LRW, else the face track that SyncNet's own
    pipeline cuts. They are scaled to 224 px (bilinear, as the paper's evaluation does).
    """

    def __init__(self, path: Path, *, num_threads: int = 1) -> None:
        """Load the network.

        Args:
            path: ONNX file that ``lipwright convert`` wrote from SyncNet v2's weights.
            num_threads: Threads to use.

        Raises:
            CheckpointError: If the file is missing, damaged, or holds something else.
        """
        model, metadata = read_onnx(path)
        if metadata.get("kind") != "judge":
            raise CheckpointError(
                f"{path} is no SyncNet v2: its kind is {metadata.get('kind', 'not stated')}; make "
                f"one from the weights: lipwright convert syncnet_v2.model"
            )
        options = {"INFERENCE_NUM_THREADS": num_threads, "INFERENCE_PRECISION_HINT": "f32"}
        self._network = openvino_core().compile_model(model, "CPU", options)
        names = {port.get_any_name() for port in (*model.inputs, *model.outputs)}
        if names != {"mfcc", "faces", "speech", "lips"}:
            raise CheckpointError(
                f"{path} is not a SyncNet v2 as Lipwright exports it: it has the ports "
                f"{', '.join(sorted(names))}; convert the weights again"
            )

    def score(self, crops: Crops, speech: NDArray[np.float32]) -> SyncScore:
        """Score one clip of at least six frames; see :class:`SyncJudge`.

        As in SyncNet's own code, the last window is left out.
        """
        return sync_score(*self.embed(crops, speech))

    def embed(
        self, crops: Crops, speech: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed every five crops that follow each other and the speech of the same time.

        Args:
            crops: As :meth:`score` takes them.
            speech: ``(N,)`` float32 mono at 16 kHz in [-1, 1]; sample 0 at the first crop.

        Returns:
            Speech and lips, each ``(W, 1024)`` float32, not of unit length: W = frames of which
            there are both, less five.

        Raises:
            MediaError: If there are fewer than six frames of both, or the speech is empty or not
                finite.
        """
        cepstra = mel_cepstra(to_int16(speech))
        num_frames = min(len(crops), len(speech) // _SAMPLES_PER_FRAME)
        _require_frames(num_frames, at_least=SYNCNET_FRAMES + 1)
        num_windows = num_frames - SYNCNET_FRAMES
        heard = cut_cepstra(cepstra)[:num_windows]
        embedded: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        for first in range(0, num_windows, _SYNCNET_BATCH):
            last = min(first + _SYNCNET_BATCH, num_windows)
            faces = syncnet_faces(crops[first : last + SYNCNET_FRAMES - 1])
            found = self._network({"mfcc": heard[first:last], "faces": faces})
            embedded.append((found["speech"], found["lips"]))
        of_speech, of_lips = zip(*embedded, strict=True)
        return np.concatenate(of_speech), np.concatenate(of_lips)


def syncnet_faces(crops: Crops) -> NDArray[np.float32]:
    """Cut what SyncNet v2 sees of every five crops that follow each other.

    Args:
        crops: ``(S, S, 3)`` uint8 RGB each.

    Returns:
        ``(W, 3, 5, 224, 224)`` float32 BGR in [0, 255]: W = number of crops - 4.
    """
    size = (SYNCNET_RESOLUTION, SYNCNET_RESOLUTION)
    pictures = np.stack([cv2.resize(crop, size)[..., ::-1] for crop in crops])  # (N, 224, 224, 3)
    windows = np.lib.stride_tricks.sliding_window_view(pictures, SYNCNET_FRAMES, axis=0)
    return windows.transpose(0, 3, 4, 1, 2).astype(np.float32)


def _require_frames(num_frames: int, *, at_least: int) -> None:
    if num_frames < at_least:
        raise MediaError(
            f"the clip has picture and speech for {num_frames} frames; at least {at_least} are "
            f"needed to judge it"
        )
