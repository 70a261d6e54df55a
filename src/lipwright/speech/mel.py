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
_CHUNK_COLUMNS = 4096  # columns transformed at a time, so that memory does not grow with length

Mel = NDArray[np.float32]


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
    if not np.isfinite(speech).all():
        raise MediaError("speech holds NaN or infinite samples; clean it before this step")
    emphasised = np.append(speech[:1], speech[1:] - np.float32(PREEMPHASIS) * speech[:-1])
    padded = _reflect(emphasised, WINDOW_SAMPLES // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)  # periodic
    columns = [
        _log_mel(frames[start : start + _CHUNK_COLUMNS] * hann)
        for start in range(0, len(frames), _CHUNK_COLUMNS)
    ]
    return np.ascontiguousarray(np.concatenate(columns).T)


def _log_mel(frames: NDArray[np.float64]) -> NDArray[np.float32]:
    magnitudes = np.abs(np.fft.rfft(frames, axis=1))  # (n, 401)
    mel = magnitudes @ mel_filters().T  # (n, 80)
    # 20 log10(max(1e-5, m)) - 20 dB, then 8 (S + 100) / 100 - 4: the closed form of the release.
    levels = 1.6 * np.log10(np.maximum(1e-5, mel)) + 2.4
    clipped: NDArray[np.float32] = np.clip(levels, SILENCE, CEILING).astype(np.float32)
    return clipped


def _reflect(samples: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    # numpy repeats the reflection when the signal is shorter than the padding; one sample has
    # nothing to be reflected in and is repeated instead.
    return np.pad(samples, width, mode="reflect" if samples.size > 1 else "edge")


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
