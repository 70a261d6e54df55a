"""What came of a situation: its pictures, and what changed in them; no test functions."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from situation_clips import MOUTH, PATCH, level_of
from situations import Played

Luma = NDArray[np.uint16]
Box = tuple[int, int, int, int]
SLACK = 4  # samples by which a mouth may reach out of the place where it is expected


def samples_of(picture: av.VideoFrame, plane: int = 0) -> Luma:
    """One plane as it was decoded: ``(H, W)``."""
    depth = picture.format.components[0].bits
    kept = picture.planes[plane]
    dtype = np.dtype(np.uint8 if depth == 8 else np.uint16)
    rows = np.frombuffer(kept, dtype=dtype).reshape(kept.height, -1)
    return rows[:, : kept.width].astype(np.uint16)


def film(path: Path, plane: int = 0) -> tuple[list[Fraction], list[Luma]]:
    """Time stamps in seconds and samples of all pictures."""
    with av.open(str(path)) as container:
        pictures = list(container.decode(video=0))
        unit = container.streams.video[0].time_base
        return [p.pts * unit for p in pictures], [samples_of(p, plane) for p in pictures]


def stream_of(path: Path) -> av.VideoStream:
    """What is said of the pictures of a file."""
    with av.open(str(path)) as container:
        return container.streams.video[0]


def change(before: Luma, after: Luma) -> Box | None:
    """The box of all samples that differ, x0 y0 x1 y1; None if none does."""
    rows, columns = np.nonzero(before != after)
    if not rows.size:
        return None
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def changes(result: Played) -> list[Box | None]:
    """What changed in each frame of a result that shows its source's frames one by one."""
    before, after = film(result.face)[1], film(result.out)[1]
    return [change(*pair) for pair in zip(before, after, strict=False)]


def is_within(box: Box | None, place: Box) -> bool:
    """Whether something changed, there and nowhere else."""
    return box is not None and all((
        box[0] >= place[0] - SLACK, box[1] >= place[1] - SLACK,
        box[2] <= place[2] + SLACK, box[3] <= place[3] + SLACK,
    ))  # fmt: skip


def all_within(boxes: Sequence[Box | None], place: Box) -> bool:
    return len(boxes) > 0 and all(is_within(box, place) for box in boxes)


def shown(pictures: Sequence[Luma], among: int) -> list[int]:
    """Which frame of the source each picture shows, by its patch."""
    # Of limited range, which x264 is given.
    levels = [16 + level_of(index) * 219 / 255 for index in range(among)]
    patches = [picture[2 : PATCH - 2, 2 : PATCH - 2].mean() for picture in pictures]
    return [int(np.argmin(np.abs(np.array(levels) - patch))) for patch in patches]


def motion(pictures: Sequence[Luma], place: Box = MOUTH) -> float:
    """How much a place changes over time, in levels; grain, which changes anyway, is averaged."""
    x0, y0, x1, y1 = place
    cut = np.stack([cv2.blur(p[y0:y1, x0:x1].astype(np.float32), (7, 7)) for p in pictures])
    return float(cut.std(axis=0).mean())
