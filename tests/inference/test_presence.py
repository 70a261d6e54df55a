"""Whether a face is in its place, on a real face and what may come before it."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.faces import Mtcnn, crop_box, crop_face, widen
from lipwright.faces.points import NUM_LANDMARKS
from lipwright.inference.presence import Presence
from lipwright.inference.reference import VIEW_MARGIN, FaceView

Picture = NDArray[np.uint8]
POINTS = np.zeros((NUM_LANDMARKS, 2), dtype=np.float32)


@pytest.fixture(scope="module")
def box(astronaut: Picture) -> NDArray[np.float32]:
    return crop_box(Mtcnn().detect(astronaut)[0].landmarks)


def view(
    picture: Picture,
    box: NDArray[np.float32],
    *,
    is_found: bool,
    shift: tuple[float, float] = (0, 0),
) -> FaceView:
    """What a painter sees of a face, shifted by a share of its square."""
    moved = box + np.tile(np.float32(shift), 2) * (box[2] - box[0])
    seen = crop_face(picture, widen(moved, VIEW_MARGIN), size=208)
    return FaceView(picture=seen, points=POINTS if is_found else None)


def times(num_views: int, start: float = 0.0) -> list[Fraction]:
    return [Fraction(start) + Fraction(index, 25) for index in range(num_views)]


@pytest.mark.parametrize("change", ["none", "blurred", "darker", "shifted"])
def test_a_face_that_was_not_found_may_be_there(
    astronaut: Picture, box: NDArray[np.float32], change: str
) -> None:
    changed = {
        "blurred": cv2.blur(astronaut, (17, 1)),
        "darker": (astronaut * 0.4).astype(np.uint8),
    }.get(change, astronaut)
    shift = (0.1, 0.08) if change == "shifted" else (0, 0)
    views = [
        view(astronaut, box, is_found=True),
        view(changed, box, is_found=False, shift=shift),
    ]
    assert Presence().are_there(views, times(2)) == [True, True]


@pytest.mark.parametrize("is_found", [True, False], ids=["with landmarks", "without"])
@pytest.mark.parametrize("hides", ["a wall", "a crowd"])
def test_what_hides_a_face_is_not_taken_for_it(
    astronaut: Picture, box: NDArray[np.float32], hides: str, is_found: bool
) -> None:
    crowd = np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    before = np.full_like(astronaut, 120) if hides == "a wall" else cv2.resize(crowd, (512, 512))
    views = [view(astronaut, box, is_found=True), view(before, box, is_found=is_found)]
    views.append(view(astronaut, box, is_found=True))
    assert Presence().are_there(views, times(3)) == [True, False, True]


def test_what_comes_before_a_face_is_compared_with_that(
    astronaut: Picture, box: NDArray[np.float32]
) -> None:
    wall = np.full_like(astronaut, 120)
    views = [view(wall, box, is_found=False), view(astronaut, box, is_found=True)]
    assert Presence().are_there(views, times(2)) == [False, True]
    assert Presence().are_there(views[:1], times(1)) == [True]  # nothing is known


def test_another_look_is_trusted_once_it_lasts(
    astronaut: Picture, box: NDArray[np.float32]
) -> None:
    presence = Presence()
    presence.are_there([view(astronaut, box, is_found=True)], times(1))
    crowd = np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    other = view(cv2.resize(crowd, (512, 512)), box, is_found=True)
    there = presence.are_there([other] * 12, times(12, start=0.04))
    assert there == [False] * 6 + [True] * 6


def test_a_face_too_dark_to_be_compared_counts_as_there(
    astronaut: Picture, box: NDArray[np.float32]
) -> None:
    black = (astronaut * 0.01).astype(np.uint8)
    views = [view(black, box, is_found=True), view(black, box, is_found=False)]
    assert Presence().are_there(views * 4, times(8)) == [True] * 8
