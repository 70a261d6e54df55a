"""The plan: which source frame, box and speech make each frame of the output."""

import time
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipwright.errors import ConfigError
from lipwright.faces import FaceTrack
from lipwright.inference.plan import RenderPlan


def track(times: list[Fraction], *, without: set[int] = frozenset()) -> FaceTrack:  # type: ignore[assignment]
    boxes = np.tile(np.arange(len(times), dtype=np.float32)[:, None], (1, 4))
    boxes[:, 2:] += 10
    is_found = np.array([index not in without for index in range(len(times))], dtype=bool)
    boxes[~is_found] = np.nan
    return FaceTrack(times=tuple(times), boxes=boxes, is_found=is_found)


def plan(num: int, fps: Fraction, duration: Fraction, *, tail: int = 5) -> RenderPlan:
    times = [index / fps for index in range(num)]
    return RenderPlan(
        track=track(times), source_end=num / fps, fps=fps, duration=duration, tail=tail
    )


def test_a_longer_video_is_cut_where_the_speech_ends() -> None:
    planned = plan(10, Fraction(25), Fraction(1, 5))
    frames = list(planned.frames())
    assert planned.num_frames() == len(frames) == 5
    assert [frame.source for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(5)]
    # round(3.2 i) - 6, by hand
    assert [frame.window_start for frame in frames] == [-6, -3, 0, 4, 7]


def test_a_shorter_video_turns_back_at_its_end_and_again() -> None:
    frames = list(plan(6, Fraction(25), Fraction(16, 25), tail=3).frames())
    sources = [frame.source for frame in frames]
    assert sources == [0, 1, 2, 3, 4, 5, 4, 3, 4, 5, 4, 3, 4, 5, 4, 3]
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(16)]
    assert frames[8].box is not None
    assert frames[8].box[0] == 4


def test_a_still_is_repeated() -> None:
    frames = list(plan(1, Fraction(25), Fraction(1), tail=1).frames())
    assert [frame.source for frame in frames] == [0] * 25
    assert frames[-1].time == Fraction(24, 25)


def test_exact_rates_stay_exact() -> None:
    fps = Fraction(30000, 1001)
    frames = list(plan(3000, fps, Fraction(100)).frames())
    assert frames[2900].time == Fraction(2900 * 1001, 30000)
    assert frames[2900].window_start == round(80 * 2900 * 1001 / 30000) - 6
    assert frames[-1].time < 100 <= frames[-1].time + 1 / fps


def test_frames_without_a_face_have_no_box() -> None:
    times = [Fraction(i, 25) for i in range(4)]
    planned = RenderPlan(
        track=track(times, without={1, 2}),
        source_end=Fraction(4, 25),
        fps=Fraction(25),
        duration=Fraction(4, 25),
        tail=1,
    )
    assert [frame.box is None for frame in planned.frames()] == [False, True, True, False]


def test_a_variable_rate_keeps_its_time_stamps() -> None:
    times = [Fraction(0), Fraction(1, 10), Fraction(11, 100), Fraction(3, 10)]
    planned = RenderPlan(
        track=track(times),
        source_end=Fraction(2, 5),
        fps=Fraction(8),
        duration=Fraction(2, 5),
        tail=2,
    )
    assert [frame.time for frame in planned.frames()] == times
    # round(80 t) - 6, by hand
    assert [frame.window_start for frame in planned.frames()] == [-6, 2, 3, 18]


def test_the_mouth_moves_on_while_the_picture_stands_still() -> None:
    """A slide show: one picture for 0.4 s, and the last one until after the speech."""
    times = [Fraction(0), Fraction(2, 5)]
    planned = RenderPlan(
        track=track(times),
        source_end=Fraction(4),
        fps=Fraction(10),
        duration=Fraction(1),
        tail=1,
    )
    frames = list(planned.frames())
    assert [frame.time for frame in frames] == [Fraction(i, 10) for i in range(10)]
    assert [frame.source for frame in frames] == [0] * 4 + [1] * 6


def test_planning_takes_time_in_proportion_to_length() -> None:
    started = time.monotonic()
    long = plan(20_000, Fraction(30000, 1001), Fraction(700))
    assert long.num_frames() == sum(1 for _ in long.frames())
    assert time.monotonic() - started < 10  # a quadratic plan takes minutes


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
    planned = plan(num, fps, duration, tail=min(tail, num))
    frames = list(planned.frames())
    assert len(frames) == planned.num_frames()
    assert 0 <= frames[-1].time + 1 / fps - duration < 1 / fps
    sources = [frame.source for frame in frames]
    assert all(0 <= source < num for source in sources)
    assert all(abs(b - a) <= 1 for a, b in pairwise(sources))
    # Only the tail is needed again once it has been shown.
    newest = 0
    for source in sources:
        newest = max(newest, source)
        assert newest - source < max(1, min(tail, num))


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one frame"):
        RenderPlan(
            track=track([]),
            source_end=Fraction(0),
            fps=Fraction(25),
            duration=Fraction(1),
            tail=1,
        )
    with pytest.raises(ConfigError, match="above 0"):
        plan(3, Fraction(25), Fraction(0))
