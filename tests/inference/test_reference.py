"""The reference is at rest, stays while the face does, and lies where the face is."""

import cv2
import numpy as np
import pytest

from lipwright.faces.points import NUM_LANDMARKS, SHAPE_PAIRS, STABLE
from lipwright.inference.reference import (
    FaceView,
    ReferenceKeeper,
    landmarks_of,
    middle,
    view_size,
)

R = 96
V = view_size(R)


def face(upper: int, lower: int) -> FaceView:
    picture = np.full((V, V, 3), upper, dtype=np.uint8)
    picture[V // 2 :] = lower
    return FaceView(picture=picture, points=None)


def points(opening: float = 0.0) -> np.ndarray:
    """Landmarks somewhere, whose mouth is open by a share of the eye distance."""
    placed = np.random.default_rng(1).uniform(30, 90, (NUM_LANDMARKS, 2)).astype(np.float32)
    upper, lower = SHAPE_PAIRS[0]
    placed[lower] = placed[upper] + (0, opening * 40)
    return placed


def test_a_mouth_that_moves_does_not_change_the_reference() -> None:
    keeper = ReferenceKeeper(R)
    first = keeper.reference_for(face(100, 50)).picture
    assert np.array_equal(first, middle(face(100, 50).picture, R))
    assert np.array_equal(keeper.reference_for(face(100, 250)).picture, first)


def test_a_face_that_moves_away_does() -> None:
    keeper = ReferenceKeeper(R)
    first = keeper.reference_for(face(100, 50)).picture
    far = middle(face(117, 50).picture, R)
    assert np.array_equal(keeper.reference_for(face(116, 50)).picture, first)
    assert np.array_equal(keeper.reference_for(face(117, 50)).picture, far)
    assert np.array_equal(keeper.reference_for(face(116, 50)).picture, far)


def test_the_first_reference_is_the_one_most_at_rest() -> None:
    views = [
        FaceView(picture=face(100, level).picture, points=points(opening))
        for level, opening in ((10, 0.3), (20, 0.05), (30, 0.2))
    ]
    keeper = ReferenceKeeper(R)
    keeper.offer(views)
    assert keeper.reference_for(views[0]).picture[-1, 0, 0] == 20
    keeper.offer(views[:1])  # too late: one is kept
    assert keeper.reference_for(views[0]).picture[-1, 0, 0] == 20
    keeper.forget()
    keeper.offer(views[:1])
    assert keeper.reference_for(views[0]).picture[-1, 0, 0] == 10


def photograph() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(40, 215, (6, 6, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (V, V), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def test_the_reference_is_turned_and_shifted_onto_the_face() -> None:
    picture, kept = photograph(), points()
    matrix = cv2.getRotationMatrix2D((V / 2, V / 2), 8, 1.05)
    matrix[:, 2] += (3, -2)
    moved = kept @ matrix[:, :2].T + matrix[:, 2]
    centres = matrix.copy()
    centres[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    turned = cv2.warpAffine(picture, centres, (V, V), borderMode=cv2.BORDER_REPLICATE)
    keeper = ReferenceKeeper(R)
    keeper.offer([FaceView(picture=picture, points=kept)])
    view = FaceView(picture=turned.astype(np.uint8), points=moved.astype(np.float32))
    reference = keeper.reference_for(view)
    laid, expected = reference.picture, middle(view.picture, R)
    assert np.abs(laid.astype(int) - expected)[10:-10, 10:-10].mean() < 1.5
    assert reference.points is not None
    assert np.abs(reference.points * R - (moved - (V - R) / 2)).max() < 0.01
    unaligned = middle(picture, R)
    assert np.abs(unaligned.astype(int) - expected).mean() > 5


def test_the_mouths_motion_does_not_move_the_reference() -> None:
    picture, still = photograph(), points()
    speaking = still.copy()
    free = np.setdiff1d(np.arange(NUM_LANDMARKS), STABLE)
    speaking[free] += 7
    keeper = ReferenceKeeper(R)
    keeper.offer([FaceView(picture=picture, points=still)])
    laid = keeper.reference_for(FaceView(picture=picture, points=speaking))
    assert np.abs(laid.picture.astype(int) - middle(picture, R)).max() <= 1
    assert laid.points is not None
    assert np.abs(laid.points * R - (still - (V - R) / 2)).max() < 0.01  # the mouth at rest


def test_a_batch_has_landmarks_if_all_its_references_have() -> None:
    keeper = ReferenceKeeper(R)
    known = keeper.reference_for(FaceView(picture=photograph(), points=points()))
    keeper.forget()
    unknown = keeper.reference_for(FaceView(picture=photograph(), points=None))
    found = landmarks_of([known, known])
    assert found is not None
    assert found.shape == (2, NUM_LANDMARKS, 2)
    assert landmarks_of([known, unknown]) is None


def test_a_face_without_landmarks_keeps_those_of_the_reference() -> None:
    keeper = ReferenceKeeper(R)
    first = keeper.reference_for(FaceView(picture=photograph(), points=points()))
    second = keeper.reference_for(FaceView(picture=photograph(), points=None))
    assert first.points is not None
    assert second.points is not None
    assert np.array_equal(first.points, second.points)


@pytest.mark.parametrize("resolution", [95, 96, 160])
def test_a_view_has_the_square_in_its_middle(resolution: int) -> None:
    size = view_size(resolution)
    assert (size - resolution) % 2 == 0
    assert size / resolution == pytest.approx(1.3, abs=0.02)
    assert middle(np.zeros((size, size, 3), np.uint8), resolution).shape[0] == resolution
