"""How good an expert is: can it tell speech that fits from speech of another time, and by how much?

Speech of the same clip is what it must tell apart: that of another clip differs in voice and room.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipwright.corpus import Clips
from lipwright.corpus.offset import MAX_SHIFT, OffsetMeter
from lipwright.errors import ConfigError, CorpusError
from lipwright.evaluation.sync import sync_score

MIN_APART = 5  # frames between the windows of an off-sync pair: about a syllable
PAIRS_PER_CLIP = 50
MOVES = (-10, -5, -2, -1, 0, 1, 2, 5, 10)  # frames by which the sound is moved
OFFSET_TOLERANCE = 1  # frames

Embeddings = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class PairAccuracy:
    """How well one threshold parts pairs in sync from pairs that are not."""

    accuracy: float
    """Share of pairs on the right side, half of them in sync; 0.5 is chance."""
    threshold: float
    """Cosine from which on a pair is taken to be in sync: the best one for these pairs."""
    forced_choice: float
    """Share of lips whose own speech is nearer than the other speech they were given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertAccuracy:
    """How good an expert is on held-out clips."""

    pairs: PairAccuracy
    """On lips with their own speech, and with that of another time of the clip."""
    num_pairs: int
    """Pairs in sync; there are as many off-sync."""
    offset_by_move: dict[int, float]
    """Frames by which the sound was made to come earlier -> share of clips whose measured offset
    is within a frame of that."""
    num_clips: int
    """Clips that were looked at."""

    @property
    def offset(self) -> float:
        """The share of clips as they are: with sound that was not moved."""
        return self.offset_by_move[0]


def expert_accuracy(
    clips: Clips,
    expert: OffsetMeter,
    *,
    rng: np.random.Generator,
    pairs_per_clip: int = PAIRS_PER_CLIP,
    moves: Sequence[int] = MOVES,
) -> ExpertAccuracy:
    """Measure an expert on every clip of a split, which it should not have been trained on.

    Args:
        clips: Clips that are in sync, of at least a window and ``MAX_SHIFT`` frames, and as many
            more as the sound is moved by.
        expert: Whose accuracy.
        rng: Chooses the pairs.
        pairs_per_clip: Windows of lips to take of each clip; one may come twice.
        moves: Frames to move the sound by, at most ``MAX_SHIFT - 1`` to either side.

    Returns:
        The accuracy; the same for the same state of ``rng``.

    Raises:
        ConfigError: If the sound is to be moved too far, or no pairs are wanted.
        CorpusError: If a clip is too short.
    """
    moves = sorted({0, *moves})
    reach = max(abs(move) for move in moves)
    if reach + OFFSET_TOLERANCE > MAX_SHIFT:
        raise ConfigError(
            f"offsets are looked for within {MAX_SHIFT} frames; sound cannot be moved by {reach}"
        )
    if pairs_per_clip < 1:
        raise ConfigError(f"pairs_per_clip must be at least 1, got {pairs_per_clip}")
    true, other = [], []
    num_right = dict.fromkeys(moves, 0)
    for index in range(len(clips)):
        clip = clips.open(index)
        needed = MAX_SHIFT + reach + expert.frames
        if clip.num_frames < needed:
            raise CorpusError(
                f"{clip.path} has {clip.num_frames} frames; to find offsets when the sound is "
                f"moved by {reach}, {needed} are needed"
            )
        crops = [clip.frame(number) for number in range(clip.num_frames)]
        speech, lips = expert.embed(crops, clip.mel)
        in_sync, off_sync = pair_cosines(speech, lips, num_pairs=pairs_per_clip, rng=rng)
        true.append(in_sync)
        other.append(off_sync)
        for move in moves:
            is_right = abs(offset_after(speech, lips, move=move) - move) <= OFFSET_TOLERANCE
            num_right[move] += is_right
    return ExpertAccuracy(
        pairs=pair_accuracy(np.concatenate(true), np.concatenate(other)),
        num_pairs=pairs_per_clip * len(clips),
        offset_by_move={move: right / len(clips) for move, right in num_right.items()},
        num_clips=len(clips),
    )


def pair_cosines(
    speech: Embeddings, lips: Embeddings, *, num_pairs: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare windows of lips with their own speech, and with that of another time of the clip.

    Args:
        speech: ``(W, E)`` of unit length: row i belongs to row i of lips. More than five rows.
        lips: ``(W, E)`` of unit length.
        num_pairs: How many windows to take.
        rng: Chooses the windows, and evenly among the times at least five frames away; a window
            in the middle of a short clip that has none is not chosen.

    Returns:
        Cosines in sync and off-sync, ``(num_pairs,)`` float64 each.
    """
    places = np.arange(len(lips))
    is_apart = np.abs(places[:, None] - places) >= MIN_APART  # (W, W)
    chosen = rng.choice(np.flatnonzero(is_apart.any(axis=1)), num_pairs)
    others = np.array([rng.choice(np.flatnonzero(is_apart[place])) for place in chosen])
    seen = lips[chosen].astype(np.float64)
    return (seen * speech[chosen]).sum(axis=1), (seen * speech[others]).sum(axis=1)


def pair_accuracy(in_sync: NDArray[np.float64], off_sync: NDArray[np.float64]) -> PairAccuracy:
    """Part pairs by the one threshold that does it best.

    The figure of Prajwal et al. 2020, section 3.1: how many of all pairs an expert tells right.
    The threshold is chosen on the pairs that it is judged on, which flatters it by little where
    there are thousands.

    Args:
        in_sync: ``(N,)`` cosines of lips with their own speech.
        off_sync: ``(N,)`` cosines of the same lips with other speech.

    Returns:
        Accuracy, threshold (of equally good ones the lowest) and forced choice (a tie counts half).

    Raises:
        ConfigError: If there are no pairs, or not as many of the one as of the other.
    """
    if in_sync.shape != off_sync.shape or in_sync.size == 0:
        raise ConfigError(f"pairs must match, got {in_sync.shape} and {off_sync.shape}")
    candidates = np.unique(np.concatenate([in_sync, off_sync]))
    # At a threshold t a pair in sync is right from t on, another one below it.
    num_missed = np.searchsorted(np.sort(in_sync), candidates)
    num_refused = np.searchsorted(np.sort(off_sync), candidates)
    right = (in_sync.size - num_missed + num_refused) / (2 * in_sync.size)
    best = int(np.argmax(right))
    return PairAccuracy(
        accuracy=float(right[best]),
        threshold=float(candidates[best]),
        forced_choice=float(((in_sync > off_sync) + 0.5 * (in_sync == off_sync)).mean()),
    )


def offset_after(speech: Embeddings, lips: Embeddings, *, move: int) -> int:
    """Measure by how many frames the sound comes too early, after it has been moved.

    Args:
        speech: ``(W, E)`` of unit length: row i belongs to row i of lips; W is more than
            ``MAX_SHIFT`` + ``|move|``.
        lips: ``(W, E)`` of unit length.
        move: Frames by which the sound is made to come earlier; negative: later.

    Returns:
        The offset, from ``-MAX_SHIFT`` to ``MAX_SHIFT``; that of a clip in sync is ``move``.
    """
    kept = len(lips) - abs(move)
    heard = speech[max(move, 0) :][:kept]
    seen = lips[max(-move, 0) :][:kept]
    return sync_score(heard, seen, max_shift=MAX_SHIFT, beyond="left out").offset_frames
