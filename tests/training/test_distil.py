"""A smaller generator learns from a larger one: its two parts, each from the same part."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lipwright.checkpoints import Metadata
from lipwright.errors import ConfigError
from lipwright.faces.points import NUM_LANDMARKS
from lipwright.models.build import build_network, save_network
from lipwright.training.distil import load_teacher
from lipwright.training.drawing import DrawingRecipe, DrawingTrainer
from lipwright.training.hearing import HearingRecipe, HearingTrainer
from lipwright.training.recipe import DataConfig, NetworkConfig, OptimizerConfig, RunConfig, Term

HEARS = {"columns": 41, "hearing_width": 8}
DRAWS = {"resolution": 96, "width": 4, "fine": 4, "code": 8, "landmark_width": 2}
RUN = RunConfig(steps=40, evaluate_batches=1, device="cpu")


def saved(folder: Path, kind: str, architecture: str, options: Mapping[str, int]) -> Path:
    torch.manual_seed(7)
    path = folder / f"{kind}.safetensors"
    network = build_network(kind, architecture, options)
    if kind == "generator":  # as after training: its last layers do something
        for layer in (network.drawing.flow, network.drawing.output):
            torch.nn.init.normal_(layer.weight, std=0.1)
    save_network(network, path, Metadata(kind=kind, architecture=architecture, config=options))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def teacher(folder: Path) -> Path:
    return saved(folder, "generator", "articulated", {**HEARS, **DRAWS, "width": 8})


@pytest.fixture(scope="module")
def landmarks(folder: Path) -> Path:
    options = {"resolution": 128, "width": 2, "num_points": NUM_LANDMARKS}
    return saved(folder, "landmarks", "compact", options)


def hearing(corpus: Path, teacher: Path | None, **network: int) -> HearingRecipe:
    return HearingRecipe(
        data=DataConfig(corpus=corpus, batch_size=3, workers=0),
        run=RUN,
        network=NetworkConfig(architecture="articulated", options={**HEARS, **network}),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        teacher=teacher,
        distil=Term(weight=0.9),
        agreement=0,
    )


def drawing(corpus: Path, landmarks: Path, teacher: Path | None, **network: int) -> DrawingRecipe:
    return DrawingRecipe(
        data=DataConfig(corpus=corpus, batch_size=4, workers=0),
        run=RUN,
        landmarks=landmarks,
        network=NetworkConfig(architecture="articulated", options={**DRAWS, **network}),
        discriminator=NetworkConfig(architecture="patches", options={"resolution": 96, "width": 4}),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        teacher=teacher,
        distil=Term(weight=0.5),
    )


def falls(values: list[float]) -> bool:
    return sum(values[-5:]) < 0.8 * sum(values[:5])


def test_what_is_heard_comes_nearer_to_what_the_teacher_hears(
    long_corpus: Path, teacher: Path
) -> None:
    trainer = HearingTrainer(hearing(long_corpus, teacher))
    batch = trainer.windows.batch(0)
    assert falls([trainer.step(batch)["hearing/distil"] for _ in range(30)])


def test_what_is_drawn_comes_nearer_to_what_the_teacher_draws(
    pack_corpus: Path, landmarks: Path, teacher: Path
) -> None:
    ends = []
    for weight in (1e-9, 0.95):
        recipe = drawing(pack_corpus, landmarks, teacher)
        trainer = DrawingTrainer(replace(recipe, distil=Term(weight=weight)))
        batch = trainer.windows.batch(0)
        ends.append([trainer.step(batch)["drawing/distil"] for _ in range(20)][-1])
    assert ends[1] < 0.8 * ends[0]


def test_a_teacher_does_not_learn(teacher: Path) -> None:
    network = load_teacher(teacher)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_teacher_that_takes_something_else_is_refused(
    long_corpus: Path, pack_corpus: Path, landmarks: Path, teacher: Path
) -> None:
    with pytest.raises(ConfigError, match="columns = 41, the network has 45"):
        HearingTrainer(hearing(long_corpus, teacher, columns=45))
    with pytest.raises(ConfigError, match="resolution = 96, the network has 128"):
        DrawingTrainer(drawing(pack_corpus, landmarks, teacher, resolution=128))


def test_a_generator_of_one_piece_teaches_nobody(folder: Path, long_corpus: Path) -> None:
    whole = folder / "compact.safetensors"
    options = {"resolution": 96, "width": 8}
    network = build_network("generator", "compact", options)
    save_network(network, whole, Metadata(kind="generator", architecture="compact", config=options))
    with pytest.raises(ConfigError, match="compact generator; only an articulated one"):
        HearingTrainer(hearing(long_corpus, whole))


def test_weight_without_a_teacher_is_refused(long_corpus: Path, landmarks: Path) -> None:
    with pytest.raises(ConfigError, match="no teacher is given"):
        hearing(long_corpus, None)
    with pytest.raises(ConfigError, match="no teacher is given"):
        drawing(long_corpus, landmarks, None)
