"""A face mesh made of numbers alone, and a network that sees one in any picture.

The unit is the distance between the middle of the eyes and the middle of the mouth; the origin is
between the eyes.
"""

from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from lipwright.faces.crop import CROP_SIDE, EYES_TO_CENTRE
from lipwright.faces.mesh import MESH_MARGIN, MESH_SIZE

EYE_CORNERS = 1.3  # units from one outer corner to the other: the unit of openings
MOUTH_WIDTH, LIP = 0.7, 0.08  # outer corner to outer corner; thickness of a lip
INNER_WIDTH = 0.6
CORNERS = (78, 308)
UPPER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)
MOUTH_RING = (*CORNERS[:1], *UPPER_LIP, *CORNERS[1:], *reversed(LOWER_LIP))
STEADY = (33, 133, 362, 263, 168, 6, 197, 195)
BROWS_AND_LIDS = (105, 334, 159, 145, 386, 374)
OUTER_LIPS = (61, 0, 291, 17)
NOSE_TIP, CHIN = 1, 152

_NAMED = {
    33: (-EYE_CORNERS / 2, 0.0),
    133: (-0.25, 0.02),
    362: (0.25, 0.02),
    263: (EYE_CORNERS / 2, 0.0),
    168: (0.0, -0.05),
    6: (0.0, 0.1),
    197: (0.0, 0.2),
    195: (0.0, 0.3),
    105: (-0.45, -0.3),
    334: (0.45, -0.3),
    159: (-0.45, -0.06),
    145: (-0.45, 0.07),
    386: (0.45, -0.06),
    374: (0.45, 0.07),
    NOSE_TIP: (0.0, 0.5),
    CHIN: (0.0, 1.6),
    61: (-MOUTH_WIDTH / 2, 1.0),
    291: (MOUTH_WIDTH / 2, 1.0),
    0: (0.0, 1.0 - LIP),
    17: (0.0, 1.0 + LIP),
}


def mesh_face(opening: float = 0.0) -> NDArray[np.float64]:
    """A face from the front.

    Args:
        opening: Of the mouth, as ``faces.mouth_opening`` measures it. The upper lip stays; the
            lower lip, the chin and all below the mouth go down.

    Returns:
        ``(468, 2)`` in units.
    """
    points = _spread(468)
    for index, place in _NAMED.items():
        points[index] = place
    # Closed lips: all nine pairs on the line of the mouth.
    xs = np.linspace(-INNER_WIDTH / 2, INNER_WIDTH / 2, len(UPPER_LIP) + 2)
    ring = np.column_stack([xs, np.ones_like(xs)])
    points[list(CORNERS)] = ring[[0, -1]]
    points[list(UPPER_LIP)] = points[list(LOWER_LIP)] = ring[1:-1]
    gap = opening * EYE_CORNERS
    points[points[:, 1] > 1.0, 1] += gap
    points[list(LOWER_LIP), 1] += gap * (1 - (xs[1:-1] / xs[-1]) ** 2)
    return points


def placed(
    points: NDArray[np.float64],
    *,
    scale: float,
    shift: tuple[float, float] = (0.0, 0.0),
    degrees: float = 0.0,
) -> NDArray[np.float32]:
    """A face somewhere in a picture: ``(..., 468, 2)`` in pixels."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (scale * points @ turn.T + shift).astype(np.float32)


def in_crop(points: NDArray[np.float64], *, size: float, margin: float) -> NDArray[np.float32]:
    """A face where the crop rule puts it, in a square of some margin over that of the rule."""
    scale = size / (margin * CROP_SIDE)
    return placed(points, scale=scale, shift=(size / 2, size / 2 - EYES_TO_CENTRE * scale))


def write_mesh_network(path: Path) -> Path:
    """A landmark network for pictures in which the inside of the mouth, and only that, is green.

    It says that the face stands where the crop rule puts it, and that the mouth is the wider open
    the more green there is where mouths are.
    """
    pictures = ops.parameter([1, MESH_SIZE, MESH_SIZE, 3], np.float32)
    red, green = (ops.gather(pictures, np.int64(i), np.int64(3)) for i in (0, 1))  # (1, 192, 192)
    excess = ops.relu(ops.subtract(ops.subtract(green, red), np.float32(0.1)))
    is_green = ops.minimum(ops.multiply(excess, np.float32(10)), np.float32(1))
    seen = ops.reduce_sum(
        ops.multiply(is_green, _where_mouths_are()), np.array([0, 1, 2]), keep_dims=False
    )
    closed = in_crop(mesh_face(), size=MESH_SIZE, margin=MESH_MARGIN)
    scale = MESH_SIZE / (MESH_MARGIN * CROP_SIDE)
    # Pixels of green in the lens of a mouth: two thirds of its width times its height.
    per_pixel = 1.5 / (INNER_WIDTH * scale * EYE_CORNERS * scale)
    step = in_crop(mesh_face(1.0), size=MESH_SIZE, margin=MESH_MARGIN) - closed
    moved = ops.add(_flat(closed), ops.multiply(_flat(step * np.float32(per_pixel)), seen))
    ov.save_model(ov.Model([moved], [pictures]), path, compress_to_fp16=False)
    return path


def _spread(count: int) -> NDArray[np.float64]:
    """Points all over the face, as seeds in a sunflower, that leave the mouth and the eyes free."""
    index = np.arange(3 * count)
    radius, angle = np.sqrt((index + 0.5) / len(index)), index * np.pi * (3 - np.sqrt(5))
    points = np.column_stack([0.95 * np.cos(angle), 1.15 * np.sin(angle)]) * radius[:, None]
    points += (0, 0.45)
    is_free = np.hypot(points[:, 0] / 0.45, (points[:, 1] - 1) / 0.16) > 1
    is_free &= np.abs(points[:, 1] - 1) > 0.02  # nobody is in doubt on which side of the mouth
    chosen = points[is_free]
    return chosen[np.linspace(0, len(chosen) - 1, count).astype(int)]


def _where_mouths_are() -> NDArray[np.float32]:
    left, top = in_crop(np.array([-0.4, 0.9]), size=MESH_SIZE, margin=MESH_MARGIN).astype(int)
    right, bottom = in_crop(np.array([0.4, 1.6]), size=MESH_SIZE, margin=MESH_MARGIN).astype(int)
    mask = np.zeros((1, MESH_SIZE, MESH_SIZE), dtype=np.float32)
    mask[:, top:bottom, left:right] = 1
    return mask


def _flat(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(468, 2)`` -> ``(1, 1, 1, 1404)``: x, y and a depth of zero."""
    deep = np.column_stack([points, np.zeros(len(points), dtype=np.float32)])
    return deep.reshape(1, 1, 1, -1).astype(np.float32)
