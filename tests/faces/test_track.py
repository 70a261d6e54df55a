from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces import CHOICES, Detection, FaceTrack, crop_box, smooth_boxes, track_face

FPS = Fraction(25)  # 0.4 s, the longest gap bridged, are 10 frames
WIDTH = 640


def a_face(x: float, y: float = 100, *, size: float = 60) -> Detection:
    """A face whose box is centred on (x, y)."""
    shape = np.array([[-0.2, -0.15], [0.2, -0.15], [0, 0.05], [-0.15, 0.25], [0.15, 0.25]])
    box = np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2])
    return Detection(
        box=box.astype(np.float32),
        landmarks=(shape * size + (x, y)).astype(np.float32),
        score=0.9,
    )


def crop_of(face: Detection) -> NDArray[np.float32]:
    return crop_box(face.landmarks)


class ScriptedDetector:
    """Sees what the script says of the frame whose number is written into the first pixel."""

    def __init__(self, script: Callable[[int], list[Detection]]) -> None:
        self.script = script
        self.looked_at: list[int] = []

    def detect(self, pixels: NDArray[np.uint8]) -> list[Detection]:
        index = int(pixels[0, 0, 0]) + 256 * int(pixels[0, 0, 1])
        self.looked_at.append(index)
        return self.script(index)


def numbered_frames(
    times: Sequence[Fraction],
) -> Iterator[tuple[NDArray[np.uint8], Fraction]]:
    for index, time in enumerate(times):
        pixels = np.zeros((2, WIDTH, 3), dtype=np.uint8)
        pixels[0, 0] = (index % 256, index // 256, 0)
        yield pixels, time


def even_times(num_frames: int, fps: Fraction = FPS) -> list[Fraction]:
    return [index / fps for index in range(num_frames)]


def tracked(
    script: Callable[[int], list[Detection]],
    times: Sequence[Fraction],
    *,
    every: int = 1,
    choice: str = "largest",
    smoothing: Fraction = Fraction(0),
) -> FaceTrack:
    detector = ScriptedDetector(script)
    return track_face(
        numbered_frames(times), detector, choice=choice, every=every, smoothing=smoothing
    )


def seen_except(missing: Sequence[int]) -> Callable[[int], list[Detection]]:
    return lambda index: [] if index in missing else [a_face(200)]


def lost_frames(track: FaceTrack) -> list[int]:
    return list(np.flatnonzero(~track.is_found))


# Motion


@pytest.mark.parametrize("every", [1, 3, 5, 15])
@pytest.mark.parametrize("num_frames", [58, 61])
def test_a_face_in_straight_motion_is_followed_without_lag(every: int, num_frames: int) -> None:
    def moving(index: int) -> Detection:
        return a_face(100 + 2 * index, 150 - index / 2, size=60 + index / 2)

    track = track_face(
        numbered_frames(even_times(num_frames)),
        ScriptedDetector(lambda index: [moving(index)]),
        every=every,
    )
    assert track.is_found.all()
    expected = np.stack([crop_of(moving(index)) for index in range(num_frames)])
    np.testing.assert_allclose(track.boxes, expected, atol=1e-3)


@pytest.mark.parametrize("every", [1, 3])
def test_straight_motion_is_followed_through_uneven_time_stamps(every: int) -> None:
    rng = np.random.default_rng(0)
    times = [Fraction(int(step), 1000) for step in np.cumsum(rng.integers(5, 90, 60))]

    def moving(index: int) -> Detection:
        return a_face(100 + 60 * float(times[index]))

    track = track_face(
        numbered_frames(times), ScriptedDetector(lambda index: [moving(index)]), every=every
    )
    expected = np.stack([crop_of(moving(index)) for index in range(60)])
    np.testing.assert_allclose(track.boxes, expected, atol=1e-3)
    assert track.times == tuple(times)


def test_jitter_is_reduced_to_a_third() -> None:
    # A Gaussian window of 3 frames' deviation leaves 1 / sqrt(2 sqrt(pi) 3) = 0.31 of it.
    jitter = np.random.default_rng(0).normal(size=500)
    track = track_face(
        numbered_frames(even_times(500)),
        ScriptedDetector(lambda index: [a_face(200 + jitter[index])]),
    )
    left = track.boxes[:, 0] - crop_of(a_face(200))[0]
    assert 0.25 < left[20:-20].std() / jitter.std() < 0.36


def test_smoothing_is_the_same_backwards() -> None:
    rng = np.random.default_rng(1)
    boxes = rng.normal(size=(40, 4)).astype(np.float32)
    times = even_times(40)
    forward = smooth_boxes(times, boxes, smoothing=Fraction(3, 25))
    backward = smooth_boxes(times, boxes[::-1], smoothing=Fraction(3, 25))
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-5)


