"""Metadata of a screen is read whole, or not at all."""

import numpy as np

from lipwright.media.hdr import _mastering


def stored(*, denominator: int = 10, has_luminance: int = 1) -> bytes:
    """Ten fractions and two flags, as the media library lays them out."""
    fractions = [part for number in range(1, 11) for part in (number, denominator)]
    return np.array([*fractions, 1, has_luminance], dtype=np.int32).tobytes()


def test_whole_metadata_is_written_in_the_notation_of_the_encoders() -> None:
    said = _mastering(stored())
    assert said == ("G(15000,20000)B(25000,30000)R(5000,10000)WP(35000,40000)L(10000,9000)")


def test_metadata_without_a_value_is_left_out() -> None:
    assert _mastering(None) is None
    assert _mastering(stored(has_luminance=0)) is None
    assert _mastering(stored(denominator=0)) is None
