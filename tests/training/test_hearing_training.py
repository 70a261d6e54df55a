"""The part that hears learns, from speech and landmarks that fit, and its run can be resumed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lipwright.checkpoints import Metadata, read_metadata, read_tensors
from lipwright.corpus import load_clips
from lipwright.errors import ConfigError, CorpusError
from lipwright.faces.motion import MOTION_POINTS
from lipwright.faces.points import LIPS, MIRROR
from lipwright.models.build import build_network, save_network
from lipwright.models.hearing import ARTICULATION_LENGTH
from lipwright.training.hearing import (
    NUM_FRAMES,
    HearingRecipe,
    HearingTrainer,
    HearingWindows,
    correlations,
    mouth_numbers,
)
from lipwright.training.loop import train
from lipwright.training.recipe import (
    DataConfig,
    NetworkConfig,
    OptimizerConfig,
    RunConfig,
    Term,
)
from lipwright.training.windows import WindowConfig, load_batches

CONFIG = WindowConfig(resolution=0, batch_size=3, seed=1)
COLUMNS = 41


@pytest.fixture
def recipe(long_corpus: Path) -> HearingRecipe:
    return HearingRecipe(
        data=DataConfig(corpus=long_corpus, batch_size=3, workers=0, licence="Apache-2.0"),
        run=RunConfig(
            steps=3, evaluate_every=2, evaluate_batches=1, save_every=2, device="cpu", log_every=1
        ),
        network=NetworkConfig(
            architecture="articulated", options={"columns": COLUMNS, "hearing_width": 8}
        ),
        optimizer=OptimizerConfig(learning_rate=3e-3),
    )


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an expert on landmarks that knows nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("expert") / "expert.safetensors"
    return write_expert(path, frames=15)


def write_expert(path: Path, *, frames: int) -> Path:
    options = {"frames": frames, "width": 8, "embedding": 8, "hearing_width": 8}
    meta = Metadata(kind="expert", architecture="motion", config=options, licence="MIT")
    network = build_network("expert", "motion", options)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):  # or the embeddings of an untrained one are nearly all alike
            torch.nn.init.zeros_(parameter)
    save_network(network, path, meta)
    return path


def run(recipe: HearingRecipe, folder: Path) -> dict[str, float]:
    trainer = HearingTrainer(recipe)
    return train(
        trainer,
        lambda first, end: load_batches(trainer.windows, first=first, end=end, num_workers=0),
        run=recipe.run,
        folder=folder,
    )


def windows(corpus: Path, **how: float) -> HearingWindows:
    return HearingWindows(load_clips(corpus, "train"), CONFIG, columns=COLUMNS, **how)


def test_a_batch_has_an_answer_for_each_frame(long_corpus: Path) -> None:
    batch = windows(long_corpus, tempo=0.1).batch(0)
    num_answers = batch["mel"].shape[3] - COLUMNS + 1
    assert batch["mel"].shape[:3] == (3, 1, 80)
    assert batch["places"].shape == (3, NUM_FRAMES)
    assert int(batch["places"].min()) == 0
    assert int(batch["places"].max()) < num_answers
    assert batch["articulation"].shape == (3, NUM_FRAMES, ARTICULATION_LENGTH)
    assert batch["sync_mel"].shape == (3, 1, 80, NUM_FRAMES * 80 // 25)
    again = windows(long_corpus, tempo=0.1).batch(0)
    assert all(torch.equal(batch[name], again[name]) for name in batch)


@pytest.mark.parametrize("tempo", [0.0, 0.3])
def test_speech_and_motion_stay_together_at_any_tempo(long_corpus: Path, tempo: float) -> None:
    """In this corpus the loudness of the speech is the opening of the mouth."""
    config = replace(CONFIG, with_speech_changes=False, batch_size=8)
    source = HearingWindows(load_clips(long_corpus, "train"), config, columns=COLUMNS, tempo=tempo)
    batch = source.batch(1)
    middle = batch["places"] + COLUMNS // 2
    loudness = torch.gather(batch["mel"].mean(dim=2)[:, 0], 1, middle)  # (B, N)
    gap = (batch["articulation"] @ mouth_numbers())[..., 0]
    assert float(correlations(loudness[..., None], gap[..., None]).mean()) > 0.8


def test_nobody_speaks_where_the_mouth_rests(long_corpus: Path) -> None:
    config = replace(CONFIG, with_speech_changes=False)
    source = HearingWindows(
        load_clips(long_corpus, "train"), config, columns=COLUMNS, rest_share=0.999
    )
    batch = source.batch(0)
    assert float(batch["mel"].max()) == -4
    assert not batch["articulation"].any()


def test_the_two_sides_of_a_mouth_move_alike(long_corpus: Path) -> None:
    motion = windows(long_corpus).batch(0)["articulation"].unflatten(2, (-1, 2))  # (B, N, M, 2)
    place = {point: index for index, point in enumerate(MOTION_POINTS)}
    twins = [place[MIRROR[point]] for point in LIPS]
    lips = motion[:, :, : len(LIPS)]
    turned = motion[:, :, twins] * torch.tensor([-1.0, 1])
    assert float(lips.std()) > 0.05
    torch.testing.assert_close(lips, turned, atol=1e-4, rtol=1e-4)


def test_a_corpus_without_landmarks_is_refused(long_corpus_without_landmarks: Path) -> None:
    with pytest.raises(CorpusError, match="no landmarks; prepare the corpus again with"):
        windows(long_corpus_without_landmarks).batch(0)


def test_clips_that_are_too_short_are_refused(pack_corpus: Path) -> None:
    with pytest.raises(CorpusError, match="has 61 frames"):
        windows(pack_corpus)


def test_a_run_writes_weights_and_the_best_by_held_out_agreement(
    recipe: HearingRecipe, tmp_path: Path
) -> None:
    evaluation = run(recipe, tmp_path)
    assert evaluation["held_out/score"] == evaluation["held_out/agreement_gap"]
    assert {f"held_out/amplitude_{name}" for name in ("gap", "width", "height")} < set(evaluation)
    meta = read_metadata(tmp_path / "hearing.safetensors")
    assert (meta.kind, meta.architecture, meta.licence) == ("hearing", "articulated", "Apache-2.0")
    assert (tmp_path / "best" / "hearing.safetensors").is_file()


def test_a_resumed_run_equals_an_uninterrupted_one(recipe: HearingRecipe, tmp_path: Path) -> None:
    run(recipe, tmp_path / "whole")
    run(replace(recipe, run=replace(recipe.run, steps=2)), tmp_path / "parts")
    run(recipe, tmp_path / "parts")
    whole, parts = (
        read_tensors(tmp_path / name / "state.safetensors")[0] for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert np.array_equal(tensor, parts[name]), name


def test_it_learns_to_hear(recipe: HearingRecipe) -> None:
    trainer = HearingTrainer(replace(recipe, run=replace(recipe.run, steps=60)))
    terms = [trainer.step(trainer.windows.batch(step)) for step in range(40)]
    first, last = (
        np.mean([term["hearing/agreement"] for term in part]) for part in (terms[:5], terms[-5:])
    )
    assert last > first + 0.2


def test_the_experts_verdict_can_be_learnt_from(recipe: HearingRecipe, expert: Path) -> None:
    trainer = HearingTrainer(replace(recipe, expert=expert, sync=Term(weight=0.5)))
    batch = trainer.windows.batch(0)
    verdicts = [trainer.step(batch)["hearing/sync"] for _ in range(30)]
    assert verdicts[-1] < verdicts[0] - 0.02


def test_the_expert_finds_the_motion_and_the_speech_of_one_time(
    recipe: HearingRecipe, expert: Path
) -> None:
    trainer = HearingTrainer(replace(recipe, expert=expert, sync=Term(weight=0.5)))
    heard: list[tuple[torch.Size, torch.Size]] = []
    judge = trainer._expert
    assert judge is not None
    pairs = judge.pairs

    def watched(mel: torch.Tensor, motion: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = pairs(mel, motion)
        heard.append((found[0].shape, found[1].shape))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "pairs", watched)
        trainer.step(trainer.windows.batch(0))
    assert heard == [((3, 10, 8), (3, 10, 8))]


def test_an_expert_that_looks_too_far_leaves_nothing_to_choose_from(
    recipe: HearingRecipe, tmp_path: Path
) -> None:
    path = write_expert(tmp_path / "far.safetensors", frames=35)
    with pytest.raises(ConfigError, match=r"looks at 35 frames; of a stretch of 60 .* at most 30"):
        HearingTrainer(replace(recipe, expert=path))


@pytest.mark.parametrize("tempo", [0.0, 0.3])
def test_what_the_expert_hears_is_the_speech_of_the_motion(long_corpus: Path, tempo: float) -> None:
    """In this corpus the loudness of the speech is the opening of the mouth."""
    config = replace(CONFIG, batch_size=8)
    source = HearingWindows(load_clips(long_corpus, "train"), config, columns=COLUMNS, tempo=tempo)
    batch = source.batch(1)
    middles = (3.2 * (torch.arange(NUM_FRAMES) + 0.5)).long()
    loudness = batch["sync_mel"].mean(dim=2)[:, 0, middles]  # (B, N)
    gap = (batch["articulation"] @ mouth_numbers())[..., 0]
    assert float(correlations(loudness[..., None], gap[..., None]).mean()) > 0.8


def test_only_an_expert_on_landmarks_judges_what_is_heard(
    recipe: HearingRecipe, tmp_path: Path
) -> None:
    options = {"resolution": 96, "width": 4, "embedding": 8}
    path = tmp_path / "pixels.safetensors"
    meta = Metadata(kind="expert", architecture="compact", config=options)
    save_network(build_network("expert", "compact", options), path, meta)
    with pytest.raises(ConfigError, match="only a motion expert judges"):
        HearingTrainer(replace(recipe, expert=path))


def test_a_senseless_recipe_is_refused(recipe: HearingRecipe) -> None:
    with pytest.raises(ConfigError, match="no expert is given"):
        replace(recipe, sync=Term(weight=0.1))
    with pytest.raises(ConfigError, match=r"tempo from 0 to below 0\.7"):
        replace(recipe, tempo=0.9)
    with pytest.raises(ConfigError, match=r"rest_share must be from 0 to below 1, got 1\.0"):
        replace(recipe, rest_share=1.0)


def test_correlations_are_pearsons_along_time() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 3, 20, 4))
    b[0, :, 0] = 2 * a[0, :, 0] + 1
    b[1, :, 1] = 0.5
    found = correlations(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    assert found[0, 0] == pytest.approx(1, abs=1e-3)
    assert found[1, 1] == 0
    assert found[2, 3] == pytest.approx(np.corrcoef(a[2, :, 3], b[2, :, 3])[0, 1], abs=1e-3)
