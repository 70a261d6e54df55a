"""Every step of the released way of rendering, against numbers computed by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.inference.released import (
    cut_face,
    padded_box,
    paste_hard,
    released_pixels,
    released_source,
    released_windows,
    smooth_in_place,
)


def counted_mel(num_columns: int) -> NDArray[np.float32]:
    """Each column holds its own number."""
    return np.tile(np.arange(num_columns, dtype=np.float32), (80, 1))


def first_columns(num_columns: int, fps: float) -> list[int]:
    windows = released_windows(counted_mel(num_columns), fps)
    assert windows.shape[1:] == (1, 80, 16)
    assert (np.diff(windows[:, 0, 0], axis=1) == 1).all()
    return [int(start) for start in windows[:, 0, 0, 0]]


def test_windows_step_by_the_truncated_index_and_the_last_is_moved_back() -> None:
    # 0.5 s of speech at 25 fps: 41 columns. 0 3.2 6.4 9.6 12.8 16 19.2 22.4 fit (22 + 16 <= 41);
    # 25.6 does not (25 + 16 = 41 does): so 25 fits too, 28 does not, and the last begins at 25.
    assert first_columns(41, 25.0) == [0, 3, 6, 9, 12, 16, 19, 22, 25, 25]
    # At 30 fps: 0 2.67 5.33 8, and so on in thirds.
    assert first_columns(30, 30.0) == [0, 2, 5, 8, 10, 13, 14]


def test_a_speech_of_one_window_gives_it_twice() -> None:
    # Frame 0 fits; frame 1 does not, and is given the last window, which is the same one.
    assert first_columns(16, 25.0) == [0, 0]


def test_the_video_ends_up_to_a_fifth_of_a_second_early() -> None:
    # 3 s of speech have 241 columns; 75 frames would be due.
    assert len(first_columns(241, 25.0)) == 72


def test_the_step_is_computed_in_floating_point_as_released() -> None:
    for fps in (23.976023976, 29.97002997, 50.0, 59.94005994):
        step = 80.0 / fps
        expected = []
        while int(len(expected) * step) + 16 <= 2000:
            expected.append(int(len(expected) * step))
        assert first_columns(2000, fps)[:-1] == expected


def test_too_short_a_speech_and_an_impossible_rate_are_refused() -> None:
    with pytest.raises(ConfigError, match="16 columns of mel"):
        released_windows(counted_mel(15), 25.0)
    with pytest.raises(ConfigError, match="rate above 0"):
        released_windows(counted_mel(40), 0.0)


def test_the_video_starts_over_when_it_ends() -> None:
    assert [released_source(index, 3) for index in range(8)] == [0, 1, 2, 0, 1, 2, 0, 1]


def test_a_box_is_cut_off_to_whole_pixels_padded_and_kept_inside() -> None:
    box = np.array([10.9, -3.2, 57.999, 61.5])
    assert padded_box(box, width=640, height=480) == (10, 0, 57, 71)
    assert padded_box(box, width=50, height=66) == (10, 0, 50, 66)
    assert padded_box(box, width=640, height=480, pads=(5, 20, 12, 3)) == (0, 0, 60, 81)


def test_smoothing_goes_on_with_what_it_has_written() -> None:
    lefts = [10, 20, 30, 40, 50, 60, 70]
    boxes = np.array([[x, x + 1, x + 2, x + 3] for x in lefts], dtype=np.int64)
    smoothed = smooth_in_place(boxes)
    # 0: mean of 10..50 = 30; 1: of 20..60 = 40; 2: of 30..70 = 50. From 3 on the window is the
    # last five, the third of which has become 50 by now:
    # 3: (50 + 40 + 50 + 60 + 70) / 5 = 54; 4: (50 + 54 + 50 + 60 + 70) / 5 = 56.8 -> 56;
    # 5: (50 + 54 + 56 + 60 + 70) / 5 = 58; 6: (50 + 54 + 56 + 58 + 70) / 5 = 57.6 -> 57.
    assert smoothed[:, 0].tolist() == [30, 40, 50, 54, 56, 58, 57]
    assert smoothed[:, 3].tolist() == [33, 43, 53, 57, 59, 61, 60]
    assert boxes[0, 0] == 10  # the argument is not modified


def test_smoothing_of_fewer_boxes_than_the_window_counts_from_the_end() -> None:
    boxes = np.array([[0] * 4, [10] * 4, [20] * 4], dtype=np.int64)
    # The slice [3 - 5:] is the last two: 15; then again (15 is not among them): (10 + 20) / 2 = 15;
    # then (15 + 20) / 2 = 17.5 -> 17.
    assert smooth_in_place(boxes)[:, 0].tolist() == [15, 15, 17]


def test_a_face_is_cut_and_stretched_whatever_its_proportions() -> None:
    frame = np.zeros((10, 12, 3), dtype=np.uint8)
    frame[2:4, 5:9] = [[[0, 10, 20]] * 4, [[100, 110, 120]] * 4]
    face = cut_face(frame, np.array([5, 2, 9, 4]), 4)
    assert face.shape == (4, 4, 3)
    # Two rows to four: centres at -0.25, 0.25, 0.75, 1.25 -> 0, 25, 75, 100.
    assert face[:, 0, 0].tolist() == [0, 25, 75, 100]
    assert face[:, 3, 2].tolist() == [20, 45, 95, 120]


def test_an_empty_box_is_refused_with_its_numbers() -> None:
    with pytest.raises(ConfigError, match="5 2 5 4"):
        cut_face(np.zeros((10, 10, 3), dtype=np.uint8), np.array([5, 2, 5, 4]), 96)


def test_pixels_are_cut_off_not_rounded() -> None:
    drawn = np.array([0.0, 0.999 / 255, 127.99 / 255, 1.0], dtype=np.float32)
    assert released_pixels(drawn).tolist() == [0, 0, 127, 255]


def test_a_face_is_pasted_edge_to_edge() -> None:
    frame = np.full((6, 8, 3), 7, dtype=np.uint8)
    face = np.full((4, 4, 3), 200, dtype=np.uint8)
    pasted = paste_hard(frame, face, np.array([2, 1, 7, 4]))
    assert (pasted[1:4, 2:7] == 200).all()
    pasted[1:4, 2:7] = 7
    assert (pasted == 7).all()
    assert (frame == 7).all()
