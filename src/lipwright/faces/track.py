"""Follow one face through time: which crop of each frame the networks see.

The detector looks at every few frames; between its looks the face moves in straight lines. The
result is smoothed by a symmetric window, which takes the jitter away and adds no lag.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces.boxes import Detection, FaceDetector
from lipwright.faces.crop import CROP_RULES, CropRule

MAX_GAP = Fraction(2, 5)  # seconds without a face that are bridged
SMOOTHING = Fraction(3, 25)  # seconds: standard deviation of the window
_MIN_OVERLAP = 0.2  # intersection over union that makes two detections one face


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceTrack:
    """Where one face is, frame by frame."""

    times: tuple[Fraction, ...]
    """Time stamps of the frames, in seconds."""
    boxes: NDArray[np.float32]
    """``(N, 4)`` crop of each frame, half-open pixels x0 y0 x1 y1; NaN where there is no face."""
    is_found: NDArray[np.bool_]
    """``(N,)`` whether the frame has a face, seen or bridged."""


def _largest(detection: Detection, _width: int) -> float:
    box = detection.box
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _leftmost(detection: Detection, _width: int) -> float:
    return -float(detection.box[0] + detection.box[2])


def _rightmost(detection: Detection, _width: int) -> float:
    return float(detection.box[0] + detection.box[2])


def _central(detection: Detection, width: int) -> float:
    return -abs(float(detection.box[0] + detection.box[2]) - width)


CHOICES: dict[str, Callable[[Detection, int], float]] = {
    "largest": _largest,
    "central": _central,
    "leftmost": _leftmost,
    "rightmost": _rightmost,
}


def require_choice(choice: str) -> None:
    """Make sure that there is such a way to choose a face.

    Raises:
        ConfigError: If there is not; lists the known ones.
    """
    if choice not in CHOICES:
        raise ConfigError(f"unknown face choice {choice!r}; one of: {', '.join(CHOICES)}")


def track_face(
    frames: Iterable[tuple[NDArray[np.uint8], Fraction]],
    detector: FaceDetector,
    *,
    choice: str = "largest",
    every: int = 1,
    smoothing: Fraction = SMOOTHING,
    crop: CropRule = "lipwright",
) -> FaceTrack:
    """Follow one face through a video, keeping boxes only, never frames.

    Args:
        frames: ``(H, W, 3)`` uint8 RGB pictures with their time stamps in seconds, in order.
        detector: Finds the faces of one picture.
        choice: Which face to follow when several are seen first: ``largest``, ``central``,
            ``leftmost`` or ``rightmost``.
        every: Look for faces in every this many frames, and in the last.
        smoothing: Standard deviation of the smoothing window in seconds; 0 for none.
        crop: Rule that turns a face into the box that is followed.

    Returns:
        The track; gaps of up to 0.4 s are bridged, longer ones have no face. The first box is held
        back in time, and the last one onward, for up to 0.4 s.

    Raises:
        ConfigError: If the choice is unknown or ``every`` is below 1.
    """
    require_choice(choice)
    if every < 1:
        raise ConfigError(f"every must be at least 1, got {every}")
    times: list[Fraction] = []
    looks: list[tuple[int, Detection]] = []  # frame index and the face followed
    for index, ((pixels, time), is_last) in enumerate(_and_is_last(frames)):
        times.append(time)
        if is_last or index % every == 0:
            is_near = looks and _are_near(times, looks[-1][0], index, every=every)
            followed = _follow(
                detector.detect(pixels),
                last=looks[-1][1] if is_near else None,
                is_recent=bool(looks) and time - times[looks[-1][0]] <= MAX_GAP,
                choice=choice,
                width=pixels.shape[1],
            )
            if followed is not None:
                looks.append((index, followed))
    boxes, is_found = _boxes_between(times, looks, every=every, crop=crop)
    return FaceTrack(
        times=tuple(times),
        boxes=smooth_boxes(times, boxes, smoothing=smoothing),
        is_found=is_found,
    )


def _and_is_last(
    frames: Iterable[tuple[NDArray[np.uint8], Fraction]],
) -> Iterator[tuple[tuple[NDArray[np.uint8], Fraction], bool]]:
    waiting = None
    for frame in frames:
        if waiting is not None:
            yield waiting, False
        waiting = frame
    if waiting is not None:
        yield waiting, True


def _follow(
    detections: list[Detection],
    *,
    last: Detection | None,
    is_recent: bool,
    choice: str,
    width: int,
) -> Detection | None:
    if last is not None:
        nearest = max(detections, key=lambda d: overlap(last.box, d.box), default=None)
        if nearest is not None and overlap(last.box, nearest.box) >= _MIN_OVERLAP:
            return nearest
        if is_recent:
            return None
    # A face lost for longer than a gap is another face: choose afresh.
    return max(detections, key=lambda d: CHOICES[choice](d, width), default=None)


def _are_near(times: list[Fraction], before: int, after: int, *, every: int) -> bool:
    """Whether two looks follow each other, or leave no more than a gap between them."""
    return after - before <= every or times[after] - times[before] <= MAX_GAP


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes, ``(4,)`` each; 0 for boxes without an area."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    inter = float(np.prod(np.maximum(sides, 0)))
    union = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - inter
    return inter / union if union > 0 else 0.0


def _boxes_between(
    times: list[Fraction],
    looks: list[tuple[int, Detection]],
    *,
    every: int,
    crop: CropRule,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Crop boxes of all frames: straight lines between near looks at one face."""
    boxes = np.full((len(times), 4), np.nan, dtype=np.float32)
    for index, seen in looks:
        boxes[index] = CROP_RULES[crop](seen)
    for (before, seen_before), (after, seen_after) in pairwise(looks):
        is_one_face = overlap(seen_before.box, seen_after.box) >= _MIN_OVERLAP
        if is_one_face and _are_near(times, before, after, every=every):
            for index in range(before + 1, after):
                share = float((times[index] - times[before]) / (times[after] - times[before]))
                boxes[index] = (1 - share) * boxes[before] + share * boxes[after]
    # The frames before the first look that succeeded, and after the last, up to a gap's length.
    if looks:
        _extend(boxes, times, range(looks[0][0] - 1, -1, -1), every=every)
        _extend(boxes, times, range(looks[-1][0] + 1, len(times)), every=every)
    return boxes, ~np.isnan(boxes[:, 0])


