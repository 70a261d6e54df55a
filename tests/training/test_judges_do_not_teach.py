"""SyncNet v2 is an expert among weights, but hears cepstra: training refuses it, and says why."""

from dataclasses import replace
from pathlib import Path

import pytest

from lipwright.checkpoints import Metadata
from lipwright.errors import ConfigError
from lipwright.models.build import save_network
from lipwright.models.syncnet_v2 import SyncNetV2
from lipwright.training.generator import GeneratorTrainer
from lipwright.training.recipe import ExpertRecipe, GeneratorRecipe, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def test_a_generator_is_not_taught_by_a_judge(pack_corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "syncnet_v2.safetensors"
    meta = Metadata(kind="expert", architecture="syncnet-v2", config={"resolution": 224})
    save_network(SyncNetV2(), path, meta)
    recipe = load_recipe(RECIPES / "tiny_generator.toml", GeneratorRecipe)
    recipe = replace(recipe, data=replace(recipe.data, corpus=pack_corpus), expert=path)
    with pytest.raises(
        ConfigError, match=r"syncnet_v2\.safetensors holds a syncnet-v2, which judges"
    ):
        GeneratorTrainer(recipe)


def test_a_judge_is_not_trained(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    text = (RECIPES / "tiny_expert.toml").read_text(encoding="utf-8")
    assert '"compact"' in text
    path.write_text(text.replace('"compact"', '"syncnet-v2"'), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"an expert to be trained is .*, got 'syncnet-v2'"):
        load_recipe(path, ExpertRecipe)
