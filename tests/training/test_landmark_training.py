"""Training the landmark network: points stay on faces, runs repeat, and it learns."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lipwright.checkpoints import read_tensors, read_weights
from lipwright.corpus.facepack import (
    STORED_MARGIN,
    STORED_SIZE,
    FacePack,
    LabelledFace,
    write_faces,
)
from lipwright.errors import CheckpointError, ConfigError, CorpusError
from lipwright.faces.landmarks import LANDMARK_MARGIN
from lipwright.faces.points import EYE_CORNERS, GROUPS, NUM_LANDMARKS
from lipwright.models.build import build_network, load_network
from lipwright.training import landmarks as landmark_training
from lipwright.training.landmarks import (
    WEIGHTS_NAME,
    FaceWindows,
    LandmarkRecipe,
    LandmarkTrainer,
    cut_face,
    runtime_map,
)
from lipwright.training.loop import STATE_NAME, train
from lipwright.training.recipe import (
    NetworkConfig,
    OptimizerConfig,
    RunConfig,
    load_recipe,
)
from lipwright.training.windows import load_batches

RECIPES = Path(__file__).parents[2] / "recipes"
SIDE = STORED_SIZE / STORED_MARGIN
LEFT_EYE, RIGHT_EYE = EYE_CORNERS
LEFT_MOUTH, RIGHT_MOUTH = GROUPS["outer_lips"][0], GROUPS["outer_lips"][10]
CHIN = GROUPS["oval"][18]
# Colours of the points that are drawn, and where in the crop rule's square those are.
RED, GREEN, BLUE, YELLOW, WHITE = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 0),
    (255, 255, 255),
)
DRAWN = {
    LEFT_EYE: ((0.24, 0.2), RED),
    RIGHT_EYE: ((0.76, 0.2), GREEN),
    LEFT_MOUTH: ((0.36, 0.62), BLUE),
    RIGHT_MOUTH: ((0.64, 0.62), YELLOW),
    CHIN: ((0.5, 0.9), WHITE),
}


def drawn_face(
    *,
    person: str = "s1",
    place: tuple[float, float] = (0.0, 0.0),
    size: float = 1.0,
    opening: float = 0.0,
    yaw: float = 0.3,
    pitch: float = -0.2,
) -> LabelledFace:
    """A black picture with a coloured dot at each of five points.

    Args:
        person: Who it is.
        place: Right and down, in sides of the crop rule's square.
        size: Of the face.
        opening: Of the mouth, in sides.
        yaw: Of the head.
        pitch: Of the head.
    """
    shares = np.random.default_rng(0).uniform(0.2, 0.8, (NUM_LANDMARKS, 2))
    for point, (at, _) in DRAWN.items():
        shares[point] = at
    shares[list(GROUPS["inner_lips"][1:10])] += (0, opening)
    shares = 0.5 + size * (shares - 0.5) + place
    points = (STORED_SIZE - SIDE) / 2 + SIDE * shares
    picture = np.zeros((STORED_SIZE, STORED_SIZE, 3), dtype=np.uint8)
    for point, (_, colour) in DRAWN.items():
        # OpenCV counts from the middle of the first pixel, in 16ths here.
        x, y = np.round(16 * (points[point] - 0.5)).astype(int).tolist()
        cv2.circle(picture, (x, y), 5 * 16, colour, -1, cv2.LINE_AA, shift=4)
    return LabelledFace(
        picture=picture,
        side=SIDE,
        points=points.astype(np.float32),
        pose=np.array([yaw, pitch], dtype=np.float32),
        person=person,
    )


def dot(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.float64]:
    """Centre of a dot, x y as shares of the picture's side."""
    wanted = np.array(colour) / 255
    levels = picture / 255
    likeness = np.clip(1 - 2 * np.abs(levels - wanted).max(axis=-1), 0, 1)
    assert likeness.sum() > 5, "the dot is not in the picture"
    rows, columns = np.indices(likeness.shape) + 0.5
    centre = np.array([(columns * likeness).sum(), (rows * likeness).sum()]) / likeness.sum()
    return np.asarray(centre / picture.shape[0])


