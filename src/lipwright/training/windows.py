"""Batches of training windows, each a pure function of (seed, step).

Because batch n depends on nothing but the seed and n, a resumed run sees exactly what an
uninterrupted one would have seen, with any number of loader processes.
"""

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lipwright.corpus import CORPUS_FPS, Clips, PackReader
from lipwright.errors import ConfigError, CorpusError
from lipwright.speech import EXPERT_LEAD, FRAME_LEAD, cut_windows, window_starts
from lipwright.training.augment import (
    PictureChange,
    change_picture,
    draw_picture_change,
)
from lipwright.training.voices import change_speech, draw_speech_change

NUM_FRAMES = 5  # of a window: 0.2 s
NUM_CANDIDATES = 12  # windows of speech among which the expert has to find the right one
_MIN_APART = 5  # frames between two windows that shall not say the same
_PITCH = NUM_FRAMES + 1  # frames from one window of a clip to the next, at least
_SHORTEST = 2 * (NUM_FRAMES + _MIN_APART)  # frames of a clip that leave room for two windows
Batch = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowConfig:
    """How windows are drawn from clips."""

    resolution: int
    """Height and width of the faces."""
    batch_size: int
    """Windows in a batch."""
    seed: int
    """Of everything drawn."""
    with_speech_changes: bool = True
    """Augment the speech."""
    with_picture_changes: bool = True
    """Augment the picture."""
    speaker_balance: float = 0.5
    """0 draws clips alike, 1 draws speakers alike: weight of a clip is n ** -balance for a speaker
    of n clips."""
    puppet_share: float | None = None
    """Share of the windows that come from puppets; None draws them like other speakers."""


class WindowSource(Protocol):
    """Whatever can make batch number ``step``."""

    def batch(self, step: int) -> Batch:
        """Make one batch."""
        ...


