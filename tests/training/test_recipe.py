"""Recipes: every shipped one is whole, and what is wrong with one is said."""

from pathlib import Path

import pytest

from lipwright.errors import ConfigError
from lipwright.models.build import build_network
from lipwright.training.drawing import DrawingRecipe
from lipwright.training.hearing import HearingRecipe
from lipwright.training.recipe import ExpertRecipe, GeneratorRecipe, Term, load_recipe, to_record

RECIPES = Path(__file__).parents[2] / "recipes"
EXPERTS = sorted(RECIPES.glob("*_expert.toml"))
DRAWINGS = sorted(RECIPES.glob("*drawing*.toml"))
HEARINGS = sorted(RECIPES.glob("*_hearing.toml"))
GENERATORS = sorted(path for path in RECIPES.glob("*_generator*.toml"))

MINIMAL = 'expert = "e"\n[data]\ncorpus = "c"\n[run]\nsteps = 5\n'


@pytest.mark.parametrize("path", EXPERTS, ids=lambda path: path.stem)
def test_every_expert_recipe_is_read_and_its_network_built(path: Path) -> None:
    recipe = load_recipe(path, ExpertRecipe)
    build_network("expert", recipe.network.architecture, recipe.network.options)
    assert recipe.data.batch_size % recipe.windows_per_clip == 0


@pytest.mark.parametrize("path", GENERATORS, ids=lambda path: path.stem)
def test_every_generator_recipe_is_read_and_its_networks_built(path: Path) -> None:
    recipe = load_recipe(path, GeneratorRecipe)
    build_network("generator", recipe.network.architecture, recipe.network.options)
    discriminator = recipe.discriminator
    build_network("discriminator", discriminator.architecture, discriminator.options)
    assert recipe.sync.start < recipe.run.steps


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_every_drawing_recipe_is_read_and_its_networks_built(path: Path) -> None:
    recipe = load_recipe(path, DrawingRecipe)
    build_network("drawing", recipe.network.architecture, recipe.network.options)
    judge = recipe.discriminator
    build_network("discriminator", judge.architecture, judge.options)


@pytest.mark.parametrize("path", HEARINGS, ids=lambda path: path.stem)
def test_every_hearing_recipe_is_read_and_its_network_built(path: Path) -> None:
    recipe = load_recipe(path, HearingRecipe)
    build_network("hearing", recipe.network.architecture, recipe.network.options)


def test_all_recipes_are_there() -> None:
    assert {path.stem for path in (*DRAWINGS, *HEARINGS)} == {
        "default_drawing",
        "default_drawing_detail",
        "default_drawing_light",
        "default_hearing",
        "drawing_last",
        "drawing_long",
        "lipwright_tiny_drawing",
        "lipwright_tiny_hearing",
    }
    assert {path.stem for path in EXPERTS} == {
        "default_expert",
        "default_motion_expert",
        "paper_expert",
        "tiny_expert",
    }
    assert {path.stem for path in GENERATORS} == {
        "default_generator",
        "paper_generator",
        "paper_generator_gan",
        "tiny_generator",
    }


def test_the_papers_numbers_are_the_papers() -> None:
    expert = load_recipe(RECIPES / "paper_expert.toml", ExpertRecipe)
    assert (expert.data.batch_size, expert.optimizer.learning_rate) == (64, 1e-3)
    gan = load_recipe(RECIPES / "paper_generator_gan.toml", GeneratorRecipe)
    assert 5 * gan.data.batch_size == 80
    assert (gan.optimizer.learning_rate, gan.optimizer.betas) == (1e-4, (0.5, 0.999))
    assert (gan.sync.weight, gan.adversarial.weight, gan.mouth_factor) == (0.03, 0.07, 1.0)
    plain = load_recipe(RECIPES / "paper_generator.toml", GeneratorRecipe)
    assert (plain.sync.weight, plain.adversarial.weight) == (0.03, 0.0)