def write_pack(path: Path, faces: list[LabelledFace]) -> Path:
    write_faces(iter(faces), path)
    return path


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces of various sizes at various places, of speakers and of portraits."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for part, number in (("train", 48), ("val", 12)):
        made = [
            drawn_face(
                person="portraits/a" if index % 3 == 0 else "s1",
                place=tuple(rng.uniform(-0.1, 0.1, 2).tolist()),
                size=float(rng.uniform(0.7, 1.1)),
                opening=float(rng.uniform(0, 0.1)),
            )
            for index in range(number)
        ]
        write_pack(folder / f"{part}.faces", made)
    return folder


def recipe_of(faces: Path, *, steps: int = 6) -> LandmarkRecipe:
    return LandmarkRecipe(
        faces=faces,
        run=RunConfig(
            steps=steps, device="cpu", threads=1, log_every=1, evaluate_every=3, save_every=3
        ),
        batch_size=4,
        workers=0,
        network=NetworkConfig(options={"resolution": 64, "width": 4}),
        optimizer=OptimizerConfig(learning_rate=3e-3),
        ema_decay=0.8,
        description="drawn",
        licence="Apache-2.0",
    )


def run(trainer: LandmarkTrainer, folder: Path, config: RunConfig) -> dict[str, float]:
    return train(
        trainer,
        lambda first, end: load_batches(trainer.windows, first=first, end=end, num_workers=0),
        run=config,
        folder=folder,
    )


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_tensors(a: Path, b: Path) -> None:
    left, right = read_tensors(a)[0], read_tensors(b)[0]
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].tobytes() == right[name].tobytes(), name


