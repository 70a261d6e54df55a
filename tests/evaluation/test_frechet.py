"""The Frechet distance against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.evaluation.frechet import FeatureMoments, frechet_distance, moments

Array = NDArray[np.float64]


def gaussian(mean: list[float], covariance: list[list[float]]) -> FeatureMoments:
    return FeatureMoments(mean=np.array(mean), covariance=np.array(covariance), count=1000)


def features(seed: int, *, rows: int = 40, length: int = 3) -> Array:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, length)) @ rng.normal(size=(length, length)) + rng.normal()


def test_moments_are_the_mean_and_the_unbiased_covariance() -> None:
    found = moments(np.array([[1.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(found.mean, [2, 2])
    np.testing.assert_allclose(found.covariance, [[2, 4], [4, 8]])
    assert found.count == 2


def test_a_set_is_at_no_distance_from_itself() -> None:
    found = moments(features(0))
    assert frechet_distance(found, found) == pytest.approx(0, abs=1e-9)


def test_one_dimension_has_a_closed_form() -> None:
    # (m1 - m2)^2 + (s1 - s2)^2 = 2^2 + (3 - 1)^2
    assert frechet_distance(gaussian([1], [[9]]), gaussian([3], [[1]])) == pytest.approx(8)
    assert moments(np.array([[1.0], [3.0]])).covariance.shape == (1, 1)


def test_equal_covariances_leave_the_distance_of_the_means() -> None:
    covariance = [[2.0, 0.5], [0.5, 1.0]]
    found = frechet_distance(gaussian([0, 0], covariance), gaussian([3, 4], covariance))
    assert found == pytest.approx(25)


def test_covariances_that_do_not_commute_have_the_distance_of_the_closed_form() -> None:
    a, b = [[2.0, 1.0], [1.0, 2.0]], [[5.0, 0.0], [0.0, 1.0]]
    # Of a 2x2 matrix M, tr M^(1/2) = (tr M + 2 (det M)^(1/2))^(1/2): here of A B, 12 and 15.
    expected = 4 + 6 - 2 * np.sqrt(12 + 2 * np.sqrt(15))
    assert not np.allclose(np.array(a) @ b, np.array(b) @ a)
    assert frechet_distance(gaussian([0, 0], a), gaussian([0, 0], b)) == pytest.approx(expected)


def test_fewer_samples_than_features_still_have_a_distance() -> None:
    a, b = (moments(features(seed, rows=4, length=30)) for seed in (1, 2))
    assert np.isfinite(frechet_distance(a, b))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-4)


def test_few_samples_of_one_distribution_look_further_apart_than_many() -> None:
    rng = np.random.default_rng(3)
    few, many = (
        frechet_distance(*(moments(rng.normal(size=(count, 8))) for _ in range(2)))
        for count in (20, 2000)
    )
    assert few > 10 * many


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_distance_is_symmetric_and_not_negative(one: int, other: int) -> None:
    a, b = moments(features(one)), moments(features(other))
    found = frechet_distance(a, b)
    assert found >= 0
    assert frechet_distance(b, a) == pytest.approx(found, rel=1e-6, abs=1e-9)


@given(st.integers(0, 10_000))
def test_turning_both_sets_alike_changes_nothing(seed: int) -> None:
    a, b = features(seed), features(seed + 1)
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    turned = frechet_distance(moments(a @ turn), moments(b @ turn))
    assert turned == pytest.approx(frechet_distance(moments(a), moments(b)), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (3,), (2, 3, 4)])
def test_less_than_two_rows_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="at least two rows"):
        moments(np.zeros(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ConfigError, match="NaN or infinite"):
        moments(np.array([[1.0], [bad]]))


def test_features_of_two_networks_are_refused() -> None:
    a, b = moments(features(0)), moments(features(0, length=4))
    with pytest.raises(ConfigError, match="differ in length: 3 and 4"):
        frechet_distance(a, b)
