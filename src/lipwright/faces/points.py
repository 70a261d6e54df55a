"""Which points of a face are found at run time: their order, their groups, and what a mouth does.

Each is a point of MediaPipe's face mesh, so that a mesh can be brought into this order. Left and
right are those of the picture.
"""

import numpy as np
from numpy.typing import NDArray

# Indices of the mesh by group, each group in the order of its contour.
OUTER_LIPS: tuple[int, ...] = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375)
OUTER_LIPS += (291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS: tuple[int, ...] = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324)
INNER_LIPS += (308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LEFT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
RIGHT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
OVAL: tuple[int, ...] = (
    10,
    338,
    297,
    332,
    284,
    251,
    389,
    356,
    454,
    323,
    361,
    288,
    397,
    365,
    379,
    378,
    400,
    377,
)
OVAL += (152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
NOSE = (168, 6, 197, 195, 5, 4, 1, 2, 98, 97, 326, 327, 129, 358)
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
CHEEKS = (50, 205, 425, 280)

_GROUPS = {
    "outer_lips": OUTER_LIPS,
    "inner_lips": INNER_LIPS,
    "left_eye": LEFT_EYE,
    "right_eye": RIGHT_EYE,
    "oval": OVAL,
    "nose": NOSE,
    "brows": BROWS,
    "cheeks": CHEEKS,
}
MESH_INDICES = tuple(index for group in _GROUPS.values() for index in group)
NUM_LANDMARKS = len(MESH_INDICES)
_PLACE = {index: place for place, index in enumerate(MESH_INDICES)}
GROUPS = {name: tuple(_PLACE[i] for i in group) for name, group in _GROUPS.items()}
"""Name of a group -> places of its points."""

# The lower half of the oval, from ear to ear over the chin (point 152 of the mesh).
JAW = GROUPS["oval"][8:29]
LIPS = GROUPS["outer_lips"] + GROUPS["inner_lips"]
STABLE = GROUPS["left_eye"] + GROUPS["right_eye"] + GROUPS["nose"]
"""Points that speech hardly moves."""
EYE_CORNERS = (_PLACE[33], _PLACE[263])
"""The outer ones: their distance is the unit of errors and shapes."""

# Mesh points that change places in a mirror and are not exchanged by their group's order.
_MIRRORED = {
    **dict(zip(LEFT_EYE, RIGHT_EYE, strict=True)),
    **dict(zip(OVAL[1:], reversed(OVAL[1:]), strict=True)),
    **dict(zip(BROWS, reversed(BROWS), strict=True)),
    **dict(zip(CHEEKS, reversed(CHEEKS), strict=True)),
    98: 327,
    97: 326,
    129: 358,
}
for _lips in (OUTER_LIPS, INNER_LIPS):
    _MIRRORED |= dict(zip(_lips[:11], reversed(_lips[:11]), strict=True))
    _MIRRORED |= dict(zip(_lips[11:], reversed(_lips[11:]), strict=True))
_MIRRORED |= {b: a for a, b in list(_MIRRORED.items())}
MIRROR = tuple(_PLACE[_MIRRORED.get(index, index)] for index in MESH_INDICES)
"""``points[MIRROR]``, with x turned about, are the points of the mirrored picture."""


FIVE_POINTS = (
    GROUPS["left_eye"],
    GROUPS["right_eye"],
    (_PLACE[1],),
    (_PLACE[61],),
    (_PLACE[291],),
)
"""Points whose means are the five of a face detector: eyes, nose, corners of the mouth."""
SHAPE_NAMES = ("opening", "width", "height", "jaw")
SHAPE_PAIRS = tuple((_PLACE[a], _PLACE[b]) for a, b in ((13, 14), (61, 291), (0, 17), (1, 152)))
"""Places of the two points between which each number is measured."""


def shape_of_mouth(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a mouth does, in four numbers.

    Args:
        points: ``(..., NUM_LANDMARKS, 2)`` in the order of this module, in any unit.

    Returns:
        ``(..., 4)`` float32: gap between the inner lips (0 closed, about 0.3 wide open), distance
        of the corners, height over the outer lips, distance of nose and chin; all in distances of
        the outer eye corners.
    """
    pairs = [*SHAPE_PAIRS, EYE_CORNERS]
    lengths = [np.linalg.norm(points[..., a, :] - points[..., b, :], axis=-1) for a, b in pairs]
    *shape, eyes = lengths
    return np.asarray(np.stack(shape, axis=-1) / eyes[..., None], dtype=np.float32)
