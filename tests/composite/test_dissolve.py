"""Dissolving from one picture into another."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from lipwright.composite import dissolve
from lipwright.media import native_still

DARK = native_still(np.full((4, 6, 3), 40, dtype=np.uint8))
BRIGHT = replace(native_still(np.full((4, 6, 3), 200, dtype=np.uint8)), time=Fraction(3))


@pytest.mark.parametrize(("share", "level"), [(0.0, 40), (0.25, 80), (1.0, 200)])
def test_a_picture_goes_over_into_the_next_one(share: float, level: int) -> None:
    mixed = dissolve(DARK, BRIGHT, share)
    assert {int(value) for plane in mixed.planes() for value in plane.ravel()} == {level}
    assert mixed.time == 3


def test_what_it_is_made_of_stays_as_it_was() -> None:
    dissolve(DARK, BRIGHT, 0.5)
    assert int(DARK.planes()[0].max()) == 40
    assert int(BRIGHT.planes()[0].min()) == 200


def test_pictures_of_different_sizes_are_not_mixed() -> None:
    small = native_still(np.zeros((2, 2, 3), dtype=np.uint8))
    assert dissolve(small, BRIGHT, 0.5) is BRIGHT
