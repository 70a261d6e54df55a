"""Choose the stretch of speech that each video frame is drawn from.

One definition for training and inference: the window of a frame is centred on the middle of the
40 ms that a 25 fps frame is shown (the released system trained on a window 40 ms earlier than the
one it rendered with). Starts come from exact time stamps, so any frame rate will do.
"""

from collections.abc import Iterable
from fractions import Fraction
from math import floor
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.speech.mel import MEL_RATE, SILENCE, Mel

WINDOW_LENGTH = 16  # columns a network sees at once: 0.2 s
# Columns before the frame's own time stamp. The 16 columns' middle is 7.5 columns after their
# first; the middle of a 40 ms frame is 1.6 columns after its time stamp: 7.5 - 1.6 = 5.9.
FRAME_LEAD = 6
_MIDDLE = Fraction(MEL_RATE, 50)  # columns from a frame's time stamp to the middle of its 40 ms
EXPERT_LEAD = 0  # an expert's frames span the same time as its window
EXPERT_FPS = 25  # frames a second that an expert looks at
# The shortest time of whole frames and whole columns: 5 and 16, 0.2 s.
WHOLE_FRAMES, WHOLE_COLUMNS = Fraction(EXPERT_FPS, MEL_RATE).as_integer_ratio()

Alignment = Literal["centred", "trained", "released"]
ALIGNMENTS: tuple[Alignment, ...] = get_args(Alignment)
_TRAINED_LEAD = Fraction(1, 25)  # s: the released training pairs a frame with an earlier window


def aligned_starts(
    times: Iterable[Fraction], alignment: Alignment, *, columns: int = WINDOW_LENGTH
) -> NDArray[np.int64]:
    """First mel column of each frame's window, as a model wants it.

    Args:
        times: Exact time stamps of the frames, in seconds.
        alignment: ``centred`` as Lipwright's own models train and render: the window's middle is
            that of the frame. ``released`` as the released system renders: the window begins with
            the frame. ``trained`` as the released system trains: it begins 40 ms before.
        columns: Length of a window, which says where a centred one begins.

    Returns:
        ``(N,)`` int64; may be negative or reach past the speech, where there is silence.
    """
    if alignment == "centred":
        return window_starts(times, lead=frame_lead(columns))
    earlier = _TRAINED_LEAD if alignment == "trained" else Fraction(0)
    starts = [floor(MEL_RATE * (Fraction(time) - earlier)) for time in times]
    return np.array(starts, dtype=np.int64)


def frame_lead(columns: int) -> int:
    """Columns before a frame's time stamp at which a window begins whose middle is the frame's.

    Args:
        columns: Length of the window.

    Returns:
        6 for 16 columns, for example.
    """
    return floor(Fraction(columns - 1, 2) - _MIDDLE + Fraction(1, 2))


def expert_columns(frames: int) -> int:
    """Columns of the window of speech that lies exactly over some frames, 25 a second.

    Args:
        frames: How many: a multiple of five, for only then it is whole columns.

    Returns:
        16 for five frames, for example.

    Raises:
        ConfigError: If it is none, or below five.
    """
    if frames < WHOLE_FRAMES or frames % WHOLE_FRAMES:
        raise ConfigError(
            f"frames must be a multiple of {WHOLE_FRAMES}, which are {WHOLE_COLUMNS} columns of "
            f"speech, got {frames}"
        )
    return frames // WHOLE_FRAMES * WHOLE_COLUMNS


def window_starts(times: Iterable[Fraction], *, lead: int = FRAME_LEAD) -> NDArray[np.int64]:
    """First mel column of each frame's window.

    Args:
        times: Exact time stamps of the frames, in seconds.
        lead: Columns before the time stamp at which the window begins.

    Returns:
        ``(N,)`` int64; may be negative or reach past the speech, where there is silence.
    """
    starts = [floor(MEL_RATE * Fraction(time) + Fraction(1, 2)) - lead for time in times]
    return np.array(starts, dtype=np.int64)


def cut_windows(
    mel: Mel, starts: NDArray[np.int64], *, length: int = WINDOW_LENGTH
) -> NDArray[np.float32]:
    """Gather one window of speech per video frame; outside the speech there is silence.

    Args:
        mel: ``(80, num_columns)`` float32 in [-4, 4].
        starts: ``(N,)`` first column of each window.
        length: Columns of a window.

    Returns:
        ``(N, 1, 80, length)`` float32, ready for the speech encoder.
    """
    columns = starts[:, None] + np.arange(length)
    is_inside = (columns >= 0) & (columns < mel.shape[1])
    windows = mel[:, np.clip(columns, 0, mel.shape[1] - 1)]  # (80, N, length)
    windows = np.where(is_inside, windows, np.float32(SILENCE))
    return np.ascontiguousarray(windows.transpose(1, 0, 2)[:, None])
