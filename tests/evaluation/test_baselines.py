"""Baselines: which frame comes where, and that metrics put them in their order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.evaluation.baselines import SHIFT, as_it_is, other, shifted, static
from lipwright.evaluation.motion import leak, lip_distance
from lipwright.evaluation.mouth import compare_motion
from lipwright.evaluation.picture import psnr, region_l1, ssim
from lipwright.faces.points import EYE_CORNERS, LIPS, NUM_LANDMARKS

Curve = NDArray[np.float64]


def speaking(seed: int, num_frames: int = 100) -> Curve:
    """A mouth that opens and closes without a period, about every eight frames."""
    steps = np.random.default_rng(seed).random(num_frames + 7)
    return np.convolve(steps, np.hanning(10)[1:-1] / 4, mode="valid") * 0.3


def test_the_true_video_stays_as_it_is() -> None:
    assert as_it_is(4).tolist() == [0, 1, 2, 3]


def test_the_static_mouth_is_the_least_open_one() -> None:
    assert static(np.array([0.3, 0.1, 0.0, 0.2])).tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("openings", [[], [0.1, np.nan], [np.inf, 0.0]])
def test_a_mouth_that_is_not_known_is_not_the_static_one(openings: list[float]) -> None:
    with pytest.raises(ConfigError, match="finite"):
        static(np.array(openings))


def test_the_shifted_video_is_five_frames_late() -> None:
    assert SHIFT == 5
    assert shifted(8).tolist() == [0, 0, 0, 0, 0, 0, 1, 2]
    assert shifted(3).tolist() == [0, 0, 0]


def test_a_video_can_be_early() -> None:
    assert shifted(5, by=-2).tolist() == [2, 3, 4, 4, 4]


def test_other_speech_is_cut_to_length() -> None:
    assert other(3, 10).tolist() == [0, 1, 2]


def test_other_speech_goes_to_and_fro_without_a_jump() -> None:
    assert other(8, 3).tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert other(3, 1).tolist() == [0, 0, 0]


def test_other_speech_needs_a_frame() -> None:
    with pytest.raises(ConfigError, match="no frame"):
        other(3, 0)


@given(st.integers(0, 60), st.integers(1, 60), st.integers(-70, 70))
def test_every_frame_of_a_baseline_exists(num_frames: int, num_others: int, by: int) -> None:
    orders = [(as_it_is(num_frames), num_frames), (shifted(num_frames, by=by), num_frames)]
    orders.append((other(num_frames, num_others), num_others))
    if num_frames:
        orders.append((static(np.arange(num_frames) % 7 / 7), num_frames))
    for order, available in orders:
        assert order.shape == (num_frames,)
        assert order.dtype == np.int64
        assert ((order >= 0) & (order < available)).all()


def test_nothing_to_order_is_an_empty_order() -> None:
    assert as_it_is(0).size == shifted(0).size == other(0, 3).size == 0


@given(st.integers(0, 500))
def test_motion_orders_the_baselines(seed: int) -> None:
    true, another = speaking(seed), speaking(seed + 1000, 70)
    n = len(true)
    still = compare_motion(true, true[static(true)])
    late = compare_motion(true, true[shifted(n)])
    same = compare_motion(true, true[as_it_is(n)])
    says_else = compare_motion(true, another[other(n, len(another))])
    assert same.correlation == pytest.approx(1)
    assert same.lag_frames == 0
    assert late.lag_frames == SHIFT
    assert still.correlation == 0
    assert still.amplitude == pytest.approx(0, abs=1e-12)
    for worse in (late, still, says_else):
        assert worse.correlation < same.correlation - 0.2


def test_a_shorter_shift_correlates_better() -> None:
    true = speaking(1)
    found = [compare_motion(true, true[shifted(len(true), by=by)]).correlation for by in range(5)]
    assert found == sorted(found, reverse=True)


def test_the_lip_distance_grows_with_the_shift_and_sees_a_static_mouth() -> None:
    true = speaking(2)
    points = np.repeat(
        np.random.default_rng(0).uniform(0, 300, size=(1, NUM_LANDMARKS, 2)), len(true), axis=0
    )
    points[:, list(EYE_CORNERS)] = [[100, 120], [200, 120]]
    points[:, list(LIPS), 1] += 100 * true[:, None]
    found = [lip_distance(points[shifted(len(true), by=by)], points) for by in range(5)]
    assert found[0] == pytest.approx(0, abs=1e-12)
    assert found == sorted(found)
    assert lip_distance(points[static(true)], points) > found[1]


def test_a_late_mouth_leaks_into_silence() -> None:
    is_silent = np.tile(np.repeat([False, True], 20), 3)
    true = np.where(is_silent, 0, speaking(3, len(is_silent)))
    assert leak(true, is_silent) == 0
    assert leak(true[shifted(len(true))], is_silent) > 0.1


def test_pictures_of_baselines_are_worse_than_the_true_ones() -> None:
    true = speaking(4, 30)
    rows = np.arange(32)[:, None]
    frames = [
        np.repeat(np.where(abs(rows - 20) < 30 * opening, 60, 180), 32, axis=1)[..., None].repeat(
            3, axis=2
        )
        for opening in true
    ]
    pictures = [frame.astype(np.uint8) for frame in frames]
    everywhere = np.ones((32, 32), dtype=np.float32)

    def mean(order: NDArray[np.int64]) -> tuple[float, float, bool]:
        pairs = [(pictures[a], pictures[b]) for b, a in enumerate(order)]
        return (
            float(np.mean([ssim(*pair) for pair in pairs])),
            float(np.mean([region_l1(*pair, everywhere) for pair in pairs])),
            all(psnr(*pair) == np.inf for pair in pairs),
        )

    assert mean(as_it_is(30)) == (pytest.approx(1), 0, True)
    for order in (shifted(30), static(true)):
        alike, difference, is_same = mean(order)
        assert alike < 0.9
        assert difference > 0.01
        assert not is_same
