"""Find faces and five landmarks on each with MTCNN, whatever the picture's resolution.

Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks",
2016: a small network proposes windows at every scale, a second refuses most of them, a third places
the face's edges and landmarks.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lipwright.errors import ConfigError, MediaError
from lipwright.faces.boxes import Boxes, Detection, moved, non_maximum_suppression, squared
from lipwright.faces.mtcnn_networks import ONET_SIDE, RNET_SIDE, compiled, onet, pnet, rnet

WINDOW = 12  # pixels: what the proposal network sees at once, so the smallest face of a level
STRIDE = 2  # pixels between two windows
STEP = math.sqrt(0.5)  # from one level of the pyramid to the next; the paper takes 0.709
WINDOWS_PER_LEVEL = 500  # a picture full of texture must not cost more than one full of faces
PROPOSALS = 256
OUTSIDE = (128, 128, 128)  # what patches see beyond the picture's edge: zero to the networks

Picture = NDArray[np.uint8]
"""``(H, W, 3)`` uint8 RGB."""


class Mtcnn:
    """MTCNN with the weights of the mtcnn wheel, run by OpenVINO on the CPU; not thread-safe."""

    def __init__(
        self,
        *,
        min_face: float = 0.1,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8),
        num_threads: int | None = None,
    ) -> None:
        """Load the three networks.

        Args:
            min_face: Height of the smallest face to be found, relative to the picture's shorter
                side, in (0, 1]; never less than 12 pixels. Cost grows with its inverse square, not
                with resolution.
            thresholds: Scores above which a face passes each of the three networks, in [0, 1).
            num_threads: Threads the networks may use; None leaves the choice to OpenVINO.

        Raises:
            ConfigError: If a value is out of its range.
            CheckpointError: If the weights are missing or not the expected ones.
        """
        if not 0 < min_face <= 1:
            raise ConfigError(f"min_face must be above 0 and at most 1, got {min_face}")
        if len(thresholds) != 3 or not all(0 <= threshold < 1 for threshold in thresholds):
            raise ConfigError(f"thresholds must be three numbers in [0, 1), got {thresholds}")
        if num_threads is not None and num_threads < 1:
            raise ConfigError(f"num_threads must be at least 1, got {num_threads}")
        self._min_face = min_face
        self._thresholds = thresholds
        self._pnet = compiled(pnet(), num_threads=num_threads)
        self._pnet_requests: list[ov.InferRequest] = []
        self._rnet = compiled(rnet(), num_threads=num_threads).create_infer_request()
        self._onet = compiled(onet(), num_threads=num_threads).create_infer_request()

    def detect(self, pixels: Picture) -> list[Detection]:
        """Find every face.

        Args:
            pixels: Picture, ``(H, W, 3)`` uint8 RGB.

        Returns:
            The faces, best score first; empty if there are none, or if the picture is less than 12
            pixels wide or high.

        Raises:
            MediaError: If the picture has another shape or type.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise MediaError(
                f"a picture must be (H, W, 3) uint8, got {pixels.shape} {pixels.dtype}"
            )
        short_side = min(pixels.shape[:2])
        if short_side < WINDOW:
            return []
        finer, scanned = pyramid_scales(short_side, min_face=self._min_face)
        levels = shrink(pixels, finer + scanned)
        size = (pixels.shape[1], pixels.shape[0])
        boxes = self._proposed(levels[len(finer) :], size)
        boxes = self._refined(boxes, levels, size)
        return self._finished(boxes, levels, size)

    def confirm(self, patch: Picture) -> Detection | None:
        """Judge a face that is known to be about there, by the last network alone.

        Args:
            patch: ``(ONET_SIDE, ONET_SIDE, 3)`` uint8 RGB, which the face would fill.

        Returns:
            The face in pixels of the patch; None if there is none.
        """
        whole = np.array([[0, 0, ONET_SIDE, ONET_SIDE]], dtype=np.float32)
        return next(iter(self._judged(whole, patch[None])), None)

    def _proposed(self, levels: Sequence[Picture], size: tuple[int, int]) -> Boxes:
        """Scan each level; returns square boxes in pixels of the picture."""
        # A request per level: one that keeps its shape from frame to frame runs faster.
        while len(self._pnet_requests) < len(levels):
            self._pnet_requests.append(self._pnet.create_infer_request())
        found = [
            _windows(request, level, threshold=self._thresholds[0])
            for request, level in zip(self._pnet_requests, levels, strict=False)
        ]
        boxes = np.concatenate(
            [boxes * _stretch(level, size) for (boxes, _), level in zip(found, levels, strict=True)]
        )
        scores = np.concatenate([scores for _, scores in found])
        kept = non_maximum_suppression(boxes, scores, threshold=0.7, mode="union")
        return squared(boxes[kept[:PROPOSALS]])

    def _refined(self, boxes: Boxes, levels: Sequence[Picture], size: tuple[int, int]) -> Boxes:
        """Refuse most proposals and place the others better; returns square boxes."""
        if not len(boxes):
            return boxes
        patches = cut_patches(levels, boxes, side=RNET_SIDE, size=size)
        scores, offsets = _outputs(self._rnet, patches)
        passed = scores > self._thresholds[1]
        boxes = moved(boxes[passed], offsets[passed])
        kept = non_maximum_suppression(boxes, scores[passed], threshold=0.7, mode="union")
        return squared(boxes[kept])

    def _finished(
        self, boxes: Boxes, levels: Sequence[Picture], size: tuple[int, int]
    ) -> list[Detection]:
        """Judge the remaining boxes and place their edges and landmarks."""
        if not len(boxes):
            return []
        return self._judged(boxes, cut_patches(levels, boxes, side=ONET_SIDE, size=size))

    def _judged(self, boxes: Boxes, patches: Picture) -> list[Detection]:
        scores, offsets, places = _outputs(self._onet, patches)
        passed = scores > self._thresholds[2]
        boxes, scores = boxes[passed], scores[passed]
        places = places[passed].reshape(-1, 2, 5).transpose(0, 2, 1)  # (N, 5, 2)
        landmarks = boxes[:, None, :2] + places * (boxes[:, 2:] - boxes[:, :2])[:, None]
        boxes = moved(boxes, offsets[passed])
        kept = non_maximum_suppression(boxes, scores, threshold=0.7, mode="min")
        return [
            Detection(box=boxes[i], landmarks=landmarks[i], score=float(scores[i])) for i in kept
        ]


