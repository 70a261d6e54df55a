"""Make few people look like many: light, colour, mirror, small turns, worse cameras.

All of a window's frames, and its reference, get the same light.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.corpus import CROP_MARGIN


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureChange:
    """One way to look different."""

    is_flipped: bool = False
    """Left and right exchanged."""
    scale: float = 1.0
    """Size of the face, against that of the crop rule."""
    degrees: float = 0.0
    """Turn in the plane of the picture."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Move right and down, as shares of the crop."""
    saturation: float = 1.0
    """0 is grey."""
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Of red, green and blue."""
    gamma: float = 1.0
    """Exponent of the grey curve."""


def draw_picture_change(rng: np.random.Generator) -> PictureChange:
    """Draw a way to look different: light, colour, mirror, small affine."""
    light = rng.uniform(0.75, 1.2)
    red, green, blue = (light * rng.uniform(0.9, 1.1, 3)).tolist()
    across, down = rng.uniform(-0.03, 0.03, 2).tolist()
    return PictureChange(
        is_flipped=bool(rng.random() < 0.5),
        scale=float(rng.uniform(0.92, 1.06)),
        degrees=float(rng.uniform(-6, 6)),
        shift=(across, down),
        saturation=float(rng.uniform(0.5, 1.3)),
        gains=(red, green, blue),
        gamma=float(np.exp(rng.uniform(-0.35, 0.35))),
    )


def change_picture(
    crop: NDArray[np.uint8], change: PictureChange, *, size: int
) -> NDArray[np.uint8]:
    """Cut the crop rule's square out of a stored crop, changed.

    Args:
        crop: ``(S, S, 3)`` uint8 RGB with the corpus' margin.
        change: What to do.
        size: Height and width of the result in pixels.

    Returns:
        ``(size, size, 3)`` uint8 RGB.
    """
    matrix = picture_matrix(change, stored=crop.shape[0], size=size)
    return recolour(warp_picture(crop, matrix, size=size), change)


def warp_picture(
    crop: NDArray[np.uint8], matrix: NDArray[np.float64], *, size: int
) -> NDArray[np.uint8]:
    """Bring a picture's pixels to other places.

    Args:
        crop: ``(S, S, 3)`` uint8 RGB.
        matrix: ``(2, 3)`` from its pixels to those of the result, both counted from the middle of
            the first one.
        size: Height and width of the result in pixels.

    Returns:
        ``(size, size, 3)`` uint8 RGB.
    """
    warped = cv2.warpAffine(
        crop, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, dtype=np.uint8)


def picture_matrix(change: PictureChange, *, stored: int, size: int) -> NDArray[np.float64]:
    """Where :func:`change_picture` brings a place of the stored crop.

    Args:
        change: What is done.
        stored: Side of the stored crop in pixels.
        size: Side of the result in pixels.

    Returns:
        ``(2, 3)`` float64 from pixels to pixels, both counted from the middle of the first one.
    """
    scale = size * CROP_MARGIN / stored * change.scale
    middle = (stored - 1) / 2
    matrix = np.array(cv2.getRotationMatrix2D((middle, middle), change.degrees, scale), np.float64)
    matrix[:, 2] += (size - 1) / 2 - middle
    matrix[:, 2] += np.multiply(change.shift, size)
    if change.is_flipped:
        matrix[0] *= -1
        matrix[0, 2] += size - 1
    return matrix


def warp_points(
    points: NDArray[np.floating], matrix: NDArray[np.float64], *, stored: int, size: int
) -> NDArray[np.float32]:
    """Move landmarks as :func:`warp_picture` moves the picture.

    Args:
        points: ``(..., 2)`` as shares of the stored crop's side.
        matrix: See :func:`warp_picture`; a mirror turns the points' places about, not their order.
        stored: Side of the stored crop in pixels.
        size: Side of the result in pixels.

    Returns:
        ``(..., 2)`` float32 as shares of the result's side.
    """
    moved = (points * stored - 0.5) @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray((moved + 0.5) / size, dtype=np.float32)


def recolour(picture: NDArray[np.uint8], change: PictureChange) -> NDArray[np.uint8]:
    """Apply a change's colours and light.

    Args:
        picture: ``(H, W, 3)`` uint8 RGB.
        change: What to do; only its colours are looked at.

    Returns:
        A picture of the same shape; the same one if there is nothing to do.
    """
    if (change.saturation, change.gains, change.gamma) == (1.0, (1.0, 1.0, 1.0), 1.0):
        return picture
    grey = np.array([0.299, 0.587, 0.114])  # luma of BT.601, as JPEG has it
    mix = change.saturation * np.eye(3) + (1 - change.saturation) * grey
    mixed = cv2.transform(picture, np.array(change.gains)[:, None] * mix)
    curve = np.round(255 * (np.arange(256) / 255) ** change.gamma).astype(np.uint8)
    return np.asarray(cv2.LUT(mixed, curve), dtype=np.uint8)


def degrade(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Make a picture worse in a way drawn at random, or leave it: small, blurred, noisy, packed.

    Args:
        picture: ``(S, S, 3)`` uint8 RGB.
        rng: Decides.

    Returns:
        A picture of the same shape.
    """
    size = picture.shape[0]
    worse: NDArray[np.integer | np.floating] = picture
    if rng.random() < 0.25:
        small = int(size * rng.uniform(0.3, 0.8))
        worse = cv2.resize(worse, (small, small), interpolation=cv2.INTER_AREA)
        worse = cv2.resize(worse, (size, size), interpolation=cv2.INTER_LINEAR)
    elif rng.random() < 0.25:
        worse = cv2.GaussianBlur(worse, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 12), worse.shape)
        worse = np.clip(worse + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))]
        unpacked = cv2.imdecode(cv2.imencode(".jpg", worse, quality)[1], cv2.IMREAD_COLOR)
        assert unpacked is not None, "it has just been packed"  # noqa: S101
        worse = unpacked
    return np.asarray(worse, dtype=np.uint8)


def occlude(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Put something in front of one picture in four: a flat turned ellipse.

    Args:
        picture: ``(S, S, 3)`` uint8 RGB.
        rng: Decides.

    Returns:
        A picture of the same shape.
    """
    if rng.random() >= 0.25:
        return picture
    size = picture.shape[0]
    covered = picture.copy()
    centre = tuple(int(place) for place in rng.uniform(0, size, 2))
    axes = tuple(int(length) for length in rng.uniform(0.04, 0.22, 2) * size)
    colour = tuple(int(value) for value in rng.integers(0, 256, 3))
    cv2.ellipse(covered, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1)
    return covered
