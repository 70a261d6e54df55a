"""Two parts become one generator."""

from pathlib import Path

import pytest
import torch

from lipwright.checkpoints import Metadata
from lipwright.conversion.join import join_generator
from lipwright.errors import ConfigError
from lipwright.models.build import build_network, load_network, save_network

HEARS = {"columns": 41, "hearing_width": 8}
DRAWS = {"resolution": 96, "width": 4, "fine": 4, "code": 8, "landmark_width": 2}


def part(path: Path, kind: str, *, step: int, seed: int = 0, **options: int) -> Path:
    torch.manual_seed(seed)
    config = {**(HEARS if kind == "hearing" else DRAWS), **options}
    network = build_network(kind, "articulated", config)
    meta = Metadata(
        kind=kind,
        architecture="articulated",
        config=config,
        step=step,
        licence="MIT",
        training_data="nobody",
    )
    save_network(network, path, meta)
    return path


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return part(tmp_path_factory.mktemp("parts") / "h.safetensors", "hearing", step=7)


def test_the_parts_are_those_that_were_given(hearing: Path, tmp_path: Path) -> None:
    drawing = part(tmp_path / "d.safetensors", "drawing", step=9)
    meta = join_generator(hearing, [drawing], tmp_path / "g.safetensors")
    assert (meta.step, meta.licence, meta.notes["hearing_step"]) == (9, "MIT", "7")
    whole, _ = load_network(tmp_path / "g.safetensors", kind="generator")
    for kind, path in (("hearing", hearing), ("drawing", drawing)):
        given = load_network(path, kind=kind)[0].state_dict()
        found = getattr(whole, kind).state_dict()
        assert all(torch.equal(found[name], value) for name, value in given.items())


def test_of_several_drawings_the_mean_is_taken(hearing: Path, tmp_path: Path) -> None:
    paths = [
        part(tmp_path / f"{seed}.safetensors", "drawing", step=seed, seed=seed) for seed in (1, 2)
    ]
    meta = join_generator(hearing, paths, tmp_path / "g.safetensors")
    assert meta.step == 2
    whole, _ = load_network(tmp_path / "g.safetensors", kind="generator")
    one, two = (load_network(path, kind="drawing")[0].state_dict() for path in paths)
    found = whole.drawing.state_dict()["stem.conv_block.0.weight"]
    assert torch.allclose(
        found, (one["stem.conv_block.0.weight"] + two["stem.conv_block.0.weight"]) / 2
    )
    assert not torch.allclose(found, one["stem.conv_block.0.weight"])


def test_drawings_of_different_shapes_have_no_mean(hearing: Path, tmp_path: Path) -> None:
    paths = [
        part(tmp_path / f"{width}.safetensors", "drawing", step=1, width=width) for width in (4, 8)
    ]
    with pytest.raises(ConfigError, match="only drawings of one shape have a mean"):
        join_generator(hearing, paths, tmp_path / "g.safetensors")
    assert not (tmp_path / "g.safetensors").exists()


def test_the_name_says_what_it_is(hearing: Path, tmp_path: Path) -> None:
    drawing = part(tmp_path / "d.safetensors", "drawing", step=1)
    with pytest.raises(ConfigError, match=r"weights are written as \.safetensors"):
        join_generator(hearing, [drawing], tmp_path / "g.onnx")
