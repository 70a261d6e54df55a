"""Hear speech as it comes, block by block: its mel columns, and the window of each video frame.

What comes out does not depend on where the cuts between blocks fall, and is what the whole
recording gives: columns within 1e-6, windows likewise wherever nothing had to be made up.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from lipwright.errors import ConfigError, MediaError
from lipwright.speech.mel import (
    HALF_WINDOW,
    HOP_SAMPLES,
    MEL_RATE,
    NUM_MELS,
    SAMPLE_RATE,
    SILENCE,
    Mel,
    Samples,
    emphasise,
    log_mel,
    reflect,
    require_finite,
)
from lipwright.speech.windows import Alignment, aligned_starts, cut_windows

MEL_LOOK_AHEAD = HALF_WINDOW
"""Samples that a column needs from its middle on: 400, which are 25 ms. Column 0, whose past is the
mirror image of what follows it, needs one more."""
FADE_COLUMNS = 32
"""Columns in which speech that is not there yet is thought to fall by a factor of e: 0.4 s.

Measured on the demo's speech and a still as the mean difference from the faces that the whole
speech gives, in levels of 255 under the mask. A generator of 65 columns that waits 200 ms: silence
2.70, held and fading over 8, 16, 32 and 64 columns 2.05, 1.77, 1.63 and 1.73, held as it is 1.69.
The one of 16 columns that waits 80 ms: 1.06; 0.76, 0.70, 0.66 and 0.64; 0.62."""
_KERNEL_REACH = 33  # samples at the lower rate: the resampler begins with a whole kernel
_LOWEST_RATE, _HIGHEST_RATE = 8_000, 192_000
_MOST_PHASES = 4096  # frames looked at for the longest wait: enough for rates like 29.97


def samples_for(column: int) -> int:
    """Samples of speech, from its start, that must be there for a column."""
    return HOP_SAMPLES * column + MEL_LOOK_AHEAD + (column == 0)


def columns_in(num_samples: int) -> int:
    """Columns for which so many samples are enough, while more may come."""
    if num_samples <= MEL_LOOK_AHEAD:
        return 0
    return 1 + (num_samples - MEL_LOOK_AHEAD) // HOP_SAMPLES


class MelStream:
    """Computes mel columns as soon as the speech that they need is there.

    The columns are those of :func:`~lipwright.speech.mel.mel_spectrogram` within 1e-6; the
    arithmetic is the same, but the last bit of a product of matrices depends on its size. Less than
    two windows of speech are held between blocks.
    """

    def __init__(self) -> None:
        """Begin a speech."""
        self._held: Samples = np.zeros(0, dtype=np.float32)  # emphasised, from the next column on
        self._last: np.float32 | None = None  # the newest sample, as it came
        self._is_finished = False
        self.num_samples = 0
        """Samples that came so far."""
        self.num_columns = 0
        """Columns given out so far."""

    def push(self, speech: Samples) -> Mel:
        """Hear a block.

        Args:
            speech: ``(N,)`` float32 mono at 16 kHz in [-1, 1], all finite; may be empty.

        Returns:
            ``(80, n)`` float32 in [-4, 4]: the columns that have become known; often none.

        Raises:
            MediaError: If the block is of another shape or holds NaN or infinite samples; the
                stream stays as it was.
            ConfigError: If the speech has ended.
        """
        if self._is_finished:
            raise ConfigError("the speech has ended; begin another MelStream for what follows")
        if speech.ndim != 1:
            raise MediaError(f"a block of speech must be an (N,) array, got shape {speech.shape}")
        require_finite(speech)
        if not speech.size:
            return _no_columns()
        self._held = np.concatenate([self._held, emphasise(speech, before=self._last)])
        self._last = np.float32(speech[-1])
        self.num_samples += speech.size
        num_new = columns_in(self.num_samples) - self.num_columns
        return self._columns(num_new) if num_new else _no_columns()

    def finish(self) -> Mel:
        """End the speech: what follows its last sample is its mirror image.

        Returns:
            ``(80, n)`` float32 in [-4, 4]: the columns that are still missing, none of no speech.
        """
        if self._is_finished or not self.num_samples:
            self._is_finished = True
            return _no_columns()
        self._is_finished = True
        num_new = 1 + self.num_samples // HOP_SAMPLES - self.num_columns
        self._held = reflect(
            self._held, before=0 if self.num_columns else HALF_WINDOW, after=HALF_WINDOW
        )
        columns = log_mel(self._held)[:, :num_new]
        self.num_columns += num_new
        return columns

    def _columns(self, num_new: int) -> Mel:
        if not self.num_columns:
            self._held = reflect(self._held, before=HALF_WINDOW, after=0)
        columns = log_mel(self._held)
        self._held = self._held[HOP_SAMPLES * num_new :]
        self.num_columns += num_new
        return columns


def mel_of(blocks: Iterable[Samples]) -> Mel:
    """The mel of a whole speech that is read block by block; the samples are not kept.

    Args:
        blocks: Consecutive, each ``(N,)`` float32 mono at 16 kHz in [-1, 1], all finite.

    Returns:
        ``(80, 1 + M // 200)`` float32 in [-4, 4] of ``M`` samples, that of `mel_spectrogram`
        within 1e-6; no columns of no samples.

    Raises:
        MediaError: If a block is of another shape, or holds NaN or infinite samples.
    """
    stream = MelStream()
    columns = bytearray()  # grows in one piece: many arrays would leave memory in bits
    for block in blocks:
        columns += stream.push(block).T.tobytes()
    columns += stream.finish().T.tobytes()
    return np.frombuffer(columns, dtype=np.float32).reshape(-1, NUM_MELS).T


class SpeechResampler:
    """Brings blocks of mono sound at any rate to float32 at 16 kHz, without seams between them.

    FFmpeg's windowed sinc: tones come out within 1e-4, and the same wherever the cuts fall.
    """

    def __init__(self, rate: int) -> None:
        """Begin a sound.

        Args:
            rate: Samples a second of what comes.

        Raises:
            ConfigError: If the rate is none of speech.
        """
        if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
            raise ConfigError(
                f"rate must be {_LOWEST_RATE} to {_HIGHEST_RATE} samples a second, got {rate}"
            )
        self._rate = rate
        self._converter: AudioResampler | None = None
        if rate != SAMPLE_RATE:
            self._converter = AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)

    @property
    def latency(self) -> Fraction:
        """Seconds by which the sound comes out later at the most; its time stamps do not move."""
        if self._converter is None:
            return Fraction(0)
        lower = min(self._rate, SAMPLE_RATE)
        return Fraction(_KERNEL_REACH, lower) + Fraction(2, self._rate)

    def push(self, block: NDArray[np.float32] | NDArray[np.int16]) -> Samples:
        """Convert a block.

        Args:
            block: ``(N,)`` float32 in [-1, 1] or int16, mono; may be empty.

        Returns:
            ``(M,)`` float32 at 16 kHz: what can be said so far.

        Raises:
            MediaError: If the block is of another shape or type, or holds NaN or infinite samples.
        """
        speech = _to_float(block)
        if self._converter is None or not speech.size:
            return speech
        frame = AudioFrame.from_ndarray(speech[None], format="fltp", layout="mono")
        frame.sample_rate = self._rate
        return _joined(self._converter, frame)

    def finish(self) -> Samples:
        """``(M,)`` float32: what was held back, when no more will come."""
        if self._converter is None:
            return np.zeros(0, dtype=np.float32)
        converter, self._converter = self._converter, None
        return _joined(converter, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveWindows:
    """Which frames can be drawn after so many samples, and from which columns: pure arithmetic.

    Frame ``i`` is shown at ``i / fps`` and drawn from the window that it has offline. It waits
    until the whole window is known, but no longer than ``limit``: columns that are not known by
    then are made up, from the last one that is, fading to silence (see :data:`FADE_COLUMNS`).
    Columns that come later are never looked at, so nothing depends on the size of blocks.
    """

    fps: Fraction
    """Frames a second."""
    columns: int
    """Mel columns of a window."""
    alignment: Alignment
    """Which stretch of speech a frame is drawn from."""
    limit: Fraction | None
    """Seconds of speech after its own time that a frame waits for at the most; None for all that
    the window holds."""

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.columns < 1 or (self.limit is not None and self.limit < 0):
            raise ConfigError(
                f"live windows need fps and columns above 0 and a limit of at least 0, got "
                f"{self.fps}, {self.columns} and {self.limit}"
            )

    def start(self, frame: int) -> int:
        """First column of a frame's window; may be negative."""
        times = [frame / self.fps]
        return int(aligned_starts(times, self.alignment, columns=self.columns)[0])

    def needs(self, frame: int) -> int:
        """Samples of speech, from its start, that a frame waits for; never before its own time."""
        time = frame / self.fps
        whole = samples_for(max(0, self.start(frame) + self.columns - 1))
        if self.limit is not None:
            whole = min(whole, floor((time + self.limit) * SAMPLE_RATE))
        return max(whole, floor(time * SAMPLE_RATE) + 1)

    def known(self, frame: int) -> int:
        """Columns of the speech, from its start, that a frame may look at."""
        return columns_in(self.needs(frame))

    def due(self, first: int, num_samples: int) -> Iterator[int]:
        """Frames from ``first`` on that so many samples are enough for."""
        while self.needs(first) <= num_samples:
            yield first
            first += 1

    def left(self, first: int, num_samples: int) -> Iterator[int]:
        """Frames from ``first`` on that are shown before a speech of so many samples ends."""
        while Fraction(first) / self.fps < Fraction(num_samples, SAMPLE_RATE):
            yield first
            first += 1

    @property
    def look_ahead(self) -> Fraction:
        """Seconds from a frame's time to the end of the speech that it waits for, at the most."""
        phases = min((MEL_RATE / self.fps).denominator, _MOST_PHASES)
        waits = (
            Fraction(self.needs(frame), SAMPLE_RATE) - frame / self.fps for frame in range(phases)
        )
        return max(waits)

    @property
    def num_made_up(self) -> int:
        """Columns of a window that are made up, at the most."""
        phases = min((MEL_RATE / self.fps).denominator, _MOST_PHASES)
        return max(
            max(0, self.start(frame) + self.columns - self.known(frame)) for frame in range(phases)
        )


def live_window(mel: Mel, start: int, *, length: int, known: int | None) -> NDArray[np.float32]:
    """Cut a frame's window out of what is known; before the speech there is silence.

    Args:
        mel: ``(80, num_columns)`` float32 in [-4, 4].
        start: First column of the window; may be negative.
        length: Columns of it.
        known: Columns of ``mel`` that may be looked at, what follows them is made up; None after
            the end, which silence follows.

    Returns:
        ``(1, 80, length)`` float32.
    """
    columns = mel if known is None else mel[:, :known]
    if not columns.shape[1]:
        return np.full((1, NUM_MELS, length), SILENCE, dtype=np.float32)
    window: NDArray[np.float32] = cut_windows(columns, np.array([start]), length=length)[0]
    first = columns.shape[1] - start
    if known is not None and first < length:
        beyond = np.arange(max(0, first), length) - first + 1
        fade = np.exp(-beyond / FADE_COLUMNS)
        window[0, :, max(0, first) :] = SILENCE + (columns[:, -1:] - SILENCE) * fade
    return window


def _no_columns() -> Mel:
    return np.zeros((NUM_MELS, 0), dtype=np.float32)


def _to_float(block: NDArray[np.float32] | NDArray[np.int16]) -> Samples:
    if block.ndim != 1:
        raise MediaError(f"a block of sound must be mono, an (N,) array, got shape {block.shape}")
    if block.dtype == np.int16:
        return block.astype(np.float32) / np.float32(32768)
    if block.dtype != np.float32:
        raise MediaError(f"a block of sound must be float32 or int16, got {block.dtype}")
    speech = block.astype(np.float32)  # a copy: the caller may use the memory again
    require_finite(speech)
    return speech


def _joined(converter: AudioResampler, frame: AudioFrame | None) -> Samples:
    """What a resampler makes of a frame, and all that it holds back of None."""
    converted = [
        np.asarray(part.to_ndarray(), dtype=np.float32)[0]
        for part in converter.resample(frame)
        if part is not None
    ]
    return np.concatenate([np.zeros(0, dtype=np.float32), *converted])
