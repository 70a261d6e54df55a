"""What one person says: when it begins, how far the mouth moves for it, and where it rests."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lipwright.inference.backend import GeneratorBackend
from lipwright.speech import MEL_RATE, SILENCE, MelReader, activity_at, aligned_starts

_MIDDLE = Fraction(MEL_RATE, 50)  # columns from a frame's time stamp to the middle of its 40 ms


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """A speech, and how it is to be said."""

    heard: MelReader
    """What is heard of it: held open until that is closed, and used by one thread at a time."""
    duration: Fraction
    """Of the recording, in seconds."""
    start: Fraction = Fraction(0)
    """When it begins in the output, in seconds; negative: its beginning is left out."""
    amplitude: float = 1.0
    """How far the mouth moves from rest; 1 as the model does by itself."""
    activity: NDArray[np.float32] | None = None
    """``(num_columns,)`` float32 in [0, 1]: the mouth rests where it is 0; None: it never does."""

    @property
    def end(self) -> Fraction:
        """When it ends in the output, in seconds."""
        return self.start + self.duration

    def motion_at(self, times: Sequence[Fraction]) -> NDArray[np.float32]:
        """How far the mouth moves at some moments of the output.

        Args:
            times: ``N`` time stamps of frames in seconds.

        Returns:
            ``(N,)`` float32, 0 where it rests.
        """
        if self.activity is None:
            return np.full(len(times), self.amplitude, dtype=np.float32)
        columns = [float(MEL_RATE * (time - self.start) + _MIDDLE) for time in times]
        active = activity_at(self.activity, np.array(columns))
        return (self.amplitude * active).astype(np.float32)

    def inputs(
        self, times: Sequence[Fraction], backend: GeneratorBackend
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """What a generator is told to draw.

        One that cannot be told how far the mouth moves hears silence where it is to rest.

        Args:
            times: ``N`` time stamps of frames in seconds.
            backend: Draws.

        Returns:
            Windows ``(N, 1, 80, columns)`` float32 of the mel, and ``(N,)`` float32 amplitudes or
            None, for :meth:`GeneratorBackend.draw`.

        Raises:
            MediaError: If the speech cannot be read any more.
        """
        heard = [time - self.start for time in times]
        starts = aligned_starts(heard, backend.alignment, columns=backend.columns)
        windows = self.heard.windows(starts, length=backend.columns)
        motion = self.motion_at(times)
        if backend.with_amplitude:
            return windows, motion
        share = np.minimum(motion, 1)[:, None, None, None]
        return (SILENCE + share * (windows - SILENCE)).astype(np.float32), None