def test_smoothing_does_not_reach_over_a_gap() -> None:
    boxes = np.zeros((21, 4), dtype=np.float32)
    boxes[11:] = 100
    boxes[10] = np.nan
    smoothed = smooth_boxes(even_times(21), boxes, smoothing=Fraction(3, 25))
    np.testing.assert_allclose(smoothed, boxes, atol=1e-4)


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_smoothing_takes_short_tracks(num_frames: int) -> None:
    boxes = np.arange(num_frames * 4, dtype=np.float32).reshape(-1, 4)
    smoothed = smooth_boxes(even_times(num_frames), boxes, smoothing=Fraction(3, 25))
    np.testing.assert_allclose(smoothed, boxes, atol=1e-4)


def test_smoothing_leaves_its_input_alone() -> None:
    boxes = np.random.default_rng(2).normal(size=(30, 4)).astype(np.float32)
    before = boxes.copy()
    smooth_boxes(even_times(30), boxes, smoothing=Fraction(3, 25))
    np.testing.assert_array_equal(boxes, before)


# Looks


@pytest.mark.parametrize(("every", "looks"), [(1, list(range(8))), (3, [0, 3, 6, 7]), (9, [0, 7])])
def test_every_few_frames_and_the_last_are_looked_at(every: int, looks: list[int]) -> None:
    detector = ScriptedDetector(lambda _: [a_face(200)])
    track_face(numbered_frames(even_times(8)), detector, every=every)
    assert detector.looked_at == looks


def test_frames_are_not_kept() -> None:
    alive = 0

    class Counted(np.ndarray):  # type: ignore[type-arg]
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    most = 0

    def frames() -> Iterator[tuple[NDArray[np.uint8], Fraction]]:
        nonlocal alive, most
        for time in even_times(50):
            pixels = np.zeros((2, 2, 3), dtype=np.uint8).view(Counted)
            alive += 1
            most = max(most, alive)
            yield pixels, time
            del pixels

    track_face(frames(), ScriptedDetector(lambda _: [a_face(200)]), every=3)
    assert most <= 3


# Gaps


@pytest.mark.parametrize(
    ("every", "missing", "lost"),
    [
        (1, range(10, 19), []),  # seen at 9 and 19: 0.4 s apart
        (1, range(10, 20), range(10, 20)),  # 9 and 20: 0.44 s
        (5, [10], []),  # looks 5 and 15: 0.4 s
        (5, [10, 15], range(6, 20)),  # 5 and 20: 0.6 s
        (15, [], []),  # looks 0.6 s apart, none of which failed
        (15, [15], range(1, 30)),
        (1, range(10), []),  # the first seen is frame 10, 0.4 s after frame 0
        (1, range(15), range(5)),
        (1, range(30, 61), range(40, 61)),  # the last seen is frame 29
        (15, [45, 60], range(45, 61)),
    ],
)
def test_gaps_of_two_fifths_of_a_second_are_bridged(
    every: int, missing: Sequence[int], lost: Sequence[int]
) -> None:
    track = tracked(seen_except(missing), even_times(61), every=every)
    assert lost_frames(track) == list(lost)
    np.testing.assert_array_equal(np.isnan(track.boxes), ~track.is_found[:, None].repeat(4, 1))


def test_a_face_in_motion_is_bridged_in_a_straight_line() -> None:
    track = tracked(
        lambda index: [] if 10 <= index < 19 else [a_face(100 + 2 * index)], even_times(40)
    )
    expected = np.stack([crop_of(a_face(100 + 2 * index)) for index in range(40)])
    np.testing.assert_allclose(track.boxes, expected, atol=1e-3)


def test_the_gap_is_measured_in_time_not_in_frames() -> None:
    missing = range(10, 13)
    assert lost_frames(tracked(seen_except(missing), even_times(30, Fraction(10)))) == []
    assert lost_frames(tracked(seen_except(missing), even_times(30, Fraction(8)))) == [10, 11, 12]


@settings(deadline=None)
@given(
    is_seen=st.lists(st.booleans(), max_size=70),
    every=st.integers(1, 20),
    steps=st.lists(st.integers(1, 200), min_size=70, max_size=70),
)
def test_any_track_is_true_to_its_looks(is_seen: list[bool], every: int, steps: list[int]) -> None:
    times = [Fraction(int(t), 1000) for t in np.cumsum(steps[: len(is_seen)])]
    detector = ScriptedDetector(lambda index: [a_face(200)] if is_seen[index] else [])
    track = track_face(numbered_frames(times), detector, every=every)
    assert track.boxes.shape == (len(times), 4)
    assert track.boxes.dtype == np.float32
    np.testing.assert_array_equal(track.is_found, ~np.isnan(track.boxes[:, 0]))
    # A face that does not move is nowhere else.
    assert (np.abs(track.boxes[track.is_found] - crop_of(a_face(200))) < 1e-2).all()
    seen = [index for index in detector.looked_at if is_seen[index]]
    assert track.is_found[seen].all()
    for index in np.flatnonzero(track.is_found):
        assert any(
            abs(index - look) < every or abs(times[index] - times[look]) <= Fraction(2, 5)
            for look in seen
        )


# Several faces


