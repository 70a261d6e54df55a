import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.faces.boxes import (
    Boxes,
    areas,
    intersections,
    iou,
    moved,
    non_maximum_suppression,
    squared,
)

MODES = ("union", "min")


@st.composite
def boxes_strategy(draw: st.DrawFn, max_boxes: int = 8) -> Boxes:
    """Boxes with corners on a coarse grid, so that equal, touching and nested ones are common."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(-10, 10), st.integers(-10, 10), st.integers(1, 9), st.integers(1, 9)
            ),
            max_size=max_boxes,
        )
    )
    corners = [(x, y, x + width, y + height) for x, y, width, height in rows]
    return np.array(corners, dtype=np.float32).reshape(-1, 4)


def scores_for(boxes: Boxes, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random(len(boxes), dtype=np.float32)


def overlap_with_kept(boxes: Boxes, kept: NDArray[np.int64], mode: str) -> NDArray[np.float32]:
    """The overlap of every box with every kept one, written apart from the code under test."""
    out = np.zeros((len(boxes), len(kept)), dtype=np.float32)
    for i, a in enumerate(boxes):
        for j, b in enumerate(boxes[kept]):
            width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
            height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
            size_a, size_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
            shared = width * height
            whole = size_a + size_b - shared if mode == "union" else min(size_a, size_b)
            out[i, j] = shared / whole
    return out


def test_iou_of_known_boxes() -> None:
    a = np.array([[0, 0, 2, 2]], dtype=np.float32)
    b = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [5, 5, 6, 6]], dtype=np.float32)
    np.testing.assert_allclose(iou(a, b), [[1, 1 / 3, 0, 0]], rtol=1e-6)


def test_empty_boxes_overlap_nothing() -> None:
    empty = np.array([[3, 3, 3, 3], [5, 5, 4, 4]], dtype=np.float32)
    assert areas(empty).tolist() == [0, 0]
    assert iou(empty, empty).tolist() == [[0, 0], [0, 0]]


@given(a=boxes_strategy(), b=boxes_strategy())
def test_iou_is_symmetric_and_bounded(a: Boxes, b: Boxes) -> None:
    overlap = iou(a, b)
    assert overlap.shape == (len(a), len(b))
    assert overlap.dtype == np.float32
    assert np.all((overlap >= 0) & (overlap <= 1))
    np.testing.assert_allclose(overlap, iou(b, a).T)
    np.testing.assert_allclose(np.diagonal(iou(a, a)), 1, rtol=1e-6)


@given(a=boxes_strategy(), dx=st.integers(-50, 50), factor=st.integers(1, 8))
def test_iou_ignores_where_and_how_large_the_boxes_are(a: Boxes, dx: int, factor: int) -> None:
    np.testing.assert_allclose(iou(a * factor + dx, a * factor + dx), iou(a, a), rtol=1e-5)


@given(a=boxes_strategy(), b=boxes_strategy())
def test_boxes_share_no_more_than_the_smaller_one(a: Boxes, b: Boxes) -> None:
    assert np.all(intersections(a, b) <= np.minimum(areas(a)[:, None], areas(b)[None, :]))


@pytest.mark.parametrize("mode", MODES)
@given(
    boxes=boxes_strategy(), seed=st.integers(0, 99), threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7])
)
def test_suppression_keeps_the_best_of_each_heap(
    mode: str, boxes: Boxes, seed: int, threshold: float
) -> None:
    assert mode in ("union", "min")
    scores = scores_for(boxes, seed)
    kept = non_maximum_suppression(
        boxes, scores, threshold=threshold, mode="union" if mode == "union" else "min"
    )
    assert kept.dtype == np.int64
    assert np.all(np.diff(scores[kept]) <= 0)
    overlap = overlap_with_kept(boxes, kept, mode)
    between_kept = overlap[kept]
    np.fill_diagonal(between_kept, 0)
    assert np.all(between_kept <= threshold + 1e-6)
    for index in set(range(len(boxes))) - set(kept.tolist()):
        is_better = scores[kept] >= scores[index]
        assert np.any(is_better & (overlap[index] > threshold - 1e-6))


def test_suppression_by_the_smaller_box_also_removes_a_box_inside_another() -> None:
    boxes = np.array([[0, 0, 10, 10], [4, 4, 6, 6]], dtype=np.float32)
    scores = np.array([0.8, 0.9], dtype=np.float32)
    by_union = non_maximum_suppression(boxes, scores, threshold=0.5, mode="union")
    by_smaller = non_maximum_suppression(boxes, scores, threshold=0.5, mode="min")
    assert by_union.tolist() == [1, 0]
    assert by_smaller.tolist() == [1]


@given(boxes=boxes_strategy())
def test_squared_boxes_are_square_hold_the_box_and_keep_its_centre(boxes: Boxes) -> None:
    square = squared(boxes)
    sides = square[:, 2:] - square[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1])
    np.testing.assert_allclose(square[:, :2] + square[:, 2:], boxes[:, :2] + boxes[:, 2:])
    assert np.all(square[:, :2] <= boxes[:, :2])
    assert np.all(square[:, 2:] >= boxes[:, 2:])


def test_moved_edges_move_by_fractions_of_their_own_box() -> None:
    boxes = np.array([[10, 20, 30, 60]], dtype=np.float32)
    offsets = np.array([[0.5, 0.25, -0.1, 0]], dtype=np.float32)
    np.testing.assert_allclose(moved(boxes, offsets), [[20, 30, 28, 60]])