class ClipDrawer:
    """Draws clips, and what is the same in both kinds of batch."""

    def __init__(self, clips: Clips, config: WindowConfig, *, min_frames: int) -> None:
        self.config = config
        self.clips = clips
        long_enough = [i for i, e in enumerate(clips.entries) if e.num_frames >= min_frames]
        if not long_enough:
            raise CorpusError(f"no clip in {clips.folder} has {min_frames} frames")
        self._indices = np.array(long_enough)
        speakers = [clips.entries[i].speaker for i in long_enough]
        counts = Counter(speakers)
        weights = np.array([counts[s] ** -config.speaker_balance for s in speakers])
        is_puppet = np.array([clips.entries[i].driver is not None for i in long_enough])
        if config.puppet_share is not None and is_puppet.any() and not is_puppet.all():
            weights[is_puppet] *= config.puppet_share / weights[is_puppet].sum()
            weights[~is_puppet] *= (1 - config.puppet_share) / weights[~is_puppet].sum()
        self._probabilities = weights / weights.sum()

    def rng(self, step: int) -> np.random.Generator:
        """What decides everything about a batch."""
        return np.random.default_rng([self.config.seed, step])

    def clip(self, rng: np.random.Generator) -> PackReader:
        """Any clip, speakers and puppets balanced as asked for."""
        return self.clips.open(int(rng.choice(self._indices, p=self._probabilities)))

    def picture_change(self, rng: np.random.Generator) -> PictureChange:
        """Another light and place, if pictures are changed at all."""
        return draw_picture_change(rng) if self.config.with_picture_changes else PictureChange()

    def speech(
        self, clip: PackReader, frames: list[int], *, lead: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Windows of the frames, ``(N, 1, 80, 16)``, changed alike."""
        windows = cut_windows(clip.mel, _starts(frames, lead=lead))
        if not self.config.with_speech_changes:
            return windows
        return change_speech(windows, draw_speech_change(rng), rng)

    def faces(
        self, clip: PackReader, frames: list[int], change: PictureChange
    ) -> NDArray[np.uint8]:
        """``(N, 3, H, W)`` uint8 RGB, changed alike."""
        size = self.config.resolution
        pictures = [change_picture(clip.frame(i), change, size=size) for i in frames]
        return np.stack(pictures).transpose(0, 3, 1, 2)


class ExpertWindows:
    """Batches for the expert: five lower halves and a window of speech, in sync or not."""

    def __init__(self, clips: Clips, config: WindowConfig, *, windows_per_clip: int = 1) -> None:
        """Prepare to draw.

        Args:
            clips: Where from.
            config: How.
            windows_per_clip: Windows taken from each clip drawn, at different times; divides the
                batch size.

        Raises:
            ConfigError: If it does not.
            CorpusError: If no clip is long enough.
        """
        require_divisor(config, windows_per_clip)
        self._drawer = ClipDrawer(
            clips, config, min_frames=max(_PITCH * windows_per_clip, _SHORTEST)
        )
        self._windows_per_clip = windows_per_clip

    def batch(self, step: int) -> Batch:
        """Make one batch.

        Args:
            step: Its number.

        Returns:
            ``faces`` ``(B, 15, R/2, R)`` uint8; ``mel`` ``(B, 1, 80, 16)`` in sync with them;
            ``other_mel`` the same from another time of the clip. Rows of a clip follow each
            other.
        """
        rng = self._drawer.rng(step)
        rows: list[tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]] = []
        while len(rows) < self._drawer.config.batch_size:
            clip = self._drawer.clip(rng)
            change = self._drawer.picture_change(rng)
            for start in _spread(clip.num_frames, self._windows_per_clip, rng):
                frames = list(range(start, start + NUM_FRAMES))
                faces = self._drawer.faces(clip, frames, change)
                lower = faces[:, :, faces.shape[2] // 2 :]  # (5, 3, R/2, R)
                other = _other_start(clip.num_frames, start, rng)
                mels = self._drawer.speech(clip, [start, other], lead=EXPERT_LEAD, rng=rng)
                rows.append((lower.reshape(-1, *lower.shape[2:]), mels[0], mels[1]))
        faces_rows, mel, other_mel = zip(*rows, strict=True)
        return {
            "faces": torch.from_numpy(np.stack(faces_rows)),
            "mel": torch.from_numpy(np.stack(mel)),
            "other_mel": torch.from_numpy(np.stack(other_mel)),
        }


class GeneratorWindows:
    """Batches for the generator: five frames to draw, a reference, and the speech of each."""

    def __init__(
        self,
        clips: Clips,
        config: WindowConfig,
        *,
        with_motion: bool = False,
        single_until: int = 0,
    ) -> None:
        """Prepare to draw.

        Args:
            clips: Where from.
            config: How.
            with_motion: Add shape and motion of the mouth, from the landmarks in the corpus.
            single_until: Batches before this one hold windows of one frame, and five times as
                many: frames of more people, where nothing looks at five in a row yet.

        Raises:
            CorpusError: If no clip is long enough, or one has no landmarks.
        """
        self._drawer = ClipDrawer(clips, config, min_frames=_SHORTEST)
        self._with_motion = with_motion
        self._single_until = single_until

    def batch(self, step: int) -> Batch:
        """Make one batch.

        Args:
            step: Its number.

        Returns:
            ``faces`` ``(B, T, 3, R, R)`` uint8; ``reference`` ``(B, 3, R, R)`` uint8 from another
            time of the clip; ``mel`` ``(B, T, 1, 80, 16)``, the window of each frame; ``shape`` and
            ``motion`` ``(B, T, 4)`` of the mouth, see ``PackReader``, if asked for. With T = 5 also
            ``sync_mel`` ``(B, 12, 1, 80, 16)``, windows for the expert, never augmented: first
            that of the five frames, then others of the clip.
        """
        rng = self._drawer.rng(step)
        is_single = step < self._single_until
        num_frames = 1 if is_single else NUM_FRAMES
        num_windows = self._drawer.config.batch_size * (NUM_FRAMES // num_frames)
        rows = [self._window(num_frames, rng) for _ in range(num_windows)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _window(self, num_frames: int, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        clip = self._drawer.clip(rng)
        change = self._drawer.picture_change(rng)
        start = int(rng.integers(0, clip.num_frames - NUM_FRAMES + 1))
        frames = list(range(start, start + num_frames))
        reference = _reference(clip.num_frames, start, rng)
        faces = self._drawer.faces(clip, [*frames, reference], change)
        row: dict[str, NDArray[np.generic]] = {
            "faces": faces[:-1],
            "reference": faces[-1],
            "mel": self._drawer.speech(clip, frames, lead=FRAME_LEAD, rng=rng),
        }
        if self._with_motion:
            row["shape"], row["motion"] = (rows[frames] for rows in _articulation(clip))
        if num_frames == NUM_FRAMES:
            others = [_other_start(clip.num_frames, start, rng) for _ in range(NUM_CANDIDATES - 1)]
            expert_starts = _starts([start, *others], lead=EXPERT_LEAD)
            row["sync_mel"] = cut_windows(clip.mel, expert_starts)
        return row


def require_divisor(config: WindowConfig, windows_per_clip: int) -> None:
    """Raise a ConfigError if a batch is not of whole clips."""
    if config.batch_size % windows_per_clip:
        raise ConfigError(
            f"windows_per_clip must divide batch_size, got {windows_per_clip} and "
            f"{config.batch_size}"
        )


def _articulation(clip: PackReader) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if clip.mouth_shapes is None or clip.mouth_motion is None:
        raise CorpusError(
            f"{clip.path} has no landmarks; prepare the corpus again with --landmarks"
        )
    return clip.mouth_shapes, clip.mouth_motion


def _starts(frames: list[int], *, lead: int) -> NDArray[np.int64]:
    return window_starts((Fraction(frame, CORPUS_FPS) for frame in frames), lead=lead)


def _spread(num_frames: int, count: int, rng: np.random.Generator) -> list[int]:
    """Starts of windows that do not overlap and are some way apart, in random places."""
    pitch = num_frames // count
    slack = pitch - NUM_FRAMES
    return [i * pitch + int(rng.integers(0, slack + 1)) for i in range(count)]


def _other_start(num_frames: int, start: int, rng: np.random.Generator) -> int:
    """A window of the clip that says something else."""
    others = [
        other for other in range(num_frames - NUM_FRAMES + 1) if abs(other - start) >= _MIN_APART
    ]
    return int(rng.choice(others))


def _reference(num_frames: int, start: int, rng: np.random.Generator) -> int:
    """A frame well before or after the window."""
    end = start + NUM_FRAMES
    others = [i for i in range(num_frames) if i <= start - _MIN_APART or i >= end + _MIN_APART - 1]
    return int(rng.choice(others))


class _Steps(Dataset[Batch]):
    def __init__(self, source: WindowSource) -> None:
        self._source = source

    def __getitem__(self, step: int) -> Batch:
        return self._source.batch(step)


def load_batches(
    source: WindowSource, *, first: int, end: int, num_workers: int
) -> "DataLoader[Batch]":
    """Make batches ahead of time, in order.

    Args:
        source: Makes them.
        first: Number of the first batch.
        end: Number after the last one.
        num_workers: Processes; 0 makes them in this one.

    Returns:
        An iterable of batches.
    """
    return DataLoader(
        _Steps(source),
        batch_size=None,
        sampler=range(first, end),
        num_workers=num_workers,
        prefetch_factor=4 if num_workers else None,
        worker_init_fn=_start_worker,
        # Spawned, not forked: a fork copies the locks of other libraries' threads, not the threads.
        multiprocessing_context="spawn" if num_workers else None,
        # Its own, or each new loader would draw from the generator that dropout draws from, and a
        # resumed run would differ from an uninterrupted one.
        generator=torch.Generator(),
    )


def _start_worker(_worker: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
