import warnings

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rgb_paste import paste

from lipwright.composite import mouth_mask
from lipwright.composite.mask import FEATHER
from lipwright.errors import ConfigError
from lipwright.faces import Mtcnn, crop_box, crop_face


def box(*edges: float) -> NDArray[np.float32]:
    return np.array(edges, dtype=np.float32)


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def outside(shape: tuple[int, int], square: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels whose centre is outside the lower half of the square."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    middle = (square[1] + square[3]) / 2
    return (x < square[0]) | (x > square[2]) | (y < middle) | (y > square[3])


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return np.asarray(skimage.data.astronaut(), dtype=np.uint8)


@pytest.fixture(scope="module")
def square(astronaut: NDArray[np.uint8]) -> NDArray[np.float32]:
    (face,) = Mtcnn(num_threads=1).detect(astronaut)
    return crop_box(face.landmarks)


@pytest.mark.parametrize("edges", [(20, 10, 116, 106), (20.3, 10.8, 71.9, 62.4), (5, 5, 155, 155)])
def test_paste_leaves_the_rest_of_the_frame_alone(edges: tuple[float, ...]) -> None:
    frame, face = noise(160, 170, 3), noise(96, 96, 3, seed=1)
    pasted = paste(frame, face, box(*edges))
    # Half a pixel of the square's own raster may reach over the middle.
    grown = box(*edges)
    grown[1] -= 2 * (edges[3] - edges[1]) / 96
    is_outside = outside((160, 170), grown)
    np.testing.assert_array_equal(pasted[is_outside], frame[is_outside])
    assert (pasted != frame).any()


def test_paste_changes_exactly_the_pixels_of_the_mask() -> None:
    frame = np.zeros((120, 130, 3), dtype=np.uint8)
    face = np.full((96, 96, 3), 255, dtype=np.uint8)
    pasted = paste(frame, face, box(20, 10, 116, 106))
    expected = np.zeros((120, 130), dtype=np.float32)
    expected[10:106, 20:116] = mouth_mask(96)
    np.testing.assert_allclose(pasted[:, :, 0], 255 * expected, atol=0.51)


def test_paste_does_not_modify_its_inputs() -> None:
    frame, face, edges = noise(100, 100, 3), noise(96, 96, 3, seed=1), box(10, 10, 80, 80)
    pasted = paste(frame, face, edges)
    np.testing.assert_array_equal(frame, noise(100, 100, 3))
    np.testing.assert_array_equal(face, noise(96, 96, 3, seed=1))
    np.testing.assert_array_equal(edges, box(10, 10, 80, 80))
    assert not np.shares_memory(pasted, frame)
    assert pasted.dtype == np.uint8
    assert pasted.shape == frame.shape


def test_paste_takes_frames_that_cannot_be_written_to() -> None:
    frame, face = noise(100, 100, 3), noise(96, 96, 3, seed=1)
    expected = paste(frame, face, box(10, 10, 80, 80))
    frame.flags.writeable = False
    face.flags.writeable = False
    np.testing.assert_array_equal(paste(frame, face, box(10, 10, 80, 80)), expected)


@pytest.mark.parametrize("side", [48, 96, 150])
def test_a_flat_frame_takes_its_own_crop_unchanged(side: int) -> None:
    frame = np.full((200, 200, 3), (200, 3, 77), dtype=np.uint8)
    edges = box(20.4, 19.9, 20.4 + side, 19.9 + side)
    np.testing.assert_array_equal(paste(frame, crop_face(frame, edges, size=96), edges), frame)


def test_a_real_face_takes_its_own_crop_nearly_unchanged(
    astronaut: NDArray[np.uint8], square: NDArray[np.float32]
) -> None:
    is_mouth = ~outside((512, 512), square)
    for size, most in ((96, 2.5), (128, 1.5), (256, 0.8)):  # the crop is of 103 pixels
        pasted = paste(astronaut, crop_face(astronaut, square, size=size), square)
        assert np.abs(pasted.astype(int) - astronaut)[is_mouth].mean() < most


def test_at_its_own_size_a_crop_goes_back_exactly(astronaut: NDArray[np.uint8]) -> None:
    edges = box(170, 80, 298, 208)
    crop = crop_face(astronaut, edges, size=128)
    np.testing.assert_array_equal(paste(astronaut, crop, edges), astronaut)


def test_a_face_goes_back_to_where_it_was_cut_from() -> None:
    # A spot in the mouth's place, at a fraction of a pixel: its centre of mass stays.
    y, x = np.mgrid[:200, :200]
    spot = 200 * np.exp(-((x - 100.7) ** 2 + (y - 131.2) ** 2) / 50)
    frame = np.repeat(spot.astype(np.uint8)[..., None], 3, axis=2)
    edges = box(40.3, 41.6, 160.3, 161.6)
    drawn = paste(np.zeros_like(frame), crop_face(frame, edges, size=96), edges)[:, :, 0]
    total = drawn.sum(dtype=float)
    assert (x * drawn).sum() / total == pytest.approx(100.7, abs=0.1)
    assert (y * drawn).sum() / total == pytest.approx(131.2, abs=0.1)


@pytest.mark.parametrize(
    "edges",
    [
        (-40, -30, 56, 66),  # over each corner and edge
        (100, 100, 196, 196),
        (-50, 40, 46, 136),
        (30, -60, 126, 36),
        (-100, -100, 300, 300),  # the frame is within the box
    ],
)
def test_a_box_partly_outside_is_pasted_as_into_a_larger_frame(edges: tuple[float, ...]) -> None:
    frame, face = noise(140, 150, 3), noise(96, 96, 3, seed=1)
    larger = np.pad(frame, ((200, 200), (200, 200), (0, 0)))
    expected = paste(larger, face, box(*edges) + 200)[200:340, 200:350]
    pasted = paste(frame, face, box(*edges))
    # The same but for the rounding of places.
    assert np.abs(pasted.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "edges", [(-200, 0, -100, 100), (150, 0, 250, 100), (0, -96, 96, 0), (0, 140, 96, 236)]
)
def test_a_box_wholly_outside_changes_nothing(edges: tuple[float, ...]) -> None:
    frame = noise(140, 150, 3)
    pasted = paste(frame, noise(96, 96, 3, seed=1), box(*edges))
    np.testing.assert_array_equal(pasted, frame)
    assert not np.shares_memory(pasted, frame)


@settings(deadline=None, max_examples=200)
@given(
    x0=st.floats(-80, 80, width=32),
    y0=st.floats(-80, 80, width=32),
    side=st.floats(0.0625, 200, width=32),
    size=st.sampled_from([64, 96]),
)
def test_any_box_gives_a_frame_between_the_frame_and_the_face(
    x0: float, y0: float, side: float, size: int
) -> None:
    frame = np.full((50, 60, 3), 40, dtype=np.uint8)
    face = np.full((size, size, 3), 90, dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a NaN would be cast with a warning
        pasted = paste(frame, face, box(x0, y0, x0 + side, y0 + side))
    assert pasted.shape == frame.shape
    assert pasted.min() >= 40
    assert pasted.max() <= 90


@pytest.mark.parametrize("side", [60, 96, 180])
def test_the_seam_has_no_step(side: int) -> None:
    # A face 60 levels brighter than its frame: the difference is spread over the feather.
    frame = np.full((200, 200, 3), 100, dtype=np.uint8)
    face = np.full((96, 96, 3), 160, dtype=np.uint8)
    pasted = paste(frame, face, box(10, 10, 10 + side, 10 + side))[:, :, 0].astype(int)
    assert pasted.max() == 160
    steepest = 1.5 * 60 / (FEATHER * side)  # of the smooth step over the feather's width
    for axis in (0, 1):
        assert np.abs(np.diff(pasted, axis=axis)).max() <= steepest + 1


def test_a_brighter_face_adds_what_the_mask_lets_through() -> None:
    frame = np.full((200, 200, 3), 100, dtype=np.uint8)
    face = np.full((96, 96, 3), 160, dtype=np.uint8)
    added = paste(frame, face, box(20, 20, 170, 170)).astype(float) - 100
    assert added.sum() / 3 == pytest.approx(60 * mouth_mask(96).mean() * 150**2, rel=0.005)


@pytest.mark.parametrize(
    "edges", [(10, 10, 10, 50), (10.5, 10, 10.5, 50), (50, 10, 10, 50), (10, 50, 50, 10)]
)
def test_a_box_without_area_is_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="positive width and height"):
        paste(noise(60, 60, 3), noise(96, 96, 3), box(*edges))


def test_a_box_of_nan_is_refused() -> None:
    with pytest.raises(ConfigError, match="positive width and height"):
        paste(noise(60, 60, 3), noise(96, 96, 3), box(*[np.nan] * 4))
