"""What is measured does not flicker."""

from fractions import Fraction

import numpy as np
import pytest

from lipwright.inference.steady import Steady


def test_the_first_value_is_taken_as_it_is() -> None:
    steady: Steady[float] = Steady(0.3)
    assert steady.value is None
    assert steady.at(Fraction(5), 2.0) == steady.value == 2.0


def test_a_step_is_followed_with_the_time_constant_whatever_the_rate() -> None:
    ends = []
    for fps in (25, 50, 100):
        steady: Steady[float] = Steady(0.2)
        steady.at(Fraction(0), 0.0)
        ends.append([steady.at(Fraction(i, fps), 1.0) for i in range(1, fps // 5 + 1)][-1])
    np.testing.assert_allclose(ends, 1 - np.exp(-1))


def test_a_time_that_does_not_go_on_moves_nothing() -> None:
    steady: Steady[float] = Steady(0.2)
    steady.at(Fraction(1), 0.0)
    assert steady.at(Fraction(1), 1.0) == 0
    assert steady.at(Fraction(1, 2), 1.0) == 0
    assert steady.at(Fraction(10), 1.0) == pytest.approx(1)


def test_arrays_are_steadied_and_not_modified() -> None:
    steady = Steady(0.1)  # type: ignore[var-annotated]
    first, second = np.zeros(3, dtype=np.float32), np.ones(3, dtype=np.float32)
    steady.at(Fraction(0), first)
    after = steady.at(Fraction(1, 10), second)
    np.testing.assert_allclose(after, 1 - np.exp(-1), rtol=1e-6)
    assert after.dtype == np.float32
    assert not first.any()
    assert (second == 1).all()
