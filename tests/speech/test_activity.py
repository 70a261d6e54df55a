"""When somebody speaks, as the mouth takes it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipwright.speech import (
    MEL_RATE,
    activity,
    activity_at,
    activity_of,
    levels_of,
    mel_spectrogram,
)

RATE = 16_000


def voice(seconds: float, *, level: float = 0.3, seed: int = 0) -> np.ndarray:
    """Harmonics of a voice with a little breath."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 25))
    breath = 0.05 * np.random.default_rng(seed).standard_normal(time.size)
    return (level * (tone + breath) / 3).astype(np.float32)


def room(seconds: float, *, level: float, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (level * noise).astype(np.float32)


def active_in(samples: np.ndarray) -> np.ndarray:
    return activity_of(levels_of(mel_spectrogram(samples)))


def seconds(start: float, end: float) -> slice:
    return slice(round(start * MEL_RATE), round(end * MEL_RATE))


@pytest.mark.parametrize("noise", [0.0, 0.0005, 0.01])
def test_a_mouth_rests_between_sentences_whatever_the_room_sounds_like(noise: float) -> None:
    samples = np.concatenate([voice(1.5), np.zeros(RATE, np.float32), voice(1.5)])
    active = active_in(samples + room(4.0, level=noise))
    assert active[seconds(0.1, 1.4)].min() == 1
    assert active[seconds(1.9, 2.1)].max() == 0
    assert active[seconds(2.5, 3.9)].min() == 1


def test_it_begins_to_move_before_it_is_heard_and_softly() -> None:
    samples = np.concatenate([np.zeros(RATE, np.float32), voice(1.0)]) + room(2.0, level=0.0005)
    active = active_in(samples)
    assert active[seconds(0.93, 1.0)].min() == 1
    assert active[seconds(0, 0.6)].max() == 0
    assert np.abs(np.diff(active)).max() < 0.12


@pytest.mark.parametrize("pause", [0.2, 0.5])
def test_a_short_pause_is_part_of_speaking(pause: float) -> None:
    silence = np.zeros(round(pause * RATE), np.float32)
    samples = np.concatenate([voice(1.0), silence, voice(1.0), silence])
    assert active_in(samples + room(2 + 2 * pause, level=0.0005)).min() == 1


def test_digital_silence_is_rest() -> None:
    assert active_in(np.zeros(RATE, np.float32)).max() == 0


def test_where_nothing_is_quieter_than_the_rest_there_is_no_pause() -> None:
    assert active_in(room(2.0, level=0.1)).min() == 1


def test_long_speech_is_the_same_in_any_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [voice(1.5), np.zeros(RATE, np.float32), voice(0.7, seed=2)] * 3
    samples = np.concatenate(parts)
    mel = mel_spectrogram(samples + room(samples.size / RATE, level=0.001))
    whole = activity_of(levels_of(mel))
    assert set(np.unique(whole[::40])) >= {0, 1}
    for chunk in (1, 7, mel.shape[1] - 1, mel.shape[1]):
        monkeypatch.setattr(activity, "_CHUNK_COLUMNS", chunk)
        np.testing.assert_array_equal(activity_of(levels_of(mel)), whole)


@given(
    size=st.integers(0, 40),
    places=st.lists(st.floats(-40, 80), max_size=6),
    seed=st.integers(0, 9),
)
def test_any_places_are_looked_up_as_on_the_whole_line(
    size: int, places: list[float], seed: int
) -> None:
    active = np.random.default_rng(seed).random(size).astype(np.float32)
    columns = np.array(places, dtype=np.float64)
    reach = 0.2 * MEL_RATE
    knots = np.array([-reach, *range(size), size - 1 + reach])
    expected = np.interp(columns, knots, np.array([0, *active, 0]))
    np.testing.assert_allclose(activity_at(active, columns), expected, atol=1e-6)


def test_beyond_the_recording_it_ends_softly() -> None:
    active = activity_at(
        np.ones(8, dtype=np.float32), np.array([-99.0, -8.0, 0.0, 7.0, 15.0, 99.0])
    )
    assert np.allclose(active, [0, 0.5, 1, 1, 0.5, 0])
