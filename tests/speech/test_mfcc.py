import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import python_speech_features as reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import MediaError
from lipwright.media import read_speech
from lipwright.speech.mfcc import (
    CEPSTRA_FRONT_END,
    CEPSTRA_RATE,
    NUM_CEPSTRA,
    cut_cepstra,
    mel_cepstra,
    mel_triangles,
    to_int16,
)

Samples = NDArray[np.int16]


def noise(num_samples: int) -> Samples:
    rng = np.random.default_rng(num_samples)
    return rng.integers(-12_000, 12_000, num_samples).astype(np.int16)


def tone(num_samples: int) -> Samples:
    angles = 2 * np.pi * 440 * np.arange(num_samples) / 16_000
    return np.rint(20_000 * np.sin(angles)).astype(np.int16)


def silence(num_samples: int) -> Samples:
    return np.zeros(num_samples, np.int16)


def tone_after_silence(num_samples: int) -> Samples:
    samples = tone(num_samples)
    samples[: num_samples // 2] = 0
    return samples


def assert_as_the_reference(samples: Samples) -> None:
    expected = reference.mfcc(samples, 16_000)
    found = mel_cepstra(samples)
    assert found.shape == expected.T.shape
    scale = np.maximum(1, np.abs(expected.T))
    assert (np.abs(found - expected.T) / scale).max() <= 1e-6


@pytest.mark.parametrize("make", [noise, tone, silence, tone_after_silence])
@pytest.mark.parametrize("num_samples", [1, 2, 160, 399, 400, 401, 559, 560, 561, 16_000, 16_123])
def test_cepstra_agree_with_python_speech_features(
    make: Callable[[int], Samples], num_samples: int
) -> None:
    assert_as_the_reference(make(num_samples))


def test_cepstra_of_speech_agree_with_python_speech_features(demo_speech: Path) -> None:
    speech = read_speech(demo_speech)
    assert_as_the_reference(to_int16(speech))


def test_triangles_are_those_of_python_speech_features() -> None:
    expected = reference.get_filterbanks(26, 512, 16_000)
    np.testing.assert_allclose(mel_triangles(), expected, atol=1e-12)


@given(num_samples=st.integers(1, 5000))
def test_a_column_begins_every_160_samples(num_samples: int) -> None:
    found = mel_cepstra(noise(num_samples))
    further = max(0, num_samples - 400)
    assert found.shape == (NUM_CEPSTRA, 1 + -(-further // 160))
    assert found.flags.c_contiguous
    assert CEPSTRA_RATE == 100


def test_a_long_speech_is_the_same_in_parts_and_needs_little_memory() -> None:
    samples = noise(160 * 20_000 + 240)  # more than four chunks
    tracemalloc.start()
    whole = mel_cepstra(samples)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6
    begin = 160 * 9000
    part = mel_cepstra(samples[begin : begin + 160 * 100])
    # The first sample of a part has lost the one before it.
    np.testing.assert_allclose(whole[:, 9001:9080], part[:, 1:80])


def test_ten_times_as_loud_adds_the_same_to_every_energy() -> None:
    quiet = noise(8000).astype(np.float64)
    louder = mel_cepstra(10 * quiet) - mel_cepstra(quiet)
    np.testing.assert_allclose(louder[0], np.log(100))
    np.testing.assert_allclose(louder[1:], 0, atol=1e-9)  # a cosine transform of a constant


def test_samples_are_rounded_and_clipped_to_16_bits() -> None:
    speech = np.array([0, 0.5, -1, 1, 2, -3, 0.4 / 32768, 0.6 / 32768], np.float32)
    expected = [0, 16384, -32768, 32767, 32767, -32768, 0, 1]
    assert to_int16(speech).tolist() == expected


def test_the_front_end_is_said_in_one_line() -> None:
    assert CEPSTRA_FRONT_END == "mfcc 16000/400/160/13 of 26"


def test_the_window_of_a_frame_begins_four_columns_after_that_of_the_frame_before() -> None:
    cepstra = np.arange(13 * 47, dtype=np.float64).reshape(13, 47)
    windows = cut_cepstra(cepstra)
    assert (windows.shape, windows.dtype) == ((7, 1, 13, 20), np.float32)
    for v, window in enumerate(windows):
        np.testing.assert_array_equal(window[0], cepstra[:, 4 * v : 4 * v + 20])
    assert len(cut_cepstra(cepstra[:, :20])) == 1


@pytest.mark.parametrize("shape", [(0,), (2, 3)])
def test_speech_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(MediaError, match=r"non-empty \(N,\) array, got shape"):
        mel_cepstra(np.zeros(shape, np.int16))


def test_speech_that_is_not_finite_is_refused() -> None:
    with pytest.raises(MediaError, match="NaN or infinite"):
        mel_cepstra(np.array([0, np.nan]))
