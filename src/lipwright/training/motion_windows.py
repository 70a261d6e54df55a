"""Batches for the expert on landmarks: stretches of clips, how lips move in them and what is said.

A stretch is as long as so many windows, each five frames after the one before, so that every window
of speech begins on a whole column of the stretch; see ``models.motion_expert.MotionExpert.pairs``.
"""

from fractions import Fraction
from math import ceil, exp

import numpy as np
import torch
from numpy.typing import NDArray

from lipwright.corpus import CORPUS_FPS, Clips, PackReader
from lipwright.errors import CorpusError
from lipwright.faces.motion import lip_motion
from lipwright.faces.points import MESH_INDICES
from lipwright.speech import (
    EXPERT_LEAD,
    WHOLE_FRAMES,
    cut_windows,
    expert_columns,
    window_starts,
)
from lipwright.training.voices import at_tempo, change_speech, draw_speech_change
from lipwright.training.windows import Batch, ClipDrawer, WindowConfig, require_divisor

_FARTHER = (0.7, 1.4)  # range of factors on the motion of lips
_TREMBLE = 0.05  # standard deviation of noise on it, in its own unit


class MotionWindows:
    """Stretches of clips, each in another voice and at another tempo."""

    def __init__(
        self,
        clips: Clips,
        config: WindowConfig,
        *,
        frames: int,
        windows_per_clip: int,
        tempo: float = 0.0,
    ) -> None:
        """Prepare to draw.

        Args:
            clips: Where from; prepared with landmarks.
            config: How; pictures are not looked at.
            frames: Of a window.
            windows_per_clip: Windows taken from each clip drawn, every fifth frame; divides the
                batch size.
            tempo: Largest change of tempo, as a logarithm.

        Raises:
            ConfigError: If it does not, or the frames are not a multiple of five.
            CorpusError: If no clip is long enough.
        """
        require_divisor(config, windows_per_clip)
        self._num_frames = frames + WHOLE_FRAMES * (windows_per_clip - 1)
        self._columns = expert_columns(self._num_frames)
        # The shortest clip that still has a stretch when it is played the fastest.
        shortest = ceil((self._num_frames - 0.5) * exp(tempo))
        self._drawer = ClipDrawer(clips, config, min_frames=shortest)
        self._num_clips = config.batch_size // windows_per_clip
        self._tempo = tempo
        self._seen: dict[str, NDArray[np.float32]] = {}  # small, and slow to compute: kept

    def batch(self, step: int) -> Batch:
        """Make one batch.

        Args:
            step: Its number.

        Returns:
            Of stretches of ``N = frames + 5 (windows_per_clip - 1)`` frames, one of each clip
            drawn: ``motion`` ``(B, N, M)``, see ``faces.motion.lip_motion``; ``mel``
            ``(B, 1, 80, 16 N / 5)``, their speech.

        Raises:
            CorpusError: If a clip has no landmarks.
        """
        rng = self._drawer.rng(step)
        rows = [self._row(rng) for _ in range(self._num_clips)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _row(self, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        config = self._drawer.config
        clip = self._drawer.clip(rng)
        tempo = float(np.exp(rng.uniform(-self._tempo, self._tempo)))
        mel = np.ascontiguousarray(at_tempo(clip.mel.T, tempo).T)
        motion = at_tempo(self._of(clip), tempo)
        first = int(rng.integers(0, len(motion) - self._num_frames + 1))
        motion = motion[first : first + self._num_frames]
        if config.with_picture_changes:  # another way to move as far, and a tracker's noise
            motion = motion * np.float32(rng.uniform(*_FARTHER))
            motion = motion + rng.normal(0, _TREMBLE, motion.shape).astype(np.float32)
        starts = window_starts([Fraction(first, CORPUS_FPS)], lead=EXPERT_LEAD)
        heard = cut_windows(mel, starts, length=self._columns)[0]
        if config.with_speech_changes:
            heard = change_speech(heard, draw_speech_change(rng), rng)
        return {"mel": heard, "motion": motion}

    def _of(self, clip: PackReader) -> NDArray[np.float32]:
        """``(N, M)`` of the whole clip."""
        key = str(clip.path)
        if key not in self._seen:
            points = clip.points
            if points is None:
                raise CorpusError(
                    f"{clip.path} has no landmarks; prepare the corpus again with --landmarks"
                )
            self._seen[key] = lip_motion(points[:, list(MESH_INDICES)])
        return self._seen[key]
