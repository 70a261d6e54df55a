"""What is being said, as the networks see it: the mel front end and the windows cut from it."""

from lipwright.speech.activity import activity_at, activity_of, levels_of
from lipwright.speech.mel import FRONT_END, MEL_RATE, NUM_MELS, SILENCE, Mel, mel_spectrogram
from lipwright.speech.reader import MelReader
from lipwright.speech.stream import (
    MEL_LOOK_AHEAD,
    LiveWindows,
    MelStream,
    SpeechResampler,
    live_window,
    mel_of,
)
from lipwright.speech.windows import (
    ALIGNMENTS,
    EXPERT_FPS,
    EXPERT_LEAD,
    FRAME_LEAD,
    WHOLE_COLUMNS,
    WHOLE_FRAMES,
    WINDOW_LENGTH,
    Alignment,
    aligned_starts,
    cut_windows,
    expert_columns,
    frame_lead,
    window_starts,
)

__all__ = [
    "ALIGNMENTS",
    "EXPERT_FPS",
    "EXPERT_LEAD",
    "FRAME_LEAD",
    "FRONT_END",
    "MEL_LOOK_AHEAD",
    "MEL_RATE",
    "NUM_MELS",
    "SILENCE",
    "WHOLE_COLUMNS",
    "WHOLE_FRAMES",
    "WINDOW_LENGTH",
    "Alignment",
    "LiveWindows",
    "Mel",
    "MelReader",
    "MelStream",
    "SpeechResampler",
    "activity_at",
    "activity_of",
    "aligned_starts",
    "cut_windows",
    "expert_columns",
    "frame_lead",
    "levels_of",
    "live_window",
    "mel_of",
    "mel_spectrogram",
    "window_starts",
]
