"""The expert on landmarks, from batches to a meter that measures offsets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lipwright.checkpoints import DEFAULT_EXPERT, Metadata, model_path, read_tensors
from lipwright.conversion.export import export_onnx
from lipwright.corpus import load_clips
from lipwright.corpus.offset import ExpertOffsetMeter, MotionOffsetMeter, open_meter
from lipwright.errors import CheckpointError, ConfigError, CorpusError
from lipwright.faces import expert as expert_module
from lipwright.faces.expert import LandmarkExpert
from lipwright.faces.motion import MOTION_LENGTH, MOTION_POINTS, lip_motion
from lipwright.faces.points import MESH_INDICES
from lipwright.models.build import build_network, save_network
from lipwright.training.expert import WEIGHTS_NAME, ExpertTrainer, pair_accuracy
from lipwright.training.generator import GeneratorTrainer
from lipwright.training.loop import STATE_NAME, train
from lipwright.training.motion_windows import MotionWindows
from lipwright.training.recipe import ExpertRecipe, GeneratorRecipe, RunConfig, load_recipe
from lipwright.training.windows import WindowConfig, load_batches

RECIPES = Path(__file__).parents[2] / "recipes"
FRAMES = 15  # of a window
STRETCH = FRAMES + 3 * 5  # frames of a stretch of four windows
SMALL = {"frames": FRAMES, "hearing_width": 12, "width": 16, "embedding": 24}


def plain(batch_size: int = 4, *, seed: int = 1, changes: bool = False) -> WindowConfig:
    return WindowConfig(
        resolution=96,
        batch_size=batch_size,
        seed=seed,
        with_speech_changes=changes,
        with_picture_changes=changes,
    )


def tiny(corpus: Path) -> ExpertRecipe:
    recipe = load_recipe(RECIPES / "default_motion_expert.toml", ExpertRecipe)
    return replace(
        recipe,
        data=replace(recipe.data, corpus=corpus, batch_size=8, workers=0),
        network=replace(recipe.network, options=SMALL),
        windows_per_clip=4,
        run=replace(recipe.run, steps=6, evaluate_every=3, evaluate_batches=1, save_every=3),
    )


def run(recipe: ExpertRecipe, folder: Path) -> dict[str, float]:
    trainer = ExpertTrainer(recipe)
    return train(
        trainer,
        lambda first, end: load_batches(trainer.windows, first=first, end=end, num_workers=0),
        run=recipe.run,
        folder=folder,
    )


@pytest.fixture(scope="module")
def trained(pack_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("motion")
    evaluation = run(tiny(pack_corpus), folder)
    assert 0 <= evaluation["held_out/pair_accuracy"] <= 1
    return folder


def drawn(corpus: Path, config: WindowConfig, *, tempo: float = 0.0) -> MotionWindows:
    clips = load_clips(corpus, "train")
    return MotionWindows(clips, config, frames=FRAMES, windows_per_clip=4, tempo=tempo)


def test_a_batch_holds_the_motion_of_its_clips(pack_corpus: Path) -> None:
    clips = load_clips(pack_corpus, "train")
    batch = drawn(pack_corpus, plain(batch_size=8)).batch(1)
    assert batch["motion"].shape == (2, STRETCH, MOTION_LENGTH)
    assert batch["mel"].shape == (2, 1, 80, STRETCH * 80 // 25)
    known = [
        lip_motion(points[:, list(MESH_INDICES)])
        for index in range(len(clips))
        if (points := clips.open(index).points) is not None
    ]
    for stretch in batch["motion"].numpy():
        assert any(
            np.array_equal(stretch, motion[start : start + STRETCH])
            for motion in known
            for start in range(len(motion) - STRETCH + 1)
        )


@pytest.mark.parametrize("tempo", [0.0, 0.2])
def test_speech_lies_over_the_motion_at_any_tempo(pack_corpus: Path, tempo: float) -> None:
    """In this corpus the loudness of the speech is the opening of the mouth."""
    batch = drawn(pack_corpus, plain(batch_size=64), tempo=tempo).batch(0)
    middles = (3.2 * (np.arange(STRETCH) + 0.5)).astype(int)
    loudness = batch["mel"].numpy().mean(axis=2)[:, 0, middles]
    # The lower lip goes down as the mouth opens.
    lower = MOTION_POINTS.index(MESH_INDICES.index(14))
    opening = batch["motion"].numpy()[:, :, 2 * lower + 1]
    alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(loudness, opening, strict=True)]
    assert np.mean(alike) > 0.8


def test_a_batch_of_motion_depends_on_seed_and_step_alone(pack_corpus: Path) -> None:
    config = plain(seed=7, changes=True)
    windows = drawn(pack_corpus, config, tempo=0.05)
    windows.batch(3)
    later, again = windows.batch(9), drawn(pack_corpus, config, tempo=0.05).batch(9)
    assert all(torch.equal(later[name], again[name]) for name in later)
    assert not torch.equal(later["motion"], windows.batch(10)["motion"])


def test_motion_needs_landmarks_and_a_batch_of_whole_clips(
    pack_corpus: Path, pack_corpus_without_landmarks: Path
) -> None:
    clips = load_clips(pack_corpus_without_landmarks, "train")
    with pytest.raises(CorpusError, match=r"has no landmarks.*--landmarks"):
        MotionWindows(clips, plain(), frames=FRAMES, windows_per_clip=2).batch(0)
    with pytest.raises(ConfigError, match="windows_per_clip must divide batch_size, got 3 and 4"):
        MotionWindows(load_clips(pack_corpus, "train"), plain(), frames=FRAMES, windows_per_clip=3)


def test_clips_without_room_for_a_stretch_are_refused(pack_corpus: Path) -> None:
    clips = load_clips(pack_corpus, "train")
    # Twelve windows of 15 frames, five apart: 70 frames; 74 where they are played faster.
    for tempo, needed in ((0.0, 70), (0.06, 74)):
        with pytest.raises(CorpusError, match=f"has {needed} frames"):
            MotionWindows(clips, plain(12), frames=15, windows_per_clip=12, tempo=tempo)


def test_an_expert_on_landmarks_learns_which_speech_lips_say(pack_corpus: Path) -> None:
    trainer = ExpertTrainer(replace(tiny(pack_corpus), run=RunConfig(steps=100, device="cpu")))
    terms = [trainer.step(trainer.windows.batch(step)) for step in range(40)]
    losses = [term["expert/contrastive"] for term in terms]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.2


def test_pair_accuracy_is_that_of_the_best_threshold() -> None:
    in_sync, off_sync = torch.tensor([0.9, 0.8, 0.05, 0.7]), torch.tensor([0.1, 0.85, 0.2, 0.6])
    assert pair_accuracy(in_sync, off_sync) == pytest.approx(0.75)
    # Each kind weighs half, however many there are of it.
    assert pair_accuracy(in_sync, off_sync.repeat(7)) == pytest.approx(0.75)
    assert pair_accuracy(in_sync, in_sync) == pytest.approx(0.5)


def test_a_resumed_expert_on_landmarks_equals_an_uninterrupted_one(
    pack_corpus: Path, trained: Path, tmp_path: Path
) -> None:
    recipe = tiny(pack_corpus)
    trainer = ExpertTrainer(recipe)
    for batch in load_batches(trainer.windows, first=0, end=3, num_workers=0):
        trainer.step(batch)
        trainer.state.step += 1
    trainer.state.save(tmp_path / STATE_NAME)
    torch.rand(5)  # whatever the process draws in between must not matter
    run(recipe, tmp_path)
    resumed, whole = (read_tensors(folder / STATE_NAME)[0] for folder in (tmp_path, trained))
    assert resumed.keys() == whole.keys()
    for name in resumed:
        assert resumed[name].tobytes() == whole[name].tobytes(), name


def test_the_recipe_refuses_what_cannot_be_trained(pack_corpus: Path) -> None:
    recipe = tiny(pack_corpus)
    with pytest.raises(ConfigError, match='objective = "contrastive"'):
        replace(recipe, objective="cosine")
    network = replace(recipe.network, architecture="syncnet-v2")
    with pytest.raises(ConfigError, match="compact, motion or wav2lip, got 'syncnet-v2'"):
        replace(recipe, network=network)


def test_an_expert_on_landmarks_cannot_teach_a_generator(trained: Path, pack_corpus: Path) -> None:
    recipe = load_recipe(RECIPES / "tiny_generator.toml", GeneratorRecipe)
    recipe = replace(
        recipe, data=replace(recipe.data, corpus=pack_corpus), expert=trained / WEIGHTS_NAME
    )
    with pytest.raises(ConfigError, match="holds a motion, which judges videos but cannot teach"):
        GeneratorTrainer(recipe)


def test_an_exported_expert_on_landmarks_measures_clips(trained: Path, pack_corpus: Path) -> None:
    path = trained / "expert.onnx"
    export_onnx(trained / WEIGHTS_NAME, path)
    meter = open_meter(path)
    assert isinstance(meter, MotionOffsetMeter)
    assert meter.frames == FRAMES
    clip = load_clips(pack_corpus, "train").open(0)
    crops = [clip.frame(index) for index in range(clip.num_frames)]
    speech, lips = meter.embed(crops, clip.mel)
    assert speech.shape == lips.shape == (clip.num_frames - FRAMES + 1, 24)
    for rows in (speech, lips):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    assert meter.measure(crops, clip.mel) == meter.measure(crops, clip.mel)


@pytest.mark.parametrize("frames", [15, 20, 25])
def test_an_exported_expert_says_how_many_frames_it_looks_at(frames: int, tmp_path: Path) -> None:
    options = {**SMALL, "frames": frames}
    torch.manual_seed(0)
    network = build_network("expert", "motion", options).eval()
    weights, path = tmp_path / "expert.safetensors", tmp_path / "expert.onnx"
    meta = Metadata(kind="expert", architecture="motion", config=options)
    save_network(network, weights, meta)
    assert export_onnx(weights, path) < 5e-3
    expert = LandmarkExpert(path)
    assert expert.frames == frames
    rng = np.random.default_rng(0)
    motion = rng.normal(size=(frames + 3, MOTION_LENGTH)).astype(np.float32)
    mel = rng.uniform(-4, 4, (2, 1, 80, frames * 80 // 25)).astype(np.float32)
    lips, speech = expert.embed_lips(motion), expert.embed_speech(mel)
    assert lips.shape == (4, 24)
    with torch.no_grad():
        seen = np.stack([motion[:frames], motion[3:]])
        expected = network(torch.from_numpy(mel), torch.from_numpy(seen))
    np.testing.assert_allclose(speech, expected[0], atol=5e-3)
    np.testing.assert_allclose(lips[[0, 3]], expected[1], atol=5e-3)


def test_an_expert_that_looks_at_another_time_than_it_hears_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expert_module, "_WHOLE_COLUMNS", 15)
    with pytest.raises(CheckpointError, match=r"looks at \d+ frames and hears \d+ columns"):
        LandmarkExpert(model_path(DEFAULT_EXPERT))


def test_the_door_knows_experts_from_other_networks(tmp_path: Path) -> None:
    on_pixels = tmp_path / "pixels.onnx"
    export_onnx(Path(__file__).parents[2] / "weights" / "expert.safetensors", on_pixels)
    assert isinstance(open_meter(on_pixels), ExpertOffsetMeter)
    assert isinstance(open_meter(model_path(DEFAULT_EXPERT)), MotionOffsetMeter)
    with pytest.raises(CheckpointError, match="holds a generator, an expert is needed"):
        open_meter(model_path("lipwright-160"))
    with pytest.raises(CheckpointError, match="no such model file"):
        open_meter(tmp_path / "gone.onnx")
