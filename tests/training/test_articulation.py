"""The articulation loss: known values, and a speech encoder that learns from it."""

import pytest
import torch
from torch import Tensor

from lipwright.errors import ConfigError
from lipwright.models.compact import (
    CompactExpert,
    CompactExpertConfig,
    CompactGenerator,
    CompactGeneratorConfig,
)
from lipwright.training.articulation import (
    Articulation,
    MouthReader,
    articulation_loss,
    correlation,
)


@pytest.fixture
def generator() -> CompactGenerator:
    torch.manual_seed(0)
    return CompactGenerator(CompactGeneratorConfig(width=8, speech_width=16))


def speech(count: int) -> tuple[Tensor, Tensor]:
    """Windows of a loudness that changes, and a mouth that opens with it."""
    loudness = torch.rand(count, generator=torch.Generator().manual_seed(1))
    mel = (8 * loudness - 4)[:, None, None, None].expand(count, 1, 80, 16)
    return mel, loudness[:, None] * torch.tensor([0.3, -0.1, 0.2, 0.3])


def test_loss_is_nothing_for_the_true_motion() -> None:
    _, motion = speech(5)
    assert articulation_loss(motion, motion.clone()).item() == 0


def test_loss_is_hubers_in_tenths_of_the_eyes_distance() -> None:
    true = torch.zeros(1, 4)
    assert articulation_loss(true + 0.1, true).item() == pytest.approx(1 - 0.3 / 2)
    assert articulation_loss(true - 0.01, true).item() == pytest.approx(0.1**2 / 2 / 0.3)
    one = torch.tensor([[0.1, 0.0, 0.0, 0.0]])
    assert articulation_loss(one, true).item() == pytest.approx(0.85 / 4)


def test_speech_encoder_learns_what_a_mouth_does(generator: CompactGenerator) -> None:
    articulation = Articulation(generator)
    mel, motion = speech(12)
    assert articulation(generator, mel).shape == (12, 4)
    learning = [*generator.parameters(), *articulation.parameters()]
    optimizer = torch.optim.Adam(learning, lr=3e-3)
    losses = []
    for _ in range(40):
        loss = articulation_loss(articulation(generator, mel), motion)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    moved = {name for name, value in generator.named_parameters() if value.grad is not None}
    assert moved
    assert all(name.startswith("speech_encoder.") for name in moved)


def test_reader_learns_to_read_the_shape_of_a_mouth() -> None:
    torch.manual_seed(0)
    reader = MouthReader(width=8)
    _, shape = speech(16)
    faces = torch.full((16, 3, 96, 96), 0.6)
    for face, opening in zip(faces, shape[:, 0], strict=True):
        face[:, 56 : 56 + round(96 * float(opening)), 36:60] = 0.1
    optimizer = torch.optim.Adam(reader.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = articulation_loss(reader(faces), shape)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert reader(faces).shape == (16, 4)
    assert losses[-1] < 0.2 * losses[0]


def test_reader_reads_faces_of_any_size_alike() -> None:
    torch.manual_seed(0)
    reader = MouthReader(width=4).eval()
    faces = torch.rand(2, 3, 96, 96)
    larger = faces.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(reader(larger), reader(faces))


def test_network_that_is_no_compact_generator_is_refused() -> None:
    expert = CompactExpert(CompactExpertConfig(width=4, embedding=16))
    with pytest.raises(ConfigError, match="needs a compact generator"):
        Articulation(expert)


def test_correlation_is_pearsons_and_nothing_for_what_does_not_move() -> None:
    a = torch.tensor([1.0, 2.0, 3.0, 5.0])
    assert correlation(a, 3 - 2 * a) == pytest.approx(-1)
    assert correlation(a, torch.tensor([1.0, -1.0, -1.0, 1.0])) == pytest.approx(0.17, abs=0.01)
    assert correlation(a, torch.ones(4)) == correlation(torch.ones(4), a) == 0
