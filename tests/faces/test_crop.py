from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces import (
    CROP_SIDE,
    MOUTH_ROW,
    FaceMesh,
    Mtcnn,
    box_to_square,
    crop_box,
    crop_face,
    widen,
)
from lipwright.media import read_frames

SHARED = Path(__file__).parents[2].parent / "shared"
CHIN = 152  # of MediaPipe's face mesh

# Eyes 40 apart at y = 100, mouth at y = 150: the unit is 50.
UPRIGHT = np.array([[80, 100], [120, 100], [100, 125], [85, 150], [115, 150]], dtype=np.float32)

coordinates = st.floats(-200, 200, width=32)
faces = st.lists(st.tuples(coordinates, coordinates), min_size=5, max_size=5).map(
    lambda points: np.array(points, dtype=np.float32)
)


def box(*edges: float) -> NDArray[np.float32]:
    return np.array(edges, dtype=np.float32)


def ramps(height: int, width: int) -> NDArray[np.uint8]:
    """Red is 2 x, green 3 y, blue both: every value says where it is from."""
    y, x = np.mgrid[:height, :width]
    return np.stack([2 * x, 3 * y, x + y], axis=-1).astype(np.uint8)


# The rule


def test_the_rule_on_an_upright_face() -> None:
    # Centre 0.75 units below the eyes: (100, 137.5); half of 2.4 units: 60.
    np.testing.assert_allclose(crop_box(UPRIGHT), [40, 77.5, 160, 197.5])
    # 0.45 units above the eyes, 0.95 below the mouth.
    assert 100 - 0.45 * 50 == 77.5
    assert 150 + 0.95 * 50 == 197.5


def test_the_mouth_is_in_its_row() -> None:
    assert pytest.approx((150 - 77.5) / 120) == MOUTH_ROW
    assert pytest.approx(72.5 / 120) == 0.5 + 0.25 / 2.4


def test_a_nod_does_not_shrink_the_crop() -> None:
    nodding = UPRIGHT.copy()
    nodding[3:, 1] = 120  # seen from above, the mouth is 20 below eyes that are 40 apart
    found = crop_box(nodding)
    assert found[2] - found[0] == pytest.approx(CROP_SIDE * 40)
    np.testing.assert_allclose((found[:2] + found[2:]) / 2, [100, 130])


def test_a_tilted_face_is_cropped_about_the_turned_centre() -> None:
    lying = (UPRIGHT - 100)[:, ::-1] * [-1, 1] + 100  # a quarter turn: down is now left
    np.testing.assert_allclose(crop_box(lying.astype(np.float32)), [2.5, 40, 122.5, 160])


def test_landmarks_in_one_point_still_give_a_box() -> None:
    found = crop_box(np.full((5, 2), 7, dtype=np.float32))
    np.testing.assert_allclose(found, [5.8, 6.55, 8.2, 8.95], rtol=1e-6)


@given(landmarks=faces, move=st.tuples(coordinates, coordinates))
def test_the_crop_moves_with_the_face(
    landmarks: NDArray[np.float32], move: tuple[float, float]
) -> None:
    shift = np.array(move, dtype=np.float32)
    moved = crop_box(landmarks + shift)
    # The rounding of the landmarks is magnified where eyes and mouth nearly coincide.
    axis = landmarks[3:].mean(axis=0) - landmarks[:2].mean(axis=0)
    if np.hypot(*axis) > 1:
        np.testing.assert_allclose(moved, crop_box(landmarks) + np.tile(shift, 2), atol=0.05)


@given(landmarks=faces, scale=st.floats(0.25, 8))
def test_the_crop_scales_with_the_face(landmarks: NDArray[np.float32], scale: float) -> None:
    axis = landmarks[3:].mean(axis=0) - landmarks[:2].mean(axis=0)
    if np.hypot(*axis) > 8:  # the unit is at least a pixel
        scaled = crop_box((landmarks * scale).astype(np.float32))
        np.testing.assert_allclose(scaled, crop_box(landmarks) * scale, atol=0.05)


@given(landmarks=faces)
def test_the_crop_is_a_square_that_holds_eyes_and_mouth(landmarks: NDArray[np.float32]) -> None:
    found = crop_box(landmarks)
    assert found.dtype == np.float32
    width, height = found[2:] - found[:2]
    assert width == pytest.approx(height, rel=1e-3)
    assert width >= CROP_SIDE * 0.999
    for point in (landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)):
        assert (found[:2] - 1e-3 <= point).all()
        assert (point <= found[2:] + 1e-3).all()


# Cutting


@pytest.mark.parametrize("shift", [0.0, 0.01, 0.1, 0.25, 0.5, 0.73])
@pytest.mark.parametrize(("side", "size"), [(40, 40), (40, 96), (64, 32), (63.3, 24), (50.7, 48)])
def test_crops_are_exact_to_a_fraction_of_a_pixel(shift: float, side: float, size: int) -> None:
    frame = ramps(80, 100)
    x0, y0 = 8 + shift, 7 + 2 * shift
    crop = crop_face(frame, box(x0, y0, x0 + side, y0 + side), size=size)
    # A ramp is its own mean: pixel k of the crop shows the place of its centre.
    centres = (np.arange(size) + 0.5) * side / size - 0.5
    x, y = np.meshgrid(x0 + centres, y0 + centres)
    expected = np.stack([2 * x, 3 * y, x + y], axis=-1)
    # Rounding twice when shrinking; and places to 1/32 of a pixel in older OpenCVs.
    tolerance = 1.1 if side > size else 0.6
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8
    assert np.abs(crop - expected).max() <= tolerance


