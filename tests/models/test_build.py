"""From names and files to networks."""

from pathlib import Path

import pytest
import torch

from lipwright.checkpoints import Metadata, write_weights
from lipwright.errors import CheckpointError, ConfigError
from lipwright.models.build import build_network, load_network

SMALL = {"width": 4, "speech_width": 8}


def weights_file(path: Path, *, options: dict[str, int] = SMALL, drop: str = "") -> Path:
    network = build_network("generator", "compact", SMALL)
    state = {k: t.numpy() for k, t in network.state_dict().items() if k != drop}
    meta = Metadata(kind="generator", architecture="compact", config=options)
    write_weights(path, state, meta)
    return path


def test_a_saved_network_comes_back_the_same(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build_network("generator", "compact", SMALL).eval()
    state = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    meta = Metadata(kind="generator", architecture="compact", config=SMALL, step=7)
    write_weights(tmp_path / "g.safetensors", state, meta)
    loaded, read = load_network(tmp_path / "g.safetensors", kind="generator")
    assert read == meta
    assert not loaded.training
    inputs = torch.rand(1, 1, 80, 16), torch.rand(1, 6, 96, 96)
    assert torch.equal(network(*inputs), loaded(*inputs))


def test_weights_that_do_not_fit_are_refused_with_the_names(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "g.safetensors", drop="stem.conv_block.0.weight")
    with pytest.raises(CheckpointError, match=r"stem\.conv_block\.0\.weight"):
        load_network(path, kind="generator")
    path = weights_file(tmp_path / "h.safetensors", options={"width": 8, "speech_width": 8})
    with pytest.raises(CheckpointError, match="does not fit a compact generator"):
        load_network(path, kind="generator")


def test_unknown_architectures_and_options_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="unknown generator architecture 'unet'; known: articulated, compact"
    ):
        build_network("generator", "unet", {})
    with pytest.raises(ConfigError, match="unknown network option 'widht'; did you mean 'width'"):
        build_network("generator", "compact", {"widht": 4})
    with pytest.raises(ConfigError, match="takes no options"):
        build_network("expert", "wav2lip", {"resolution": 288})
