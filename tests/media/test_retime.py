from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from media_makers import write_video

from lipwright.media import VideoFrame, read_frames, retime

RATES = st.sampled_from(
    [Fraction(n, d) for n, d in ((12, 1), (24, 1), (25, 1), (30000, 1001), (50, 1), (60, 1))]
)


def frames_at(times: Sequence[Fraction]) -> Iterator[VideoFrame]:
    for index, time in enumerate(times):
        yield VideoFrame(pixels=np.full((1, 1, 3), index, dtype=np.uint8), time=time)


def shown(frames: Iterator[VideoFrame]) -> list[int]:
    return [int(frame.pixels[0, 0, 0]) for frame in frames]


@given(rate=RATES, num_frames=st.integers(1, 200))
def test_a_constant_rate_comes_through_unchanged(rate: Fraction, num_frames: int) -> None:
    source = list(frames_at([k / rate for k in range(num_frames)]))
    result = list(retime(iter(source), fps=rate))
    assert [frame.time for frame in result] == [frame.time for frame in source]
    assert all(a.pixels is b.pixels for a, b in zip(result, source, strict=True))


@given(rate=RATES, num_frames=st.integers(1, 200))
def test_a_millisecond_clock_makes_no_difference(rate: Fraction, num_frames: int) -> None:
    times = [Fraction(round(k / rate * 1000), 1000) for k in range(num_frames)]
    assert shown(retime(frames_at(times), fps=rate)) == list(range(num_frames))


@given(
    gaps=st.lists(st.integers(1, 300), min_size=1, max_size=60),
    rate=RATES,
)
def test_every_output_shows_the_frame_of_its_time(gaps: list[int], rate: Fraction) -> None:
    times = [Fraction(0)]
    for gap in gaps:
        times.append(times[-1] + Fraction(gap, 1000))
    result = list(retime(frames_at(times), fps=rate))
    assert [frame.time for frame in result] == [k / rate for k in range(len(result))]
    half_tick = Fraction(1, 2000)
    for frame in result:
        latest = max(i for i, time in enumerate(times) if time <= frame.time + half_tick)
        assert int(frame.pixels[0, 0, 0]) == latest
    end = times[-1] + times[-1] / len(gaps)
    assert abs(len(result) / rate - end) <= 1 / rate + 3 * half_tick


def test_fifty_to_twenty_five_takes_every_second_frame() -> None:
    times = [Fraction(k, 50) for k in range(20)]
    assert shown(retime(frames_at(times), fps=Fraction(25))) == list(range(0, 20, 2))


def test_one_frame_stays_one_frame() -> None:
    assert shown(retime(frames_at([Fraction(0)]), fps=Fraction(25))) == [0]


def test_no_frame_stays_no_frame() -> None:
    assert shown(retime(frames_at([]), fps=Fraction(25))) == []


def test_frames_are_taken_one_at_a_time() -> None:
    taken: list[int] = []

    def source() -> Iterator[VideoFrame]:
        for frame in frames_at([Fraction(k, 25) for k in range(10)]):
            taken.append(int(frame.pixels[0, 0, 0]))
            yield frame

    next(retime(source(), fps=Fraction(25)))
    assert taken == [0, 1]


def test_a_file_at_29_97_becomes_25(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", fps=Fraction(30000, 1001), num_frames=60)
    result = list(retime(read_frames(path), fps=Fraction(25)))
    assert [frame.time for frame in result] == [Fraction(k, 25) for k in range(len(result))]
    assert len(result) in (50, 51)  # 2.002 s
