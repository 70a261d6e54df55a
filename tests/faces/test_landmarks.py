"""Landmarks at run time: the shipped network, and the way from its answers to pixels."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_EXPERT, DEFAULT_LANDMARKS, model_path
from lipwright.errors import CheckpointError
from lipwright.faces import Mtcnn, crop_box
from lipwright.faces.landmarks import LANDMARK_MARGIN, FaceLandmarks, Landmarker
from lipwright.faces.points import (
    EYE_CORNERS,
    GROUPS,
    MIRROR,
    NUM_LANDMARKS,
    STABLE,
    shape_of_mouth,
)


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(model_path(DEFAULT_LANDMARKS), num_threads=1)


@pytest.fixture(scope="module")
def marks(astronaut: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Eyes, nose and corners of the mouth, as the detector sees them."""
    (face,) = Mtcnn(num_threads=1).detect(astronaut)
    return face.landmarks


@pytest.fixture(scope="module")
def found(
    landmarker: Landmarker, astronaut: NDArray[np.uint8], marks: NDArray[np.float32]
) -> FaceLandmarks:
    return landmarker.find(astronaut, crop_box(marks))


def eye_distance(points: NDArray[np.float32]) -> float:
    left, right = points[list(EYE_CORNERS)]
    return float(np.hypot(*(right - left)))


def middle(points: NDArray[np.float32], group: str) -> NDArray[np.float32]:
    return np.asarray(points[list(GROUPS[group])].mean(axis=0))


def test_points_are_where_the_face_is(found: FaceLandmarks, marks: NDArray[np.float32]) -> None:
    assert found.points.shape == (NUM_LANDMARKS, 2)
    assert found.points.dtype == np.float32
    unit = eye_distance(found.points)
    groups = ("left_eye", "right_eye", "outer_lips")
    expected = [marks[0], marks[1], marks[3:].mean(axis=0)]
    for group, place in zip(groups, expected, strict=True):
        assert np.hypot(*(middle(found.points, group) - place)) < 0.12 * unit, group
    corners = found.points[[GROUPS["outer_lips"][0], GROUPS["outer_lips"][10]]]
    assert np.hypot(*(corners - marks[3:]).T).max() < 0.15 * unit


def test_contours_lie_in_each_other(found: FaceLandmarks) -> None:
    def contour(group: str) -> NDArray[np.float32]:
        return found.points[list(GROUPS[group])]

    for outer, inner in (("outer_lips", "inner_lips"), ("oval", "outer_lips"), ("oval", "nose")):
        centre = tuple(float(place) for place in contour(inner).mean(axis=0))
        assert cv2.pointPolygonTest(contour(outer), centre, measureDist=False) > 0
    areas = [cv2.contourArea(contour(g)) for g in ("oval", "outer_lips", "inner_lips")]
    assert areas == sorted(areas, reverse=True)
    assert 0 <= shape_of_mouth(found.points)[0] < 0.3


def test_a_mirrored_face_has_mirrored_points_and_looks_the_other_way(
    landmarker: Landmarker,
    found: FaceLandmarks,
    astronaut: NDArray[np.uint8],
    marks: NDArray[np.float32],
) -> None:
    width = astronaut.shape[1]
    turned, from_right = np.float32([-1, 1]), np.float32([width, 0])
    x0, y0, x1, y1 = crop_box(marks)
    box = np.array([width - x1, y0, width - x0, y1], dtype=np.float32)
    mirrored = landmarker.find(np.ascontiguousarray(astronaut[:, ::-1]), box)
    expected = found.points[list(MIRROR)] * turned + from_right
    distance = np.hypot(*(mirrored.points - expected)[list(STABLE)].T)
    assert distance.mean() < 0.03 * eye_distance(found.points)
    assert mirrored.yaw == pytest.approx(-found.yaw, abs=0.1)
    assert mirrored.pitch == pytest.approx(found.pitch, abs=0.1)
    assert mirrored.roll == pytest.approx(-found.roll, abs=0.03)


