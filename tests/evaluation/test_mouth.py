import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.evaluation import compare_motion
from lipwright.evaluation.mouth import MAX_LAG
from lipwright.faces import mouth_opening


@pytest.fixture
def speaking() -> NDArray[np.float64]:
    """A mouth that opens and closes without a period."""
    steps = np.random.default_rng(0).random(110)
    return np.convolve(steps, np.ones(4) / 4, mode="valid") * 0.3


def shifted(curve: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """The curve later by some frames, held at its ends."""
    return curve[np.clip(np.arange(len(curve)) - frames, 0, len(curve) - 1)]


def test_the_true_mouth_is_perfect(speaking: NDArray[np.float64]) -> None:
    found = compare_motion(speaking, speaking.copy())
    assert found.correlation == pytest.approx(1)
    assert found.amplitude == pytest.approx(1)
    assert found.lag_frames == 0


def test_a_mouth_that_closes_to_open_correlates_negatively(speaking: NDArray[np.float64]) -> None:
    found = compare_motion(speaking, 0.3 - speaking)
    assert found.correlation == pytest.approx(-1)
    assert found.amplitude == pytest.approx(1)


@pytest.mark.parametrize("lag", range(-MAX_LAG, MAX_LAG + 1))
def test_a_late_mouth_has_a_positive_lag(speaking: NDArray[np.float64], lag: int) -> None:
    found = compare_motion(speaking, shifted(speaking, lag))
    assert found.lag_frames == lag
    if lag:
        assert found.correlation < 0.9


def test_half_the_motion_is_half_the_amplitude(speaking: NDArray[np.float64]) -> None:
    found = compare_motion(speaking, 0.1 + speaking / 2)
    assert found.amplitude == pytest.approx(0.5)
    assert found.correlation == pytest.approx(1)
    assert found.lag_frames == 0


@pytest.mark.parametrize("opening", [0.0, 0.1, 0.13, 0.5])  # some deviate from their own mean
def test_a_mouth_that_does_not_move_correlates_0(
    speaking: NDArray[np.float64], opening: float
) -> None:
    found = compare_motion(speaking, np.full_like(speaking, opening))
    assert found.correlation == 0
    assert found.amplitude == pytest.approx(0, abs=1e-12)
    assert found.lag_frames == 0


def test_of_equally_good_lags_the_shortest_is_told() -> None:
    # A period of four frames: lags of -4, 0 and 4 are the same.
    curve = np.tile([0.0, 1, 2, 1], 10)
    assert compare_motion(curve, curve).lag_frames == 0


@given(st.integers(3 * MAX_LAG, 40), st.integers(0, 10_000))
def test_the_figures_are_in_their_ranges(length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = compare_motion(rng.random(length), rng.random(length))
    assert -1 <= found.correlation <= 1
    assert found.amplitude > 0
    assert abs(found.lag_frames) <= MAX_LAG


def test_curves_of_different_lengths_are_refused(speaking: NDArray[np.float64]) -> None:
    with pytest.raises(ConfigError, match=r"of one length, got \(107,\) and \(106,\)"):
        compare_motion(speaking, speaking[1:])


def test_curves_of_several_mouths_are_refused() -> None:
    with pytest.raises(ConfigError, match="of one length"):
        compare_motion(np.ones((20, 2)), np.ones((20, 2)))


def test_short_curves_are_refused(speaking: NDArray[np.float64]) -> None:
    compare_motion(speaking[:15], speaking[:15])
    with pytest.raises(ConfigError, match="15 frames are needed, got 14"):
        compare_motion(speaking[:14], speaking[:14])


@pytest.mark.parametrize("opening", [0.0, 0.1, 0.13])
def test_a_true_mouth_that_does_not_move_is_refused(
    speaking: NDArray[np.float64], opening: float
) -> None:
    with pytest.raises(ConfigError, match="does not move"):
        compare_motion(np.full_like(speaking, opening), speaking)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_frames_without_a_mouth_are_refused(speaking: NDArray[np.float64], bad: float) -> None:
    broken = speaking.copy()
    broken[3] = bad
    for curves in ((broken, speaking), (speaking, broken)):
        with pytest.raises(ConfigError, match="NaN or infinite"):
            compare_motion(*curves)


def test_the_opening_is_measured_by_the_eyes() -> None:
    points = np.zeros((468, 2), dtype=np.float32)
    points[33], points[263] = (100, 100), (160, 180)  # 100 apart
    points[13], points[14] = (120, 200), (132, 216)  # 20 apart
    assert mouth_opening(points) == pytest.approx(0.2)
    assert mouth_opening(points * 3 + 7) == pytest.approx(0.2)
    points[14] = points[13]
    assert mouth_opening(points) == 0
