"""Other voices: each change does what it says, in place in time, and keeps to the range."""

import numpy as np
import pytest

from lipwright.training.voices import SpeechChange, at_tempo, change_speech, draw_speech_change


@pytest.fixture
def windows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(-4, 4, (3, 1, 80, 16)).astype(np.float32)


def changed(mel: np.ndarray, **how: object) -> np.ndarray:
    return change_speech(mel, SpeechChange(**how), np.random.default_rng(0))  # type: ignore[arg-type]


def test_no_change_is_no_change_in_memory_of_its_own(windows: np.ndarray) -> None:
    same = changed(windows)
    assert np.array_equal(same, windows)
    assert not np.shares_memory(same, windows)


def test_a_shift_moves_the_voice_up(windows: np.ndarray) -> None:
    shifted = changed(windows, shift=3.0)
    assert np.allclose(shifted[..., 3:, :], windows[..., :-3, :], atol=1e-6)


def test_a_stretch_moves_a_formant_in_proportion() -> None:
    mel = np.full((80, 4), -4, dtype=np.float32)
    mel[40] = 4
    assert changed(mel, stretch=1.25)[:, 0].argmax() == 50


def test_a_blur_melts_harmonics_and_keeps_their_mean() -> None:
    mel = np.tile(np.where(np.arange(80) % 4 < 2, 1.0, -1.0)[:, None], (1, 5)).astype(np.float32)
    blurred = changed(mel, blur=3.0)
    assert np.abs(blurred[10:-10]).max() < 0.05
    assert blurred.mean() == pytest.approx(mel.mean(), abs=0.02)


def test_gain_curve_and_floor_have_their_sizes() -> None:
    flat = np.zeros((1, 1, 80, 16), dtype=np.float32)
    assert np.allclose(changed(flat, gain=0.4), 0.4)
    tilted = changed(flat, curve=(-0.3, 0.3))
    assert tilted[0, 0, -1, 0] - tilted[0, 0, 0, 0] == pytest.approx(0.6, abs=1e-5)
    silence = np.full_like(flat, -4)
    assert np.allclose(changed(silence, floor=(-3.0, -3.0)), -3.0)


def test_an_echo_fades_as_fast_as_told_and_never_comes_early() -> None:
    mel = np.full((80, 10), -4, dtype=np.float32)
    mel[:, 3] = 2
    echo = changed(mel, decay=0.5)[7]
    assert np.allclose(echo[:3], -4)
    assert np.allclose(echo[3:7], [2, 1.5, 1.0, 0.5])


def test_missing_bands_carry_nothing(windows: np.ndarray) -> None:
    assert np.ptp(changed(windows, missing=((10, 14),))[..., 10:14, :]) == 0


def test_speech_stays_in_range_and_inputs_stay_as_they_were(windows: np.ndarray) -> None:
    before = windows.copy()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        other = change_speech(windows, draw_speech_change(rng), rng)
        assert other.shape == windows.shape
        assert other.dtype == np.float32
        assert other.min() >= -4
        assert other.max() <= 4
    assert np.array_equal(windows, before)


def test_windows_and_whole_clips_are_changed_alike(windows: np.ndarray) -> None:
    how = {"stretch": 1.1, "shift": -1.5, "blur": 1.0, "curve": (0.1, 0.5), "gain": -0.2}
    assert np.allclose(changed(windows, **how)[1, 0], changed(windows[1, 0], **how), atol=1e-5)


def test_drawn_voices_repeat_with_the_seed_and_differ() -> None:
    draws = [draw_speech_change(np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert draws[0] == draws[1] != draws[2]


def test_tempo_plays_faster_and_slower() -> None:
    rows = np.arange(20, dtype=np.float32)[:, None]
    assert np.array_equal(at_tempo(rows, 2.0)[:, 0], np.arange(0, 20, 2))
    slow = at_tempo(rows, 0.5)[:, 0]
    assert len(slow) == 40
    assert np.allclose(slow[:38], np.arange(0, 19, 0.5))
    assert np.array_equal(at_tempo(rows, 1.0), rows)