def read(tmp_path: Path, text: str) -> GeneratorRecipe:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return load_recipe(path, GeneratorRecipe)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MINIMAL + "stepz = 3\n", r"unknown key 'run\.stepz'; did you mean 'steps'"),
        ('colour = "red"\n' + MINIMAL, "unknown key 'colour'; known: data, run"),
        ('[data]\ncorpus = "c"\n', "missing key in the recipe: 'run'"),
        (MINIMAL.replace("5", '"five"'), r"run\.steps must be a whole number, got 'five'"),
        (MINIMAL.replace("5", "true"), r"run\.steps must be a whole number, got True"),
        (MINIMAL.replace("5", "0"), "steps must be above 0, got 0"),
        (MINIMAL + 'precision = "fp8"\n', r"run\.precision must be one of fp32, bf16; got 'fp8'"),
        (MINIMAL + "[sync]\nweight = 1.5\n", "weight from 0 to below 1"),
        (MINIMAL + "[optimizer]\nbetas = [0.9]\n", r"optimizer\.betas must be a list of 2 numbers"),
        (
            MINIMAL.replace('expert = "e"\n', "") + "[sync]\nweight = 0.03\n",
            "no expert is given",
        ),
        (MINIMAL + "[sync]\nweight = 0.5\n[adversarial]\nweight = 0.5\n", "leave some for"),
        (MINIMAL + "[optimizer]\nbetas = [0.9, 1.5]\n", "betas must be from 0 to below 1"),
        (MINIMAL + "[optimizer]\nlearning_rate = nan\n", "learning_rate must be above 0, got nan"),
        (MINIMAL + "threads = 0\n", "threads must be at least 1, got 0"),
        (MINIMAL.replace('"c"', '"c"\nseed = -1'), "seed must be at least 0"),
        ("with_speech_of_expert = true\n" + MINIMAL.replace('expert = "e"\n', ""), "no expert"),
        ("articulation = -0.1\n" + MINIMAL, r"articulation .* at least 0, got -0\.1 and 0"),
        ("articulation = nan\n" + MINIMAL, "articulation .* at least 0, got nan"),
        ("single_until = -1\n" + MINIMAL, r"single_until must be at least 0, got 0\.0 and -1"),
        (
            "single_until = 4\n" + MINIMAL + "[sync]\nweight = 0.03\nstart = 3\n",
            "single_until must not be after the start of sync, got 4 and 3",
        ),
        (
            MINIMAL.replace('"c"', '"c"\npuppet_share = 1.5'),
            r"puppet_share must be from 0 to 1, got 1\.5",
        ),
        ("[data\n", "cannot read the recipe"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(tmp_path, text)


def test_a_missing_recipe_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the recipe .*none\.toml"):
        load_recipe(tmp_path / "none.toml", ExpertRecipe)


def test_whole_numbers_pass_for_numbers_and_records_are_plain(tmp_path: Path) -> None:
    recipe = read(tmp_path, "mouth_factor = 2\n" + MINIMAL)
    assert recipe.mouth_factor == 2.0
    assert isinstance(recipe.mouth_factor, float)
    record = to_record(recipe)
    assert record["expert"] == "e"
    assert isinstance(record["data"], dict)


def test_single_frames_may_last_until_the_expert_comes_in(tmp_path: Path) -> None:
    text = "single_until = 3\n" + MINIMAL
    assert read(tmp_path, text + "[sync]\nweight = 0.03\nstart = 3\n").single_until == 3
    assert read(tmp_path, text).single_until == 3  # an expert without weight never comes


def test_a_term_comes_in_at_its_step_and_grows_to_its_weight() -> None:
    term = Term(weight=0.08, start=10, ramp=4)
    weights = [term.at(step) for step in (0, 9, 10, 11, 13, 100)]
    assert weights == pytest.approx([0, 0, 0.02, 0.04, 0.08, 0.08])
    assert Term(weight=0.03, start=5).at(5) == 0.03


def test_a_contrastive_expert_needs_windows_to_compare(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    text = 'objective = "contrastive"\n[data]\ncorpus = "c"\nbatch_size = 8\n[run]\nsteps = 5\n'
    path.write_text(text)
    with pytest.raises(ConfigError, match="needs windows_per_clip of at least 2, got 1"):
        load_recipe(path, ExpertRecipe)
    path.write_text("windows_per_clip = 3\n" + text)
    with pytest.raises(ConfigError, match="must divide batch_size, got 3 and 8"):
        load_recipe(path, ExpertRecipe)
