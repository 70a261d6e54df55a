"""Training: resuming equals not stopping, bad numbers stop the run, and all terms do their work."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lipwright.checkpoints import read_tensors, read_weights
from lipwright.errors import CheckpointError, ConfigError, CorpusError, TrainingError
from lipwright.models.compact import CompactExpert
from lipwright.training.expert import ExpertTrainer
from lipwright.training.generator import GeneratorTrainer
from lipwright.training.loop import STATE_NAME, make_run_folder, set_learning_rate, train
from lipwright.training.recipe import (
    ExpertRecipe,
    GeneratorRecipe,
    OptimizerConfig,
    RunConfig,
    Term,
    load_recipe,
)
from lipwright.training.windows import Batch, load_batches

RECIPES = Path(__file__).parents[2] / "recipes"


def expert_recipe(corpus: Path) -> ExpertRecipe:
    recipe = load_recipe(RECIPES / "tiny_expert.toml", ExpertRecipe)
    return replace(recipe, data=replace(recipe.data, corpus=corpus))


def generator_recipe(corpus: Path, expert: Path) -> GeneratorRecipe:
    recipe = load_recipe(RECIPES / "tiny_generator.toml", GeneratorRecipe)
    return replace(recipe, data=replace(recipe.data, corpus=corpus), expert=expert)


def articulated_recipe(corpus: Path, expert: Path) -> GeneratorRecipe:
    """Single frames until the expert comes in at step 8, and both looks at the landmarks."""
    recipe = generator_recipe(corpus, expert)
    sync, reading = replace(recipe.sync, start=8), Term(weight=0.1, start=5)
    return replace(recipe, sync=sync, articulation=0.3, reading=reading, single_until=8)


def run(trainer: ExpertTrainer | GeneratorTrainer, folder: Path, config: RunConfig) -> None:
    train(
        trainer,
        lambda first, end: load_batches(trainer.windows, first=first, end=end, num_workers=0),
        run=config,
        folder=folder,
    )


@pytest.fixture(scope="module")
def expert_run(pack_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("expert")
    recipe = expert_recipe(pack_corpus)
    run(ExpertTrainer(recipe), folder, recipe.run)
    return folder


@pytest.fixture(scope="module")
def generator_run(
    pack_corpus: Path, expert_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("generator")
    recipe = generator_recipe(pack_corpus, expert_run / "expert.safetensors")
    run(GeneratorTrainer(recipe), folder, recipe.run)
    return folder


@pytest.fixture(scope="module")
def articulated_run(
    pack_corpus: Path, expert_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("articulated")
    recipe = articulated_recipe(pack_corpus, expert_run / "expert.safetensors")
    run(GeneratorTrainer(recipe), folder, recipe.run)
    return folder


def assert_same_tensors(a: Path, b: Path) -> None:
    left, right = read_tensors(a)[0], read_tensors(b)[0]
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].tobytes() == right[name].tobytes(), name


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_expert_equals_an_uninterrupted_one(
    pack_corpus: Path, expert_run: Path, tmp_path: Path
) -> None:
    recipe = expert_recipe(pack_corpus)
    torch.manual_seed(99)  # whatever the process drew before must not matter
    with pytest.raises(_KilledError):
        _run_until(ExpertTrainer(recipe), tmp_path, recipe.run, stop_at=8)
    torch.rand(5)
    run(ExpertTrainer(recipe), tmp_path, recipe.run)
    assert_same_tensors(tmp_path / STATE_NAME, expert_run / STATE_NAME)


def test_a_resumed_generator_equals_an_uninterrupted_one(
    pack_corpus: Path, expert_run: Path, generator_run: Path, tmp_path: Path
) -> None:
    recipe = generator_recipe(pack_corpus, expert_run / "expert.safetensors")
    with pytest.raises(_KilledError):
        _run_until(GeneratorTrainer(recipe), tmp_path, recipe.run, stop_at=7)
    run(GeneratorTrainer(recipe), tmp_path, recipe.run)
    assert_same_tensors(tmp_path / STATE_NAME, generator_run / STATE_NAME)
    assert_same_tensors(tmp_path / "generator.safetensors", generator_run / "generator.safetensors")
    mine, theirs = (
        [{k: v for k, v in line.items() if "speed" not in k} for line in metrics(folder)]
        for folder in (tmp_path, generator_run)
    )
    assert mine == theirs


def test_a_resumed_run_with_articulation_equals_an_uninterrupted_one(
    pack_corpus: Path, expert_run: Path, articulated_run: Path, tmp_path: Path
) -> None:
    recipe = articulated_recipe(pack_corpus, expert_run / "expert.safetensors")
    # It stops among single frames and goes on from step 6 with two more batches of them.
    with pytest.raises(_KilledError):
        _run_until(GeneratorTrainer(recipe), tmp_path, recipe.run, stop_at=7)
    run(GeneratorTrainer(recipe), tmp_path, recipe.run)
    assert_same_tensors(tmp_path / STATE_NAME, articulated_run / STATE_NAME)
    assert any("/articulation/" in name for name in read_tensors(tmp_path / STATE_NAME)[0])


def test_a_finished_run_gives_its_weights_again(pack_corpus: Path, tmp_path: Path) -> None:
    recipe = expert_recipe(pack_corpus)
    config = replace(recipe.run, steps=2)
    run(ExpertTrainer(recipe), tmp_path, config)
    weights = tmp_path / "expert.safetensors"
    before = read_weights(weights, kind="expert")[0]
    weights.unlink()
    run(ExpertTrainer(recipe), tmp_path, config)
    after = read_weights(weights, kind="expert")[0]
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


def test_a_run_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"cannot write to the run folder .*file/run"):
        make_run_folder(tmp_path / "file" / "run")


def test_the_generator_hears_like_its_expert_from_the_start(
    pack_corpus: Path, expert_run: Path
) -> None:
    recipe = generator_recipe(pack_corpus, expert_run / "expert.safetensors")
    wrong = replace(recipe, with_speech_of_expert=True)
    with pytest.raises(ConfigError, match="speech_width of the generator to be embedding"):
        GeneratorTrainer(wrong)
    options = {**recipe.network.options, "speech_width": 32}
    right = replace(wrong, network=replace(recipe.network, options=options))
    trainer = GeneratorTrainer(right)
    own = trainer.state.networks["generator"].speech_encoder.state_dict()
    expert = trainer._expert
    assert isinstance(expert, CompactExpert)
    theirs = expert.speech_encoder.state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in theirs)


class _KilledError(Exception):
    pass


def _run_until(
    trainer: ExpertTrainer | GeneratorTrainer, folder: Path, config: RunConfig, *, stop_at: int
) -> None:
    def batches(first: int, end: int):  # type: ignore[no-untyped-def]
        for step, batch in enumerate(
            load_batches(trainer.windows, first=first, end=end, num_workers=0), start=first
        ):
            if step == stop_at:
                raise _KilledError
            yield batch

    train(trainer, batches, run=config, folder=folder)


def test_each_term_is_logged_by_name_and_comes_in_when_the_recipe_says(generator_run: Path) -> None:
    lines = [line for line in metrics(generator_run) if "generator/l1" in line]
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert lines[0]["generator/sync_weight"] == pytest.approx(0.01)
    assert "generator/adversarial" not in lines[0]
    assert lines[1]["generator/adversarial_weight"] == pytest.approx(0.07)
    assert lines[1]["discriminator/loss"] > 0
    assert lines[2]["generator/sync_weight"] == pytest.approx(0.03)


def test_articulation_is_logged_and_its_layer_learns_but_is_not_shipped(
    pack_corpus: Path, expert_run: Path, generator_run: Path, articulated_run: Path
) -> None:
    lines = metrics(articulated_run)
    assert [line["step"] for line in lines if line.get("generator/articulation", 0) > 0] == [
        4,
        8,
        12,
    ]
    for name in ("held_out/opening_heard", "held_out/opening_drawn"):
        assert all(-1 <= line[name] <= 1 for line in lines if "held_out/l1" in line)
    assert ["generator/reading" in line for line in lines if "reader/loss" in line] == [
        False,
        True,
        True,
    ]
    assert not any("generator/articulation" in line for line in metrics(generator_run))
    assert "generator/sync" not in lines[0]  # of single frames, at which no expert looks
    fresh = GeneratorTrainer(articulated_recipe(pack_corpus, expert_run / "expert.safetensors"))
    before = fresh.state.networks["articulation"].state_dict()["head.weight"].numpy()
    learnt = read_tensors(articulated_run / STATE_NAME)[0]["network/articulation/head.weight"]
    assert abs(learnt - before).max() > 1e-4
    shipped, plain = (
        read_weights(folder / "generator.safetensors", kind="generator")[0].keys()
        for folder in (articulated_run, generator_run)
    )
    assert shipped == plain


def test_held_out_speakers_are_evaluated_and_sheets_drawn(generator_run: Path) -> None:
    evaluations = [line for line in metrics(generator_run) if "held_out/l1" in line]
    assert [line["step"] for line in evaluations] == [6, 12]
    assert "held_out/sync" in evaluations[0]
    assert sorted(p.name for p in (generator_run / "sheets").iterdir()) == [
        "0000006.png",
        "0000012.png",
    ]
    assert list((generator_run / "board").glob("events.*"))


def test_the_generator_learns(pack_corpus: Path, expert_run: Path, tmp_path: Path) -> None:
    recipe = generator_recipe(pack_corpus, expert_run / "expert.safetensors")
    config = replace(recipe.run, steps=40, log_every=1)
    run(GeneratorTrainer(replace(recipe, run=config)), tmp_path, config)
    losses = [line["generator/l1"] for line in metrics(tmp_path) if "generator/l1" in line]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_the_expert_that_judges_stays_as_it_was(pack_corpus: Path, expert_run: Path) -> None:
    recipe = generator_recipe(pack_corpus, expert_run / "expert.safetensors")
    trainer = GeneratorTrainer(recipe)
    expert = trainer._expert
    assert expert is not None
    before = {name: tensor.clone() for name, tensor in expert.state_dict().items()}
    trainer.state.step = 10
    terms = trainer.step(trainer.windows.batch(0))
    assert terms["generator/sync"] > 0
    assert not expert.training
    assert all(torch.equal(before[name], t) for name, t in expert.state_dict().items())


def test_the_sync_term_alone_moves_the_lips(pack_corpus: Path, expert_run: Path) -> None:
    recipe = generator_recipe(pack_corpus, expert_run / "expert.safetensors")
    trainer = GeneratorTrainer(recipe)
    batch = trainer.windows.batch(0)
    drawn = torch.rand(2, 5, 3, 96, 96, requires_grad=True)
    trainer._sync(drawn, batch["sync_mel"]).backward()
    assert drawn.grad is not None
    assert drawn.grad[..., 48:, :].abs().sum() > 0
    assert drawn.grad[..., :48, :].abs().sum() == 0


@pytest.mark.parametrize("objective", ["cosine", "contrastive"])
def test_both_objectives_of_the_expert_train(
    pack_corpus: Path, tmp_path: Path, objective: str
) -> None:
    recipe = replace(expert_recipe(pack_corpus), objective=objective)
    config = replace(recipe.run, steps=3, evaluate_every=3)
    run(ExpertTrainer(replace(recipe, run=config)), tmp_path, config)
    _, meta = read_weights(tmp_path / "expert.safetensors", kind="expert")
    assert meta.config["objective"] == objective
    assert (meta.step, meta.licence, meta.training_data) == (3, "unknown", "")


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    pack_corpus: Path, tmp_path: Path
) -> None:
    recipe = expert_recipe(pack_corpus)
    trainer = ExpertTrainer(recipe)

    def batches(first: int, end: int):  # type: ignore[no-untyped-def]
        for step in range(first, end):
            batch: Batch = trainer.windows.batch(step)
            if step == 8:
                batch["mel"][0] = torch.nan
            yield batch

    with pytest.raises(TrainingError, match=r"expert/contrastive became nan at step 8.*kept"):
        train(trainer, batches, run=recipe.run, folder=tmp_path)
    assert read_tensors(tmp_path / STATE_NAME)[1]["step"] == "6"


def test_a_state_of_other_networks_is_refused(pack_corpus: Path, expert_run: Path) -> None:
    recipe = expert_recipe(pack_corpus)
    other = replace(recipe, network=replace(recipe.network, options={"width": 4, "embedding": 32}))
    with pytest.raises(CheckpointError, match="use another run folder"):
        run(ExpertTrainer(other), expert_run, recipe.run)


def test_a_missing_corpus_and_a_missing_expert_are_said(pack_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="lipwright prepare"):
        ExpertTrainer(expert_recipe(tmp_path / "none"))
    with pytest.raises(CheckpointError, match=r"no such weights file.*none\.safetensors"):
        GeneratorTrainer(generator_recipe(pack_corpus, tmp_path / "none.safetensors"))


def test_bf16_trains_too(pack_corpus: Path, tmp_path: Path) -> None:
    recipe = expert_recipe(pack_corpus)
    config = replace(recipe.run, steps=2, precision="bf16", log_every=1)
    run(ExpertTrainer(replace(recipe, run=config)), tmp_path, config)
    assert metrics(tmp_path)[0]["expert/contrastive"] < 3


def test_the_learning_rate_follows_half_a_cosine() -> None:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    config = OptimizerConfig(learning_rate=1e-3, final_learning_rate=1e-4)
    rates = [set_learning_rate(optimizer, config, step=step, steps=100) for step in (0, 50, 100)]
    assert rates == pytest.approx([1e-3, 5.5e-4, 1e-4])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)
    assert set_learning_rate(optimizer, OptimizerConfig(), step=50, steps=100) == 1e-4
