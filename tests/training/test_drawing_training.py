"""The part that draws learns, from batches that fit together, and its run can be resumed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lipwright.checkpoints import Metadata, read_metadata, read_tensors
from lipwright.corpus import load_clips
from lipwright.errors import ConfigError, CorpusError
from lipwright.faces.points import NUM_LANDMARKS
from lipwright.models.articulated import ARTICULATION_LENGTH
from lipwright.models.build import build_network, load_network, save_network
from lipwright.training.drawing import DrawingRecipe, DrawingTrainer
from lipwright.training.drawing_windows import DrawingWindows
from lipwright.training.loop import train
from lipwright.training.perception import Perception
from lipwright.training.recipe import (
    DataConfig,
    NetworkConfig,
    OptimizerConfig,
    RunConfig,
    Term,
)
from lipwright.training.windows import WindowConfig, load_batches

CONFIG = WindowConfig(resolution=96, batch_size=4, seed=1)


@pytest.fixture(scope="module")
def landmarks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small landmark network that knows nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("landmarks") / "landmarks.safetensors"
    options = {"resolution": 128, "width": 2, "num_points": NUM_LANDMARKS}
    network = build_network("landmarks", "compact", options)
    save_network(network, path, Metadata(kind="landmarks", architecture="compact", config=options))
    return path


@pytest.fixture
def recipe(pack_corpus: Path, landmarks: Path) -> DrawingRecipe:
    return DrawingRecipe(
        data=DataConfig(corpus=pack_corpus, batch_size=4, workers=0, licence="Apache-2.0"),
        run=RunConfig(
            steps=3, evaluate_every=2, evaluate_batches=1, save_every=2, device="cpu", log_every=1
        ),
        landmarks=landmarks,
        network=NetworkConfig(
            architecture="articulated",
            options={"resolution": 96, "width": 4, "fine": 4, "code": 8, "landmark_width": 2},
        ),
        discriminator=NetworkConfig(architecture="patches", options={"resolution": 96, "width": 4}),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        flow=Term(weight=0.01),
        perception=Term(weight=0.1),
        adversarial=Term(weight=0.001, start=1),
    )


def run(recipe: DrawingRecipe, folder: Path) -> dict[str, float]:
    trainer = DrawingTrainer(recipe)
    return train(
        trainer,
        lambda first, end: load_batches(trainer.windows, first=first, end=end, num_workers=0),
        run=recipe.run,
        folder=folder,
    )


def test_a_batch_holds_pictures_points_and_articulations(pack_corpus: Path) -> None:
    windows = DrawingWindows(load_clips(pack_corpus, "train"), CONFIG)
    batch = windows.batch(3)
    assert batch["faces"].shape == batch["reference"].shape == (4, 3, 96, 96)
    assert batch["faces"].dtype == torch.uint8
    assert batch["articulation"].shape == (4, ARTICULATION_LENGTH)
    assert batch["points"].shape == batch["reference_points"].shape == (4, NUM_LANDMARKS, 2)
    again = DrawingWindows(load_clips(pack_corpus, "train"), CONFIG).batch(3)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert not torch.equal(batch["faces"], windows.batch(4)["faces"])


def test_the_reference_is_another_frame_under_the_same_light(pack_corpus: Path) -> None:
    plain = replace(CONFIG, with_picture_changes=False, batch_size=12)
    batch = DrawingWindows(load_clips(pack_corpus, "train"), plain).batch(0)
    upper = slice(0, 40)  # the corpus' mouths move, its upper halves do not
    faces, references = batch["faces"][:, :, upper].float(), batch["reference"][:, :, upper].float()
    assert (faces - references).abs().mean() < 1
    assert (batch["faces"] != batch["reference"]).flatten(1).any(dim=1).all()


def test_half_of_the_faces_are_mirrored(pack_corpus: Path) -> None:
    config = replace(CONFIG, batch_size=64)
    batch = DrawingWindows(load_clips(pack_corpus, "train"), config).batch(0)
    points = batch["points"]
    assert points.shape[0] == 64
    # The eye corner that is first in the points' order is left in half the pictures.
    is_left = (points[:, 40, 0] < points[:, 56, 0]).float().mean()
    assert 0.25 < float(is_left) < 0.75


def test_a_corpus_without_landmarks_is_refused(pack_corpus_without_landmarks: Path) -> None:
    windows = DrawingWindows(load_clips(pack_corpus_without_landmarks, "train"), CONFIG)
    with pytest.raises(CorpusError, match="no landmarks; prepare the corpus again with"):
        windows.batch(0)


def test_a_run_writes_weights_a_sheet_and_the_best(recipe: DrawingRecipe, tmp_path: Path) -> None:
    evaluation = run(recipe, tmp_path)
    assert set(evaluation) == {
        f"held_out/{name}"
        for name in ("l1", "perception", "sharpness", "opening", "width", "score")
    }
    meta = read_metadata(tmp_path / "drawing.safetensors")
    assert (meta.kind, meta.architecture, meta.licence) == ("drawing", "articulated", "Apache-2.0")
    assert (tmp_path / "best" / "drawing.safetensors").is_file()
    assert (tmp_path / "best" / "best.json").is_file()
    assert list((tmp_path / "sheets").glob("*.png"))


def test_a_resumed_run_equals_an_uninterrupted_one(recipe: DrawingRecipe, tmp_path: Path) -> None:
    run(recipe, tmp_path / "whole")
    short = replace(recipe, run=replace(recipe.run, steps=2))
    run(short, tmp_path / "parts")
    run(recipe, tmp_path / "parts")
    whole, parts = (
        read_tensors(tmp_path / name / "state.safetensors")[0] for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert np.array_equal(tensor, parts[name]), name


def test_learning_lowers_the_loss_on_a_batch(recipe: DrawingRecipe) -> None:
    trainer = DrawingTrainer(replace(recipe, run=replace(recipe.run, steps=100)))
    batch = trainer.windows.batch(0)
    losses = []
    for _ in range(25):
        losses.append(trainer.step(batch)["drawing/l1"])
        trainer.state.step = 0  # without the adversary
    assert losses[-1] < 0.9 * losses[0]


def test_perception_is_zero_for_the_same_face_and_stays_frozen(landmarks: Path) -> None:
    network, _ = load_network(landmarks, kind="landmarks")
    perception = Perception(network)  # type: ignore[arg-type]
    perception.train()
    assert not network.training
    face = torch.rand(2, 3, 96, 96, generator=torch.manual_seed(0))
    assert perception(face, face).item() == 0
    other = face.clone().requires_grad_(True)
    perception(other, 1 - face).backward()
    assert other.grad is not None
    assert float(other.grad.abs().max()) > 0
    assert all(weight.grad is None for weight in network.parameters())
    assert perception.points(face).shape == (2, NUM_LANDMARKS, 2)


def test_a_senseless_recipe_is_refused(recipe: DrawingRecipe) -> None:
    with pytest.raises(ConfigError, match="mouth_factor must be above 0, got 0"):
        replace(recipe, mouth_factor=0)
    with pytest.raises(ConfigError, match=r"ema_decay from 0 to below 1, got 1\.0 and 1\.0"):
        replace(recipe, ema_decay=1.0)
