"""How a face moves, by landmarks: lips in the right place, nothing else trembling, rest in silence.

Landmarks are those of ``faces.points``; distances are shares of that of the outer eye corners.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces.motion import Points, align
from lipwright.faces.points import EYE_CORNERS, LIPS, STABLE
from lipwright.speech import MEL_RATE, SILENCE, Mel

_COLUMNS_PER_FRAME = MEL_RATE / 25
LOUD = 90  # percentile of a clip's loudness that counts as speech at full voice
QUIET = 1.6  # of the mel's units below that, all bands together: 20 dB
MIN_SILENCE = 5  # frames


def lip_distance(drawn: Points, true: Points) -> float:
    """Landmark distance on the lips (LMD).

    Chen et al., "Lip Movements Generation at a Glance", ECCV 2018, section 4.1: the mean distance
    of lip landmarks of drawn and true frames; here after ``faces.motion.align`` and over the
    distance of the eye corners, so that size and pose of the head do not count.

    Args:
        drawn: ``(N, P, 2)``.
        true: ``(N, P, 2)``.

    Returns:
        0 is perfect.

    Raises:
        ConfigError: If the two differ in shape.
    """
    lips = list(LIPS)
    distance = np.linalg.norm(align(drawn, true)[:, lips] - true[:, lips], axis=-1)
    return float((distance / _eyes(true)[:, None]).mean())


def jitter(points: Points) -> float:
    """How much the face trembles outside the mouth: mean length of the second difference in time.

    A head that moves evenly has none.

    Args:
        points: ``(N, P, 2)``, at least three frames.

    Returns:
        0 for a face at rest; shares of the distance of the eye corners, per frame and frame.

    Raises:
        ConfigError: If there are fewer frames.
    """
    if len(points) < 3:
        raise ConfigError(f"at least 3 frames are needed, got {len(points)}")
    stable = points[:, list(STABLE)].astype(np.float64)
    second = np.linalg.norm(stable[2:] - 2 * stable[1:-1] + stable[:-2], axis=-1)
    return float((second / _eyes(points)[1:-1, None]).mean())


def silent_frames(mel: Mel, num_frames: int) -> NDArray[np.bool_]:
    """Which frames, at 25 a second, show silence.

    A frame is silent if the mean of its mel over bands lies 1.6 units (20 dB) below that of the
    clip's loudest tenth, or at the floor; only stretches of at least 0.2 s count.

    Args:
        mel: ``(80, num_columns)`` in [-4, 4]; column 0 at the first frame.
        num_frames: Frames; after the end of the speech there is silence.

    Returns:
        ``(num_frames,)``.

    Raises:
        ConfigError: If there are no frames.
    """
    if num_frames < 1:
        raise ConfigError(f"at least 1 frame is needed, got {num_frames}")
    loudness = mel.mean(axis=0)
    first = np.round(np.arange(num_frames + 1) * _COLUMNS_PER_FRAME).astype(int)
    by_frame = np.array(
        [
            loudness[a:b].mean() if a < len(loudness) else SILENCE
            for a, b in itertools.pairwise(first)
        ]
    )
    limit = max(float(np.percentile(by_frame, LOUD)) - QUIET, SILENCE + 0.05)
    is_quiet = np.concatenate([[False], by_frame < limit, [False]])
    edges = np.flatnonzero(np.diff(is_quiet.astype(np.int8))).reshape(-1, 2)
    silent = np.zeros(num_frames, dtype=np.bool_)
    for start, end in edges:
        silent[start:end] = end - start >= MIN_SILENCE
    return silent


def leak(openings: NDArray[np.float64], is_silent: NDArray[np.bool_]) -> float:
    """Motion of the mouth in silence, over that in speech.

    Of each stretch of silence the first 0.12 s are left out, for a mouth needs them to close; not
    of one at the start of the clip.

    Args:
        openings: ``(N,)`` opening of the mouth in each frame.
        is_silent: ``(N,)``.

    Returns:
        Mean change from frame to frame in silence over that in speech: 0 is a mouth at rest, 1 one
        that moves as in speech. NaN if the clip has no silence, no speech, or the mouth never
        moves in speech.

    Raises:
        ConfigError: If the two differ in length, or are empty.
    """
    if openings.shape != is_silent.shape or not openings.size:
        raise ConfigError(
            f"openings and silence must be of one length, got {openings.shape} and "
            f"{is_silent.shape}"
        )
    change = np.abs(np.diff(openings))
    settled = is_silent.copy()
    for wait in range(1, 4):
        settled[wait:] &= is_silent[:-wait]
        settled[:wait] &= is_silent[0]
    silent, spoken = settled[1:] & settled[:-1], ~is_silent[1:] & ~is_silent[:-1]
    if not silent.any() or not spoken.any() or change[spoken].mean() == 0:
        return float("nan")
    return float(change[silent].mean() / change[spoken].mean())


def _eyes(points: Points) -> NDArray[np.float64]:
    left, right = EYE_CORNERS
    distance = points[:, left].astype(np.float64) - points[:, right]
    return np.asarray(np.linalg.norm(distance, axis=-1), dtype=np.float64)
