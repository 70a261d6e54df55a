"""How well lips and speech fit: LSE-D and LSE-C from the embeddings of both.

The protocol is that of Chung and Zisserman, "Out of Time: Automated Lip Sync in the Wild", ACCV-W
2016, section 4, as its authors' code and the evaluation of Prajwal et al. 2020 run it: the lips of
every five frames are held against the speech at every shift; the mean distance over the clip at the
best shift is LSE-D, and by how much the median shift is farther is LSE-C. Published numbers are
means of both over the videos of a test set.

Nothing here depends on the network. Embeddings of any length give the distances that the field
publishes for SyncNet v2; those of unit length, as Lipwright's expert gives them, work as well: the
square of their distance is 2 - 2 cos, so the nearest speech is that of the nearest direction. Their
distances lie in [0, 2], so numbers of two judges must not be compared; and zeros are nearer to them
(1) than speech that has nothing to do with the lips (1.41), so that the protocol's zeros beyond the
ends of a clip draw the best shift outward: for them, leave out what lies beyond.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError

LSE_SHIFT = 15  # frames to either side, as published numbers are measured

Beyond = Literal["zeros", "left out"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncScore:
    """How well the lips of a video fit its speech."""

    distance: float
    """LSE-D: mean distance between lips and speech at the best shift; lower is better."""
    confidence: float
    """LSE-C: by how much the median over shifts is farther; higher is better, 0 the least."""
    offset_frames: int
    """Frames of 40 ms by which the sound comes too early (negative: too late): moving it later by
    this much would put it right."""


def shifted_distances(
    speech: NDArray[np.floating], lips: NDArray[np.floating], *, max_shift: int = LSE_SHIFT
) -> NDArray[np.float64]:
    """Euclidean distance of every window of lips to the speech at every shift.

    Beyond the ends of the clip the protocol takes zeros for the embedding of speech, so a distance
    there is the length of the lips' embedding.

    Args:
        speech: ``(W, E)``: row i belongs to row i of lips.
        lips: ``(W, E)``.
        max_shift: Frames to either side.

    Returns:
        ``(W, 2 max_shift + 1)`` float64: column k for speech ``k - max_shift`` frames later than
        the lips.

    Raises:
        ConfigError: If the two differ in shape, hold no window or a value that is not finite, or
            the shift is negative.
    """
    if speech.ndim != 2 or speech.shape != lips.shape or len(lips) == 0:
        raise ConfigError(
            f"speech and lips must be embeddings (W, E) of one shape, got {speech.shape} and "
            f"{lips.shape}"
        )
    if max_shift < 0:
        raise ConfigError(f"max_shift must be at least 0, got {max_shift}")
    if not (np.isfinite(speech).all() and np.isfinite(lips).all()):
        raise ConfigError("embeddings hold NaN or infinite values; check the judge's weights")
    padded = np.pad(speech.astype(np.float64), ((max_shift, max_shift), (0, 0)))
    columns = [
        np.linalg.norm(padded[first : first + len(lips)] - lips, axis=1)
        for first in range(2 * max_shift + 1)
    ]
    return np.stack(columns, axis=1)


def sync_score(
    speech: NDArray[np.floating],
    lips: NDArray[np.floating],
    *,
    max_shift: int = LSE_SHIFT,
    beyond: Beyond = "zeros",
) -> SyncScore:
    """Score the embeddings of one video.

    With d(k) the mean of :func:`shifted_distances` over windows: LSE-D = min d,
    LSE-C = median d - min d, offset = max_shift - argmin d.

    Args:
        speech: ``(W, E)``: row i belongs to row i of lips.
        lips: ``(W, E)``.
        max_shift: Frames to either side.
        beyond: ``zeros`` as the protocol has it: windows whose shifted speech lies beyond the ends
            of the clip are held against zeros. ``left out``: they do not count.

    Returns:
        The score; of equally near shifts the first.

    Raises:
        ConfigError: See :func:`shifted_distances`; also if windows are left out and some shift has
            none.
    """
    distances = shifted_distances(speech, lips, max_shift=max_shift)
    if beyond == "zeros":
        by_shift = distances.mean(axis=0)
    else:
        if len(lips) <= max_shift:
            raise ConfigError(
                f"{len(lips)} windows are too few for shifts of {max_shift} frames; at least "
                f"{max_shift + 1} are needed"
            )
        heard = np.arange(len(lips))[:, None] + np.arange(-max_shift, max_shift + 1)
        by_shift = distances.mean(axis=0, where=(heard >= 0) & (heard < len(lips)))
    best = int(np.argmin(by_shift))
    return SyncScore(
        distance=float(by_shift[best]),
        confidence=float(np.median(by_shift) - by_shift[best]),
        offset_frames=max_shift - best,
    )