def pyramid_scales(short_side: int, *, min_face: float) -> tuple[list[float], list[float]]:
    """Choose the sizes at which a picture is looked at.

    Args:
        short_side: The picture's shorter side in pixels.
        min_face: Smallest face relative to that.

    Returns:
        Scales relative to the picture, none above 1, falling: those only patches are cut from, up
        to where the smallest face fills a patch of the last network; then those scanned for faces,
        from where the smallest face fills a window to where the picture itself does.
    """
    first = min(1.0, WINDOW / (min_face * short_side))
    finest = min(1.0, first * ONET_SIDE / WINDOW)
    num_scanned = 1 + max(0, math.floor(math.log(WINDOW / (short_side * first), STEP)))
    num_finer = math.ceil(math.log(first / finest, STEP) - 1e-6)
    finer = [first / STEP**k for k in range(num_finer - 1, 0, -1)]
    return [finest] * (num_finer > 0) + finer, [first * STEP**k for k in range(num_scanned)]


def shrink(pixels: Picture, scales: Sequence[float]) -> list[Picture]:
    """Shrink a picture to each of several scales.

    Args:
        pixels: ``(H, W, 3)`` uint8 RGB.
        scales: In (0, 1], falling.

    Returns:
        One picture per scale, contiguous, at least 12 pixels wide and high.
    """
    height, width = pixels.shape[:2]
    levels: list[Picture] = []
    for scale in scales:
        size = (max(WINDOW, round(width * scale)), max(WINDOW, round(height * scale)))
        # From a level of about twice the width: far cheaper than always from the picture, and far
        # less blurred than through every level between.
        wide_enough = (level for level in reversed(levels) if level.shape[1] >= 1.9 * size[0])
        source = next(wide_enough, levels[0] if levels else np.ascontiguousarray(pixels))
        levels.append(_resized(source, size))
    return levels


