from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import skimage.data
from numpy.typing import NDArray
from openvino import opset13 as ops

from lipwright.errors import CheckpointError
from lipwright.evaluation import FaceMesh, mouth_opening
from lipwright.faces import Detection, Mtcnn, crop_box

MODELS = Path(__file__).parents[2].parent / "shared" / "models"
FOREHEAD, CHIN, NOSE_TIP = 10, 152, 1
LIPS = (13, 14, 61, 291)  # inner upper, inner lower, left corner, right corner


def supplied(name: str) -> Path:
    path = MODELS / name
    if not path.is_file():
        pytest.skip(f"no landmark network at {path}")
    return path


@pytest.fixture(scope="module")
def mesh() -> FaceMesh:
    return FaceMesh(supplied("face_landmark.tflite"), num_threads=1)


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return np.asarray(skimage.data.astronaut(), dtype=np.uint8)


@pytest.fixture(scope="module")
def face(astronaut: NDArray[np.uint8]) -> Detection:
    (found,) = Mtcnn(num_threads=1).detect(astronaut)
    return found


@pytest.mark.corpus
def test_points_are_where_the_face_is(
    mesh: FaceMesh, astronaut: NDArray[np.uint8], face: Detection
) -> None:
    points = mesh.points(astronaut, crop_box(face.landmarks))
    assert points.shape == (468, 2)
    assert points.dtype == np.float32
    width, height = face.box[2:] - face.box[:2]
    slack = np.array([0.15 * width, 0.15 * height])
    assert (points >= face.box[:2] - slack).all()
    assert (points <= face.box[2:] + slack).all()
    rows = points[[FOREHEAD, NOSE_TIP, LIPS[0], LIPS[1], CHIN], 1]
    assert (np.diff(rows) > 0).all(), f"forehead, nose, lips and chin are in rows {rows}"
    assert points[61, 0] < points[NOSE_TIP, 0] < points[291, 0]


@pytest.mark.corpus
def test_points_agree_with_the_detectors(
    mesh: FaceMesh, astronaut: NDArray[np.uint8], face: Detection
) -> None:
    points = mesh.points(astronaut, crop_box(face.landmarks))
    eyes = np.stack([points[[33, 133]].mean(axis=0), points[[263, 362]].mean(axis=0)])
    mouth = points[[61, 291]]
    between_eyes = np.hypot(*(face.landmarks[1] - face.landmarks[0]))
    assert np.abs(eyes - face.landmarks[:2]).max() < 0.12 * between_eyes
    assert np.abs(mouth - face.landmarks[3:]).max() < 0.12 * between_eyes
    assert 0 < mouth_opening(points) < 0.4  # she smiles with her teeth showing


@pytest.mark.corpus
def test_points_move_with_the_picture(
    mesh: FaceMesh, astronaut: NDArray[np.uint8], face: Detection
) -> None:
    square = crop_box(face.landmarks)
    moved = np.roll(astronaut, (30, 17), axis=(0, 1))
    shift = np.array([17, 30], dtype=np.float32)
    found = mesh.points(moved, square + np.tile(shift, 2))
    np.testing.assert_allclose(found, mesh.points(astronaut, square) + shift, atol=0.05)


def network(path: Path, takes: list[int], gives: int) -> Path:
    pictures = ops.parameter(takes, np.float32)
    means = ops.reduce_mean(pictures, np.array([1, 2, 3]), keep_dims=True)
    points = ops.multiply(means, np.zeros((1, 1, 1, gives), np.float32))
    ov.save_model(ov.Model([points], [pictures]), path)
    return path


def test_a_network_of_the_right_shapes_is_taken(tmp_path: Path) -> None:
    mesh = FaceMesh(network(tmp_path / "mesh.xml", [1, 192, 192, 3], 1404), num_threads=1)
    # It says that all points are at the corner: that of the box, widened by a half.
    points = mesh.points(
        np.zeros((100, 100, 3), np.uint8), np.array([10, 20, 50, 60], dtype=np.float32)
    )
    np.testing.assert_allclose(points, [[0, 10]] * 468)


@pytest.mark.parametrize(
    ("takes", "gives"), [([1, 128, 128, 3], 1404), ([-1, 192, 192, 3], 1404), ([1, 192, 192, 3], 6)]
)
def test_another_network_is_refused(tmp_path: Path, takes: list[int], gives: int) -> None:
    with pytest.raises(CheckpointError, match="a face mesh"):
        FaceMesh(network(tmp_path / "other.xml", takes, gives))


@pytest.mark.corpus
def test_mediapipes_detector_is_refused() -> None:
    # It takes pictures of the same size.
    with pytest.raises(CheckpointError, match="a face mesh"):
        FaceMesh(supplied("face_detection_full_range.tflite"))


def test_a_missing_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such landmark network"):
        FaceMesh(tmp_path / "face_landmark.tflite")


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>not found</html>", bytes(5000)])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "face_landmark.tflite"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot read"):
        FaceMesh(path)