def _extend(
    boxes: NDArray[np.float32], times: list[Fraction], indices: range, *, every: int
) -> None:
    """Hold the box beside the range's beginning, to the next look or the longest gap."""
    known = indices.start - indices.step
    for index in indices:
        if abs(index - known) >= every and abs(times[index] - times[known]) > MAX_GAP:
            return
        boxes[index] = boxes[known]


def smooth_boxes(
    times: list[Fraction], boxes: NDArray[np.float32], *, smoothing: Fraction
) -> NDArray[np.float32]:
    """Average each box with its neighbours in time by a Gaussian window, in straight lines.

    A line is fitted under the window rather than a constant, so that a face that moves or grows
    steadily stays where it is, at both ends too.

    Args:
        times: Time stamps in seconds, rising.
        boxes: ``(N, 4)`` float32; rows of NaN part the track into pieces.
        smoothing: Standard deviation of the window in seconds; 0 leaves the boxes as they are.

    Returns:
        ``(N, 4)`` float32.
    """
    if smoothing <= 0 or len(times) < 3:
        return boxes
    seconds = np.array([float(time) for time in times])
    smoothed = boxes.copy()
    reach = 3 * smoothing  # compared exactly: 25 fps has frames at the very edge of the default
    for index in np.flatnonzero(~np.isnan(boxes[:, 0])):
        first, last = index, index
        while first > 0 and times[index] - times[first - 1] <= reach:
            if np.isnan(boxes[first - 1, 0]):
                break
            first -= 1
        while last + 1 < len(times) and times[last + 1] - times[index] <= reach:
            if np.isnan(boxes[last + 1, 0]):
                break
            last += 1
        offsets = seconds[first : last + 1] - seconds[index]
        weights = np.exp(-0.5 * (offsets / float(smoothing)) ** 2)
        smoothed[index] = line_at_zero(offsets, boxes[first : last + 1], weights)
    return smoothed


def line_at_zero(
    offsets: NDArray[np.float64], boxes: NDArray[np.float32], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Value at offset 0 of the weighted least-squares line through boxes.

    Args:
        offsets: ``(N,)`` seconds from the moment that is asked for.
        boxes: ``(N, 4)``.
        weights: ``(N,)`` above 0.

    Returns:
        ``(4,)``.
    """
    weights = weights / weights.sum()
    mean_offset = float(weights @ offsets)
    mean_box = weights @ boxes
    variance = float(weights @ (offsets - mean_offset) ** 2)
    if variance == 0:
        return np.asarray(mean_box)
    slope = (weights * (offsets - mean_offset)) @ (boxes - mean_box) / variance
    return np.asarray(mean_box - slope * mean_offset)
