"""The motion of lips is that of the lips: neither of the head, nor of whose they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces.motion import MOTION_LENGTH, MOTION_POINTS, lip_motion
from lipwright.faces.points import EYE_CORNERS, LIPS, NUM_LANDMARKS, STABLE

LOWER = LIPS[5]  # in the middle of the lower lip


def face(num_frames: int = 9, seed: int = 0) -> NDArray[np.float64]:
    """Somebody's points, at rest, with the eyes a distance of 1 apart."""
    points = np.random.default_rng(seed).random((NUM_LANDMARKS, 2))
    points[list(EYE_CORNERS)] = (0, 0), (1, 0)
    return np.tile(points, (num_frames, 1, 1))


def speaking(num_frames: int = 9, seed: int = 0) -> NDArray[np.float64]:
    points = face(num_frames, seed)
    points[:, LOWER, 1] += 0.1 * np.sin(np.arange(num_frames))
    return points


def test_a_face_at_rest_does_not_move() -> None:
    motion = lip_motion(face())
    assert motion.shape == (9, MOTION_LENGTH)
    assert motion.dtype == np.float32
    np.testing.assert_allclose(motion, 0, atol=1e-6)


def test_motion_is_counted_in_twentieths_of_the_distance_of_the_eyes() -> None:
    points = face(3)
    points[2, LOWER, 1] += 0.05
    motion = lip_motion(points).reshape(3, len(MOTION_POINTS), 2)
    expected = np.zeros_like(motion)
    expected[2, MOTION_POINTS.index(LOWER), 1] = 1.0
    np.testing.assert_allclose(motion, expected, atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(
    angles=st.lists(st.floats(-1, 1), min_size=9, max_size=9),
    size=st.floats(0.2, 500),
    shift=st.floats(-1000, 1000),
)
def test_the_heads_own_motion_is_taken_out(angles: list[float], size: float, shift: float) -> None:
    still, moved = speaking(), []
    for frame, angle in zip(still, angles, strict=True):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        moved.append(size * frame @ turn.T + shift)
    np.testing.assert_allclose(lip_motion(np.stack(moved)), lip_motion(still), atol=2e-3)


def test_two_people_who_say_the_same_move_alike() -> None:
    np.testing.assert_allclose(
        lip_motion(speaking(seed=1)), lip_motion(speaking(seed=2)), atol=1e-5
    )


def test_a_face_in_one_point_is_refused() -> None:
    points = face()
    points[4, list(STABLE)] = 0.5
    with pytest.raises(ConfigError, match="eyes and nose are one point in frame 4"):
        lip_motion(points)