def cut_patches(
    levels: Sequence[Picture], boxes: Boxes, *, side: int, size: tuple[int, int]
) -> Picture:
    """Cut square patches out of the levels that show them at about the right size.

    Args:
        levels: One picture in falling sizes, each ``(H, W, 3)`` uint8 RGB.
        boxes: What to cut, ``(N, 4)`` float32 pixels of the picture at its full size.
        side: Side of the patches in pixels.
        size: Full width and height of the picture in pixels.

    Returns:
        ``(N, side, side, 3)`` uint8 RGB, grey beyond the picture's edge.
    """
    patches = np.empty((len(boxes), side, side, 3), dtype=np.uint8)
    stretches = [_stretch(level, size) for level in levels]
    for patch, box in zip(patches, boxes, strict=True):
        box_side = float(box[2] - box[0])
        fitting = (i for i in reversed(range(len(levels))) if box_side >= side * stretches[i][0])
        index = next(fitting, 0)
        start = box[:2] / stretches[index][:2]
        step = (box[2:] - box[:2]) / stretches[index][:2] / side
        shift = start + step / 2 - 0.5  # from pixel centres to pixel centres
        matrix = np.array([[step[0], 0, shift[0]], [0, step[1], shift[1]]], dtype=np.float64)
        cv2.warpAffine(
            levels[index],
            matrix,
            (side, side),
            dst=patch,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=OUTSIDE,
        )
    return patches


def _resized(pixels: Picture, size: tuple[int, int]) -> Picture:
    """Shrink to a width and height without aliasing."""
    if size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    # Down to about a half, bilinear still weighs every pixel in, at a sixth of the cost.
    is_mild = pixels.shape[1] <= 2.1 * size[0]
    method = cv2.INTER_LINEAR if is_mild else cv2.INTER_AREA
    return np.asarray(cv2.resize(pixels, size, interpolation=method), dtype=np.uint8)


def _stretch(level: Picture, size: tuple[int, int]) -> NDArray[np.float32]:
    """Give the factors, ``(4,)``, that bring a box from a level to the full width and height."""
    x, y = size[0] / level.shape[1], size[1] / level.shape[0]
    return np.array([x, y, x, y], dtype=np.float32)


def _windows(
    pnet_request: ov.InferRequest, level: Picture, *, threshold: float
) -> tuple[Boxes, NDArray[np.float32]]:
    """Find the windows of one level that may hold a face: boxes in its pixels, and scores."""
    scores, offsets = _outputs(pnet_request, level[None])  # (1, h, w), (1, h, w, 4)
    rows, columns = np.nonzero(scores[0] > threshold)
    passed = scores[0, rows, columns]
    corners = np.stack([columns, rows], axis=1).astype(np.float32) * STRIDE
    boxes = moved(np.concatenate([corners, corners + WINDOW], axis=1), offsets[0, rows, columns])
    best = np.argsort(-passed, kind="stable")[:WINDOWS_PER_LEVEL]
    kept = best[non_maximum_suppression(boxes[best], passed[best], threshold=0.5, mode="union")]
    return boxes[kept], passed[kept]


def _outputs(request: ov.InferRequest, pixels: Picture) -> list[NDArray[np.float32]]:
    """Run a network; what it returns is overwritten by its next run."""
    results = request.infer([pixels], share_inputs=True, share_outputs=True)
    return list(results.values())
