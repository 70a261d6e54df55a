"""A recording of any length is heard window by window, as if all of it were laid out."""

import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import ConfigError, MediaError
from lipwright.speech import (
    MEL_RATE,
    MelReader,
    activity_of,
    cut_windows,
    levels_of,
    mel_spectrogram,
)

RATE = 16_000
Samples = NDArray[np.float32]


def recording(num_samples: int) -> Samples:
    """Noise that comes and goes."""
    rng = np.random.default_rng(num_samples)
    loudness = 0.3 * (0.5 + 0.5 * np.sin(np.arange(num_samples) / 6000)) ** 4
    return (loudness * rng.standard_normal(num_samples)).clip(-1, 1).astype(np.float32)


class Counted:
    """Reads a recording, and counts how often it is begun."""

    def __init__(self, samples: Samples, size: int) -> None:
        self.samples, self.size, self.num_begun = samples, size, 0

    def __call__(self) -> Iterator[Samples]:
        self.num_begun += 1
        for start in range(0, self.samples.size, self.size):
            yield self.samples[start : start + self.size]


@settings(max_examples=60, deadline=None)
@example(num_samples=60_000, size=20_000, hold=20, starts=[85, 90, 95], length=20)
@given(
    num_samples=st.integers(1, 60_000),
    size=st.integers(500, 20_000),
    hold=st.integers(20, 400),
    starts=st.lists(st.integers(-60, 360), min_size=1, max_size=8),
    length=st.integers(1, 20),
)
def test_windows_are_those_of_the_whole_mel_in_any_order(
    num_samples: int, size: int, hold: int, starts: list[int], length: int
) -> None:
    samples = recording(num_samples)
    reader, whole = MelReader(Counted(samples, size), hold=hold), mel_spectrogram(samples)
    assert (reader.num_samples, reader.num_columns) == (num_samples, whole.shape[1])
    for part in (starts[:3], starts[3:], starts):
        places = np.array(part, dtype=np.int64)
        found = reader.windows(places, length=length)
        assert found.dtype == np.float32
        np.testing.assert_allclose(
            found, cut_windows(whole, places, length=length), rtol=0, atol=1e-6
        )
    np.testing.assert_allclose(reader.whole(), whole, rtol=0, atol=1e-6)


def test_a_mouth_rests_where_it_does_in_the_whole_mel() -> None:
    samples = recording(10 * RATE)
    reader = MelReader(Counted(samples, 7000), hold=100)
    expected = activity_of(levels_of(mel_spectrogram(samples)))
    assert 0 < expected.mean() < 1
    np.testing.assert_allclose(activity_of(reader.levels), expected, atol=1e-6)


def in_order(reader: MelReader, seconds: int) -> None:
    for frame in range(0, 25 * seconds, 4):
        starts = np.array([round(3.2 * at) - 32 for at in range(frame, frame + 4)])
        reader.windows(starts, length=65)


@pytest.mark.parametrize(("seconds", "num_begun"), [(5, 1), (30, 2)])
def test_a_long_one_is_read_twice_and_a_short_one_once(seconds: int, num_begun: int) -> None:
    blocks = Counted(recording(seconds * RATE), 4 * RATE)
    in_order(MelReader(blocks, hold=10 * MEL_RATE), seconds)
    assert blocks.num_begun == num_begun


def test_memory_does_not_grow_with_length() -> None:
    block = recording(4 * RATE)

    def of(num_blocks: int) -> Callable[[], Iterator[Samples]]:
        return lambda: (block for _ in range(num_blocks))

    peaks = []
    for num_blocks in (40, 160):  # from three minutes, more than are held, to eleven
        tracemalloc.start()
        in_order(MelReader(of(num_blocks)), 4 * num_blocks)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    whole = 4 * 80 * MEL_RATE * 4 * 160
    assert peaks[0] < peaks[1] < peaks[0] + 0.1 * whole  # the levels, and where the mouth rests


def test_a_recording_that_has_become_shorter_is_told() -> None:
    blocks = Counted(recording(10 * RATE), RATE)
    reader = MelReader(blocks, hold=100)
    blocks.samples = blocks.samples[: 4 * RATE]
    assert reader.windows(np.array([0]), length=65).shape == (1, 1, 80, 65)
    with pytest.raises(MediaError, match=r"had 10\.01 s of sound and has 4\.01 s now"):
        reader.windows(np.array([700]), length=65)


def test_one_that_is_closed_lets_go_of_its_file_and_reads_it_anew_if_it_must() -> None:
    samples, opened = recording(30 * RATE), []

    def read() -> Iterator[Samples]:
        opened.append(True)
        try:
            yield from Counted(samples, RATE)()
        finally:
            opened.pop()

    reader = MelReader(read, hold=200)
    before = reader.windows(np.array([300]), length=65)
    assert opened
    reader.close()
    assert not opened
    np.testing.assert_array_equal(reader.windows(np.array([300]), length=65), before)
    reader.close()


def test_a_window_that_is_longer_than_what_is_held_is_refused() -> None:
    reader = MelReader(Counted(recording(RATE), RATE), hold=64)
    with pytest.raises(ConfigError, match="a window of 65 columns is longer than the 64 held"):
        reader.windows(np.array([0]), length=65)


def test_what_cannot_be_read_is_told_at_once() -> None:
    def broken() -> Iterator[Samples]:
        yield recording(RATE)
        raise MediaError("it ends here")

    with pytest.raises(MediaError, match="it ends here"):
        MelReader(broken)
