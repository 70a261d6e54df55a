"""Turn speech into the log-mel picture that every network of this field is fed.

The recipe is that of the released Wav2Lip system: 16 kHz mono, pre-emphasis, a 50 ms Hann window
every 12.5 ms, 80 Slaney mel bands from 55 to 7600 Hz, decibels squeezed into [-4, 4].
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import MediaError

SAMPLE_RATE = 16_000
HOP_SAMPLES = 200
WINDOW_SAMPLES = 800  # also the length of the Fourier transform
HALF_WINDOW = WINDOW_SAMPLES // 2  # samples from a column's middle to its end
MEL_RATE = SAMPLE_RATE // HOP_SAMPLES  # columns per second: 80
NUM_MELS = 80
LOWEST_HZ, HIGHEST_HZ = 55.0, 7600.0
PREEMPHASIS = 0.97
SILENCE = -4.0  # the floor of the scale: the value of every band in silence
CEILING = 4.0
# What networks are trained on, in one line for their metadata.
FRONT_END = (
    f"{SAMPLE_RATE}/{WINDOW_SAMPLES}/{HOP_SAMPLES}/{NUM_MELS}/{LOWEST_HZ:.0f}-{HIGHEST_HZ:.0f}"
)
# Columns transformed at a time: no block of memory is larger than a picture of 1080p, or glibc
# would keep what is let go of larger ones, and pictures would be laid into the gaps.
_CHUNK_COLUMNS = 256

Mel = NDArray[np.float32]
Samples = NDArray[np.float32]


def mel_spectrogram(speech: NDArray[np.float32]) -> Mel:
    """Compute the log-mel spectrogram of speech.

    Column ``k`` is centred on sample ``200 k``; both ends are continued by reflection.

    Args:
        speech: ``(N,)`` float32 mono at 16 kHz in [-1, 1], at least one sample, all finite.

    Returns:
        ``(80, 1 + N // 200)`` float32 in [-4, 4]; digital silence is -4 everywhere.

    Raises:
        MediaError: If the speech is not a non-empty, one-dimensional array of finite values.
    """
    if speech.ndim != 1 or speech.size == 0:
        raise MediaError(f"speech must be a non-empty (N,) array, got shape {speech.shape}")
    require_finite(speech)
    emphasised = emphasise(speech)
    require_finite(emphasised)  # what is near the largest float32 is doubled
    return log_mel(reflect(emphasised, before=HALF_WINDOW, after=HALF_WINDOW))


def require_finite(speech: NDArray[np.float32]) -> None:
    """Make sure that no sample is NaN or infinite.

    Raises:
        MediaError: If one is.
    """
    if not np.isfinite(speech).all():
        raise MediaError("speech holds NaN or infinite samples; clean it before this step")


def emphasise(speech: NDArray[np.float32], *, before: np.float32 | None = None) -> Samples:
    """Lift the high frequencies: each sample less most of the one before it.

    Args:
        speech: ``(N,)`` float32, at least one sample.
        before: The sample before the first; None at the beginning of the speech, where it is 0.

    Returns:
        ``(N,)`` float32, a new array.
    """
    emphasised = speech.copy()
    emphasised[1:] -= np.float32(PREEMPHASIS) * speech[:-1]
    if before is not None:
        emphasised[0] -= np.float32(PREEMPHASIS) * before
    return emphasised


def reflect(samples: Samples, *, before: int, after: int) -> Samples:
    """Continue a signal by its mirror image.

    Args:
        samples: ``(N,)`` float32, at least one sample. One alone is repeated, having nothing to be
            mirrored in; a signal shorter than what is asked for is mirrored to and fro.
        before: Samples to put in front.
        after: Samples to put behind.

    Returns:
        ``(before + N + after,)`` float32.
    """
    return np.pad(samples, (before, after), mode="reflect" if samples.size > 1 else "edge")


def log_mel(emphasised: Samples) -> Mel:
    """Turn every whole window of emphasised speech, one each hop, into a column.

    Args:
        emphasised: ``(N,)`` float32, at least 800 samples.

    Returns:
        ``(80, 1 + (N - 800) // 200)`` float32 in [-4, 4]. The last bit of a number may depend on
        how many columns there are: a product of matrices may be summed in another order.
    """
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, WINDOW_SAMPLES)[::HOP_SAMPLES]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)  # periodic
    mel = np.empty((NUM_MELS, len(frames)), dtype=np.float32)
    for start in range(0, len(frames), _CHUNK_COLUMNS):
        chunk = slice(start, start + _CHUNK_COLUMNS)
        mel[:, chunk] = _log_mel(frames[chunk] * hann).T
    return mel


def _log_mel(frames: NDArray[np.float64]) -> NDArray[np.float32]:
    magnitudes = np.abs(np.fft.rfft(frames, axis=1))  # (n, 401)
    mel = magnitudes @ mel_filters().T  # (n, 80)
    # 20 log10(max(1e-5, m)) - 20 dB, then 8 (S + 100) / 100 - 4: the closed form of the release.
    levels = 1.6 * np.log10(np.maximum(1e-5, mel)) + 2.4
    clipped: NDArray[np.float32] = np.clip(levels, SILENCE, CEILING).astype(np.float32)
    return clipped


@cache
def mel_filters() -> NDArray[np.float64]:
    """Weights that sum Fourier magnitudes into mel bands.

    Slaney's mel scale (linear to 1 kHz, logarithmic above) with triangles of equal area
    (Auditory Toolbox, 1998).

    Returns:
        ``(80, 401)`` float64.
    """
    edges = _mel_to_hz(np.linspace(_hz_to_mel(LOWEST_HZ), _hz_to_mel(HIGHEST_HZ), NUM_MELS + 2))
    bins = np.fft.rfftfreq(WINDOW_SAMPLES, 1 / SAMPLE_RATE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: NDArray[np.float64] = triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return filters


_LINEAR_HZ = 200.0 / 3  # hertz per mel below the break
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27.0  # Slaney: 27 bands between 1 kHz and 6.4 kHz


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, logarithmic)
