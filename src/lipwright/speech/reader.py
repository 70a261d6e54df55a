"""Hear a recording of any length in bounded memory: window by window, as a job comes to it."""

from collections import deque
from collections.abc import Callable, Generator, Iterable

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError, MediaError
from lipwright.speech.activity import levels_of
from lipwright.speech.mel import MEL_RATE, NUM_MELS, SILENCE, Mel, Samples
from lipwright.speech.stream import MelStream, mel_of
from lipwright.speech.windows import cut_windows

HELD_COLUMNS = 120 * MEL_RATE
"""Of a recording: two minutes, which are 3 MB.

A shorter one is read once; a longer one twice, as far as it is asked for."""


class MelReader:
    """The mel of a recording, of which only the last stretch that was asked for is held.

    It is meant to be asked in the order of time. What was let go of is read again from the
    beginning. One thread at a time may use it; it holds the recording open until it is closed.
    """

    def __init__(
        self, blocks: Callable[[], Iterable[Samples]], *, hold: int = HELD_COLUMNS
    ) -> None:
        """Hear the whole recording once.

        Args:
            blocks: Begins to read it: consecutive stretches ``(N,)`` float32 mono at 16 kHz in
                [-1, 1]. Called again wherever it is read again.
            hold: Columns that are held before the newest block; as many at least as the longest
                window has.

        Raises:
            MediaError: As of ``blocks``, and of :class:`MelStream`.
        """
        self._blocks, self._hold = blocks, hold
        self._held: deque[Mel] = deque()
        self._first = self._end = 0  # columns that are held
        self.num_samples = 0
        """Of the recording, at 16 kHz."""
        self._coming = self._heard()
        levels = [levels_of(columns) for columns in self._coming]
        self.levels: NDArray[np.float64] = np.concatenate(levels)
        """``(num_columns,)``, see :func:`levels_of`."""

    @property
    def num_columns(self) -> int:
        """Of the whole mel."""
        return self.levels.size

    def windows(self, starts: NDArray[np.int64], *, length: int) -> NDArray[np.float32]:
        """What ``cut_windows`` cuts from the whole mel.

        Args:
            starts: ``(N,)`` first column of each window.
            length: Columns of a window.

        Returns:
            ``(N, 1, 80, length)`` float32; outside the speech there is silence.

        Raises:
            MediaError: If the recording cannot be read again, or is shorter than it was.
            ConfigError: If a window is longer than what is held.
        """
        if length > self._hold:
            raise ConfigError(f"a window of {length} columns is longer than the {self._hold} held")
        cut = np.full((len(starts), 1, NUM_MELS, length), SILENCE, dtype=np.float32)
        for window, start in zip(cut, starts.tolist(), strict=True):
            first, last = max(start, 0), min(start + length, self.num_columns)
            if first < last:
                part = self._columns(first, last)
                window[:] = cut_windows(part, np.array([start - first]), length=length)[0]
        return cut

    def whole(self) -> Mel:
        """``(80, num_columns)`` float32 in [-4, 4]: read again, and not held."""
        return mel_of(self._blocks())

    def close(self) -> None:
        """Let go of the recording; what is asked for after that is read from its beginning."""
        self._coming.close()
        self._held.clear()
        self._first = self._end = self.num_columns

    def _columns(self, first: int, last: int) -> Mel:
        if first < self._first:
            self._begin_again()
        while self._end < last and next(self._coming, None) is not None:
            pass
        if self._end < last:
            raise MediaError(
                f"the speech had {self.num_columns / MEL_RATE:.2f} s of sound and has "
                f"{self._end / MEL_RATE:.2f} s now; do not change it while a job reads it"
            )
        parts, at = [], self._first
        for held in self._held:
            if at < last and first < at + held.shape[1]:
                parts.append(held[:, max(0, first - at) : last - at])
            at += held.shape[1]
        return np.concatenate(parts, axis=1)

    def _begin_again(self) -> None:
        self.close()
        self._first = self._end = 0
        self._coming = self._heard()

    def _heard(self) -> Generator[Mel, None, None]:
        """Hear on; what is given out is held, too."""
        stream, blocks = MelStream(), self._blocks()
        try:
            for block in blocks:
                yield self._keep(stream.push(block))
        finally:
            if isinstance(blocks, Generator):
                blocks.close()
        self.num_samples = stream.num_samples
        yield self._keep(stream.finish())

    def _keep(self, columns: Mel) -> Mel:
        self._held.append(columns)
        self._end += columns.shape[1]
        held = self._hold + columns.shape[1]
        while self._end - self._first - self._held[0].shape[1] >= held:
            self._first += self._held.popleft().shape[1]
        return columns
