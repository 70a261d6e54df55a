"""Eyes for native frames, on a face that is known."""

import numpy as np
import pytest
import skimage
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path
from lipwright.faces import Mtcnn, crop_box
from lipwright.faces.landmarks import Landmarker
from lipwright.inference.sight import NativeEyes
from lipwright.media import NativeFrame
from lipwright.media.native import native_still


@pytest.fixture(scope="module")
def eyes() -> NativeEyes:
    landmarker = Landmarker(model_path(DEFAULT_LANDMARKS), num_threads=1)
    return NativeEyes(Mtcnn(num_threads=1), landmarker, min_face=0.1)


@pytest.fixture(scope="module")
def frame() -> NativeFrame:
    return native_still(np.asarray(skimage.data.astronaut(), dtype=np.uint8))  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def box(eyes: NativeEyes, frame: NativeFrame) -> NDArray[np.float32]:
    (found,) = eyes.detect(frame)
    return crop_box(found.landmarks)


def test_a_close_look_sees_the_face_where_a_look_at_everything_sees_it(
    eyes: NativeEyes, frame: NativeFrame, box: NDArray[np.float32]
) -> None:
    (whole,) = eyes.detect(frame)
    close = eyes.confirm(frame, box)
    assert close is not None
    side = float(box[2] - box[0])
    assert np.abs(close.landmarks - whole.landmarks).max() < 0.05 * side
    assert np.abs(close.box - whole.box).max() < 0.2 * side
    assert close.score > 0.8


@pytest.mark.parametrize(("across", "down"), [(1.5, 0.0), (-1.2, 0.5), (0.0, 2.0)])
def test_a_close_look_beside_the_face_sees_none(
    eyes: NativeEyes, frame: NativeFrame, box: NDArray[np.float32], across: float, down: float
) -> None:
    side = float(box[2] - box[0])
    beside = box + np.float32([across, down, across, down]) * side
    assert eyes.confirm(frame, beside) is None