def test_whole_pixels_are_cut_unchanged() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop_face(frame, box(10, 5, 42, 37), size=32), frame[5:37, 10:42])


def test_shrinking_averages_every_pixel() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    crop = crop_face(stripes, box(0, 0, 64, 64), size=16)
    assert (crop == 100).all()


def test_outside_the_frame_its_edge_is_repeated() -> None:
    frame = ramps(40, 40)
    expected = np.pad(frame, ((10, 10), (10, 10), (0, 0)), mode="edge")
    np.testing.assert_array_equal(crop_face(frame, box(-10, -10, 50, 50), size=60), expected)


@pytest.mark.parametrize(
    ("edges", "corner"),
    [((-300, -300, -260, -260), (0, 0)), ((900, 500, 940, 540), (-1, -1))],
)
def test_a_box_wholly_outside_shows_the_nearest_edge(
    edges: tuple[float, ...], corner: tuple[int, int]
) -> None:
    frame = ramps(40, 60)
    assert (crop_face(frame, box(*edges), size=32) == frame[corner]).all()


def test_the_frame_is_not_modified() -> None:
    frame = ramps(40, 40)
    crop_face(frame, box(-5, 3, 30, 38), size=16)
    np.testing.assert_array_equal(frame, ramps(40, 40))


@pytest.mark.parametrize(
    "edges",
    [(10, 10, 10, 50), (10, 10, 50, 10), (50, 10, 10, 50), (10, 50, 50, 10), (np.nan,) * 4],
)
def test_a_box_without_area_is_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="positive width and height"):
        crop_face(ramps(60, 60), box(*edges), size=32)
    with pytest.raises(ConfigError, match="positive width and height"):
        box_to_square(box(*edges), 32)


def test_the_map_takes_edges_to_edges() -> None:
    to_square = box_to_square(box(10, 20, 40, 80), 96)
    # Pixel centres are half a pixel from the edges, on both sides.
    np.testing.assert_allclose(to_square @ [9.5, 19.5, 1], [-0.5, -0.5])
    np.testing.assert_allclose(to_square @ [39.5, 79.5, 1], [95.5, 95.5])


def test_widening_scales_about_the_centre() -> None:
    np.testing.assert_array_equal(widen(box(10, 20, 30, 60), 1.5), [5, 10, 35, 70])
    np.testing.assert_array_equal(widen(box(10, 20, 30, 60), 1), [10, 20, 30, 60])
    assert widen(box(0, 0, 1, 1), 1.25).dtype == np.float32


# Real faces


@pytest.fixture(scope="module")
def detector() -> Mtcnn:
    return Mtcnn(min_face=0.15, num_threads=1)


@pytest.fixture(scope="module")
def mesh() -> FaceMesh:
    path = SHARED / "models" / "face_landmark.tflite"
    if not path.is_file():
        pytest.skip(f"no landmark network at {path}")
    return FaceMesh(path, num_threads=1)


def chin_margins(
    pictures: list[NDArray[np.uint8]], detector: Mtcnn, mesh: FaceMesh
) -> NDArray[np.float64]:
    """From the chin down to the crop's edge, as a share of the crop, for each picture's face."""
    margins = []
    for picture in pictures:
        found = detector.detect(picture)
        if found:
            square = crop_box(max(found, key=lambda face: face.box[2] - face.box[0]).landmarks)
            chin = mesh.points(picture, square)[CHIN]
            margins.append((square[3] - chin[1]) / (square[3] - square[1]))
            # And the chin is between the sides.
            assert square[0] < chin[0] < square[2]
    assert len(margins) >= 0.95 * len(pictures), "faces were missed"
    return np.array(margins)


def report(margins: NDArray[np.float64]) -> str:
    low, fifth, median = np.percentile(margins, [0, 5, 50])
    return f"{len(margins)} chins: min {low:.3f}, 5% {fifth:.3f}, median {median:.3f}"


@pytest.mark.corpus
def test_the_chin_is_inside_the_crop_of_people_who_speak(detector: Mtcnn, mesh: FaceMesh) -> None:
    grid = SHARED / "corpus" / "grid"
    clips = [
        clip
        for speaker, number in (("s1", 6), ("s4", 6), ("s26", 10), ("mixed", 10))
        for clip in sorted((grid / speaker).glob("*.mkv"))[:number]
    ]
    if len(clips) < 32:
        pytest.skip(f"{len(clips)} of 32 clips in {grid}")
    pictures = [frame.pixels for clip in clips for frame in islice(read_frames(clip), 10, 70, 20)]
    margins = chin_margins(pictures, detector, mesh)
    assert margins.min() >= 0.02, report(margins)


@pytest.mark.corpus
def test_the_chin_is_inside_the_crop_of_portraits(detector: Mtcnn, mesh: FaceMesh) -> None:
    paths = sorted((SHARED / "corpus" / "portraits").glob("*.jpg"))[::10][:40]
    if len(paths) < 40:
        pytest.skip(f"{len(paths)} of 40 portraits in {SHARED}")
    pictures = [
        cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB).astype(np.uint8) for path in paths
    ]
    margins = chin_margins(pictures, detector, mesh)
    assert margins.min() >= 0.02, report(margins)


def test_the_lower_half_of_a_real_crop_begins_under_the_nose(detector: Mtcnn) -> None:
    picture = np.asarray(skimage.data.astronaut())
    (face,) = detector.detect(picture)
    square = crop_box(face.landmarks)
    rows = (face.landmarks[:, 1] - square[1]) / (square[3] - square[1])
    assert rows[2] < 0.5 < rows[3:].min()
