"""The schedule: when each frame of the output is shown, and which frame of the source it shows."""

import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipwright.errors import ConfigError
from lipwright.inference.schedule import Extend, Joint, Schedule, looped, show

Frames = list[tuple[int, Fraction]]


def shown(times: list[Fraction], fps: Fraction, duration: Fraction, *, tail: int = 5) -> Frames:
    sources = list(enumerate(times))
    schedule = Schedule(fps=fps, duration=duration, tail=tail)
    return [
        (frame.source[0], frame.time)
        for frame in show(sources, schedule, time_of=lambda source: source[1])
    ]


def steady(num: int, fps: Fraction) -> list[Fraction]:
    return [index / fps for index in range(num)]


def test_a_longer_video_is_cut_where_the_speech_ends() -> None:
    frames = shown(steady(10, Fraction(25)), Fraction(25), Fraction(1, 5))
    assert frames == [(i, Fraction(i, 25)) for i in range(5)]


def test_no_more_of_a_longer_video_is_read_than_is_shown() -> None:
    taken = []

    def sources() -> Iterator[Fraction]:
        for index in range(1000):
            taken.append(index)
            yield Fraction(index, 25)

    schedule = Schedule(fps=Fraction(25), duration=Fraction(1, 5), tail=1)
    assert len(list(show(sources(), schedule, time_of=lambda at: at))) == 5
    assert len(taken) == 6


def test_a_shorter_video_turns_back_at_its_end_and_again() -> None:
    frames = shown(steady(6, Fraction(25)), Fraction(25), Fraction(16, 25), tail=3)
    assert [source for source, _ in frames] == [0, 1, 2, 3, 4, 5, 4, 3, 4, 5, 4, 3, 4, 5, 4, 3]
    assert [at for _, at in frames] == [Fraction(i, 25) for i in range(16)]


def test_a_still_is_repeated() -> None:
    frames = shown([Fraction(0)], Fraction(25), Fraction(1))
    assert frames == [(0, Fraction(i, 25)) for i in range(25)]


def test_exact_rates_stay_exact() -> None:
    fps = Fraction(30000, 1001)
    frames = shown(steady(3000, fps), fps, Fraction(100))
    assert frames[2900] == (2900, Fraction(2900 * 1001, 30000))
    assert frames[-1][1] < 100 <= frames[-1][1] + 1 / fps


def test_a_variable_rate_keeps_its_time_stamps() -> None:
    times = [Fraction(0), Fraction(1, 10), Fraction(11, 100), Fraction(3, 10)]
    assert shown(times, Fraction(8), Fraction(2, 5), tail=2) == list(enumerate(times))


def test_the_mouth_moves_on_while_the_picture_stands_still() -> None:
    """A slide show: one picture for 0.4 s, and the last one until after the speech."""
    frames = shown([Fraction(0), Fraction(2, 5)], Fraction(10), Fraction(1), tail=1)
    assert [at for _, at in frames] == [Fraction(i, 10) for i in range(10)]
    assert [source for source, _ in frames] == [0] * 4 + [1] * 6


def test_an_empty_source_shows_nothing() -> None:
    assert shown([], Fraction(25), Fraction(1)) == []


def test_scheduling_takes_time_in_proportion_to_length() -> None:
    started = time.monotonic()
    fps = Fraction(30000, 1001)
    assert len(shown(steady(20_000, fps), fps, Fraction(700))) > 20_000
    assert time.monotonic() - started < 10  # a quadratic schedule takes minutes


@given(
    num=st.integers(1, 60),
    fps=st.sampled_from([Fraction(24000, 1001), Fraction(25), Fraction(50), Fraction(7)]),
    hundredths=st.integers(20, 900),
    tail=st.integers(1, 70),
)
def test_the_output_is_as_long_as_the_speech_and_never_jumps(
    num: int, fps: Fraction, hundredths: int, tail: int
) -> None:
    duration = Fraction(hundredths, 100)
    frames = shown(steady(num, fps), fps, duration, tail=tail)
    assert 0 <= frames[-1][1] + 1 / fps - duration < 1 / fps
    sources = [source for source, _ in frames]
    assert all(0 <= source < num for source in sources)
    assert all(abs(b - a) <= 1 for a, b in pairwise(sources))
    assert all(a < b for (_, a), (_, b) in pairwise(frames))
    # Only the tail is needed again once it has been shown.
    newest = 0
    for source in sources:
        newest = max(newest, source)
        assert newest - source < tail


def test_impossible_schedules_are_refused() -> None:
    with pytest.raises(ConfigError, match="tail, fps and duration above 0, got 0, 25 and 1"):
        Schedule(fps=Fraction(25), duration=Fraction(1), tail=0)


def continued(extend: Extend, *, is_cut: bool = True, speech: Fraction = Fraction(2, 5)) -> Frames:
    sources = list(enumerate(steady(6, Fraction(25))))
    schedule = Schedule(fps=Fraction(25), duration=speech, tail=3, extend=extend, is_cut=is_cut)
    return [
        (frame.source[0], frame.time)
        for frame in show(sources, schedule, time_of=lambda source: source[1])
    ]


def test_the_last_frame_can_stand_still_under_a_longer_speech() -> None:
    assert [source for source, _ in continued("freeze")] == [0, 1, 2, 3, 4, 5, 5, 5, 5, 5]


def test_the_output_can_end_with_the_source() -> None:
    assert continued("trim") == [(i, Fraction(i, 25)) for i in range(6)]


def test_a_longer_source_can_be_shown_to_its_end() -> None:
    frames = continued("pingpong", is_cut=False, speech=Fraction(2, 25))
    assert frames == [(i, Fraction(i, 25)) for i in range(6)]


def test_a_way_to_extend_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="pingpong, loop, freeze, trim; got 'bounce'"):
        continued("bounce")  # type: ignore[arg-type]


Pictured = tuple[float, Fraction]  # a level of brightness, and when


def looped_levels(num: int, duration: Fraction, *, overlap: int) -> list[Pictured]:
    joint: Joint[Pictured] = Joint(
        at=lambda frame, time: (frame[0], time),
        dissolve=lambda old, new, share: (old[0] + share * (new[0] - old[0]), new[1]),
        overlap=overlap,
    )
    schedule = Schedule(fps=Fraction(25), duration=duration, tail=1)
    source = [(float(i), Fraction(i, 25)) for i in range(num)]
    return list(looped(repeat(source), joint, schedule=schedule, time_of=lambda frame: frame[1]))


def test_a_loop_goes_on_in_time_and_dissolves_from_its_end_to_its_start() -> None:
    frames = looped_levels(10, Fraction(1), overlap=3)
    assert [time for _, time in frames] == [Fraction(i, 25) for i in range(len(frames))]
    levels = [level for level, _ in frames]
    assert levels[:7] == [0, 1, 2, 3, 4, 5, 6]
    assert levels[7:10] == [7 * 3 / 4, 8 + (1 - 8) / 2, 9 + (2 - 9) * 3 / 4]
    assert levels[10:14] == [3, 4, 5, 6]
    assert frames[-1][1] + Fraction(1, 25) >= 1


def test_a_loop_that_is_long_enough_is_shown_once_and_whole() -> None:
    assert [level for level, _ in looped_levels(10, Fraction(2, 5), overlap=3)] == list(range(10))


def test_what_is_too_short_to_dissolve_is_repeated_as_it_is() -> None:
    levels = [level for level, _ in looped_levels(4, Fraction(12, 25), overlap=3)]
    assert levels == [0, 1, 2, 3] * 3
