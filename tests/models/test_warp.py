"""Geometry without weights: landmarks lead, the rest follows, the border stays."""

import numpy as np
import pytest
import torch

from lipwright.faces.motion import MOTION_POINTS, MOTION_SCALE, articulation
from lipwright.faces.points import EYE_CORNERS, GROUPS, MIRROR, NUM_LANDMARKS
from lipwright.models.warp import Warp

COLUMNS = 80


def face(angle: float = 0.0) -> torch.Tensor:
    """``(1, P, 2)``: a face of which eyes, nose, lips and jaw lie about where they should."""
    points = np.full((NUM_LANDMARKS, 2), 0.5)
    left, right = EYE_CORNERS
    points[left], points[right] = (0.3, 0.3), (0.7, 0.3)
    points[list(GROUPS["nose"])] = np.column_stack([np.linspace(0.45, 0.55, 14), [0.45] * 14])
    turns = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for name, wide, high in (("outer_lips", 0.13, 0.05), ("inner_lips", 0.1, 0.001)):
        ring = np.column_stack([0.5 - wide * np.cos(turns), 0.65 + high * np.sin(turns)])
        points[list(GROUPS[name])] = ring
    oval = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    points[list(GROUPS["oval"])] = np.column_stack(
        [0.5 + 0.3 * np.sin(oval), 0.55 - 0.38 * np.cos(oval)]
    )
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return torch.from_numpy((points - 0.5) @ turn + 0.5).float()[None]


def opened(gap: float) -> torch.Tensor:
    """``(1, A)``: the lower lip and the jaw go down by a share of the eyes' distance."""
    motion = np.zeros((len(MOTION_POINTS), 2))
    lower = {*GROUPS["inner_lips"][1:10], *GROUPS["outer_lips"][1:10], *GROUPS["oval"]}
    for index, point in enumerate(MOTION_POINTS):
        if point in lower:
            motion[index, 1] = gap * MOTION_SCALE
    return torch.from_numpy(motion.reshape(1, -1)).float()


def cell(field: torch.Tensor, x: float, y: float) -> torch.Tensor:
    return field[0, :, round((y - 0.5) * COLUMNS), round(x * COLUMNS)]


def test_a_mouth_at_rest_moves_nothing() -> None:
    flow, openness = Warp(COLUMNS)(face(), torch.zeros(1, 2 * len(MOTION_POINTS)))
    assert flow.shape == (1, 2, 40, 80)
    assert openness.shape == (1, 1, 40, 80)
    assert not flow.any()
    assert float(openness.max()) < 0.1


def test_what_shows_the_lower_lip_is_taken_from_where_it_was() -> None:
    flow, openness = Warp(COLUMNS)(face(), opened(0.2))
    # The lip's lower edge came down from 0.7 by 0.2 of 0.4; the upper edge stayed.
    assert cell(flow, 0.5, 0.78)[1] == pytest.approx(-0.08, abs=0.01)
    assert abs(cell(flow, 0.5, 0.60)[1]) < 0.015
    assert abs(cell(flow, 0.5, 0.78)[0]) < 0.01
    assert cell(openness, 0.5, 0.69).item() > 0.8
    assert cell(openness, 0.5, 0.85).item() < 0.05


def test_border_and_nose_stay() -> None:
    flow, _ = Warp(COLUMNS)(face(), opened(0.2))
    for x, y in ((0.01, 0.52), (0.99, 0.52), (0.5, 0.505), (0.01, 0.99), (0.99, 0.99)):
        assert float(cell(flow, x, min(y, 0.98)).abs().max()) < 0.03


def test_the_motion_turns_with_the_head() -> None:
    angle = 0.35
    straight, _ = Warp(COLUMNS)(face(), opened(0.2))
    turned, _ = Warp(COLUMNS)(face(angle), opened(0.2))
    offset = np.array([0.0, 0.28])  # the lower lip, from the picture's middle
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    x, y = offset @ turn + 0.5
    expected = cell(straight, 0.5, 0.78).numpy() @ turn
    assert cell(turned, x, y).numpy() == pytest.approx(expected, abs=0.015)


def test_it_undoes_what_articulations_measure() -> None:
    """Landmarks of a moved face, measured and given back, are found where they were."""
    rest = face().numpy()[0].astype(np.float64)
    frames = np.stack([rest] * 5)
    rng = np.random.default_rng(0)
    lips = list(MOTION_POINTS)
    frames[4, lips] += rng.normal(0, 0.01, (len(lips), 2))
    measured = articulation(frames)[4] - articulation(frames)[0]
    warp = Warp(COLUMNS)
    given = torch.from_numpy(rest).float()[None]
    flow, _ = warp(given, torch.from_numpy(measured)[None])
    # The chin lies alone, so the field there is its own motion.
    chin = GROUPS["oval"][17]
    assert chin in MOTION_POINTS
    x, y = frames[4, chin]
    found = cell(flow, x, min(y, 0.98)).numpy()
    assert found == pytest.approx(rest[chin] - frames[4, chin], abs=0.004)


def test_the_field_of_a_mirrored_face_is_mirrored() -> None:
    rng = np.random.default_rng(3)
    points = face()
    motion = torch.from_numpy(rng.normal(0, 1, (NUM_LANDMARKS, 2))).float()
    flipped = points[:, list(MIRROR)] * torch.tensor([-1.0, 1]) + torch.tensor([1.0, 0])
    moved = [motion[list(MOTION_POINTS)].flatten()[None]]
    turned = motion[list(MIRROR)] * torch.tensor([-1.0, 1])
    moved.append(turned[list(MOTION_POINTS)].flatten()[None])
    # The jaw's points that move are not the same ones on both sides: the lips alone are compared.
    for motions in moved:
        motions[:, 80:] = 0
    warp = Warp(COLUMNS)
    (flow, openness), (flow_turned, openness_turned) = (
        warp(p, m) for p, m in ((points, moved[0]), (flipped, moved[1]))
    )
    mirrored = flow.flip(3) * torch.tensor([-1.0, 1])[None, :, None, None]
    assert (mirrored - flow_turned).abs().mean() < 0.1 * flow.abs().mean()
    torch.testing.assert_close(openness.flip(3), openness_turned, atol=0.05, rtol=0)
