"""Changes of speech and picture do what they say, and keep to the ranges."""

import cv2
import numpy as np
import pytest

from lipwright.corpus import CROP_MARGIN
from lipwright.training.augment import (
    PictureChange,
    change_picture,
    degrade,
    draw_picture_change,
    occlude,
    picture_matrix,
    recolour,
    warp_points,
)


def marked(size: int = 120) -> np.ndarray:
    """A picture with one bright spot right of and below its middle."""
    picture = np.zeros((size, size, 3), dtype=np.uint8)
    picture[75:81, 85:91] = 255
    return picture


def centre(picture: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(picture[..., 0] > 60)
    return float(rows.mean()), float(columns.mean())


def test_no_picture_change_is_the_crop_rules_square() -> None:
    # 120 stored pixels with margin 1.25 are 96 without.
    taken = change_picture(marked(), PictureChange(), size=96)
    edge = round((120 - 120 / CROP_MARGIN) / 2)
    assert np.array_equal(taken, marked()[edge : edge + 96, edge : edge + 96])


def test_a_flip_mirrors_and_a_shift_moves() -> None:
    row, column = centre(change_picture(marked(), PictureChange(), size=96))
    flipped = centre(change_picture(marked(), PictureChange(is_flipped=True), size=96))
    assert flipped == pytest.approx((row, 95 - column), abs=0.51)
    moved = centre(change_picture(marked(), PictureChange(shift=(0.1, -0.05)), size=96))
    assert moved == pytest.approx((row - 4.8, column + 9.6), abs=0.6)


def test_colour_changes_have_their_sizes() -> None:
    grey = np.full((120, 120, 3), 100, dtype=np.uint8)
    gained = change_picture(grey, PictureChange(gains=(1.2, 1.0, 0.5)), size=96)
    assert gained[40, 40].tolist() == pytest.approx([120, 100, 50], abs=1)
    red = np.zeros((120, 120, 3), dtype=np.uint8)
    red[..., 0] = 200
    greyed = change_picture(red, PictureChange(saturation=0.0), size=96)
    assert np.ptp(greyed[40, 40]) <= 1
    darker = change_picture(grey, PictureChange(gamma=2.0), size=96)
    assert darker[40, 40, 0] == pytest.approx(255 * (100 / 255) ** 2, abs=1)


def test_drawn_changes_repeat_with_the_seed() -> None:
    assert draw_picture_change(np.random.default_rng(3)) == draw_picture_change(
        np.random.default_rng(3)
    )
    assert draw_picture_change(np.random.default_rng(3)) != draw_picture_change(
        np.random.default_rng(4)
    )


def test_landmarks_move_with_the_picture() -> None:
    place = np.array([[88 / 120, 78 / 120]])  # middle of the spot, as shares of the side
    for change in (
        PictureChange(),
        PictureChange(is_flipped=True, scale=1.1, degrees=12, shift=(0.03, -0.02)),
        PictureChange(scale=0.9, degrees=-20),
    ):
        row, column = centre(change_picture(marked(), change, size=96))
        matrix = picture_matrix(change, stored=120, size=96)
        x, y = warp_points(place, matrix, stored=120, size=96)[0] * 96 - 0.5
        assert (x, y) == pytest.approx((column, row), abs=0.3)


def photograph(size: int = 64) -> np.ndarray:
    """Soft spots of colour, and something to find again: a bright one off the middle."""
    coarse = np.random.default_rng(0).integers(40, 90, (8, 8, 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    cv2.circle(picture, (40, 24), 6, (250, 250, 250), -1)
    return np.asarray(picture, dtype=np.uint8)


def test_recolouring_is_the_colours_of_a_change_and_moves_nothing() -> None:
    picture = photograph(96)
    change = draw_picture_change(np.random.default_rng(1))
    colours = PictureChange(saturation=change.saturation, gains=change.gains, gamma=change.gamma)
    framed = cv2.copyMakeBorder(picture, 12, 12, 12, 12, cv2.BORDER_REPLICATE)
    expected = change_picture(np.asarray(framed, dtype=np.uint8), colours, size=96)
    before = picture.copy()
    assert np.array_equal(recolour(picture, change), expected)
    assert np.array_equal(picture, before)
    assert np.array_equal(recolour(picture, PictureChange(degrees=5.0)), picture)


def test_a_worse_picture_shows_the_same_at_the_same_place() -> None:
    picture = photograph()
    before = picture.copy()
    num_untouched = 0
    for seed in range(60):
        worse = degrade(picture, np.random.default_rng(seed))
        assert (worse.shape, worse.dtype) == (picture.shape, np.uint8)
        assert np.abs(worse.mean(axis=(0, 1)) - picture.mean(axis=(0, 1))).max() < 4
        rows, columns = np.nonzero(cv2.GaussianBlur(worse, (0, 0), 3)[..., 1] > 130)
        assert (rows.mean(), columns.mean()) == pytest.approx((24, 40), abs=1)
        num_untouched += np.array_equal(worse, picture)
    assert 5 < num_untouched < 40  # 0.31 of them on average
    assert np.array_equal(picture, before)


def test_what_is_made_worse_repeats_with_the_seed() -> None:
    for change in (degrade, occlude):
        results = [change(photograph(), np.random.default_rng(seed)) for seed in (8, 8, 9, 10, 11)]
        assert np.array_equal(results[0], results[1])
        assert not all(np.array_equal(results[0], other) for other in results[2:])


def test_one_picture_in_four_is_covered_in_one_place_by_one_colour() -> None:
    picture = photograph()
    before = picture.copy()
    shares = []
    for seed in range(200):
        covered = occlude(picture, np.random.default_rng(seed))
        is_covered = (covered != picture).any(axis=-1)
        if is_covered.any():
            colours = covered[is_covered]
            assert (colours == colours[0]).all()
            count, _ = cv2.connectedComponents(is_covered.astype(np.uint8), connectivity=8)
            assert count == 2  # the ground, and what covers
            shares.append(is_covered.mean())
    assert 30 < len(shares) < 70
    assert max(shares) < 0.17  # of an ellipse with axes of 0.22: half of the face stays
    assert np.array_equal(picture, before)
