import pytest
import torch

from lipwright.errors import ConfigError
from lipwright.faces.motion import MOTION_LENGTH
from lipwright.models.build import build_network
from lipwright.models.motion_expert import MotionExpert, MotionExpertConfig

SMALL = {"hearing_width": 8, "width": 8, "embedding": 24}


def expert(**options: int) -> MotionExpert:
    torch.manual_seed(0)
    network = build_network("expert", "motion", {**SMALL, **options}).eval()
    assert isinstance(network, MotionExpert)
    return network


def test_the_config_knows_how_many_numbers_a_frame_has() -> None:
    assert MotionExpertConfig().motion == MOTION_LENGTH


@pytest.mark.parametrize(("frames", "columns"), [(15, 48), (20, 64), (25, 80)])
def test_the_window_of_speech_is_as_long_as_that_of_lips(frames: int, columns: int) -> None:
    config = MotionExpertConfig(frames=frames)
    assert config.columns == columns
    assert config.columns / 80 == config.frames / 25  # seconds


@pytest.mark.parametrize("frames", [15, 20])
def test_embeddings_have_unit_length(frames: int) -> None:
    network = expert(frames=frames)
    mel = torch.rand(3, 1, 80, network.config.columns)
    speech, lips = network(mel, torch.randn(3, frames, MOTION_LENGTH))
    assert speech.shape == lips.shape == (3, 24)
    for rows in (speech, lips):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))


def test_each_half_looks_at_its_own_input() -> None:
    network = expert()
    mel, motion = torch.rand(2, 1, 80, 48), torch.randn(2, 15, MOTION_LENGTH)
    speech, lips = network(mel, motion)
    assert torch.equal(network(mel, -motion)[0], speech)
    assert torch.equal(network(mel / 2, motion)[1], lips)
    assert not torch.equal(network(mel, -motion)[1], lips)


def test_a_stretch_is_embedded_as_its_windows_one_by_one() -> None:
    network = expert()
    mel, motion = torch.rand(2, 1, 80, 96), torch.randn(2, 30, MOTION_LENGTH)
    speech, lips = network.embed(mel, motion)
    assert speech.shape == (2, 96 - 48 + 1, 24)
    assert lips.shape == (2, 30 - 15 + 1, 24)
    for column, frame in ((0, 0), (7, 3), (48, 15)):
        heard, seen = mel[..., column : column + 48], motion[:, frame : frame + 15]
        one_speech, one_lips = network(heard, seen)
        torch.testing.assert_close(speech[:, column], one_speech, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(lips[:, frame], one_lips, atol=1e-5, rtol=1e-4)


def test_pairs_are_the_windows_of_every_fifth_frame_and_the_same_time() -> None:
    network = expert()
    mel, motion = torch.rand(2, 1, 80, 80), torch.randn(2, 25, MOTION_LENGTH)
    speech, lips = network.pairs(mel, motion)
    assert speech.shape == lips.shape == (2, 3, 24)
    for number, (column, frame) in enumerate(((0, 0), (16, 5), (32, 10))):
        assert column / 80 == frame / 25  # seconds
        heard, seen = mel[..., column : column + 48], motion[:, frame : frame + 15]
        for found, alone in zip((speech, lips), network(heard, seen), strict=True):
            torch.testing.assert_close(found[:, number], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding": 0}, "embedding must be at least 1"),
        ({"hearing_width": 0}, "hearing_width must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
        ({"frames": 16}, "of 16 frames cannot hear: frames must be a multiple of 5"),
        ({"frames": 0}, "frames must be a multiple of 5, which are 16 columns of speech, got 0"),
        ({"frames": 10}, "of 10 frames cannot hear: columns must be above 34, got 32"),
        ({"widht": 3}, "did you mean 'width'"),
    ],
)
def test_impossible_dimensions_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network("expert", "motion", options)
