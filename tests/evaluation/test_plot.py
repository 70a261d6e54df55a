import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipwright.evaluation import plot


def test_curve_passes_through_its_openings() -> None:
    found = plot.opening_plot({"drawn": (0.0, 0.2, 0.1, 0.4)})
    assert found is not None
    points = [tuple(map(float, p.split(","))) for p in found.curves[0].stretches[0].split()]
    width = plot.RIGHT - plot.LEFT
    assert [x for x, _ in points] == [plot.LEFT + width * i / 4 for i in range(4)]
    height = plot.BOTTOM - plot.TOP
    assert [y for _, y in points] == pytest.approx(
        [plot.BOTTOM - height * opening / 0.4 for opening in (0, 0.2, 0.1, 0.4)], abs=0.06
    )


def test_curves_of_both_videos_share_their_axes() -> None:
    found = plot.opening_plot({"true": (0.1,) * 50, "drawn": (0.1,) * 25})
    assert found is not None
    true, drawn = (curve.stretches[0].split() for curve in found.curves)
    assert true[:25] == drawn


def test_curve_has_a_gap_where_nothing_was_measured() -> None:
    nan = math.nan
    found = plot.opening_plot({"drawn": (nan, 0.1, 0.2, nan, nan, 0.1, 0.3)})
    assert found is not None
    assert [len(stretch.split()) for stretch in found.curves[0].stretches] == [2, 2]
    assert "nan" not in repr(found)


@given(
    num_frames=st.integers(1, 20_000),
    highest=st.floats(0, 50),
)
def test_axes_have_a_readable_number_of_ticks_inside_the_picture(
    num_frames: int, highest: float
) -> None:
    found = plot.opening_plot({"drawn": (highest,) * num_frames})
    assert found is not None
    assert 1 <= len(found.times) <= 14
    assert 2 <= len(found.openings) <= 6
    assert all(plot.LEFT <= tick.at <= plot.RIGHT for tick in found.times)
    assert all(plot.TOP <= tick.at <= plot.BOTTOM for tick in found.openings)
    assert (found.times[0].text, found.openings[0].text) == ("0 s", "0.00")


def test_ticks_are_written_in_seconds_and_openings() -> None:
    found = plot.opening_plot({"true": (0.0, *[0.31] * 74)})
    assert found is not None
    times = ["0 s", "0.5 s", "1 s", "1.5 s", "2 s", "2.5 s", "3 s"]
    assert [tick.text for tick in found.times] == times
    assert [tick.text for tick in found.openings] == ["0.00", "0.10", "0.20", "0.30"]
