"""Lipwright's own networks: their sizes, their cost, and that they listen."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lipwright.errors import ConfigError
from lipwright.models.compact import (
    CompactExpert,
    CompactExpertConfig,
    CompactGenerator,
    CompactGeneratorConfig,
)
from lipwright.models.discriminator import CompactDiscriminator, CompactDiscriminatorConfig


def gmacs(network: torch.nn.Module, *inputs: torch.Tensor) -> float:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network.eval()(*inputs)
    return float(counter.get_total_flops()) / 2e9


def test_default_generator_costs_at_most_half_a_gmac_and_fits_in_the_package() -> None:
    network = CompactGenerator(CompactGeneratorConfig())
    cost = gmacs(network, torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, 96, 96))
    assert 0.2 < cost <= 0.5
    assert sum(tensor.numel() * 4 for tensor in network.state_dict().values()) < 20e6


@pytest.mark.parametrize(
    ("resolution", "patch", "width"), [(96, 4, 48), (128, 4, 8), (160, 4, 8), (384, 16, 8)]
)
def test_generator_draws_at_every_resolution(resolution: int, patch: int, width: int) -> None:
    config = CompactGeneratorConfig(resolution=resolution, patch=patch, width=width)
    network = CompactGenerator(config).eval()
    with torch.no_grad():
        drawn = network(torch.zeros(2, 1, 80, 16), torch.rand(2, 6, resolution, resolution))
    assert drawn.shape == (2, 3, resolution, resolution)
    assert drawn.min() >= 0
    assert drawn.max() <= 1


def test_generator_hears_every_part_of_its_window() -> None:
    torch.manual_seed(0)
    network = CompactGenerator(CompactGeneratorConfig(width=8)).eval()
    torch.nn.init.normal_(network.output.weight, std=0.1)  # a new network draws the reference
    mel = torch.zeros(1, 1, 80, 16, requires_grad=True)
    network(mel, torch.rand(1, 6, 96, 96)).square().sum().backward()
    assert mel.grad is not None
    assert (mel.grad.abs().amax(dim=(0, 1, 2)) > 0).all()
    assert (mel.grad.abs().amax(dim=(0, 1, 3)) > 0).all()


def test_no_convolution_of_the_speech_encoder_sees_a_narrow_map() -> None:
    """Maps one or two pixels wide make oneDNN's bf16 convolutions read what is not theirs."""
    network = CompactGenerator(CompactGeneratorConfig())
    narrowest = []

    def look(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        narrowest.append(min(inputs[0].shape[-2:]))

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_pre_hook(look)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, 96, 96))
    assert len(narrowest) > 20
    assert min(narrowest) >= 6


def test_a_new_generator_draws_the_targets_upper_half_and_the_references_lower_half() -> None:
    network = CompactGenerator(CompactGeneratorConfig(width=8)).eval()
    faces = torch.rand(2, 6, 96, 96)
    with torch.no_grad():
        drawn = network(torch.zeros(2, 1, 80, 16), faces)
    assert torch.equal(drawn[:, :, :48], faces[:, :3, :48])
    assert torch.equal(drawn[:, :, 48:], faces[:, 3:, 48:])


@pytest.mark.parametrize("objective", ["cosine", "contrastive"])
def test_expert_gives_unit_vectors(objective: str) -> None:
    expert = CompactExpert(CompactExpertConfig(width=8, embedding=16, objective=objective)).eval()  # type: ignore[arg-type]
    speech, lips = expert(torch.rand(3, 1, 80, 16), torch.rand(3, 15, 48, 96))
    for vectors in (speech, lips):
        assert vectors.shape == (3, 16)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
        if objective == "cosine":
            assert (vectors >= 0).all()


def test_compact_discriminator_looks_at_the_lower_half_only() -> None:
    judge = CompactDiscriminator(CompactDiscriminatorConfig()).eval()
    faces = torch.rand(2, 3, 5, 96, 96)
    changed = faces.clone()
    changed[..., :48, :] = 0
    with torch.no_grad():
        verdict = judge(faces)
        assert verdict.shape[0] == 10
        assert ((verdict >= 0) & (verdict <= 1)).all()
        assert torch.equal(verdict, judge(changed))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resolution": 64}, "resolution must be from 96 to 384, got 64"),
        ({"resolution": 100}, "multiple of 4 x patch = 16, got 100"),
        ({"patch": 3}, "patch must be an even number from 2 on, got 3"),
        ({"width": 0}, "width"),
    ],
)
def test_impossible_dimensions_are_refused(options: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CompactGeneratorConfig(**options)
