"""Speech that comes in blocks is heard as the whole recording is, wherever the cuts fall."""

import tracemalloc
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import ConfigError, MediaError
from lipwright.speech import (
    ALIGNMENTS,
    SILENCE,
    LiveWindows,
    MelStream,
    SpeechResampler,
    aligned_starts,
    cut_windows,
    live_window,
    mel_of,
    mel_spectrogram,
)
from lipwright.speech.mel import SAMPLE_RATE
from lipwright.speech.stream import columns_in, samples_for

Blocks = list[NDArray[np.float32]]


def noise(num_samples: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(num_samples)
    return (0.3 * rng.standard_normal(num_samples)).clip(-1, 1).astype(np.float32)


def cut(speech: NDArray[np.float32], sizes: list[int]) -> Blocks:
    """Blocks of these sizes, the last one of what remains."""
    places = np.minimum(np.cumsum([0, *sizes]), speech.size).tolist()
    return [speech[a:b] for a, b in pairwise([*places, speech.size])]


def heard(blocks: Blocks) -> NDArray[np.float32]:
    stream = MelStream()
    columns = [stream.push(block) for block in blocks]
    return np.concatenate([*columns, stream.finish()], axis=1)


SIZES = st.lists(st.one_of(st.integers(0, 50), st.integers(0, 2500)), max_size=20)


@settings(max_examples=150)
@given(num_samples=st.one_of(st.integers(1, 1300), st.integers(1, 12_000)), sizes=SIZES)
def test_columns_are_those_of_the_whole_recording_wherever_the_cuts_fall(
    num_samples: int, sizes: list[int]
) -> None:
    speech = noise(num_samples)
    found, expected = heard(cut(speech, sizes)), mel_spectrogram(speech)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    # Not bit for bit: a product of matrices may be summed in another order.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@given(num_samples=st.integers(1, 12_000), sizes=SIZES)
def test_a_speech_read_in_blocks_is_heard_whole(num_samples: int, sizes: list[int]) -> None:
    speech = noise(num_samples)
    found = mel_of(cut(speech, sizes))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, mel_spectrogram(speech), rtol=0, atol=1e-6)


def test_no_blocks_are_no_speech() -> None:
    assert mel_of([]).shape == (80, 0)


def test_samples_are_not_kept() -> None:
    block = noise(4 * SAMPLE_RATE)
    mel_of([block])  # what is kept for ever is made
    tracemalloc.start()
    found = mel_of(block for _ in range(150))  # ten minutes: 38 MB of samples
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * found.nbytes + 12e6


@given(num_samples=st.integers(0, 3000), sizes=SIZES)
def test_a_column_comes_as_soon_as_its_samples_are_there(
    num_samples: int, sizes: list[int]
) -> None:
    stream, num_heard = MelStream(), 0
    for block in cut(noise(num_samples), sizes):
        stream.push(block)
        num_heard += block.size
        assert stream.num_columns == columns_in(num_heard)
        assert stream._held.size < 2 * 800


@given(column=st.integers(0, 10_000))
def test_the_sample_before_the_one_that_a_column_needs_is_not_enough(column: int) -> None:
    assert columns_in(samples_for(column)) == column + 1
    assert columns_in(samples_for(column) - 1) == column


def test_one_sample_at_a_time_is_heard_too() -> None:
    speech = noise(1234)
    found = heard(cut(speech, [1] * 1234))
    np.testing.assert_allclose(found, mel_spectrogram(speech), rtol=0, atol=1e-6)


def test_a_block_may_be_used_again_by_whoever_gave_it() -> None:
    speech, memory, stream = noise(3200), np.zeros(320, dtype=np.float32), MelStream()
    columns = []
    for block in speech.reshape(10, 320):
        memory[:] = block
        columns.append(stream.push(memory))
    columns.append(stream.finish())
    found = np.concatenate(columns, axis=1)
    np.testing.assert_allclose(found, mel_spectrogram(speech), rtol=0, atol=1e-6)


def test_no_speech_has_no_columns() -> None:
    assert heard([]).shape == (80, 0)


def test_a_bad_block_leaves_the_stream_as_it_was() -> None:
    stream, speech = MelStream(), noise(2000)
    columns = [stream.push(speech[:900])]
    with pytest.raises(MediaError, match="NaN or infinite"):
        stream.push(np.array([0, np.nan], dtype=np.float32))
    with pytest.raises(MediaError, match=r"shape \(2, 5\)"):
        stream.push(np.zeros((2, 5), dtype=np.float32))
    columns += [stream.push(speech[900:]), stream.finish()]
    found = np.concatenate(columns, axis=1)
    np.testing.assert_allclose(found, mel_spectrogram(speech), rtol=0, atol=1e-6)
    with pytest.raises(ConfigError, match="ended"):
        stream.push(speech)


def resampled(
    sound: NDArray[np.float32] | NDArray[np.int16], rate: int, sizes: list[int]
) -> NDArray[np.float32]:
    resampler, num_in, num_out, parts = SpeechResampler(rate), 0, 0, []
    for block in cut(sound, sizes):  # type: ignore[arg-type]
        parts.append(resampler.push(block))
        num_in, num_out = num_in + block.size, num_out + parts[-1].size
        late = Fraction(num_in, rate) - Fraction(num_out, SAMPLE_RATE)
        assert late <= resampler.latency
    return np.concatenate([*parts, resampler.finish()])


