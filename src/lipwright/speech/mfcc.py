"""Turn speech into the cepstra that the field's judge of lip sync, SyncNet v2, is fed.

The recipe is that of the package python_speech_features with its defaults: 16 kHz mono,
pre-emphasis, 25 ms without a window function every 10 ms, 26 triangles on the mel scale from 0 to
8000 Hz, the logarithm, an orthonormal cosine transform, a lifter, and the frame's energy in place
of the first coefficient.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import MediaError
from lipwright.speech.mel import PREEMPHASIS, SAMPLE_RATE

NUM_CEPSTRA = 13
CEPSTRA_HOP = 160  # samples: 10 ms
CEPSTRA_RATE = SAMPLE_RATE // CEPSTRA_HOP  # columns per second: 100
CEPSTRA_WINDOW_SAMPLES = 400  # 25 ms
CEPSTRA_LENGTH = 20  # columns that SyncNet v2 sees at once: 0.2 s
_COLUMNS_PER_FRAME = 4  # of 25 a second
# What a network is fed, in one line for its metadata: rate, window, hop, cepstra of bands.
CEPSTRA_FRONT_END = f"mfcc {SAMPLE_RATE}/{CEPSTRA_WINDOW_SAMPLES}/{CEPSTRA_HOP}/{NUM_CEPSTRA} of 26"
_TRANSFORM = 512  # length of the Fourier transform
_NUM_BANDS = 26
_LIFTER = 22
_FULL_SCALE = 32768  # of 16-bit samples
_LEAST = np.finfo(np.float64).eps  # stands for a power of 0, which has no logarithm
_CHUNK_COLUMNS = 4096  # columns transformed at a time, so that memory does not grow with length


def to_int16(speech: NDArray[np.float32]) -> NDArray[np.int16]:
    """Round speech to 16-bit samples, as a WAV file holds it.

    Args:
        speech: ``(N,)`` float32, nominally in [-1, 1].

    Returns:
        ``(N,)`` int16; what is louder than full scale is clipped.
    """
    scaled = np.rint(speech.astype(np.float64) * _FULL_SCALE)
    return np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def mel_cepstra(samples: NDArray[np.int16] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the mel-frequency cepstral coefficients of speech.

    After Davis and Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word
    Recognition", IEEE Trans. ASSP 1980. Column ``k`` begins at sample ``160 k``; the last is
    filled up with zeros.

    Args:
        samples: ``(N,)`` mono at 16 kHz, as large as 16-bit samples are (see :func:`to_int16`):
            the logarithm of the energy depends on it. At least one sample, all finite.

    Returns:
        ``(13, 1 + ceil((N - 400) / 160))`` float64, one column if N is 400 or less. Row 0 is the
        natural logarithm of the frame's energy.

    Raises:
        MediaError: If the speech is not a non-empty, one-dimensional array of finite values.
    """
    if samples.ndim != 1 or samples.size == 0:
        raise MediaError(f"speech must be a non-empty (N,) array, got shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise MediaError("speech holds NaN or infinite samples; clean it before this step")
    speech = samples.astype(np.float64)
    emphasised = np.append(speech[:1], speech[1:] - PREEMPHASIS * speech[:-1])
    beyond = emphasised.size - CEPSTRA_WINDOW_SAMPLES  # samples after the first window
    padded = np.pad(emphasised, (0, -beyond if beyond < 0 else -beyond % CEPSTRA_HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, CEPSTRA_WINDOW_SAMPLES)[::CEPSTRA_HOP]
    columns = [
        _cepstra(frames[start : start + _CHUNK_COLUMNS])
        for start in range(0, len(frames), _CHUNK_COLUMNS)
    ]
    return np.ascontiguousarray(np.concatenate(columns).T)


def cut_cepstra(cepstra: NDArray[np.float64]) -> NDArray[np.float32]:
    """Cut the window of speech of every frame of 25 a second, while there are whole ones.

    Args:
        cepstra: ``(13, N)`` at 100 columns a second, at least 20.

    Returns:
        ``(1 + (N - 20) // 4, 1, 13, 20)`` float32: window ``v`` begins at column ``4 v``, and
        spans the five frames from ``v`` on.
    """
    windows = np.lib.stride_tricks.sliding_window_view(cepstra, CEPSTRA_LENGTH, axis=1)
    return windows[:, ::_COLUMNS_PER_FRAME].transpose(1, 0, 2)[:, None].astype(np.float32)


def _cepstra(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    power = np.square(np.abs(np.fft.rfft(frames, _TRANSFORM, axis=1))) / _TRANSFORM  # (n, 257)
    energy = power.sum(axis=1)  # (n,)
    bands = power @ mel_triangles().T  # (n, 26)
    logarithms = np.log(np.where(bands == 0, _LEAST, bands))
    cepstra: NDArray[np.float64] = logarithms @ _cosines().T * _lift()  # (n, 13)
    cepstra[:, 0] = np.log(np.where(energy == 0, _LEAST, energy))
    return cepstra


@cache
def mel_triangles() -> NDArray[np.float64]:
    """Weights that sum the power of Fourier bins into mel bands.

    The mel scale is 2595 log10(1 + f / 700) (O'Shaughnessy, "Speech Communication", 1987); the
    triangles' corners are rounded down to bins.

    Returns:
        ``(26, 257)`` float64.
    """
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, _NUM_BANDS + 2) / 2595) - 1)
    corners = np.floor((_TRANSFORM + 1) * hertz / SAMPLE_RATE)  # (28,) bins
    bins = np.arange(_TRANSFORM // 2 + 1)
    left, peak, right = (corners[i : i + _NUM_BANDS, None] for i in range(3))
    rising, falling = (bins - left) / (peak - left), (right - bins) / (right - peak)
    triangles: NDArray[np.float64] = np.maximum(0, np.where(bins < peak, rising, falling))
    return triangles


@cache
def _cosines() -> NDArray[np.float64]:
    """``(13, 26)``: the first rows of the orthonormal cosine transform of the second kind."""
    angles = np.pi * np.arange(NUM_CEPSTRA)[:, None] * (2 * np.arange(_NUM_BANDS) + 1)
    rows = np.sqrt(2 / _NUM_BANDS) * np.cos(angles / (2 * _NUM_BANDS))
    rows[0] /= np.sqrt(2)
    return np.asarray(rows, dtype=np.float64)


@cache
def _lift() -> NDArray[np.float64]:
    """``(13,)``: raised sine that evens out the sizes of the coefficients."""
    lift = 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(NUM_CEPSTRA) / _LIFTER)
    return np.asarray(lift, dtype=np.float64)
