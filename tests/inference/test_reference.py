"""The reference stays while the face does."""

import numpy as np

from lipwright.inference.reference import ReferenceKeeper


def face(upper: int, lower: int) -> np.ndarray:
    crop = np.full((96, 96, 3), upper, dtype=np.uint8)
    crop[48:] = lower
    return crop


def test_a_mouth_that_moves_does_not_change_the_reference() -> None:
    keeper = ReferenceKeeper()
    first = face(100, 50)
    assert keeper.reference_for(first) is first
    assert keeper.reference_for(face(100, 250)) is first


def test_a_face_that_moves_away_does() -> None:
    keeper = ReferenceKeeper()
    first = face(100, 50)
    keeper.reference_for(first)
    near, far = face(116, 50), face(117, 50)
    assert keeper.reference_for(near) is first
    assert keeper.reference_for(far) is far
    assert keeper.reference_for(near) is far