@settings(max_examples=200)
@given(rate=st.sampled_from([8000, 11_025, 16_001, 44_100, 48_000, 96_000]), sizes=SIZES)
def test_resampling_does_not_depend_on_the_cuts(rate: int, sizes: list[int]) -> None:
    sound = noise(rate // 4)
    np.testing.assert_array_equal(resampled(sound, rate, sizes), resampled(sound, rate, []))


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_resampling_keeps_a_tone_where_it_is(rate: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    found = resampled(tone, rate, [rate // 50] * 50)
    expected = np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    assert found.size == SAMPLE_RATE
    assert np.abs(found - expected)[200:-200].max() < 1e-4


def test_resampling_removes_what_the_lower_rate_cannot_hold() -> None:
    tone = np.sin(2 * np.pi * 11_000 * np.arange(48_000) / 48_000).astype(np.float32)
    found = resampled(tone, 48_000, [960] * 50)
    assert np.abs(found[200:-200]).max() < 1e-3
    strongest = scipy.signal.periodogram(found[200:-200])[1].max()
    assert strongest < 1e-4


def test_integers_are_heard_as_the_same_numbers_in_float() -> None:
    sound = np.array([-32768, 0, 16384, 32767], dtype=np.int16)
    found = SpeechResampler(16_000).push(sound)
    np.testing.assert_array_equal(found, np.array([-1, 0, 0.5, 32767 / 32768], dtype=np.float32))


def test_other_sounds_are_refused() -> None:
    resampler = SpeechResampler(16_000)
    with pytest.raises(MediaError, match="mono"):
        resampler.push(np.zeros((320, 2), dtype=np.float32))
    with pytest.raises(MediaError, match="float32 or int16, got float64"):
        resampler.push(np.zeros(320))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="8000 to 192000 samples a second, got 16"):
        SpeechResampler(16)


RATES = st.sampled_from([Fraction(25), Fraction(30_000, 1001), Fraction(24), Fraction(60)])
LIMITS = st.sampled_from([None, Fraction(0), Fraction(1, 20), Fraction(1, 5), Fraction(2)])
PLANS = st.builds(
    LiveWindows,
    fps=RATES,
    columns=st.sampled_from([5, 16, 65]),
    alignment=st.sampled_from(ALIGNMENTS),
    limit=LIMITS,
)


@given(plan=PLANS, num_samples=st.integers(0, 40_000), first=st.integers(0, 30))
def test_frames_are_due_when_what_they_need_is_there(
    plan: LiveWindows, num_samples: int, first: int
) -> None:
    due = list(plan.due(first, num_samples))
    assert due == list(range(first, first + len(due)))
    assert all(plan.needs(frame) <= num_samples for frame in due)
    assert plan.needs(first + len(due)) > num_samples
    for frame in due:
        time = frame / plan.fps
        wait = Fraction(plan.needs(frame), SAMPLE_RATE) - time
        assert 0 < wait <= plan.look_ahead
        assert plan.start(frame) == aligned_starts([time], plan.alignment, columns=plan.columns)[0]
        if plan.limit is None:
            assert plan.known(frame) >= plan.start(frame) + plan.columns
        else:
            assert wait <= plan.limit + Fraction(1, SAMPLE_RATE)


@pytest.mark.parametrize(
    ("columns", "limit", "milliseconds", "num_made_up"),
    [
        (16, None, 142.5, 0),
        (16, Fraction(1, 5), 142.5, 0),
        (65, None, 455, 0),
        (65, Fraction(1, 5), 200, 21),
    ],
)
def test_the_look_ahead_is_the_windows_and_the_mels_and_never_more_than_the_limit(
    columns: int, limit: Fraction | None, milliseconds: float, num_made_up: int
) -> None:
    plan = LiveWindows(fps=Fraction(25), columns=columns, alignment="centred", limit=limit)
    assert float(plan.look_ahead * 1000) == milliseconds
    assert plan.num_made_up == num_made_up


def test_the_frames_that_are_left_end_with_the_speech() -> None:
    plan = LiveWindows(fps=Fraction(25), columns=16, alignment="centred", limit=None)
    assert list(plan.left(3, 3200)) == [3, 4]
    assert list(plan.left(3, 3201)) == [3, 4, 5]
    assert list(plan.left(7, 3201)) == []


@given(start=st.integers(-20, 60), length=st.sampled_from([5, 16, 65]))
def test_a_window_of_known_speech_is_the_offline_one(start: int, length: int) -> None:
    mel = mel_spectrogram(noise(8000))
    expected = cut_windows(mel, np.array([start]), length=length)[0]
    np.testing.assert_array_equal(live_window(mel, start, length=length, known=None), expected)
    if start + length <= 30:
        np.testing.assert_array_equal(live_window(mel, start, length=length, known=30), expected)


def test_what_is_not_known_yet_fades_from_the_last_column_and_is_not_looked_at() -> None:
    mel = mel_spectrogram(noise(8000))
    window = live_window(mel, 10, length=16, known=20)[0]
    np.testing.assert_array_equal(window[:, :10], mel[:, 10:20])
    loudness = window[:, 9:] - SILENCE
    assert (np.diff(loudness, axis=1) < 0).all()
    assert (loudness[:, 1:] > 0).all()
    changed = mel.copy()
    changed[:, 20:] = 0
    np.testing.assert_array_equal(live_window(changed, 10, length=16, known=20)[0], window)
    # A window that begins beyond what is known fades on from where it would have been.
    later = live_window(mel, 22, length=16, known=20)[0]
    np.testing.assert_allclose(later[:, :4], window[:, 12:], rtol=1e-6)


def test_nothing_known_is_silence() -> None:
    mel = mel_spectrogram(noise(8000))
    assert (live_window(mel, -6, length=16, known=0) == SILENCE).all()


def test_impossible_windows_are_refused() -> None:
    with pytest.raises(ConfigError, match="fps and columns above 0"):
        LiveWindows(fps=Fraction(0), columns=16, alignment="centred", limit=None)
