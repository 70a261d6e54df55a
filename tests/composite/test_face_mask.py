"""The mask of a face's own shape."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path
from lipwright.composite.face_mask import BELOW_CHIN, face_mask
from lipwright.faces import Mtcnn, crop_box
from lipwright.faces.landmarks import Landmarker
from lipwright.faces.points import GROUPS, JAW

Points = NDArray[np.float32]
SIZE = 160


@pytest.fixture(scope="module")
def points(astronaut: NDArray[np.uint8]) -> Points:
    """Landmarks in pixels of the crop rule's square of 160."""
    box = crop_box(Mtcnn().detect(astronaut)[0].landmarks)
    found = Landmarker(model_path(DEFAULT_LANDMARKS), num_threads=1).find(astronaut, box)
    shares = (found.points - box[:2]) / (box[2:] - box[:2])
    return (shares * SIZE).astype(np.float32)


def at(mask: NDArray[np.float32], places: Points) -> NDArray[np.float32]:
    x, y = np.clip(np.floor(places).astype(int), 0, len(mask) - 1).T
    return mask[y, x]


def turned(points: Points, degrees: float) -> Points:
    matrix = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), -degrees, 1)
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def test_lips_are_drawn_and_what_is_outside_the_face_is_not(points: Points) -> None:
    mask = face_mask(points, SIZE)
    assert mask.dtype == np.float32
    assert mask.min() == 0
    assert mask.max() == 1
    assert at(mask, points[list(GROUPS["outer_lips"])]).min() > 0.95
    assert at(mask, points[list(GROUPS["nose"])[:8]]).max() == 0
    jaw = points[list(JAW)]
    beside = jaw[[1, 2, 18, 19]] + np.float32([[9, 0], [9, 0], [-9, 0], [-9, 0]])  # right to left
    assert at(mask, beside.astype(np.float32)).max() == 0


def test_the_old_chin_and_a_lower_one_are_covered(points: Points) -> None:
    chin = points[JAW[10]]
    mask = face_mask(points, SIZE)
    lower = chin + np.float32([0, 0.04 * SIZE])
    assert at(mask, np.stack([chin, lower]).astype(np.float32)).min() > 0.5
    beyond = chin + np.float32([0, (BELOW_CHIN + 0.02) * SIZE])
    assert beyond[1] >= SIZE or at(mask, beyond[None].astype(np.float32)) == 0


@pytest.mark.parametrize("size", [51, 96, 160, 288])
@pytest.mark.parametrize("shift", [(0, 0), (0, 60), (70, 0), (-70, 30), (500, 500)])
def test_it_never_leaves_the_lower_half_of_the_square(
    points: Points, size: int, shift: tuple[int, int]
) -> None:
    mask = face_mask((points + np.float32(shift)) * np.float32(size / SIZE), size)
    assert mask.shape == (size, size)
    assert not mask[: size // 2].any()
    assert not mask[-1].any()
    assert not mask[:, [0, -1]].any()


def test_it_turns_with_the_face(points: Points) -> None:
    upright, leaning = face_mask(points, SIZE), face_mask(turned(points, 20), SIZE)
    chin = points[JAW[10]] + np.float32([0, 0.05 * SIZE])
    there = turned(chin[None].astype(np.float32), 20)
    assert at(leaning, there) == pytest.approx(float(at(upright, chin[None])[0]), abs=0.15)
    columns = np.arange(SIZE)
    middles = [float((mask[-20:-5].sum(axis=0) * columns).sum() / mask[-20:-5].sum())
               for mask in (face_mask(turned(points, -20), SIZE), leaning)]  # fmt: skip
    assert middles[1] < middles[0] - 4


def test_it_has_no_edge(points: Points) -> None:
    mask = face_mask(points, SIZE)
    steps = [np.abs(np.diff(mask, axis=axis)).max() for axis in (0, 1)]
    assert max(steps) < 0.5
    cheeks = mask[:, (mask > 0).any(axis=0)][:, :15]
    assert np.abs(np.diff(cheeks, axis=0)).max() < 0.2


def test_landmarks_that_are_one_point_draw_nothing_wild() -> None:
    mask = face_mask(np.full((136, 2), 80, dtype=np.float32), SIZE)
    assert np.isfinite(mask).all()
    assert not mask[:80].any()
