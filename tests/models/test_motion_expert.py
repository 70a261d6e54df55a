import pytest
import torch

from lipwright.errors import ConfigError
from lipwright.faces.motion import MOTION_LENGTH
from lipwright.models.build import build_network
from lipwright.models.motion_expert import MotionExpert, MotionExpertConfig


def test_the_config_knows_how_many_numbers_a_frame_has() -> None:
    assert MotionExpertConfig().motion == MOTION_LENGTH


def test_embeddings_have_unit_length() -> None:
    network = build_network("expert", "motion", {"embedding": 24}).eval()
    assert isinstance(network, MotionExpert)
    speech, lips = network(torch.rand(3, 1, 80, 16), torch.randn(3, 5, MOTION_LENGTH))
    assert speech.shape == lips.shape == (3, 24)
    for rows in (speech, lips):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))


def test_each_half_looks_at_its_own_input() -> None:
    network = build_network("expert", "motion", {}).eval()
    mel, motion = torch.rand(2, 1, 80, 16), torch.randn(2, 5, MOTION_LENGTH)
    speech, lips = network(mel, motion)
    assert torch.equal(network(mel, -motion)[0], speech)
    assert torch.equal(network(mel / 2, motion)[1], lips)
    assert not torch.equal(network(mel, -motion)[1], lips)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding": 0}, "embedding must be at least 1"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
        ({"widht": 3}, "did you mean 'width'"),
    ],
)
def test_impossible_dimensions_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network("expert", "motion", options)
