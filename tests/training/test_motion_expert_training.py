"""The expert on landmarks, from batches to a meter that measures offsets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lipwright.checkpoints import DEFAULT_EXPERT, model_path, read_tensors
from lipwright.conversion.export import export_onnx
from lipwright.corpus import load_clips
from lipwright.corpus.offset import ExpertOffsetMeter, MotionOffsetMeter, open_meter
from lipwright.errors import CheckpointError, ConfigError, CorpusError
from lipwright.faces.motion import MOTION_LENGTH, lip_motion
from lipwright.faces.points import MESH_INDICES
from lipwright.training.expert import WEIGHTS_NAME, ExpertTrainer
from lipwright.training.generator import GeneratorTrainer
from lipwright.training.loop import STATE_NAME, train
from lipwright.training.recipe import ExpertRecipe, GeneratorRecipe, load_recipe
from lipwright.training.windows import MotionWindows, WindowConfig, load_batches

RECIPES = Path(__file__).parents[2] / "recipes"


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


def test_a_batch_holds_the_motion_of_its_clips(pack_corpus: Path) -> None:
    clips = load_clips(pack_corpus, "train")
    batch = MotionWindows(clips, plain(batch_size=8), windows_per_clip=4).batch(1)
    assert batch["motion"].shape == (8, 5, MOTION_LENGTH)
    assert batch["mel"].shape == batch["other_mel"].shape == (8, 1, 80, 16)
    known = [
        lip_motion(points[:, list(MESH_INDICES)])
        for index in range(len(clips))
        if (points := clips.open(index).points) is not None
    ]
    for window in batch["motion"].numpy():
        assert any(
            np.array_equal(window, motion[start : start + 5])
            for motion in known
            for start in range(len(motion) - 4)
        )
    assert not torch.equal(batch["mel"], batch["other_mel"])


def test_a_batch_of_motion_depends_on_seed_and_step_alone(pack_corpus: Path) -> None:
    clips = load_clips(pack_corpus, "train")
    config = plain(seed=7, changes=True)
    windows = MotionWindows(clips, config, windows_per_clip=2)
    later, again = windows.batch(9), MotionWindows(clips, config, windows_per_clip=2).batch(9)
    assert all(torch.equal(later[name], again[name]) for name in later)
    assert not torch.equal(later["motion"], windows.batch(10)["motion"])


def test_motion_needs_landmarks_and_a_batch_of_whole_clips(
    pack_corpus: Path, pack_corpus_without_landmarks: Path
) -> None:
    clips = load_clips(pack_corpus_without_landmarks, "train")
    with pytest.raises(CorpusError, match=r"has no landmarks.*--landmarks"):
        MotionWindows(clips, plain(), windows_per_clip=2).batch(0)
    with pytest.raises(ConfigError, match="windows_per_clip must divide batch_size, got 3 and 4"):
        MotionWindows(load_clips(pack_corpus, "train"), plain(), windows_per_clip=3)


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
    clip = load_clips(pack_corpus, "train").open(0)
    crops = [clip.frame(index) for index in range(clip.num_frames)]
    speech, lips = meter.embed(crops, clip.mel)
    assert speech.shape == lips.shape == (clip.num_frames - 4, 128)
    for rows in (speech, lips):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    assert meter.measure(crops, clip.mel) == meter.measure(crops, clip.mel)


def test_the_door_knows_experts_from_other_networks(tmp_path: Path) -> None:
    on_pixels = tmp_path / "pixels.onnx"
    export_onnx(Path(__file__).parents[2] / "weights" / "expert.safetensors", on_pixels)
    assert isinstance(open_meter(on_pixels), ExpertOffsetMeter)
    assert isinstance(open_meter(model_path(DEFAULT_EXPERT)), MotionOffsetMeter)
    with pytest.raises(CheckpointError, match="holds a generator, an expert is needed"):
        open_meter(model_path("lipwright-160"))
    with pytest.raises(CheckpointError, match="no such model file"):
        open_meter(tmp_path / "gone.onnx")
