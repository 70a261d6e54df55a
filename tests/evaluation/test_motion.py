"""Motion of faces with known answers: distances of lips, trembling, silence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.evaluation.motion import align, jitter, leak, lip_distance, silent_frames
from lipwright.faces.points import EYE_CORNERS, LIPS, NUM_LANDMARKS, STABLE

Points = NDArray[np.float64]
EYES = 100.0  # pixels between the outer corners


def face(num_frames: int = 4) -> Points:
    """A face that rests, with landmarks anywhere but for the corners of the eyes."""
    points = np.random.default_rng(0).uniform(0, 300, size=(NUM_LANDMARKS, 2))
    points[list(EYE_CORNERS)] = [[100, 120], [100 + EYES, 120]]
    return np.repeat(points[None], num_frames, axis=0)


def moved(points: Points, *, turn: float, scale: float, shift: tuple[float, float]) -> Points:
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    return points @ np.array([[cos, sin], [-sin, cos]]) + shift


def with_lips_down(points: Points, pixels: float) -> Points:
    points = points.copy()
    points[:, list(LIPS), 1] += pixels
    return points


POSES = st.fixed_dictionaries(
    {
        "turn": st.floats(-3, 3),
        "scale": st.floats(0.2, 5),
        "shift": st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
    }
)


@given(POSES)
def test_a_face_in_another_pose_is_aligned_onto_itself(pose: dict[str, float]) -> None:
    points = face()
    np.testing.assert_allclose(align(moved(points, **pose), points), points, atol=1e-7)


@given(st.integers(0, 10_000), POSES)
def test_no_other_pose_fits_the_stable_points_better(seed: int, pose: dict[str, float]) -> None:
    rng = np.random.default_rng(seed)
    points, target = (face(1) + rng.normal(scale=20, size=(1, NUM_LANDMARKS, 2)) for _ in range(2))
    best = align(points, target)

    def error(candidate: Points) -> float:
        return float(((candidate - target)[:, list(STABLE)] ** 2).sum())

    assert error(best) <= error(points)
    assert error(best) <= error(moved(best, **pose)) + 1e-6


def test_a_mirrored_face_is_not_aligned_by_mirroring_it_back() -> None:
    points = face()
    mirrored = points * [-1, 1]
    assert np.abs(align(mirrored, points) - points).max() > 10


def test_lips_elsewhere_are_told_as_a_share_of_the_eyes() -> None:
    points = face()
    assert lip_distance(points, points) == pytest.approx(0, abs=1e-12)
    assert lip_distance(with_lips_down(points, 10), points) == pytest.approx(10 / EYES)


@given(POSES)
def test_the_pose_of_the_head_does_not_count(pose: dict[str, float]) -> None:
    drawn = with_lips_down(face(), 10)
    assert lip_distance(moved(drawn, **pose), face()) == pytest.approx(10 / EYES, rel=1e-6)


def test_lips_that_are_right_half_of_the_time_are_at_half_the_distance() -> None:
    points, drawn = face(), face()
    drawn[::2] = with_lips_down(points, 10)[::2]
    assert lip_distance(drawn, points) == pytest.approx(5 / EYES)


def test_faces_of_different_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match="differ in shape"):
        lip_distance(face(3), face(4))


@pytest.mark.parametrize("place", [0.0, np.nan])
def test_a_face_without_extent_is_refused(place: float) -> None:
    points = face()
    points[2] = place
    with pytest.raises(ConfigError, match="one point in frame 2"):
        align(points, face())


def test_a_head_that_moves_evenly_does_not_tremble() -> None:
    points = face(10) + np.arange(10)[:, None, None] * [3.0, -2.0]
    assert jitter(points) == pytest.approx(0, abs=1e-12)


def test_a_face_that_jumps_to_and_fro_trembles_by_twice_the_jump() -> None:
    points = face(10)
    points[::2, :, 0] += 3  # second difference: 3 - 0 + 3
    assert jitter(points) == pytest.approx(6 / EYES)


def test_speech_does_not_count_as_trembling() -> None:
    points = face(10)
    points[::2] = with_lips_down(points, 10)[::2]
    assert jitter(points) == 0


@given(st.floats(0.1, 10), st.integers(0, 10_000))
def test_the_size_of_the_video_does_not_count_as_trembling(scale: float, seed: int) -> None:
    points = face(6) + np.random.default_rng(seed).normal(size=(6, NUM_LANDMARKS, 2))
    assert jitter(points * scale) == pytest.approx(jitter(points))


def test_trembling_needs_three_frames() -> None:
    with pytest.raises(ConfigError, match="at least 3 frames are needed, got 2"):
        jitter(face(2))


def mel_of(levels: list[float]) -> NDArray[np.float32]:
    """One level for each 0.2 s: 5 frames, 16 columns."""
    return np.tile(np.repeat(levels, 16).astype(np.float32), (80, 1))


def stretches(silent: NDArray[np.bool_]) -> list[bool]:
    """Whether each 0.2 s is silent; they must be silent as a whole or not at all."""
    fifths = silent.reshape(-1, 5)
    assert (fifths == fifths[:, :1]).all()
    return [bool(fifth[0]) for fifth in fifths]


def test_what_is_20_decibels_below_full_voice_is_silent() -> None:
    # A unit of the mel is 12.5 dB, so the limit lies 1.6 below full voice.
    found = silent_frames(mel_of([1.0, 1.0, -0.7, 1.0, -0.5, -4.0]), 30)
    assert stretches(found) == [False, False, True, False, False, True]


def test_a_short_pause_is_no_silence() -> None:
    mel = mel_of([1.0, 1.0, 1.0])
    mel[:, 16:29] = -4  # 4 frames and a bit
    assert not silent_frames(mel, 15).any()
    mel[:, 16:32] = -4  # 5
    assert stretches(silent_frames(mel, 15)) == [False, True, False]


def test_there_is_silence_after_the_end_of_the_speech() -> None:
    assert stretches(silent_frames(mel_of([1.0, 1.0]), 20)) == [False, False, True, True]


def test_a_clip_without_sound_is_silent() -> None:
    assert silent_frames(mel_of([-4.0, -4.0]), 10).all()


@given(st.lists(st.floats(-2, 1), min_size=1, max_size=8), st.floats(0, 1))
def test_the_loudness_of_the_recording_does_not_decide(levels: list[float], gain: float) -> None:
    levels = [round(level, 1) for level in levels]  # not at the limit itself
    gain = round(gain, 2)
    num_frames = 5 * len(levels)
    quiet = silent_frames(mel_of([level - 0.05 for level in levels]), num_frames)
    loud = silent_frames(mel_of([level - 0.05 + gain for level in levels]), num_frames)
    # float32 may put a level that lies at the limit on either side of it.
    spread = {round(max(levels) - level, 1) for level in levels}
    if 1.6 not in spread:
        np.testing.assert_array_equal(quiet, loud)


def test_silence_of_no_frames_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 frame is needed, got 0"):
        silent_frames(mel_of([1.0]), 0)


SILENT = np.repeat([False, True], 10)  # frames 10 to 19; those from 13 on are looked at


def test_a_mouth_at_rest_in_silence_does_not_leak() -> None:
    openings = np.where(SILENT, 0.0, np.tile([0.0, 0.2], 10))
    assert leak(openings, SILENT) == 0


def test_a_mouth_that_moves_half_as_much_in_silence_leaks_a_half() -> None:
    openings = np.tile([0.0, 0.2], 10) * np.where(SILENT, 0.5, 1)
    assert leak(openings, SILENT) == pytest.approx(0.5)


def test_a_mouth_may_take_three_frames_to_close() -> None:
    openings = np.where(SILENT, 0.0, np.tile([0.0, 0.2], 10))
    openings[10:14] = [0.3, 0.2, 0.1, 0.0]
    assert leak(openings, SILENT) == 0
    openings[10:15] = [0.4, 0.3, 0.2, 0.1, 0.0]
    assert leak(openings, SILENT) > 0


def test_a_mouth_that_was_never_open_needs_no_time_to_close() -> None:
    openings = np.tile([0.0, 0.2], 10)
    openings[3:10] = 0  # all that moves in the first silence are its first frames
    assert leak(openings, ~SILENT) > 0


@pytest.mark.parametrize(
    ("openings", "is_silent"),
    [
        (np.tile([0.0, 0.2], 10), np.zeros(20, dtype=bool)),
        (np.tile([0.0, 0.2], 10), np.ones(20, dtype=bool)),
        (np.full(20, 0.2), SILENT),
        (np.zeros(1), np.zeros(1, dtype=bool)),
    ],
    ids=["no silence", "no speech", "no motion", "one frame"],
)
def test_what_cannot_leak_has_no_number(
    openings: NDArray[np.float64], is_silent: NDArray[np.bool_]
) -> None:
    assert np.isnan(leak(openings, is_silent))


@given(st.floats(0.01, 10), st.floats(-1, 1), st.integers(0, 10_000))
def test_neither_unit_nor_rest_of_the_mouth_counts(scale: float, rest: float, seed: int) -> None:
    openings = np.random.default_rng(seed).random(20)
    assert leak(scale * openings + rest, SILENT) == pytest.approx(leak(openings, SILENT))


@pytest.mark.parametrize("num_frames", [0, 19])
def test_silence_of_another_length_is_refused(num_frames: int) -> None:
    is_silent = np.zeros(min(num_frames, 18), dtype=bool)
    with pytest.raises(ConfigError, match="of one length"):
        leak(np.zeros(num_frames), is_silent)