@pytest.fixture(scope="module")
def finished(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps."""
    folder = tmp_path_factory.mktemp("run")
    recipe = recipe_of(faces)
    run(LandmarkTrainer(recipe), folder, recipe.run)
    return folder


def test_the_shipped_recipe_is_read_and_its_network_built() -> None:
    recipe = load_recipe(RECIPES / "landmarks.toml", LandmarkRecipe)
    build_network("landmarks", recipe.network.architecture, recipe.network.options)
    assert recipe.licence == "Apache-2.0"
    assert "GRID" in recipe.description
    assert recipe.optimizer.final_learning_rate is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batch_size = 0\n", "batch_size must be above 0, got 0"),
        ("workers = -1\n", r"got -1, 1 and 0\.999"),
        ("ema_decay = 1.0\n", r"ema_decay from 0 to below 1, got 1, 1 and 1\.0"),
        ("face = 3\n", "unknown key 'face'; did you mean 'faces'"),
        ("gap = -1\n", r"gap and pose must be at least 0, got -1\.0 and 0\.2"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f'{text}faces = "f"\n[run]\nsteps = 5\n')
    with pytest.raises(ConfigError, match=words):
        load_recipe(path, LandmarkRecipe)


def test_a_batch_is_a_function_of_seed_and_step(faces: Path) -> None:
    def windows(seed: int) -> FaceWindows:
        pack = FacePack(faces / "train.faces")
        return FaceWindows(pack, resolution=64, batch_size=6, seed=seed)

    first, again = windows(1), windows(1)
    again.batch(7)  # what was made before does not matter
    batch = first.batch(3)
    assert {name: (tuple(t.shape), t.dtype) for name, t in batch.items()} == {
        "faces": ((6, 3, 64, 64), torch.uint8),
        "points": ((6, NUM_LANDMARKS, 2), torch.float32),
        "pose": ((6, 2), torch.float32),
    }
    for name, tensor in again.batch(3).items():
        assert torch.equal(tensor, batch[name])
    for other in (first.batch(4), windows(2).batch(3)):
        assert not torch.equal(other["points"], batch["points"])
        assert not torch.equal(other["faces"], batch["faces"])


def test_people_of_many_pictures_are_not_drawn_as_often_as_they_have_them(tmp_path: Path) -> None:
    many = [drawn_face(person="many", pitch=-0.5)] * 15
    path = write_pack(tmp_path / "train.faces", [*many, drawn_face(person="one", pitch=0.5)])
    windows = FaceWindows(FacePack(path), resolution=64, batch_size=400, seed=0)
    share = float((windows.batch(0)["pose"][:, 1] > 0).float().mean())
    expected = 1 / (1 + 15 * 15**-0.6)  # 0.25, and not 1/16
    assert share == pytest.approx(expected, abs=0.08)


@pytest.mark.parametrize("seed", range(4))
def test_points_stay_on_their_dots_whatever_the_map(seed: int) -> None:
    rng = np.random.default_rng(seed)
    face = drawn_face()
    for size in (64, 128, 192):
        affine = landmark_training._draw_map(face, size, rng)
        picture, points = cut_face(face, affine, size=size)
        assert picture.shape == (size, size, 3)
        assert points.shape == (NUM_LANDMARKS, 2)
        assert points.dtype == np.float32
        for point, (_, colour) in DRAWN.items():
            np.testing.assert_allclose(dot(picture, colour), points[point], atol=0.5 / size)


def test_the_map_of_run_time_is_what_the_network_sees_then() -> None:
    face = drawn_face()
    picture, points = cut_face(face, runtime_map(face, 128), size=128)
    shares = {point: np.array(at) for point, (at, _) in DRAWN.items()}
    for point, (_, colour) in DRAWN.items():
        expected = 0.5 + (shares[point] - 0.5) / LANDMARK_MARGIN
        np.testing.assert_allclose(points[point], expected, atol=1e-5)
        np.testing.assert_allclose(dot(picture, colour), expected, atol=0.5 / 128)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures keep their colours and are not covered, so that dots can be found again."""
    monkeypatch.setattr(landmark_training, "degrade", lambda picture, _: picture)
    monkeypatch.setattr(landmark_training, "occlude", lambda picture, _: picture)
    monkeypatch.setattr(landmark_training, "recolour", lambda picture, _: picture)


@pytest.mark.usefixtures("plain")
def test_points_stay_on_their_dots_in_a_batch_and_sides_change_in_a_mirror(tmp_path: Path) -> None:
    path = write_pack(tmp_path / "train.faces", [drawn_face(yaw=0.3, pitch=-0.2)])
    batch = FaceWindows(FacePack(path), resolution=96, batch_size=24, seed=5).batch(0)
    pictures = batch["faces"].numpy().transpose(0, 2, 3, 1)
    mirror = {
        LEFT_EYE: RIGHT_EYE,
        RIGHT_EYE: LEFT_EYE,
        LEFT_MOUTH: RIGHT_MOUTH,
        RIGHT_MOUTH: LEFT_MOUTH,
        CHIN: CHIN,
    }
    yaws, pitches = batch["pose"].T.tolist()
    assert {round(yaw, 3) for yaw in yaws} == {0.3, -0.3}  # some are mirrored
    assert {round(pitch, 3) for pitch in pitches} == {-0.2}
    for picture, points, yaw in zip(pictures, batch["points"].numpy(), yaws, strict=True):
        for point in DRAWN:
            colour = DRAWN[mirror[point] if yaw < 0 else point][1]
            np.testing.assert_allclose(dot(picture, colour), points[point], atol=0.012)
        # A face that is turned by less than 45 degrees has its left eye on the left.
        assert points[LEFT_EYE, 0] < points[RIGHT_EYE, 0]


def test_a_resumed_run_equals_an_uninterrupted_one(
    faces: Path, finished: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(faces)
    torch.manual_seed(99)  # whatever the process drew before must not matter
    trainer = LandmarkTrainer(recipe)

    def batches(first: int, end: int):  # type: ignore[no-untyped-def]
        for step in range(first, end):
            if step == 4:
                raise _KilledError
            yield trainer.windows.batch(step)

    with pytest.raises(_KilledError):
        train(trainer, batches, run=recipe.run, folder=tmp_path)
    torch.rand(5)
    run(LandmarkTrainer(recipe), tmp_path, recipe.run)
    assert_same_tensors(tmp_path / STATE_NAME, finished / STATE_NAME)
    assert_same_tensors(tmp_path / WEIGHTS_NAME, finished / WEIGHTS_NAME)
    mine, theirs = (
        [{k: v for k, v in line.items() if "speed" not in k} for line in metrics(folder)]
        for folder in (tmp_path, finished)
    )
    assert mine == theirs


class _KilledError(Exception):
    pass


def test_a_run_leaves_curves_sheets_and_weights_for_use(finished: Path) -> None:
    lines = metrics(finished)
    terms = [line for line in lines if "landmarks/points" in line]
    assert [line["step"] for line in terms] == [1, 2, 3, 4, 5, 6]
    names = {"landmarks/gap", "landmarks/pose", "landmarks/gradient_norm"}
    assert all(names <= line.keys() for line in terms)
    evaluations = [line for line in lines if "held_out/nme_lips" in line]
    assert [line["step"] for line in evaluations] == [3, 6]
    assert evaluations[0].keys() - {"step"} == {
        "held_out/nme_lips",
        "held_out/nme_portraits",
        "held_out/nme_speakers",
        "held_out/gap_correlation_portraits",
        "held_out/gap_correlation_speakers",
        "held_out/pose_degrees",
    }
    sheets = sorted((finished / "sheets").iterdir())
    assert [sheet.name for sheet in sheets] == ["0000003.png", "0000006.png"]
    picture = cv2.imread(str(sheets[0]))
    assert picture is not None
    assert picture.shape == (4 * 128, 6 * 128, 3)
    network, meta = load_network(finished / WEIGHTS_NAME, kind="landmarks")
    assert (meta.step, meta.licence, meta.training_data) == (6, "Apache-2.0", "drawn")
    points, pose = network(torch.zeros(2, 3, 64, 64))
    assert (points.shape, pose.shape) == ((2, NUM_LANDMARKS, 2), (2, 2))


def test_the_weights_for_use_are_the_running_mean(faces: Path, finished: Path) -> None:
    state = read_tensors(finished / STATE_NAME)[0]
    used = read_weights(finished / WEIGHTS_NAME, kind="landmarks")[0]
    for name, array in used.items():
        np.testing.assert_array_equal(array, state[f"network/average/module.{name}"])
    last = "head.2.weight"
    assert np.abs(used[last] - state[f"network/landmarks/{last}"]).max() > 0


def test_an_evaluation_changes_nothing_that_is_trained(faces: Path) -> None:
    trainer = LandmarkTrainer(recipe_of(faces))
    trainer.step(trainer.windows.batch(0))
    before = {k: t.clone() for k, t in trainer.state.networks["average"].state_dict().items()}
    trainer.sheet()
    first = trainer.evaluate()
    assert first == trainer.evaluate()
    after = trainer.state.networks["average"].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_training_lowers_the_error(faces: Path, tmp_path: Path) -> None:
    recipe = replace(recipe_of(faces, steps=80), batch_size=8)
    run(LandmarkTrainer(recipe), tmp_path, replace(recipe.run, evaluate_every=10, save_every=80))
    lines = metrics(tmp_path)
    errors = [line["landmarks/points"] for line in lines if "landmarks/points" in line]
    assert sum(errors[-10:]) < 0.75 * sum(errors[:10])
    held_out = [line["held_out/nme_lips"] for line in lines if "held_out/nme_lips" in line]
    assert held_out[-1] < 0.65 * held_out[0]


@pytest.mark.parametrize(
    ("people", "named"),
    [(["s1", "s2"], "speakers"), (["portraits/a", "portraits/b"], "portraits")],
)
def test_what_is_not_held_out_is_not_measured(
    faces: Path, tmp_path: Path, people: list[str], named: str
) -> None:
    write_pack(tmp_path / "val.faces", [drawn_face(person=person) for person in people])
    (tmp_path / "train.faces").write_bytes((faces / "train.faces").read_bytes())
    evaluation = LandmarkTrainer(recipe_of(tmp_path)).evaluate()
    other = {"speakers": "portraits", "portraits": "speakers"}[named]
    assert f"held_out/nme_{named}" in evaluation
    assert not any(other in name for name in evaluation)
    assert np.isfinite(evaluation[f"held_out/nme_{named}"])


def test_a_state_of_another_network_and_missing_faces_are_refused(
    faces: Path, finished: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(faces)
    other = replace(recipe, network=NetworkConfig(options={"resolution": 64, "width": 8}))
    with pytest.raises(CheckpointError, match="use another run folder"):
        run(LandmarkTrainer(other), finished, recipe.run)
    with pytest.raises(CorpusError, match=r"cannot read faces from .*train\.faces"):
        LandmarkTrainer(recipe_of(tmp_path))
    wrong = replace(recipe, network=NetworkConfig(options={"resolution": 100}))
    with pytest.raises(ConfigError, match="multiple of 32 from 64 on, got 100"):
        LandmarkTrainer(wrong)