@pytest.mark.parametrize(
    ("choice", "x"), [("largest", 250), ("central", 330), ("leftmost", 100), ("rightmost", 500)]
)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_face_is_chosen_by_name(choice: str, x: int, *, is_reversed: bool) -> None:
    faces = [a_face(100), a_face(250, size=80), a_face(330), a_face(500)]
    faces = faces[::-1] if is_reversed else faces
    track = tracked(lambda _: faces, even_times(5), choice=choice)
    (expected,) = [face for face in faces if face.box[[0, 2]].mean() == x]
    np.testing.assert_allclose(track.boxes, [crop_of(expected)] * 5, atol=1e-3)


def test_the_four_choices_are_named() -> None:
    assert set(CHOICES) == {"largest", "central", "leftmost", "rightmost"}


@pytest.mark.parametrize("every", [1, 5, 15])
def test_the_face_chosen_first_is_followed_when_another_grows_larger(every: int) -> None:
    track = tracked(
        lambda index: [a_face(450, size=60 + 2 * index), a_face(200, size=80)],
        even_times(61),
        every=every,
    )
    np.testing.assert_allclose(track.boxes, [crop_of(a_face(200, size=80))] * 61, atol=1e-3)


def test_another_face_does_not_bridge_a_gap() -> None:
    # The face followed is gone for 0.4 s while another is there.
    other = a_face(450, size=120)
    track = tracked(
        lambda index: [other] if 10 <= index < 19 else [a_face(200, size=130)], even_times(40)
    )
    np.testing.assert_allclose(track.boxes, [crop_of(a_face(200, size=130))] * 40, atol=1e-3)


def test_after_a_long_gap_the_face_is_chosen_afresh() -> None:
    def scene(index: int) -> list[Detection]:
        both = [a_face(200, size=60), a_face(450, size=100)]
        return both[:1] if index < 20 else [] if index < 35 else both

    track = tracked(scene, even_times(60))
    assert lost_frames(track) == list(range(20, 35))
    np.testing.assert_allclose(track.boxes[:20], [crop_of(a_face(200))] * 20, atol=1e-3)
    np.testing.assert_allclose(track.boxes[35:], [crop_of(a_face(450, size=100))] * 25, atol=1e-3)


def test_a_cut_to_another_face_is_not_crossed_in_a_straight_line() -> None:
    track = tracked(lambda index: [a_face(200 if index < 20 else 450)], even_times(60))
    # The other is taken once the first has been gone for longer than a gap.
    assert lost_frames(track) == list(range(20, 30))
    np.testing.assert_allclose(track.boxes[:20], [crop_of(a_face(200))] * 20, atol=1e-3)
    np.testing.assert_allclose(track.boxes[30:], [crop_of(a_face(450))] * 30, atol=1e-3)


@pytest.mark.parametrize("fps", [Fraction(1), Fraction(5)])
def test_a_cut_between_looks_far_apart_is_not_crossed_in_a_straight_line(fps: Fraction) -> None:
    # Two looks in a row, longer apart than a gap: the second takes the new face at once.
    track = tracked(
        lambda index: [a_face(200 if index < 10 else 450)], even_times(22, fps), every=3
    )
    assert lost_frames(track) == [10, 11]
    np.testing.assert_allclose(track.boxes[:10], [crop_of(a_face(200))] * 10, atol=1e-3)
    np.testing.assert_allclose(track.boxes[12:], [crop_of(a_face(450))] * 10, atol=1e-3)


def test_a_face_is_followed_across_a_pause_in_the_time_stamps() -> None:
    times = [*even_times(20), *(2 + time for time in even_times(20))]
    faces: Mapping[bool, list[Detection]] = {
        False: [a_face(200, size=80), a_face(450, size=60)],
        True: [a_face(200, size=80), a_face(450, size=100)],
    }
    track = tracked(lambda index: faces[index >= 20], times, every=3)
    np.testing.assert_allclose(track.boxes, [crop_of(a_face(200, size=80))] * 40, atol=1e-3)


# Doors


@pytest.mark.parametrize("smoothing", [Fraction(0), Fraction(3, 25)])
def test_a_video_without_faces_has_an_empty_track(smoothing: Fraction) -> None:
    track = tracked(lambda _: [], even_times(30), smoothing=smoothing, every=4)
    assert not track.is_found.any()
    assert np.isnan(track.boxes).all()
    assert track.boxes.shape == (30, 4)


def test_a_video_without_frames_has_no_track() -> None:
    track = tracked(lambda _: [], [])
    assert track.times == ()
    assert track.boxes.shape == (0, 4)
    assert track.is_found.shape == (0,)


def test_a_single_frame_is_a_track() -> None:
    track = tracked(lambda _: [a_face(200)], [Fraction(3)], smoothing=Fraction(3, 25), every=5)
    np.testing.assert_array_equal(track.boxes, [crop_of(a_face(200))])


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'biggest'; one of: largest, central"):
        tracked(lambda _: [], [], choice="biggest")


@pytest.mark.parametrize("every", [0, -3])
def test_looking_at_no_frame_is_refused(every: int) -> None:
    with pytest.raises(ConfigError, match=f"at least 1, got {every}"):
        tracked(lambda _: [], [], every=every)
