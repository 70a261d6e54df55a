from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipwright.errors import ConfigError
from lipwright.inference import utterance
from lipwright.speech import (
    EXPERT_LEAD,
    FRAME_LEAD,
    SILENCE,
    WINDOW_LENGTH,
    Mel,
    aligned_starts,
    cut_windows,
    expert_columns,
    window_starts,
)

NTSC = Fraction(30_000, 1001)


def counted_mel(num_columns: int) -> Mel:
    """Column k of band b holds k + b / 100: every value says where it is from."""
    columns, bands = np.arange(num_columns), np.arange(80) / 100
    return (columns[None, :] + bands[:, None]).astype(np.float32)


def frame_times(fps: Fraction, num_frames: int) -> list[Fraction]:
    return [index / fps for index in range(num_frames)]


@pytest.mark.parametrize(
    ("fps", "unled"),
    [
        # 80 / 25 = 3.2 columns a frame: 0, 3.2, 6.4, 9.6, 12.8, 16
        (Fraction(25), [0, 3, 6, 10, 13, 16]),
        # 80 * 1001 / 30000 = 2.66933...: 0, 2.669, 5.339, 8.008, 10.677, 13.347
        (NTSC, [0, 3, 5, 8, 11, 13]),
        # 80 / 60 = 1.333...: 0, 1.333, 2.667, 4, 5.333, 6.667
        (Fraction(60), [0, 1, 3, 4, 5, 7]),
        # 80 / 32 = 2.5: halves go up, whether the number below is even or odd
        (Fraction(32), [0, 3, 5, 8, 10, 13]),
    ],
)
def test_starts_are_those_computed_by_hand(fps: Fraction, unled: list[int]) -> None:
    times = frame_times(fps, 6)
    assert list(window_starts(times, lead=0)) == unled
    assert list(window_starts(times)) == [start - 6 for start in unled]


def test_starts_follow_time_stamps_that_are_not_even() -> None:
    times = [Fraction(0), Fraction(7, 100), Fraction(1, 10), Fraction(1, 2), Fraction(10, 3)]
    # 80 t: 0, 5.6, 8, 40, 266.67
    assert list(window_starts(times, lead=0)) == [0, 6, 8, 40, 267]


def test_starts_do_not_drift_in_a_long_video() -> None:
    last = 3 * 3600 * 30  # three hours: 29.97 taken as 30 would be off by 864 columns
    exact = 80 * last / NTSC
    assert window_starts([last / NTSC], lead=0)[0] == round(exact)


@given(
    time=st.fractions(min_value=-1, max_value=100_000),
    lead=st.integers(-20, 20),
)
def test_a_start_is_within_half_a_column_of_its_time(time: Fraction, lead: int) -> None:
    (start,) = window_starts([time], lead=lead)
    assert abs(int(start) - (80 * time - lead)) <= Fraction(1, 2)


@given(st.lists(st.fractions(min_value=0, max_value=1000), max_size=20))
def test_later_frames_never_hear_earlier_speech(times: list[Fraction]) -> None:
    starts = window_starts(sorted(times))
    assert starts.dtype == np.int64
    assert starts.shape == (len(times),)
    assert (np.diff(starts) >= 0).all()


def test_the_window_is_centred_on_the_middle_of_a_frame_of_25_fps() -> None:
    # Over 25 frames the fractions average out.
    times = frame_times(Fraction(25), 25)
    starts = window_starts(times)
    middles = (starts + (WINDOW_LENGTH - 1) / 2) / 80
    shown = np.array([float(time) + 0.02 for time in times])
    assert abs((middles - shown).mean()) < 0.002
    assert np.abs(middles - shown).max() < 0.0125 / 2 + 0.002


@pytest.mark.parametrize(("frames", "columns"), [(5, 16), (15, 48), (70, 224)])
def test_an_experts_columns_lie_over_its_frames(frames: int, columns: int) -> None:
    assert expert_columns(frames) == columns
    assert Fraction(columns, 80) == Fraction(frames, 25)


@pytest.mark.parametrize("frames", [-5, 0, 4, 12])
def test_frames_that_are_no_whole_columns_are_refused(frames: int) -> None:
    with pytest.raises(ConfigError, match=f"frames must be a multiple of 5.*got {frames}"):
        expert_columns(frames)


def test_the_experts_window_spans_its_five_frames() -> None:
    (start,) = window_starts([Fraction(2)], lead=EXPERT_LEAD)
    assert start == 160
    assert start + WINDOW_LENGTH == 80 * (2 + Fraction(5, 25))


def test_training_and_inference_cut_by_the_same_function() -> None:
    training = pytest.importorskip("lipwright.training.windows")
    assert training.window_starts is window_starts
    assert training.cut_windows is cut_windows
    assert utterance.aligned_starts is aligned_starts
    times = [Fraction(frame, 25) for frame in range(50)]
    assert list(aligned_starts(times, "centred")) == list(window_starts(times))
    # The generator is trained with the lead that inference takes by default.
    assert training.FRAME_LEAD is FRAME_LEAD
    assert list(window_starts([Fraction(1)])) == list(window_starts([Fraction(1)], lead=FRAME_LEAD))


def test_the_released_alignments_are_those_of_the_released_code() -> None:
    frames = range(200)
    times = [Fraction(frame, 25) for frame in frames]
    assert list(aligned_starts(times, "released")) == [int(i * (80.0 / 25)) for i in frames]
    # The released training pairs frame i with the window of frame i - 1.
    trained = [int(80.0 * ((i - 1) / 25.0)) for i in frames[1:]]
    assert list(aligned_starts(times, "trained"))[1:] == trained


def test_windows_hold_the_columns_from_their_start() -> None:
    mel = counted_mel(100)
    starts = np.array([0, 3, 84, 50], dtype=np.int64)
    windows = cut_windows(mel, starts)
    assert windows.shape == (4, 1, 80, WINDOW_LENGTH)
    assert windows.dtype == np.float32
    assert windows.flags.c_contiguous
    for window, start in zip(windows, starts, strict=True):
        np.testing.assert_array_equal(window[0], mel[:, start : start + WINDOW_LENGTH])


def test_outside_the_speech_is_silence() -> None:
    mel = counted_mel(20)
    before, across_start, across_end, after = cut_windows(mel, np.array([-16, -6, 10, 20]))[:, 0]
    assert (before == SILENCE).all()
    assert (across_start[:, :6] == SILENCE).all()
    np.testing.assert_array_equal(across_start[:, 6:], mel[:, :10])
    np.testing.assert_array_equal(across_end[:, :10], mel[:, 10:])
    assert (across_end[:, 10:] == SILENCE).all()
    assert (after == SILENCE).all()


@settings(deadline=None)
@given(
    num_columns=st.integers(1, 40),
    starts=st.lists(st.integers(-60, 60), max_size=8),
    length=st.integers(1, 24),
)
def test_any_window_is_the_speech_continued_by_silence(
    num_columns: int, starts: list[int], length: int
) -> None:
    mel = counted_mel(num_columns)
    padded = np.pad(mel, ((0, 0), (100, 100)), constant_values=SILENCE)
    windows = cut_windows(mel, np.array(starts, dtype=np.int64), length=length)
    assert windows.shape == (len(starts), 1, 80, length)
    for window, start in zip(windows, starts, strict=True):
        np.testing.assert_array_equal(window[0], padded[:, start + 100 : start + 100 + length])


def test_windows_are_copies() -> None:
    mel = counted_mel(40)
    windows = cut_windows(mel, np.array([0, 1]))
    windows[:] = 0
    np.testing.assert_array_equal(mel, counted_mel(40))
