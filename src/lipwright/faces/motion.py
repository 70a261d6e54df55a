"""How lips and jaw move against their rest: much the same in every face that says the same."""

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces.points import EYE_CORNERS, JAW, LIPS, STABLE, shape_of_mouth

Points = NDArray[np.floating]

MOTION_POINTS = LIPS + JAW[::3]
MOTION_LENGTH = 2 * len(MOTION_POINTS)
_REST = 5  # one in so many frames of a clip counts as rest
MOTION_SCALE = 20.0  # brings motion, in distances of the eye corners, to the size of 1


def align(points: Points, onto: Points) -> NDArray[np.float64]:
    """Bring faces onto others by turning, scaling and shifting: the best fit of stable points.

    The least-squares similarity of Umeyama, IEEE PAMI 13 (1991), in the plane; the points are the
    eyes and the nose, which speech hardly moves.

    Args:
        points: ``(N, P, 2)``.
        onto: ``(N, P, 2)``.

    Returns:
        ``(N, P, 2)`` float64: the first faces, where the second ones are.

    Raises:
        ConfigError: If the two differ in shape, or the stable points of a face are one.
    """
    if points.shape != onto.shape:
        raise ConfigError(f"landmarks differ in shape: {points.shape} and {onto.shape}")
    # As complex numbers a similarity is z -> a z + b.
    z, w = (p[..., 0] + 1j * p[..., 1].astype(np.float64) for p in (points, onto))
    stable = list(STABLE)
    z_mean, w_mean = z[:, stable].mean(axis=1), w[:, stable].mean(axis=1)
    z_centred, w_centred = z[:, stable] - z_mean[:, None], w[:, stable] - w_mean[:, None]
    spread = (np.abs(z_centred) ** 2).sum(axis=1)
    if not (spread > 0).all():  # NaN too
        raise ConfigError(f"eyes and nose are one point in frame {int(np.argmin(spread > 0))}")
    turn = (z_centred.conj() * w_centred).sum(axis=1) / spread
    aligned = turn[:, None] * (z - z_mean[:, None]) + w_mean[:, None]
    return np.stack([aligned.real, aligned.imag], axis=-1)


def alignment(points: Points, onto: Points) -> NDArray[np.float64]:
    """Turn, scale and shift that bring one face's eyes and nose onto another's; see :func:`align`.

    Args:
        points: ``(P, 2)`` landmarks of ``faces.points``.
        onto: ``(P, 2)``.

    Returns:
        ``(2, 3)`` float64, to be applied to ``(x, y, 1)``.

    Raises:
        ConfigError: If the stable points of the first face are one.
    """
    square = np.array([[0, 0], [1, 0]], dtype=np.float64)
    probe = np.concatenate([points, square])[None]
    aim = np.concatenate([onto, square])[None]
    origin, right = align(probe, aim)[0, -2:]
    (a, b), (x, y) = right - origin, origin
    return np.array([[a, -b, x], [b, a, y]])


def lip_motion(points: Points) -> NDArray[np.float32]:
    """How lips and jaw stand against the median of a clip, with the head's motion taken out.

    Args:
        points: ``(N, P, 2)`` landmarks of ``faces.points`` of one person, in any unit; all frames
            of a clip, for its median is the rest that is taken off.

    Returns:
        ``(N, MOTION_LENGTH)`` float32: x and y of each of ``MOTION_POINTS``, in twentieths of the
        distance of the eye corners.

    Raises:
        ConfigError: If the stable points of a frame, or the corners of the eyes, are one.
    """
    upright = _steady(points)[:, list(MOTION_POINTS)]
    return _in_units(upright - np.median(upright, axis=0))


def articulation(points: Points) -> NDArray[np.float32]:
    """How lips and jaw stand against the mouth at rest, with the head's motion taken out.

    As :func:`lip_motion`, but nothing is a mouth at rest: the mean of the fifth of the clip's
    frames in which it is the least open.

    Args:
        points: ``(N, P, 2)`` landmarks of ``faces.points`` of one person, in any unit; all frames
            of a clip.

    Returns:
        ``(N, MOTION_LENGTH)`` float32, in twentieths of the distance of the eye corners.

    Raises:
        ConfigError: If the stable points of a frame, or the corners of the eyes, are one.
    """
    upright = _steady(points)[:, list(MOTION_POINTS)]
    return _in_units(upright - upright[rest_frames(points)].mean(axis=0))


def rest_frames(points: Points) -> NDArray[np.int64]:
    """The frames in which a mouth is the least open: a fifth of them, one at least.

    Args:
        points: ``(N, P, 2)`` landmarks of ``faces.points``, in any unit.

    Returns:
        Indices, in order.
    """
    opening = shape_of_mouth(np.asarray(points, dtype=np.float32))[:, 0]
    return np.sort(np.argsort(opening, kind="stable")[: max(1, len(points) // _REST)])


def _steady(points: Points) -> NDArray[np.float64]:
    """A clip's faces, ``(N, P, 2)``, upright and of one size, the head's motion taken out."""
    first = np.broadcast_to(points[0], points.shape)
    rest = _upright(np.median(align(points, first), axis=0))
    return align(points, np.broadcast_to(rest, points.shape))


def _in_units(moved: NDArray[np.float64]) -> NDArray[np.float32]:
    return (MOTION_SCALE * moved).reshape(len(moved), -1).astype(np.float32)


def _upright(face: NDArray[np.float64]) -> NDArray[np.float64]:
    """A face, ``(P, 2)``, turned, scaled and shifted so that the eye corners are (0, 0), (1, 0)."""
    z = face[:, 0] + 1j * face[:, 1]
    left, right = (z[corner] for corner in EYE_CORNERS)
    if left == right:
        raise ConfigError("the corners of the eyes are one point")
    z = (z - left) / (right - left)
    return np.stack([z.real, z.imag], axis=-1)
