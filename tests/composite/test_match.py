"""Colours and sharpness of what is drawn, brought to the frame's."""

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.composite.match import detail, missing_detail, tint_between, tinted

Picture = NDArray[np.float32]


def skin(seed: int = 0) -> Picture:
    coarse = np.random.default_rng(seed).uniform(0.4, 0.6, (10, 20, 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (160, 80), interpolation=cv2.INTER_CUBIC))


def textured(seed: int = 1) -> Picture:
    fine = np.random.default_rng(seed).standard_normal((80, 160, 1)).astype(np.float32)
    blurred = cv2.GaussianBlur(fine, (0, 0), 1.2)[..., None]
    return np.asarray(skin() + 0.2 * blurred, dtype=np.float32)


RING = np.ones((80, 160), dtype=np.float32)


def test_another_light_is_found_and_taken_off() -> None:
    drawn = skin()
    across = np.linspace(-0.02, 0.02, 160, dtype=np.float32)[None, :, None]
    frame = drawn + np.float32([0.03, -0.02, 0.01]) + across
    tint = tint_between(drawn, frame, RING)
    np.testing.assert_allclose(tint[0], [0.03, -0.02, 0.01], atol=0.003)
    assert np.abs(tinted(drawn, tint) - frame).max() < 0.006


def test_hair_and_teeth_on_the_ring_do_not_tint_the_skin() -> None:
    drawn = skin()
    frame = drawn + np.float32(0.02)
    frame[:20, 40:90] = 0.05  # a moustache
    frame[60:, :30] = 0.95
    tint = tint_between(drawn, frame, RING)
    np.testing.assert_allclose(tint[0], 0.02, atol=0.012)


def test_without_a_ring_there_is_no_tint() -> None:
    tint = tint_between(skin(), skin(3), np.zeros((80, 160), dtype=np.float32))
    np.testing.assert_array_equal(tint, 0)


def test_detail_of_something_flat_is_nothing() -> None:
    assert np.abs(detail(np.full((80, 160, 3), 0.4, dtype=np.float32))).max() < 1e-6


def test_a_pattern_of_single_pixels_is_hardly_sharpened() -> None:
    checks = (np.indices((80, 160)).sum(axis=0) % 2).astype(np.float32)
    picture = np.repeat(checks[..., None], 3, axis=2)
    assert np.abs(detail(picture)[5:-5, 5:-5]).max() < 0.06  # of 0.5


def test_the_missing_detail_brings_back_the_sharpness() -> None:
    true = textured()
    drawn = cv2.GaussianBlur(true, (0, 0), 0.6)
    more = detail(np.asarray(drawn, dtype=np.float32))
    lumas = [np.ascontiguousarray(p[..., 0]) for p in (drawn, more, true)]
    where = np.ones((80, 160), dtype=np.bool_)
    share = missing_detail(*lumas, where=where, goal=1.0, most=5.0)
    before, after, goal = (
        float((cv2.Laplacian(p, cv2.CV_32F) ** 2).sum())
        for p in (lumas[0], lumas[0] + share * lumas[1], lumas[2])
    )
    assert before < 0.7 * goal
    assert abs(after - goal) < abs(before - goal) / 2
    assert missing_detail(*lumas, where=where, goal=1.0, most=0.05) == 0.05


def test_what_is_sharp_enough_is_left() -> None:
    luma = np.ascontiguousarray(textured()[..., 0])
    more = np.ascontiguousarray(detail(textured())[..., 0])
    where = np.ones(luma.shape, dtype=np.bool_)
    assert missing_detail(luma, more, luma, where=where, goal=1.0, most=1.0) == 0
    flat = np.zeros_like(luma)
    assert missing_detail(flat, flat, flat, where=where, goal=1.0, most=1.0) == 0
