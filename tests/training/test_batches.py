"""Batches are what they say, and depend on nothing but seed and step."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from lipwright.corpus import Clips, load_clips
from lipwright.errors import ConfigError, CorpusError
from lipwright.faces import mouth_shape
from lipwright.speech import cut_windows, window_starts
from lipwright.training.windows import (
    NUM_CANDIDATES,
    ExpertWindows,
    GeneratorWindows,
    WindowConfig,
    load_batches,
)


@pytest.fixture(scope="module")
def clips(pack_corpus: Path) -> Clips:
    return load_clips(pack_corpus, "train")


def plain(batch_size: int = 4, seed: int = 1) -> WindowConfig:
    return WindowConfig(
        resolution=96,
        batch_size=batch_size,
        seed=seed,
        with_speech_changes=False,
        with_picture_changes=False,
    )


def test_a_generator_batch_has_the_shapes_it_says(clips: Clips) -> None:
    batch = GeneratorWindows(clips, plain()).batch(0)
    assert batch["faces"].shape == (4, 5, 3, 96, 96)
    assert batch["reference"].shape == (4, 3, 96, 96)
    assert batch["mel"].shape == (4, 5, 1, 80, 16)
    assert batch["sync_mel"].shape == (4, NUM_CANDIDATES, 1, 80, 16)
    assert batch["faces"].dtype == torch.uint8


def test_faces_and_speech_of_a_window_belong_together(clips: Clips) -> None:
    """In the corpus of the tests a darker mouth has a higher mel, frame by frame."""
    batch = GeneratorWindows(clips, plain(batch_size=16)).batch(3)
    # The frame's own four columns of mel, from its time stamp on: lead 6 of the window of 16.
    level = (batch["mel"][:, :, 0, 40, 7:9].mean(dim=2) + 4) / 8  # (B, 5)
    mouth = batch["faces"][:, :, :, 60:66, 40:56].float().mean(dim=(2, 3, 4))
    for row in range(16):
        correlation = np.corrcoef(level[row].numpy(), mouth[row].numpy())[0, 1]
        assert correlation < -0.9


def test_the_experts_window_is_that_of_its_five_frames(clips: Clips) -> None:
    batch = ExpertWindows(clips, plain(batch_size=8), windows_per_clip=4).batch(1)
    assert batch["faces"].shape == (8, 15, 48, 96)
    faces = batch["faces"].unflatten(1, (5, 3)).float()
    mouth = faces[:, :, :, 12:18, 40:56].mean(dim=(2, 3, 4))  # (8, 5)
    for row in range(8):
        level = (batch["mel"][row, 0, 40] + 4) / 8
        own = [level[round(3.2 * i) : round(3.2 * i) + 3].mean().item() for i in range(5)]
        assert np.corrcoef(own, mouth[row].numpy())[0, 1] < -0.8
    assert not torch.equal(batch["mel"], batch["other_mel"])


def test_the_first_candidate_is_the_right_one(clips: Clips) -> None:
    batch = GeneratorWindows(clips, plain()).batch(5)
    windows = batch["sync_mel"][:, :, 0]
    for row in range(4):
        others = (windows[row, 1:] - windows[row, :1]).abs().amax(dim=(1, 2))
        assert (others > 0).all()
        # The expert's window begins where the first frame is; the frame's own, six columns before.
        assert torch.equal(windows[row, 0, :, :10], batch["mel"][row, 0, 0, :, 6:])


def test_the_reference_is_from_another_time(clips: Clips) -> None:
    batch = GeneratorWindows(clips, plain(batch_size=16)).batch(0)
    for row in range(16):
        differences = (batch["faces"][row].int() - batch["reference"][row].int()).abs()
        assert differences.amax(dim=(1, 2, 3)).min() > 3


def test_a_batch_depends_on_seed_and_step_alone(clips: Clips) -> None:
    config = WindowConfig(resolution=96, batch_size=2, seed=7)
    windows = GeneratorWindows(clips, config)
    later = windows.batch(9)
    again = GeneratorWindows(clips, config).batch(9)
    for name, tensor in later.items():
        assert torch.equal(tensor, again[name])
    assert not torch.equal(later["faces"], windows.batch(10)["faces"])
    other_seed = GeneratorWindows(clips, WindowConfig(resolution=96, batch_size=2, seed=8))
    assert not torch.equal(later["faces"], other_seed.batch(9)["faces"])


def test_loader_processes_change_nothing(clips: Clips) -> None:
    windows = GeneratorWindows(clips, WindowConfig(resolution=96, batch_size=1, seed=7))
    alone = list(load_batches(windows, first=3, end=6, num_workers=0))
    beside = list(load_batches(windows, first=3, end=6, num_workers=2))
    assert len(alone) == len(beside) == 3
    for a, b in zip(alone, beside, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


def share_of_b(clips: Clips, *, balance: float = 0.5, puppet_share: float | None = None) -> float:
    """How often speaker b is drawn, who has one clip of three, and the brightest pictures."""
    config = WindowConfig(
        resolution=96,
        batch_size=200,
        seed=1,
        speaker_balance=balance,
        puppet_share=puppet_share,
        with_picture_changes=False,
    )

    def brightness(chosen: Clips) -> torch.Tensor:
        batch = GeneratorWindows(chosen, config).batch(0)
        return batch["reference"][:, :, :40].float().mean(dim=(1, 2, 3))

    own = brightness(replace(clips, entries=clips.entries[-1:])).mean()
    return float((brightness(clips) > 0.95 * own).float().mean())


def test_balance_makes_rare_speakers_as_frequent(clips: Clips) -> None:
    assert share_of_b(clips, balance=0.0) == pytest.approx(1 / 3, abs=0.1)
    assert share_of_b(clips, balance=1.0) == pytest.approx(1 / 2, abs=0.1)


def with_puppets(clips: Clips, speakers: str) -> Clips:
    entries = tuple(
        replace(entry, driver="c/3") if entry.speaker in speakers else entry
        for entry in clips.entries
    )
    return replace(clips, entries=entries)


@pytest.mark.parametrize("puppet_share", [0.0, 0.2, 0.8])
def test_puppets_have_the_share_that_was_asked_for(clips: Clips, puppet_share: float) -> None:
    drawn = share_of_b(with_puppets(clips, "b"), puppet_share=puppet_share)
    assert drawn == pytest.approx(puppet_share, abs=0.07)


def test_share_of_puppets_means_nothing_where_all_or_none_are(clips: Clips) -> None:
    alike = share_of_b(clips)
    for speakers in ("", "ab"):
        puppets = with_puppets(clips, speakers)
        assert share_of_b(puppets, puppet_share=0.9) == alike
    assert share_of_b(with_puppets(clips, "b")) == alike


def test_single_frames_of_as_many_faces_come_before_windows(clips: Clips) -> None:
    windows = GeneratorWindows(clips, plain(batch_size=2), with_motion=True, single_until=3)
    single, five = windows.batch(2), windows.batch(3)
    assert {name: tuple(tensor.shape) for name, tensor in single.items()} == {
        "faces": (10, 1, 3, 96, 96),
        "reference": (10, 3, 96, 96),
        "mel": (10, 1, 1, 80, 16),
        "shape": (10, 1, 4),
        "motion": (10, 1, 4),
    }
    assert {name: tuple(tensor.shape[:2]) for name, tensor in five.items()} == {
        "faces": (2, 5),
        "reference": (2, 3),
        "mel": (2, 5),
        "shape": (2, 5),
        "motion": (2, 5),
        "sync_mel": (2, NUM_CANDIDATES),
    }
    others = GeneratorWindows(clips, plain(batch_size=2), with_motion=True).batch(3)
    assert all(torch.equal(five[name], others[name]) for name in others)


@pytest.mark.parametrize("single_until", [0, 9])
def test_shape_and_motion_of_a_mouth_belong_to_its_frames(clips: Clips, single_until: int) -> None:
    """In the corpus of the tests the points open as far as the mel says: by up to 0.3."""
    windows = GeneratorWindows(
        clips, plain(batch_size=16), with_motion=True, single_until=single_until
    )
    batch = windows.batch(3)
    level = (batch["mel"][:, :, 0, 40, 7:9].mean(dim=2) + 4) / 8  # (B, T), as above
    opening = batch["shape"][:, :, 0]
    np.testing.assert_allclose(opening, 0.3 * level, atol=3e-3)
    rest = np.unique((opening - batch["motion"][:, :, 0]).numpy().round(4))
    openings = [mouth_shape(clips.open(i).points)[:, 0] for i in range(len(clips))]  # type: ignore[arg-type]
    known = np.sort([np.percentile(clip, 20) for clip in openings])
    np.testing.assert_allclose(rest, known, atol=1e-3)


def test_corpus_without_landmarks_is_refused_by_name(pack_corpus_without_landmarks: Path) -> None:
    clips = load_clips(pack_corpus_without_landmarks, "train")
    assert "motion" not in GeneratorWindows(clips, plain()).batch(0)
    with pytest.raises(CorpusError, match=r"[ab]/\d\.safetensors has no landmarks.*--landmarks"):
        GeneratorWindows(clips, plain(), with_motion=True).batch(0)


def test_impossible_wishes_are_refused(clips: Clips) -> None:
    with pytest.raises(ConfigError, match="must divide batch_size, got 3 and 4"):
        ExpertWindows(clips, plain(), windows_per_clip=3)
    with pytest.raises(CorpusError, match="has 120 frames"):
        ExpertWindows(clips, plain(batch_size=20), windows_per_clip=20)


def test_training_and_inference_cut_the_same_windows(clips: Clips) -> None:
    clip = clips.open(0)
    starts = window_starts([Fraction(i, 25) for i in range(clip.num_frames)])
    windows = cut_windows(clip.mel, starts)
    batch = GeneratorWindows(
        Clips(folder=clips.folder, entries=clips.entries[:1]), plain(batch_size=6)
    ).batch(2)
    known = {window.tobytes() for window in windows}
    assert all(window.numpy().tobytes() in known for window in batch["mel"].flatten(0, 1))
