"""Let a still portrait move its mouth as somebody else does: geometry and pixels, no files.

The motion of a driver's face mesh, without that of the head, is added to the portrait's mesh. The
picture follows triangle by triangle; what shows between the lips is the driver's own mouth, brought
to the portrait's light. So one driver and a few hundred portraits become a few hundred people who
say the same words.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces.mesh import LEFT_EYE_OUTER, RIGHT_EYE_OUTER, mouth_opening

# Points of MediaPipe's face mesh: the inner lips from corner to corner, upper above lower.
_CORNERS = (78, 308)
_UPPER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)
_LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)
# Points that neither speech nor a frown moves much: corners of the eyes, bridge of the nose.
_STEADY = (33, 133, 362, 263, 168, 6, 197, 195)
_OUTER_LIPS = (61, 0, 291, 17)
SUPERSAMPLING = 2  # the warp is computed on pixels of half the size
_TINT = 0.25  # share, as an exponent, of the difference of two skins that is taken for the light's
_SUBPIXEL = 4  # bits behind the point in OpenCV's polygons
_MOTION_STARTS, _MOTION_FULL = 0.35, 0.75  # from the eyes (0) to the mouth (1): motion fades in
_ANCHOR_MARGIN = 0.02  # of the canvas, outside its border


@dataclass(frozen=True, kw_only=True, slots=True)
class Driver:
    """Who moves."""

    crops: tuple[NDArray[np.uint8], ...]
    """``(S, S, 3)`` uint8 RGB each."""
    points: NDArray[np.float32]
    """``(N, 468, 2)`` pixels x y of the crops."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Portrait:
    """Who is moved."""

    canvas: NDArray[np.uint8]
    """``(C, C, 3)`` uint8 RGB: a square around the face, wider than what is rendered."""
    points: NDArray[np.float32]
    """``(468, 2)`` pixels x y of the canvas."""


def rest_frame(driver_points: NDArray[np.float32], opening: float) -> int:
    """The driver's frame whose mouth is open just as far as the portrait's.

    Args:
        driver_points: ``(N, 468, 2)``.
        opening: Of the portrait, see :func:`~lipwright.faces.mouth_opening`.

    Returns:
        Index of the frame.
    """
    openings = np.array([mouth_opening(points) for points in driver_points])
    return int(np.argmin(np.abs(openings - opening)))


def puppet_points(driver_points: NDArray[np.float32], portrait: Portrait) -> NDArray[np.float32]:
    """Where the portrait's mesh is in each frame.

    Args:
        driver_points: ``(N, 468, 2)`` of the driver.
        portrait: Whom to move.

    Returns:
        ``(N, 468, 2)`` float32 pixels of the portrait's canvas. The head moves as the driver's.
    """
    still = portrait.points.astype(np.float64)
    points = driver_points.astype(np.float64)
    rest = points[rest_frame(driver_points, mouth_opening(portrait.points))]
    to_portrait = similarity(rest[_STEADY, :], still[_STEADY, :])
    weights = _mouth_weights(still)[:, None]
    moved = np.empty_like(points)
    for index, frame in enumerate(points):
        steadied = _apply(similarity(frame[_STEADY, :], rest[_STEADY, :]), frame)
        motion = (steadied - rest) @ to_portrait[:, :2].T
        face = _unfold_lips(still + weights * motion)
        # The way the head moves, seen on the portrait: back from steady, between the two changes.
        head = similarity(
            _apply(to_portrait, rest)[_STEADY, :], _apply(to_portrait, frame)[_STEADY, :]
        )
        moved[index] = _apply(head, face)
    return moved.astype(np.float32)


