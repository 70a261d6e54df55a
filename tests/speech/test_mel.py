import tracemalloc
from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import MediaError
from lipwright.media import read_speech
from lipwright.speech import MEL_RATE, NUM_MELS, SILENCE, mel, mel_spectrogram

DEMO = Path(__file__).parents[2] / "demo" / "speech.flac"


def reference_mel(speech: NDArray[np.float32]) -> NDArray[np.float64]:
    """The released recipe, in decibels and step by step, out of librosa's parts."""
    emphasised = scipy.signal.lfilter([1, -0.97], [1], speech.astype(np.float64))
    spectrum = librosa.stft(
        emphasised,
        n_fft=800,
        hop_length=200,
        win_length=800,
        window="hann",  # librosa's is periodic
        center=True,
        pad_mode="reflect",
    )
    filters = librosa.filters.mel(
        sr=16_000, n_fft=800, n_mels=80, fmin=55, fmax=7600, htk=False, norm="slaney"
    )
    decibels = 20 * np.log10(np.maximum(1e-5, filters @ np.abs(spectrum))) - 20
    return np.asarray(np.clip(8 * (decibels + 100) / 100 - 4, -4, 4))


def noise(num_samples: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(num_samples)
    return (0.3 * rng.standard_normal(num_samples)).clip(-1, 1).astype(np.float32)


def chirp(num_samples: int) -> NDArray[np.float32]:
    seconds = np.arange(num_samples) / 16_000
    return np.asarray(0.8 * np.sin(2 * np.pi * (50 + 3800 * seconds) * seconds), dtype=np.float32)


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    return read_speech(DEMO)


@pytest.mark.filterwarnings("ignore:n_fft=800 is too large")
@pytest.mark.parametrize("make", [noise, chirp])
@pytest.mark.parametrize("num_samples", [100, 401, 799, 800, 16_000, 16_001])
def test_mel_agrees_with_librosa(make: "type[noise]", num_samples: int) -> None:
    samples = make(num_samples)
    assert np.abs(mel_spectrogram(samples) - reference_mel(samples)).max() <= 1e-4


def test_mel_agrees_with_librosa_on_speech(speech: NDArray[np.float32]) -> None:
    found = mel_spectrogram(speech)
    assert np.abs(found - reference_mel(speech)).max() <= 1e-4
    assert found.std() > 1, "the demo is expected to be lively speech"


def test_filters_are_librosas() -> None:
    expected = librosa.filters.mel(
        sr=16_000, n_fft=800, n_mels=80, fmin=55, fmax=7600, htk=False, norm="slaney"
    )
    np.testing.assert_allclose(mel.mel_filters(), expected, rtol=1e-5, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(num_samples=st.integers(1, 5000))
def test_mel_has_a_column_every_200_samples(num_samples: int) -> None:
    found = mel_spectrogram(noise(num_samples))
    assert found.shape == (NUM_MELS, 1 + num_samples // 200)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.min() >= SILENCE
    assert found.max() <= 4


def test_one_sample_is_silence() -> None:
    # There is nothing to reflect it in: it is repeated, and a constant has no pitch. librosa
    # refuses so short a signal.
    found = mel_spectrogram(np.array([0.5], dtype=np.float32))
    assert found.shape == (NUM_MELS, 1)
    assert (found == SILENCE).all()


@pytest.mark.parametrize("num_samples", [1, 100, 799, 16_000])
def test_silence_is_the_floor_everywhere(num_samples: int) -> None:
    assert (mel_spectrogram(np.zeros(num_samples, dtype=np.float32)) == SILENCE).all()


def test_a_constant_is_silence_but_for_the_first_columns() -> None:
    # Pre-emphasis starts from a sample before the speech that is 0: only that step is heard.
    found = mel_spectrogram(np.full(16_000, 0.9, dtype=np.float32))
    assert (found[3:, 3:] == SILENCE).all()


def test_the_loudest_band_of_a_tone_is_where_the_tone_is() -> None:
    seconds = np.arange(16_000) / 16_000
    centres = librosa.mel_frequencies(82, fmin=55, fmax=7600)[1:-1]
    for band in (10, 40, 70):
        tone = np.sin(2 * np.pi * centres[band] * seconds).astype(np.float32)
        assert mel_spectrogram(tone)[:, 40].argmax() == band


def test_a_column_is_centred_on_its_time() -> None:
    click = np.zeros(16_000, dtype=np.float32)
    click[8000] = 1
    heard = (mel_spectrogram(click) > SILENCE).any(axis=0)
    # 400 samples either side, where the window itself is 0 at its first sample.
    assert list(np.flatnonzero(heard)) == [8000 // 200 + k for k in (-1, 0, 1)]
    assert MEL_RATE == 80


def test_long_speech_is_the_same_in_any_chunks(
    speech: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = mel_spectrogram(speech)
    for chunk in (7, 64, whole.shape[1] - 1, whole.shape[1]):
        monkeypatch.setattr(mel, "_CHUNK_COLUMNS", chunk)
        # Not bit for bit: a product of matrices may be summed in another order.
        np.testing.assert_allclose(mel_spectrogram(speech), whole, rtol=0, atol=1e-6)


def test_speech_is_not_modified(speech: NDArray[np.float32]) -> None:
    before = speech.copy()
    mel_spectrogram(speech)
    np.testing.assert_array_equal(speech, before)


def peak_bytes(num_seconds: int) -> int:
    samples = np.zeros(16_000 * num_seconds, dtype=np.float32)
    mel.mel_filters()
    tracemalloc.start()
    mel_spectrogram(samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_grows_by_little_more_than_copies_of_the_speech() -> None:
    one, three = peak_bytes(60), peak_bytes(180)
    assert three < 120e6
    speech_bytes = 120 * 16_000 * 4
    assert three - one < 4 * speech_bytes  # ten minutes stay below 250 MB, an hour below 1 GB


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(bad: float) -> None:
    samples = noise(1000)
    samples[500] = bad
    with pytest.raises(MediaError, match="NaN or infinite"):
        mel_spectrogram(samples)


@pytest.mark.parametrize("shape", [(0,), (1, 100), (100, 2), ()])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(MediaError, match="non-empty"):
        mel_spectrogram(np.zeros(shape, dtype=np.float32))
