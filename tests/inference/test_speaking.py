"""Who speaks is told by the sound: the person whose mouth goes with it."""

import logging
from fractions import Fraction

import numpy as np
import pytest

from lipwright.checkpoints import DEFAULT_EXPERT, DEFAULT_MODEL, model_path
from lipwright.errors import CheckpointError, ConfigError, NoFaceError
from lipwright.faces.appearance import APPEARANCE_LENGTH
from lipwright.faces.expert import LandmarkExpert
from lipwright.faces.motion import MOTION_LENGTH
from lipwright.faces.people import Person, Sighting
from lipwright.faces.points import EYE_CORNERS, LIPS, NUM_LANDMARKS, STABLE
from lipwright.inference.speaking import fit, speaking_person
from lipwright.speech import Mel, expert_columns

FPS = 25


class StandIn(LandmarkExpert):
    """Hears how loud it is and sees how far lips are open: as angles on a circle."""

    def __init__(self) -> None:
        pass

    @property
    def frames(self) -> int:
        return 5

    def embed_lips(self, motion: np.ndarray) -> np.ndarray:
        opening = motion[:, 1 : 2 * len(LIPS) : 2].mean(axis=1)
        return _on_circle(np.convolve(opening, np.full(self.frames, 1 / self.frames), "valid"))

    def embed_speech(self, windows: np.ndarray) -> np.ndarray:
        return _on_circle(windows.mean(axis=(1, 2, 3)))


def _on_circle(values: np.ndarray) -> np.ndarray:
    angles = (values - values.mean()) / max(float(values.std()), 1e-6)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def loudness(num_frames: int, seed: int) -> np.ndarray:
    """Per frame in [0, 1], as slow as syllables."""
    noise = np.random.default_rng(seed).random(num_frames + 4)
    return np.convolve(noise, np.full(5, 0.2), "valid")


def mel_of(loud: np.ndarray) -> Mel:
    columns = loud[np.arange(round(len(loud) * 3.2)) * 10 // 32]
    return np.tile(8 * columns - 4, (80, 1)).astype(np.float32)


def moving(opening: np.ndarray, *, start: int = 0, fps: int = FPS) -> Sighting:
    rest = np.random.default_rng(9).random((NUM_LANDMARKS, 2)) * 10
    rest[list(STABLE)] += 50
    rest[list(EYE_CORNERS)] = (20, 40), (80, 40)
    points = np.tile(rest, (len(opening), 1, 1))
    points[:, list(LIPS), 1] += 20 * opening[:, None]
    times = tuple(Fraction(start + index, fps) for index in range(len(opening)))
    looks = np.eye(APPEARANCE_LENGTH, dtype=np.float32)[0]
    return Sighting(times=times, points=points.astype(np.float32), appearance=looks)


def person(*sightings: Sighting) -> Person:
    return Person(sightings=sightings)


def test_the_person_whose_mouth_goes_with_the_sound_is_taken() -> None:
    loud = loudness(150, seed=0)
    speaker, listener = person(moving(loud)), person(moving(loudness(150, seed=1)))
    for people in ([speaker, listener], [listener, speaker]):
        assert speaking_person(people, mel_of(loud), StandIn()) is speaker


def test_a_sound_that_is_late_in_the_whole_file_is_no_hindrance() -> None:
    loud = loudness(150, seed=0)
    late = np.concatenate([np.zeros(4), loud[:-4]])
    speaker, listener = person(moving(loud)), person(moving(loudness(150, seed=1)))
    assert speaking_person([listener, speaker], mel_of(late), StandIn()) is speaker


def test_all_shots_of_a_person_count_and_each_by_its_own_time() -> None:
    loud = loudness(200, seed=0)
    cut = person(moving(loud[:60]), moving(loud[120:], start=120))
    alike, num_windows = fit(cut, mel_of(loud), StandIn())
    assert num_windows == 56 + 76
    shifted = person(moving(loud[:60]), moving(loud[120:], start=90))
    assert alike > 2 * fit(shifted, mel_of(loud), StandIn())[0]


def test_another_frame_rate_hears_the_same() -> None:
    loud = loudness(150, seed=0)
    fast = np.interp(np.arange(300) / 2, np.arange(150), loud)
    plain, _ = fit(person(moving(loud)), mel_of(loud), StandIn())
    doubled, _ = fit(person(moving(fast, fps=50)), mel_of(loud), StandIn())
    assert doubled == pytest.approx(plain, abs=0.05)


def test_a_short_glimpse_says_nothing() -> None:
    loud = loudness(100, seed=0)
    assert fit(person(moving(loud[:10])), mel_of(loud), StandIn()) == (0.0, 0)


def test_a_stretch_has_room_for_a_window() -> None:
    class FarSeeing(StandIn):
        """Looks at 25 frames."""

        @property
        def frames(self) -> int:
            return 25

    loud = loudness(100, seed=0)
    assert fit(person(moving(loud[:24])), mel_of(loud), FarSeeing()) == (0.0, 0)
    _, num_windows = fit(person(moving(loud[:60])), mel_of(loud), FarSeeing())
    assert num_windows == 60 - 24


def test_where_nobody_fits_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    still = [person(moving(np.zeros(100))), person(moving(np.zeros(100)))]
    with caplog.at_level(logging.WARNING):
        speaking_person(still, mel_of(loudness(100, seed=0)), StandIn())
    assert "nobody's mouth fits the sound well" in caplog.text


def test_one_person_is_taken_without_listening_and_nobody_is_an_error() -> None:
    alone = person(moving(np.zeros(5)))
    assert speaking_person([alone], mel_of(np.zeros(5)), StandIn()) is alone
    with pytest.raises(NoFaceError, match="nobody is seen"):
        speaking_person([], mel_of(np.zeros(5)), StandIn())


def test_the_shipped_expert_embeds_on_the_unit_sphere_whatever_the_batch() -> None:
    expert = LandmarkExpert(model_path(DEFAULT_EXPERT))
    rng = np.random.default_rng(0)
    motion = rng.normal(size=(110, MOTION_LENGTH)).astype(np.float32)
    lips = expert.embed_lips(motion)
    assert np.linalg.norm(lips, axis=1) == pytest.approx(np.ones(111 - expert.frames), abs=1e-3)
    window = motion[65 : 65 + expert.frames]
    assert expert.embed_lips(window)[0] == pytest.approx(lips[65], abs=1e-4)
    windows = rng.uniform(-4, 4, (70, 1, 80, expert_columns(expert.frames))).astype(np.float32)
    speech = expert.embed_speech(windows)
    assert speech.shape == (70, lips.shape[1])
    assert expert.embed_speech(windows[66:67])[0] == pytest.approx(speech[66], abs=1e-4)


def test_fewer_frames_than_it_looks_at_are_refused() -> None:
    expert = LandmarkExpert(model_path(DEFAULT_EXPERT))
    motion = np.zeros((expert.frames - 1, MOTION_LENGTH), dtype=np.float32)
    with pytest.raises(ConfigError, match=f"looks at {expert.frames} frames, got {len(motion)}"):
        expert.embed_lips(motion)


def test_another_network_is_no_expert() -> None:
    with pytest.raises(CheckpointError, match="no expert that sees landmarks"):
        LandmarkExpert(model_path(DEFAULT_MODEL))