def render_puppet(
    driver: Driver, portrait: Portrait, points: NDArray[np.float32], *, size: int
) -> list[NDArray[np.uint8]]:
    """Draw the portrait with its mesh moved.

    Args:
        driver: Whose mouth shows between the lips.
        portrait: Whom to draw.
        points: ``(N, 468, 2)`` see :func:`puppet_points`.
        size: Side of the pictures in pixels; the middle of the canvas is drawn.

    Returns:
        N pictures ``(size, size, 3)`` uint8 RGB at the canvas' scale.

    Raises:
        ConfigError: If the canvas is smaller than the pictures.
    """
    extent = portrait.canvas.shape[0]
    if extent < size:
        raise ConfigError(f"the canvas must be at least {size} pixels wide, got {extent}")
    edge = (extent - size) / 2
    fine = size * SUPERSAMPLING
    still = _with_anchors(portrait.points, extent)
    skin = _triangles(_with_anchors(_wide_open(points), extent))
    mouth = _mouth_triangles()
    light = _light(driver, portrait)
    pictures = []
    for crop, theirs, ours in zip(driver.crops, driver.points, points, strict=True):
        moved = (_with_anchors(ours, extent) - edge + 0.5) * SUPERSAMPLING - 0.5
        face = _pull(portrait.canvas, still, moved, skin, size=fine)
        inside = _pull(crop, theirs, moved, mouth, size=fine)
        share = cv2.blur((_triangle_of_pixel(moved, mouth, fine) >= 0).astype(np.float32), (3, 3))
        drawn = face + share[:, :, None] * (inside * light - face)
        shrunk = cv2.resize(
            np.clip(drawn, 0, 255).astype(np.uint8), (size, size), interpolation=cv2.INTER_AREA
        )
        pictures.append(np.asarray(shrunk, dtype=np.uint8))
    return pictures


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn, scale and shift that bring points closest to others.

    Least squares in closed form (Umeyama 1991, without reflection), written in complex numbers.

    Args:
        source: ``(K, 2)``.
        target: ``(K, 2)``.

    Returns:
        ``(2, 3)`` float64.
    """
    centre_source, centre_target = source.mean(axis=0), target.mean(axis=0)
    a = (source - centre_source) @ (1, 1j)
    b = (target - centre_target) @ (1, 1j)
    turn = complex((a.conj() @ b) / (a.conj() @ a))
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, centre_target - linear @ centre_source])


def _apply(transform: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points @ transform[:, :2].T + transform[:, 2])


def _mouth_weights(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(468,)``: how much of the motion each point takes over; none at the eyes and above."""
    eyes = points[[LEFT_EYE_OUTER, RIGHT_EYE_OUTER]].mean(axis=0)
    axis = points[_OUTER_LIPS, :].mean(axis=0) - eyes
    height = (points - eyes) @ axis / (axis @ axis)
    share = np.clip((height - _MOTION_STARTS) / (_MOTION_FULL - _MOTION_STARTS), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _unfold_lips(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the upper inner lip came to lie below the lower one, let both meet halfway."""
    eyes = points[[LEFT_EYE_OUTER, RIGHT_EYE_OUTER]].mean(axis=0)
    down = points[_OUTER_LIPS, :].mean(axis=0) - eyes
    down = down / np.hypot(*down)
    unfolded = points.copy()
    for upper, lower in zip(_UPPER_LIP, _LOWER_LIP, strict=True):
        overlap = float((points[upper] - points[lower]) @ down)
        if overlap > 0:
            unfolded[upper] -= overlap / 2 * down
            unfolded[lower] += overlap / 2 * down
    return unfolded


def _wide_open(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The frame with the widest mouth, its lips parted further: no two points coincide."""
    opened = points[int(np.argmax([mouth_opening(frame) for frame in points]))].copy()
    eyes = opened[[LEFT_EYE_OUTER, RIGHT_EYE_OUTER]].mean(axis=0)
    down = opened[_OUTER_LIPS, :].mean(axis=0) - eyes
    is_below = (opened - opened[_CORNERS, :].mean(axis=0)) @ down > 0
    is_below[list(_UPPER_LIP)], is_below[list(_LOWER_LIP)] = False, True
    opened[is_below] += 0.3 * down
    return np.asarray(opened, dtype=np.float32)


def _mouth_triangles() -> NDArray[np.int64]:
    """A strip of triangles between the lips, ``(T, 3)``."""
    upper = (_CORNERS[0], *_UPPER_LIP, _CORNERS[1])
    lower = (_CORNERS[0], *_LOWER_LIP, _CORNERS[1])
    strip = [(upper[i], lower[i], upper[i + 1]) for i in range(len(upper) - 1)]
    strip += [(lower[i], lower[i + 1], upper[i + 1]) for i in range(len(upper) - 1)]
    return np.array(strip, dtype=np.int64)


def _with_anchors(points: NDArray[np.float32], extent: int) -> NDArray[np.float64]:
    """The points, and some around the canvas that never move."""
    low, high = -_ANCHOR_MARGIN * extent, (1 + _ANCHOR_MARGIN) * extent
    steps = np.linspace(low, high, 5)
    ring = [(x, y) for x in steps for y in steps if low in (x, y) or high in (x, y)]
    return np.concatenate([points, np.array(ring)]).astype(np.float64)


def _triangles(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Delaunay triangles ``(T, 3)``, as indices of the points."""
    low, high = points.min(axis=0) - 1, points.max(axis=0) + 1
    plane = cv2.Subdiv2D((*map(int, np.floor(low)), *map(int, np.ceil(high - low) + 1)))
    names: dict[int, int] = {}
    for index, (x, y) in enumerate(points):
        names.setdefault(plane.insert((float(x), float(y))), index)
    corners = np.asarray(plane.getTriangleList()).reshape(-1, 3, 2)
    by_place = {
        tuple(np.asarray(plane.getVertex(vertex)[0], dtype=np.float32)): index
        for vertex, index in names.items()
    }
    rows = [[by_place.get(tuple(corner)) for corner in triangle] for triangle in corners]
    # Those with a corner of the frame that OpenCV starts from are none of ours.
    return np.array([row for row in rows if None not in row], dtype=np.int64)


def _triangle_of_pixel(
    points: NDArray[np.float64], triangles: NDArray[np.int64], size: int
) -> NDArray[np.int32]:
    """``(size, size)``: which triangle covers each pixel; -1 for none."""
    ids = np.full((size, size), -1, dtype=np.int32)
    corners = np.rint(points[triangles] * 2**_SUBPIXEL).astype(np.int32)  # (T, 3, 2)
    for index, triangle in enumerate(corners):
        cv2.fillConvexPoly(ids, triangle, index, shift=_SUBPIXEL)
    return ids


def _pull(
    picture: NDArray[np.uint8],
    source: NDArray[np.floating],
    target: NDArray[np.float64],
    triangles: NDArray[np.int64],
    *,
    size: int,
) -> NDArray[np.float32]:
    """Warp a picture so that the source points come to lie on the target points."""
    ids = np.maximum(_triangle_of_pixel(target, triangles, size), 0)
    corners = np.concatenate([target[triangles], np.ones((len(triangles), 3, 1))], axis=2)
    # Lips that touch make triangles without an area: a line of pixels, and no inverse.
    transforms = (np.linalg.pinv(corners) @ source[triangles]).astype(np.float32)  # (T, 3, 2)
    steps = np.arange(size, dtype=np.float32)
    places = [
        transforms[:, 0, axis][ids] * steps[None, :]
        + transforms[:, 1, axis][ids] * steps[:, None]
        + transforms[:, 2, axis][ids]
        for axis in (0, 1)
    ]
    pulled = cv2.remap(
        picture, places[0], places[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(pulled, dtype=np.float32)


def _light(driver: Driver, portrait: Portrait) -> NDArray[np.float32]:
    """``(3,)``: brightness of the portrait's lower face over the driver's, and some of its colour.

    Skins differ in colour, teeth do not: all of the ratio would give a pale face yellow teeth.
    """
    rest = rest_frame(driver.points, 0.0)
    theirs = _lower_face(driver.crops[rest], driver.points[rest])
    ours = _lower_face(portrait.canvas, portrait.points)
    ratio = ours / np.maximum(theirs, 1)
    brightness = float(ours.mean() / max(theirs.mean(), 1))
    light = brightness * (ratio / brightness) ** _TINT
    return np.asarray(np.clip(light, 0.4, 2.5), dtype=np.float32)


def _lower_face(picture: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean colour around the mouth."""
    mouth = points[_OUTER_LIPS, :]
    centre, reach = mouth.mean(axis=0), float(np.ptp(mouth[:, 0]))
    rows, columns = np.indices(picture.shape[:2])
    distance = np.hypot(columns - centre[0], rows - centre[1])
    ring = picture[(distance > 0.6 * reach) & (distance < 0.9 * reach)]
    if not len(ring):
        raise ConfigError("the mouth of a face mesh lies outside the picture")
    return np.asarray(ring.mean(axis=0), dtype=np.float64)