@pytest.mark.parametrize("degrees", [-20, 20])
def test_roll_is_that_of_the_picture(
    landmarker: Landmarker,
    found: FaceLandmarks,
    astronaut: NDArray[np.uint8],
    marks: NDArray[np.float32],
    degrees: int,
) -> None:
    centre = tuple(float(place) for place in marks[2])
    # OpenCV counts angles the other way round: positive is anticlockwise.
    turn = cv2.getRotationMatrix2D(centre, -degrees, 1.0)
    picture = np.asarray(cv2.warpAffine(astronaut, turn, (512, 512)), dtype=np.uint8)
    moved = (marks @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    rolled = landmarker.find(picture, crop_box(moved))
    assert np.degrees(rolled.roll - found.roll) == pytest.approx(degrees, abs=3)
    expected = found.points @ turn[:, :2].T + turn[:, 2]
    distance = np.hypot(*(rolled.points - expected).T)
    assert distance.mean() < 0.06 * eye_distance(found.points)


def write_network(
    path: Path, points: NDArray[np.float32], *, kind: str = "landmarks", size: int = 64
) -> Path:
    """A network that gives the same points whatever it sees, and calls the mean of red the yaw
    and that of blue the pitch."""
    make = onnx.helper
    real = onnx.TensorProto.FLOAT
    nodes = [
        make.make_node("ReduceMean", ["faces", "axes"], ["means"], keepdims=0),
        make.make_node("Gather", ["means", "red_and_blue"], ["pose"], axis=1),
        make.make_node("Identity", ["stored"], ["points"]),
    ]
    stored = {
        "axes": np.array([2, 3]),
        "red_and_blue": np.array([0, 2]),
        "stored": points[None].astype(np.float32),
    }
    graph = make.make_graph(
        nodes,
        "landmarks",
        [make.make_tensor_value_info("faces", real, ["batch", 3, size, size])],
        [
            make.make_tensor_value_info("points", real, [1, *points.shape]),
            make.make_tensor_value_info("pose", real, ["batch", 2]),
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    make.set_model_props(model, {"kind": kind, "resolution": str(size)})
    onnx.save(model, path)
    return path


def test_answers_become_pixels_of_the_frame(tmp_path: Path) -> None:
    shares = np.random.default_rng(0).random((NUM_LANDMARKS, 2)).astype(np.float32)
    shares[:3] = (0, 0), (1, 1), (0.5, 0.5)
    landmarker = Landmarker(write_network(tmp_path / "net.onnx", shares))
    assert landmarker.resolution == 64
    frame = np.full((100, 120, 3), (255, 0, 51), dtype=np.uint8)
    found = landmarker.find(frame, np.array([10, 20, 50, 60], dtype=np.float32))
    side = 40 * LANDMARK_MARGIN
    corner = np.array([30, 40]) - side / 2
    np.testing.assert_allclose(found.points, corner + side * shares, rtol=1e-5)
    # Red comes first, and 255 is 1.
    assert (found.yaw, found.pitch) == pytest.approx((1.0, 0.2), abs=1e-5)


def test_the_roll_of_an_eye_line_is_positive_clockwise() -> None:
    points = np.zeros((NUM_LANDMARKS, 2), dtype=np.float32)
    points[list(EYE_CORNERS)] = (10, 10), (20, 20)  # the picture's right eye is the lower one
    assert FaceLandmarks(points=points, yaw=0, pitch=0).roll == pytest.approx(np.pi / 4)


def test_a_network_of_other_points_is_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", np.zeros((68, 2), dtype=np.float32))
    with pytest.raises(CheckpointError, match=r"68.* 136 are needed; export it again"):
        Landmarker(path)


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a expert, a landmark network is needed"):
        Landmarker(model_path(DEFAULT_EXPERT))
    (tmp_path / "damaged.onnx").write_bytes(b"no network")
    with pytest.raises(CheckpointError, match="not a whole ONNX file"):
        Landmarker(tmp_path / "damaged.onnx")
    with pytest.raises(CheckpointError, match="no such model file"):
        Landmarker(tmp_path / "gone.onnx")
