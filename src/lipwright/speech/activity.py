"""Say when somebody speaks, so that the mouth can rest in between."""

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.speech.mel import MEL_RATE, SILENCE, Mel

# A mouth opens before it is heard, and closes after.
BEFORE_SECONDS = 0.12
AFTER_SECONDS = 0.16
SOFT_SECONDS = 0.2  # from rest to full motion, and back
# Beyond what is kept before and after. In shorter pauses people do not come to rest: brought to it
# there, held-out mouths follow the true ones less well (0.56 instead of 0.58).
SHORTEST_PAUSE_SECONDS = 0.5
_BANDS = slice(4, 60)  # of NUM_MELS: about 150 to 4,500 Hz, where voices are
_QUIET, _LOUD = 5, 95  # percentiles of the level that stand for the room and for the voice
_DECADES = 1.25  # of power to a step of the mel's scale, where 8 is 100 dB
_LEAST_RANGE = 0.8  # of that scale, 10 dB: with less between them nothing is a pause
_THRESHOLD = 0.3  # of the way from the room to the voice
_HIGHEST_THRESHOLD = 2.4  # above the room, 30 dB
_CHUNK_COLUMNS = 1024  # looked at at a time, so that memory does not grow with length


def levels_of(mel: Mel) -> NDArray[np.float64]:
    """How loud each moment is where voices are.

    Args:
        mel: ``(80, num_columns)`` float32 in [-4, 4].

    Returns:
        ``(num_columns,)``: the power of these bands together, in the mel's scale; its floor where
        every band is at the floor.
    """
    levels = np.empty(mel.shape[1])
    for start in range(0, mel.shape[1], _CHUNK_COLUMNS):
        chunk = slice(start, start + _CHUNK_COLUMNS)
        bands = mel[_BANDS, chunk].astype(np.float64)
        levels[chunk] = np.log10(np.power(10, _DECADES * bands).mean(axis=0)) / _DECADES
        levels[chunk][bands.max(axis=0) <= SILENCE] = SILENCE
    return levels


def activity_of(levels: NDArray[np.float64]) -> NDArray[np.float32]:
    """How much of a mouth's motion each moment of a recording calls for.

    The level of the room is what the quietest twentieth of the recording has, so steady noise
    counts as a pause; music, or noise that hides the voice, leaves no pause at all.

    Args:
        levels: ``(num_columns,)``, see `levels_of`.

    Returns:
        ``(num_columns,)`` float32: 0 in pauses, 1 where somebody speaks, and between them a soft
        rise that begins before the sound does.
    """
    if levels.max(initial=SILENCE) <= SILENCE:
        return np.zeros(levels.size, dtype=np.float32)
    quiet, loud = (float(level) for level in np.percentile(levels, (_QUIET, _LOUD)))
    if loud - quiet < _LEAST_RANGE:
        return np.ones(levels.size, dtype=np.float32)
    threshold = quiet + min(_THRESHOLD * (loud - quiet), _HIGHEST_THRESHOLD)
    return _softened(_without_short_pauses(levels > threshold))


def activity_at(activity: NDArray[np.float32], columns: NDArray[np.float64]) -> NDArray[np.float32]:
    """Look an activity up between its columns; beyond both ends it softly ends.

    Args:
        activity: See :func:`activity_of`.
        columns: ``(N,)`` places in columns, 80 to the second.

    Returns:
        ``(N,)`` float32 in [0, 1].
    """
    if not columns.size:
        return np.zeros(0, dtype=np.float32)
    reach = SOFT_SECONDS * MEL_RATE
    # Only what lies around these places: a film of hours has millions of columns.
    first = int(np.clip(np.floor(columns.min()), 0, max(0, activity.size - 1)))
    last = int(np.clip(np.ceil(columns.max()) + 1, first + 1, activity.size))
    places = np.concatenate([[-reach], np.arange(first, last), [activity.size - 1 + reach]])
    near = np.concatenate([[0.0], activity[first:last], [0.0]])
    return np.asarray(np.interp(columns, places, near), dtype=np.float32)


def _without_short_pauses(is_speech: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Widen speech to what a mouth does for it, and close pauses too short to come to rest in."""
    before, after = (round(s * MEL_RATE) for s in (BEFORE_SECONDS, AFTER_SECONDS))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_speech, [False]]).astype(np.int8)))
    shortest = round(SHORTEST_PAUSE_SECONDS * MEL_RATE)
    spoken = np.zeros_like(is_speech)
    last_end = 0
    for first, last in edges.reshape(-1, 2).tolist():
        start, end = max(0, first - before), last + after
        spoken[start if start - last_end >= shortest else last_end : end] = True
        last_end = end
    if is_speech.size - last_end < shortest:
        spoken[last_end:] = True
    return spoken


def _softened(is_speech: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Round the edges: a raised cosine outside of what is spoken."""
    silent = (~is_speech).astype(np.uint8)[None]
    distance = cv2.distanceTransform(silent, cv2.DIST_L1, 3)[0]  # columns to the nearest speech
    reach = round(SOFT_SECONDS * MEL_RATE) + 1
    soft = 0.5 + 0.5 * np.cos(np.pi * np.minimum(distance / reach, 1))
    return np.asarray(soft, dtype=np.float32)
