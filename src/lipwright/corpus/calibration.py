"""Draw inputs of a generator from a corpus: what the ranges of its int8 activations come from."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.corpus.clips import Clips, load_clips
from lipwright.corpus.ledger import Split
from lipwright.corpus.pack import CORPUS_FPS, CROP_MARGIN, PackReader
from lipwright.errors import CorpusError
from lipwright.speech import WINDOW_LENGTH, Alignment, aligned_starts, cut_windows

# Ranges of fewer are narrower, and cut off more: of the shipped generator, 512 rows left one
# held-out row in a thousand off by more than 2e-2, and 1536 none of three thousand.
NUM_CALIBRATION = 1536
NUM_CHECKS = 512  # the more, the less likely that rows to come are worse than the worst of these
_CHECK_SHARE = 0.25  # of the people
_SEED = 0
Rows = dict[str, NDArray[np.float32]]


class GeneratorInputs:
    """Draws what a generator of one kind is given when it renders the clips of a split."""

    def __init__(
        self,
        folder: Path,
        split: Split = "train",
        *,
        resolution: int,
        alignment: Alignment = "centred",
        columns: int = WINDOW_LENGTH,
        is_bgr: bool = False,
    ) -> None:
        """Open a corpus.

        Args:
            folder: What ``prepare_corpus`` wrote.
            split: Which part of it.
            resolution: Height and width of a face in pixels.
            alignment: Which stretch of speech the generator draws a frame from.
            columns: Mel columns of that stretch.
            is_bgr: Whether it takes blue first.

        Raises:
            CorpusError: If there is no corpus, or the split is empty.
        """
        self._clips: Clips = load_clips(folder, split)
        self._resolution = resolution
        self._alignment: Alignment = alignment
        self._columns = columns
        self._is_bgr = is_bgr

    def calibration_and_checks(
        self, *, num_calibration: int = NUM_CALIBRATION, num_checks: int = NUM_CHECKS
    ) -> tuple[Rows, Rows]:
        """Draw rows to calibrate on, and rows to check on; each time the same.

        The latter are of other people, as rows to come are; of other clips, if all show one person.

        Args:
            num_calibration: How many of the former, or as many as there are frames.
            num_checks: How many of the latter, likewise.

        Returns:
            Each as :meth:`draw` gives them.

        Raises:
            CorpusError: If there is but one clip.
        """
        people = [entry.speaker for entry in self._clips.entries]
        if len(set(people)) == 1:
            people = [entry.clip for entry in self._clips.entries]
        if len(set(people)) == 1:
            raise CorpusError(
                f"int8 is calibrated on some clips and checked on others; {self._clips.folder} "
                f"has one"
            )
        rng = np.random.default_rng(_SEED)
        order = rng.permutation(sorted(set(people)))
        is_check = np.isin(people, order[: max(1, round(_CHECK_SHARE * len(order)))])
        frames = np.array([entry.num_frames for entry in self._clips.entries])
        return (
            self.draw(
                min(num_calibration, int(frames[~is_check].sum())),
                clips=np.flatnonzero(~is_check),
                rng=rng,
            ),
            self.draw(
                min(num_checks, int(frames[is_check].sum())),
                clips=np.flatnonzero(is_check),
                rng=rng,
            ),
        )

    def draw(
        self, count: int, *, clips: NDArray[np.int64] | None = None, rng: np.random.Generator
    ) -> Rows:
        """Draw rows, each from a clip, a frame and a reference of their own.

        Args:
            count: B, how many.
            clips: Indices of those to draw from; all by default.
            rng: Decides.

        Returns:
            ``mel`` ``(B, 1, 80, columns)`` float32 in [-4, 4], and ``faces`` ``(B, 6, R, R)``
            float32 in [0, 1], the target with its lower half set to zero.
        """
        indices = np.arange(len(self._clips)) if clips is None else clips
        mel, faces = [], []
        for index in rng.choice(indices, count):
            clip = self._clips.open(int(index))
            frame, reference = (int(i) for i in rng.integers(0, clip.num_frames, 2))
            time = Fraction(frame, CORPUS_FPS)
            starts = aligned_starts([time], self._alignment, columns=self._columns)
            mel.append(cut_windows(clip.mel, starts, length=self._columns)[0])
            target = self._face(clip, frame)
            target[:, self._resolution // 2 :] = 0
            faces.append(np.concatenate([target, self._face(clip, reference)]))
        return {"mel": np.stack(mel), "faces": np.stack(faces)}

    def _face(self, clip: PackReader, frame: int) -> NDArray[np.float32]:
        """``(3, R, R)`` in [0, 1]: the crop rule's square, without the corpus' margin."""
        size = round(self._resolution * CROP_MARGIN)
        edge = (size - self._resolution) // 2
        inside = slice(edge, edge + self._resolution)
        crop = cv2.resize(clip.frame(frame), (size, size), interpolation=cv2.INTER_AREA)
        face = crop[inside, inside, ::-1] if self._is_bgr else crop[inside, inside]
        return np.asarray(face.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
