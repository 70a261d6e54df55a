"""What lies before a mouth."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path
from lipwright.composite.occlusion import CELL, covered_share, lip_redness
from lipwright.faces import Mtcnn, crop_box, crop_face
from lipwright.faces.landmarks import Landmarker
from lipwright.faces.points import GROUPS

Face = tuple[NDArray[np.uint8], NDArray[np.float32]]
SIZE = 160
NO_TINT = np.zeros(3, dtype=np.float32)


@pytest.fixture(scope="module")
def face(astronaut: NDArray[np.uint8]) -> Face:
    """The square, and its outer lips."""
    box = crop_box(Mtcnn().detect(astronaut)[0].landmarks)
    found = Landmarker(model_path(DEFAULT_LANDMARKS), num_threads=1).find(astronaut, box)
    shares = (found.points - box[:2]) / (box[2:] - box[:2])
    lips = (shares * SIZE)[list(GROUPS["outer_lips"])].astype(np.float32)
    return crop_face(astronaut, box, size=SIZE), lips


def test_nothing_covers_a_face_that_is_as_it_was(face: Face) -> None:
    picture, lips = face
    covered = covered_share(picture, picture, lips, tint=NO_TINT)
    assert covered.shape == (SIZE // 2 // CELL, SIZE // CELL)
    assert covered.max() == 0


def test_a_head_that_moves_and_a_mouth_that_opens_cover_nothing(face: Face) -> None:
    picture, lips = face
    moved = np.roll(picture, (3, -3), axis=(0, 1))
    centre = lips.mean(axis=0)
    cv2.ellipse(moved, (int(centre[0]), int(centre[1])), (12, 7), 0, 0, 360, (45, 15, 15), -1)
    covered = covered_share(moved, picture, lips, tint=NO_TINT)
    assert covered[:, 8:32].mean() < 0.02


def test_a_microphone_is_seen_where_it_is(face: Face) -> None:
    picture, lips = face
    before, truth = picture.copy(), np.zeros((SIZE, SIZE), dtype=np.float32)
    x, y = (int(place) for place in lips.mean(axis=0))
    for canvas, colour in ((before, (15, 15, 18)), (truth, 1.0)):
        cv2.circle(canvas, (x, y + 20), 20, colour, -1)
    covered = cv2.resize(covered_share(before, picture, lips, tint=NO_TINT), (SIZE, SIZE // 2))
    behind = truth[SIZE // 2 :] > 0
    assert covered[behind].mean() > 0.6
    assert covered[:, : x - 40].mean() < 0.1


def test_a_tint_is_no_object(face: Face) -> None:
    picture, lips = face
    darker = np.clip(picture.astype(np.int16) - 40, 0, 255).astype(np.uint8)
    lit = covered_share(darker, picture, lips, tint=np.full(3, -40 / 255, dtype=np.float32))
    assert lit.mean() < 0.1 < covered_share(darker, picture, lips, tint=NO_TINT).mean()


def test_lips_are_redder_than_skin_and_a_hand_is_not(face: Face) -> None:
    picture, lips = face
    redness = lip_redness(picture, lips)
    assert redness is not None
    covered = picture.copy()
    x, y = (int(place) for place in lips.mean(axis=0))
    cheek = picture[y - 15, x - 40].tolist()
    cv2.ellipse(covered, (x, y), (45, 25), 10, 0, 360, cheek, -1)
    hidden = lip_redness(covered, lips)
    assert hidden is not None
    assert hidden < 0.3 * redness


def test_lips_outside_the_picture_say_nothing(face: Face) -> None:
    picture, lips = face
    assert lip_redness(picture, lips + 500) is None
