"""Batches for the part that draws: a face, another picture of it, and how its mouth stands."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lipwright.corpus import Clips, PackReader
from lipwright.corpus.puppetry import similarity
from lipwright.errors import CorpusError
from lipwright.faces.motion import articulation, rest_frames
from lipwright.faces.points import MESH_INDICES, MIRROR, STABLE
from lipwright.training.augment import (
    PictureChange,
    picture_matrix,
    recolour,
    warp_picture,
    warp_points,
)
from lipwright.training.windows import Batch, ClipDrawer, WindowConfig

_SHORTEST = 10  # frames of a clip that leave room for a reference
_MIN_APART = 3  # frames between what is drawn and its reference
_AT_REST = 0.9  # share of references with a mouth at rest: the renderer prefers them, too
_TREMBLE = 0.03  # standard deviation of noise on the articulation, in its own unit


@dataclass(frozen=True, slots=True)
class _Mouths:
    """What landmarks say of a clip, as it is and seen in a mirror."""

    points: NDArray[np.float32]
    """``(N, P, 2)`` as shares of the stored crop's side."""
    articulation: NDArray[np.float32]
    """``(N, A)``."""
    mirrored: NDArray[np.float32]
    """``(N, A)``."""
    at_rest: NDArray[np.int64]
    """Frames."""


class DrawingWindows:
    """Single frames of many people, each with a reference from another time of its clip.

    The reference is turned, scaled and shifted so that eyes and nose lie where the face has them,
    as the renderer does it.
    """

    def __init__(self, clips: Clips, config: WindowConfig) -> None:
        """Prepare to draw.

        Args:
            clips: Where from; prepared with landmarks.
            config: How; speech is not looked at.

        Raises:
            CorpusError: If no clip is long enough.
        """
        self._drawer = ClipDrawer(clips, config, min_frames=_SHORTEST)
        self._mouths: dict[str, _Mouths] = {}  # small, and slow to compute: kept

    def batch(self, step: int) -> Batch:
        """Make one batch.

        Args:
            step: Its number.

        Returns:
            ``faces`` and ``reference`` ``(B, 3, R, R)`` uint8 RGB; ``articulation`` ``(B, A)``
            of the faces, see ``faces.motion``; ``points`` and ``reference_points`` ``(B, P, 2)``
            as shares of the side, the same place in each row the same spot of the skin.

        Raises:
            CorpusError: If a clip has no landmarks.
        """
        rng = self._drawer.rng(step)
        rows = [self._row(rng) for _ in range(self._drawer.config.batch_size)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _row(self, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        config, clip = self._drawer.config, self._drawer.clip(rng)
        mouths = self._of(clip)
        change = self._drawer.picture_change(rng)
        frame = int(rng.integers(clip.num_frames))
        other = _reference(clip.num_frames, frame, mouths.at_rest, rng)
        moved = _moved(change, rng) if config.with_picture_changes else change
        size = config.resolution
        picture, reference = clip.frame(frame), clip.frame(other)
        stored = picture.shape[0]
        matrix = picture_matrix(change, stored=stored, size=size)
        onto = _onto(mouths.points[other], mouths.points[frame], stored=stored)
        reference_matrix = _after(onto, picture_matrix(moved, stored=stored, size=size))
        articulated = (mouths.mirrored if change.is_flipped else mouths.articulation)[frame]
        if config.with_picture_changes:
            noise = rng.normal(0, _TREMBLE, articulated.shape)
            articulated = (articulated + noise).astype(np.float32)
        return {
            "faces": _picture(picture, matrix, change, size=size),
            "reference": _picture(reference, reference_matrix, change, size=size),
            "articulation": articulated,
            "points": warp_points(mouths.points[frame], matrix, stored=stored, size=size),
            "reference_points": warp_points(
                mouths.points[other], reference_matrix, stored=stored, size=size
            ),
        }

    def _of(self, clip: PackReader) -> _Mouths:
        key = str(clip.path)
        if key not in self._mouths:
            mesh = clip.points
            if mesh is None:
                raise CorpusError(
                    f"{clip.path} has no landmarks; prepare the corpus again with --landmarks"
                )
            points = mesh[:, list(MESH_INDICES)]
            turned = points[:, list(MIRROR)] * (-1, 1) + (1, 0)
            self._mouths[key] = _Mouths(
                points, articulation(points), articulation(turned), rest_frames(points)
            )
        return self._mouths[key]


def _moved(change: PictureChange, rng: np.random.Generator) -> PictureChange:
    """The same light and mirror, with the head a little elsewhere."""
    across, down = (change.shift + rng.normal(0, 0.004, 2)).tolist()
    return replace(
        change,
        scale=change.scale * float(np.exp(rng.normal(0, 0.008))),
        degrees=change.degrees + float(rng.normal(0, 0.7)),
        shift=(across, down),
    )


def _onto(
    points: NDArray[np.float32], aim: NDArray[np.float32], *, stored: int
) -> NDArray[np.float64]:
    """``(2, 3)``: turn, scale and shift that bring eyes and nose onto others', in pixels."""
    source, target = (
        (face[list(STABLE)] * stored - 0.5).astype(np.float64) for face in (points, aim)
    )
    return similarity(source, target)


def _after(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(2, 3)``: one affine map, then another."""
    linear = second[:, :2] @ first[:, :2]
    return np.column_stack([linear, second[:, :2] @ first[:, 2] + second[:, 2]])


def _picture(
    crop: NDArray[np.uint8], matrix: NDArray[np.float64], change: PictureChange, *, size: int
) -> NDArray[np.uint8]:
    return recolour(warp_picture(crop, matrix, size=size), change).transpose(2, 0, 1)


def _reference(
    num_frames: int, frame: int, at_rest: NDArray[np.int64], rng: np.random.Generator
) -> int:
    frames = at_rest if rng.random() < _AT_REST else np.arange(num_frames)
    apart = frames[np.abs(frames - frame) >= _MIN_APART]
    if not len(apart):
        apart = np.delete(np.arange(num_frames), frame)
    return int(rng.choice(apart))
