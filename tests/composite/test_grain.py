"""Noise: measured, and made."""

from fractions import Fraction

import numpy as np
import pytest

from lipwright.composite.grain import Grain, grain_seed, missing_noise, noise_level


@pytest.mark.parametrize("deviation", [0.5, 3.0, 12.0])
def test_white_noise_is_measured_on_a_slope_with_edges(deviation: float) -> None:
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 200, 120, dtype=np.float32)[None] * np.ones((80, 1), dtype=np.float32)
    slope[:, 60:62] = 250
    samples = slope + rng.normal(0, deviation, slope.shape).astype(np.float32)
    assert noise_level(samples) == pytest.approx(deviation, rel=0.1)


def test_too_few_pixels_say_nothing() -> None:
    assert noise_level(np.zeros((4, 4), dtype=np.float32)) is None
    assert noise_level(np.zeros((0, 40), dtype=np.float32)) is None


@pytest.mark.parametrize("size", [(7, 5), (200, 110), (700, 300)])
def test_a_field_is_of_its_deviation_and_of_no_mean(size: tuple[int, int]) -> None:
    field = Grain(deviation=0.02, seed=65_535).field(size)
    assert field.shape == size[::-1]
    assert field.dtype == np.float32
    if field.size > 1000:
        assert field.std() == pytest.approx(0.02, rel=0.05)
        assert abs(field.mean()) < 0.001


def test_the_same_time_gives_the_same_grain_and_another_another() -> None:
    seeds = [grain_seed(Fraction(i, 25)) for i in range(50)]
    assert len(set(seeds)) == 50
    assert grain_seed(Fraction(2, 50)) == seeds[1] == 3_774_992_727  # on every machine
    fields = [Grain(deviation=1, seed=seed).field((60, 40)) for seed in seeds[:2]]
    np.testing.assert_array_equal(fields[0], Grain(deviation=1, seed=seeds[0]).field((60, 40)))
    correlation = np.corrcoef(fields[0].ravel(), fields[1].ravel())[0, 1]
    assert abs(correlation) < 0.1


def test_only_what_is_missing_is_added() -> None:
    assert missing_noise(5, 3) == pytest.approx(4)
    assert missing_noise(3, 5) == 0
