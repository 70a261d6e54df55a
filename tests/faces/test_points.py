"""The 136 points: every group is whole, and a mirror exchanges the right ones."""

from itertools import chain

import numpy as np
import pytest

from lipwright.faces import mouth_shape
from lipwright.faces.points import (
    EYE_CORNERS,
    GROUPS,
    JAW,
    LIPS,
    MESH_INDICES,
    MIRROR,
    NUM_LANDMARKS,
    SHAPE_NAMES,
    STABLE,
    shape_of_mouth,
)

LEFT_EAR, CHIN, RIGHT_EAR, NOSE_TIP = 234, 152, 454, 1  # of the mesh


def mesh_indices(places: tuple[int, ...]) -> list[int]:
    return [MESH_INDICES[place] for place in places]


def test_groups_share_out_the_points_and_none_is_there_twice() -> None:
    assert sorted(chain.from_iterable(GROUPS.values())) == list(range(NUM_LANDMARKS))
    assert NUM_LANDMARKS == len(MESH_INDICES) == len(set(MESH_INDICES)) == 136
    assert all(0 <= index < 468 for index in MESH_INDICES)


def test_named_points_are_those_of_the_mesh() -> None:
    assert mesh_indices(EYE_CORNERS) == [33, 263]
    jaw = mesh_indices(JAW)
    assert (jaw[0], jaw[len(jaw) // 2], jaw[-1]) == (RIGHT_EAR, CHIN, LEFT_EAR)
    assert mesh_indices(GROUPS["inner_lips"])[::10] == [78, 308]
    assert NOSE_TIP in mesh_indices(STABLE)
    assert not set(LIPS) & set(STABLE)


def test_a_mirror_twice_is_none() -> None:
    assert [MIRROR[place] for place in MIRROR] == list(range(NUM_LANDMARKS))


def test_a_mirror_exchanges_the_sides() -> None:
    exchanged = {MESH_INDICES[a]: MESH_INDICES[b] for a, b in enumerate(MIRROR)}
    pairs = {33: 263, 133: 362, 159: 386, 61: 291, 78: 308, 146: 375, 37: 267, 95: 324, 82: 312}
    pairs |= {LEFT_EAR: RIGHT_EAR, 172: 397, 70: 300, 50: 280, 98: 327, 129: 358}
    assert {left: exchanged[left] for left in pairs} == pairs
    on_the_line = {10, CHIN, NOSE_TIP, 168, 6, 0, 13, 14, 17}
    assert on_the_line <= {index for index, other in exchanged.items() if index == other}


@pytest.mark.parametrize("name", GROUPS)
def test_a_mirror_keeps_to_groups_and_only_the_eyes_change_theirs(name: str) -> None:
    other = {"left_eye": "right_eye", "right_eye": "left_eye"}.get(name, name)
    assert {MIRROR[place] for place in GROUPS[name]} == set(GROUPS[other])


def test_the_shape_of_a_mouth_is_the_same_from_the_mesh_and_from_its_points() -> None:
    mesh = np.random.default_rng(0).uniform(0, 100, (2, 5, 468, 2)).astype(np.float32)
    shapes = shape_of_mouth(mesh[..., MESH_INDICES, :])
    assert shapes.shape == (2, 5, len(SHAPE_NAMES))
    assert shapes.dtype == np.float32
    np.testing.assert_array_equal(shapes, mouth_shape(mesh))


def test_a_mirrored_mouth_has_the_same_shape() -> None:
    points = np.random.default_rng(1).uniform(0, 1, (NUM_LANDMARKS, 2)).astype(np.float32)
    mirrored = points[list(MIRROR)] * np.float32([-1, 1]) + np.float32([1, 0])
    np.testing.assert_allclose(shape_of_mouth(mirrored), shape_of_mouth(points), rtol=1e-5)
