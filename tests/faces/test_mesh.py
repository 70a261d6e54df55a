from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from openvino import opset13 as ops

from lipwright.errors import CheckpointError
from lipwright.faces import Detection, FaceMesh, Mtcnn, crop_box, mouth_opening, mouth_shape
from lipwright.faces.mesh import head_pose

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


@pytest.fixture
def drawn() -> NDArray[np.float32]:
    """Ten pixels between the outer eye corners; a mouth 6 wide, open by 1, 3 over its lips."""
    points = np.random.default_rng(0).uniform(0, 100, (468, 2)).astype(np.float32)
    points[[33, 263]] = (40, 30), (46, 38)  # a tilted head: 3, 4, 5
    points[[61, 291]] = (40, 50), (46, 50)
    points[[13, 14]] = (43, 50), (43, 51)
    points[[0, 17]] = (43, 49), (43, 52)
    points[[1, 152]] = (43, 44), (43, 57)
    return points


def test_mouth_shape_is_in_distances_of_the_eye_corners(drawn: NDArray[np.float32]) -> None:
    shape = mouth_shape(drawn)
    assert shape.dtype == np.float32
    np.testing.assert_allclose(shape, [0.1, 0.6, 0.3, 1.3], rtol=1e-6)
    assert mouth_opening(drawn) == pytest.approx(0.1)


def test_mouth_shape_is_the_same_in_any_unit_and_place(drawn: NDArray[np.float32]) -> None:
    turn = np.array([[0, -1], [1, 0]], dtype=np.float32)
    np.testing.assert_allclose(
        mouth_shape(drawn @ turn / 160 + 0.25), mouth_shape(drawn), rtol=1e-3
    )


def test_mouth_shapes_of_many_faces_are_those_of_each(drawn: NDArray[np.float32]) -> None:
    other = drawn.copy()
    other[14] += (0, 1)
    faces = np.stack([[drawn, other, drawn], [other, other, drawn]])  # (2, 3, 468, 2)
    shapes = mouth_shape(faces)
    assert shapes.shape == (2, 3, 4)
    np.testing.assert_allclose(shapes[..., 0], [[0.1, 0.2, 0.1], [0.2, 0.2, 0.1]], rtol=1e-6)
    np.testing.assert_allclose(shapes[0, 1, 1:], mouth_shape(drawn)[1:], rtol=1e-6)


def head(
    *, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, scale: float = 1.0
) -> NDArray[np.float32]:
    """A head that looked at the viewer, turned: first down, then to the right, then clockwise."""
    solid = np.random.default_rng(0).uniform(-1, 1, (468, 3))
    solid[[33, 263]] = (-0.6, -0.3, 0.1), (0.6, -0.3, 0.1)
    solid[[FOREHEAD, CHIN]] = (0, -1, 0.1), (0, 1, 0.1)
    solid[NOSE_TIP] = (0, 0, -0.8)  # towards the viewer
    y, p, r = yaw, pitch, roll
    down = [[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]]
    right = [[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]]
    clockwise = [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
    turn = np.array(clockwise) @ np.array(right) @ np.array(down)
    return (scale * solid @ turn.T).astype(np.float32)


def test_a_head_that_looks_at_the_viewer_is_not_turned() -> None:
    pose = head_pose(head())
    assert pose.dtype == np.float32
    np.testing.assert_allclose(pose, [0, 0], atol=1e-6)


def test_yaw_is_positive_to_the_pictures_right_and_pitch_downwards() -> None:
    right, down = head(yaw=0.4), head(pitch=0.3)
    assert right[NOSE_TIP, 0] > 0.2  # that is where the nose went
    assert down[NOSE_TIP, 1] > 0.2
    np.testing.assert_allclose(head_pose(right), [0.4, 0], atol=1e-5)
    np.testing.assert_allclose(head_pose(down), [0, 0.3], atol=1e-5)
    np.testing.assert_allclose(head_pose(head(yaw=-0.4)), [-0.4, 0], atol=1e-5)
    np.testing.assert_allclose(head_pose(head(pitch=-0.3)), [0, -0.3], atol=1e-5)


@given(st.floats(-1.3, 1.3), st.floats(-1.3, 1.3), st.floats(-3.1, 3.1), st.floats(0.1, 500))
def test_pose_is_found_whatever_the_roll_and_size(
    yaw: float, pitch: float, roll: float, scale: float
) -> None:
    solid = head(yaw=yaw, pitch=pitch, roll=roll, scale=scale)
    np.testing.assert_allclose(head_pose(solid), [yaw, pitch], atol=2e-4)


@pytest.mark.corpus
def test_a_mirrored_face_looks_the_other_way(
    mesh: FaceMesh, astronaut: NDArray[np.uint8], face: Detection
) -> None:
    x0, y0, x1, y1 = crop_box(face.landmarks)
    width = astronaut.shape[1]
    box = np.array([width - x1, y0, width - x0, y1], dtype=np.float32)
    seen = head_pose(mesh.solid(astronaut, crop_box(face.landmarks)))
    mirrored = head_pose(mesh.solid(np.ascontiguousarray(astronaut[:, ::-1]), box))
    np.testing.assert_allclose(mirrored, seen * [-1, 1], atol=0.06)
    assert np.abs(seen).max() < 0.5
