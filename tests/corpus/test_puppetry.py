"""Puppets: the portrait's mouth does what the driver's does, and nothing else moves."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mesh_makers import (
    BROWS_AND_LIDS,
    CHIN,
    LOWER_LIP,
    MOUTH_RING,
    OUTER_LIPS,
    STEADY,
    UPPER_LIP,
    in_crop,
    mesh_face,
    placed,
)
from numpy.typing import NDArray

from lipwright.corpus.puppetry import (
    Driver,
    Portrait,
    puppet_points,
    render_puppet,
    rest_frame,
    similarity,
)
from lipwright.errors import ConfigError
from lipwright.faces import mouth_opening

SIZE, CANVAS = 160, 192  # of a picture, and of the portrait around it
EDGE = (CANVAS - SIZE) // 2
SPOKEN = (0.1, 0.02, 0.0, 0.15, 0.3, 0.04)


def texture(seed: int = 0) -> NDArray[np.uint8]:
    """A canvas of soft spots, on which a shift by a pixel shows."""
    coarse = np.random.default_rng(seed).integers(60, 200, (16, 16, 3)).astype(np.uint8)
    smooth = cv2.resize(coarse, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth, dtype=np.uint8)


def portrait(opening: float = 0.0, *, canvas: NDArray[np.uint8] | None = None) -> Portrait:
    points = in_crop(mesh_face(opening), size=CANVAS, margin=1.5)
    return Portrait(canvas=texture() if canvas is None else canvas, points=points)


def speaking(openings: tuple[float, ...] = SPOKEN) -> NDArray[np.float32]:
    """A driver of another size, in another place, with a tilted head."""
    faces = np.stack([mesh_face(opening) for opening in openings])
    return placed(faces, scale=41.0, shift=(70.0, 55.0), degrees=12.0)


def openings_of(points: NDArray[np.float32]) -> list[float]:
    return [mouth_opening(frame) for frame in points]


@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.05, 20),
    st.floats(-180, 180),
    st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_similarity_finds_the_turn_scale_and_shift_that_were_applied(
    seed: int, scale: float, degrees: float, shift: tuple[float, float]
) -> None:
    source = np.random.default_rng(seed).normal(size=(6, 2))
    angle = np.radians(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(source, source @ linear.T + shift)
    np.testing.assert_allclose(found, np.column_stack([linear, shift]), atol=1e-8)


def test_similarity_never_mirrors() -> None:
    source = np.random.default_rng(0).normal(size=(6, 2))
    linear = similarity(source, source * (-1, 1))[:, :2]
    assert np.linalg.det(linear) >= 0


def test_rest_is_the_frame_whose_mouth_is_as_open_as_the_portraits() -> None:
    points = speaking((0.3, 0.1, 0.0, 0.04))
    assert [rest_frame(points, opening) for opening in (0.0, 0.05, 0.09, 0.5)] == [2, 3, 1, 0]


@pytest.mark.parametrize("opening", [0.0, 0.04])
def test_puppet_opens_its_mouth_as_far_as_its_driver(opening: float) -> None:
    moved = puppet_points(speaking(), portrait(opening))
    assert moved.dtype == np.float32
    assert openings_of(moved) == pytest.approx(SPOKEN, abs=1e-4)


def test_puppet_at_rest_is_the_portrait() -> None:
    still = portrait(0.04)
    moved = puppet_points(speaking((0.2, 0.04, 0.0)), still)
    np.testing.assert_allclose(moved[1], still.points, atol=1e-3)


def test_jaw_follows_in_the_portraits_own_size() -> None:
    still = portrait(0.0)
    moved = puppet_points(speaking((0.0, 0.2)), still)
    wide = in_crop(mesh_face(0.2), size=CANVAS, margin=1.5)
    drop = wide[CHIN, 1] - still.points[CHIN, 1]
    assert drop > 5
    assert moved[1, CHIN, 1] - moved[0, CHIN, 1] == pytest.approx(drop, abs=0.01)


def test_eyes_and_brows_stay_whatever_the_driver_does_with_them() -> None:
    faces = np.stack([mesh_face(opening) for opening in SPOKEN])
    faces[:, BROWS_AND_LIDS, 1] += np.linspace(-0.1, 0.1, len(SPOKEN))[:, None]
    moved = puppet_points(placed(faces, scale=41.0), portrait())
    still = portrait().points
    upper = mesh_face()[:, 1] < 0.3
    assert upper[list(BROWS_AND_LIDS)].all()
    np.testing.assert_allclose(moved[:, upper], [still[upper]] * len(SPOKEN), atol=1e-3)
    assert np.ptp(moved[:, OUTER_LIPS[3], 1]) > 5  # while the lower lip does move


def test_head_moves_as_the_drivers_and_the_mouth_opens_no_more_for_it() -> None:
    heads = [
        {"scale": 40.0 + index, "shift": (70.0 + 5 * index, 50.0), "degrees": 4.0 * index}
        for index in range(len(SPOKEN))
    ]
    points = np.stack(
        [placed(mesh_face(opening), **head) for opening, head in zip(SPOKEN, heads, strict=True)]  # type: ignore[arg-type]
    )
    still = portrait()
    moved = puppet_points(points, still)
    assert openings_of(moved) == pytest.approx(SPOKEN, abs=1e-4)
    rest = rest_frame(points, 0.0)
    steady = list(STEADY)
    as_driver = similarity(points[rest, steady], still.points[steady])
    for frame, puppet in zip(points, moved, strict=True):
        expected = frame[steady] @ as_driver[:, :2].T + as_driver[:, 2]
        np.testing.assert_allclose(puppet[steady], expected, atol=1e-2)


@pytest.mark.parametrize("degrees", [0.0, 30.0])
def test_lips_meet_and_never_cross(degrees: float) -> None:
    # The driver closes by 0.055 from what counts as rest, the portrait can by 0.03 only.
    still = placed(mesh_face(0.03), scale=53.0, shift=(96.0, 56.0), degrees=degrees)
    driver = placed(np.stack([mesh_face(0.055), mesh_face(0.0)]), scale=41.0)
    assert rest_frame(driver, mouth_opening(still)) == 0
    _, closed = puppet_points(driver, Portrait(canvas=texture(), points=still))
    down = np.array([-np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])
    gaps = (closed[list(LOWER_LIP)] - closed[list(UPPER_LIP)]) @ down
    assert gaps.min() > -1e-3
    assert mouth_opening(closed) == pytest.approx(0, abs=1e-4)


def test_puppet_whose_driver_is_at_rest_is_the_middle_of_the_canvas() -> None:
    still = portrait(0.04)
    middle = still.canvas[EDGE:-EDGE, EDGE:-EDGE]
    points = np.stack([still.points] * 3)
    driver = Driver(crops=(middle,) * 3, points=points - EDGE)
    pictures = render_puppet(driver, still, puppet_points(driver.points, still), size=SIZE)
    assert len(pictures) == 3
    for picture in pictures:
        assert picture.dtype == np.uint8
        difference = np.abs(picture.astype(int) - middle)
        assert difference.max() <= 3
        assert difference.mean() < 0.5


def test_open_mouth_shows_the_drivers_in_the_portraits_light() -> None:
    skin, inside = np.array([100, 80, 60], np.uint8), np.array([90, 40, 20], np.uint8)
    openings = (0.0, 0.1, 0.3)
    points = np.stack([in_crop(mesh_face(o), size=SIZE, margin=1.25) for o in openings])
    crops = []
    for frame in points:
        crop = np.full((SIZE, SIZE, 3), skin)
        mouth = np.rint(frame[list(MOUTH_RING)]).astype(np.int32)
        crops.append(cv2.fillPoly(crop, [mouth], inside.tolist()))
    canvas = np.full((CANVAS, CANVAS, 3), skin * 2)
    canvas[..., 2] = skin[2] // 2
    still = portrait(0.0, canvas=canvas)
    driver = Driver(crops=tuple(crops), points=points)
    moved = puppet_points(points, still)
    pictures = render_puppet(driver, still, moved, size=SIZE)
    for picture, frame in zip(pictures[1:], moved[1:], strict=True):
        x, y = np.rint((frame[13] + frame[14]) / 2 - EDGE).astype(int)
        # The brightness of the portrait, and a little of its colour.
        brightness = (200 + 160 + 30) / (100 + 80 + 60)
        light = brightness * (np.array([2, 2, 0.5]) / brightness) ** 0.25
        np.testing.assert_allclose(picture[y, x], inside * light, atol=2)
        chin_x, chin_y = np.rint(frame[CHIN] - EDGE).astype(int)
        np.testing.assert_allclose(picture[chin_y, chin_x], canvas[0, 0], atol=2)


def test_nothing_changes_above_the_mouth_and_at_the_border_of_the_canvas() -> None:
    still = portrait(0.0)
    points = np.stack([in_crop(mesh_face(o), size=SIZE, margin=1.25) for o in (0.0, 0.15)])
    driver = Driver(crops=(texture(1)[:SIZE, :SIZE],) * 2, points=points)
    moved = puppet_points(points, still)
    rest, wide = (
        picture.astype(int) for picture in render_puppet(driver, still, moved, size=CANVAS)
    )
    changed = np.abs(wide - rest).max(axis=2)
    upper_lip = int(still.points[OUTER_LIPS[1], 1])
    assert changed[upper_lip + 5 :].max() > 50
    assert changed[: upper_lip - 15].max() <= 1
    border = np.concatenate([changed[[0, -1]].ravel(), changed[:, [0, -1]].ravel()])
    assert border.max() < 10
    np.testing.assert_allclose(rest[0], still.canvas[0], atol=3)


def test_canvas_that_is_too_small_is_refused() -> None:
    still = portrait()
    driver = Driver(crops=(texture(),), points=still.points[None])
    with pytest.raises(ConfigError, match="at least 193 pixels wide, got 192"):
        render_puppet(driver, still, still.points[None], size=CANVAS + 1)


def test_mouth_outside_of_the_picture_is_refused() -> None:
    still = portrait()
    driver = Driver(crops=(texture(),), points=still.points[None] + 1000)
    with pytest.raises(ConfigError, match="outside the picture"):
        render_puppet(driver, still, still.points[None], size=SIZE)
