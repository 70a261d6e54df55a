"""The released networks: sizes, names and shapes as the released checkpoints have them."""

import pytest
import torch

from lipwright.models.discriminator import QualityDiscriminator, lower_half
from lipwright.models.syncnet import SyncNet
from lipwright.models.wav2lip import Wav2LipGenerator


@pytest.fixture(scope="module")
def generator() -> Wav2LipGenerator:
    torch.manual_seed(0)
    return Wav2LipGenerator().eval()


def num_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("network", "parameters", "entries"),
    [
        (Wav2LipGenerator, 36_298_035, 352),
        (SyncNet, 16_435_072, 217),
        (QualityDiscriminator, 14_113_793, 28),
    ],
)
def test_sizes_are_those_of_the_release(
    network: type[torch.nn.Module], parameters: int, entries: int
) -> None:
    built = network()
    assert num_parameters(built) == parameters
    assert len(built.state_dict()) == entries


def test_generator_names_are_those_of_the_release(generator: Wav2LipGenerator) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in generator.state_dict().items()}
    assert shapes["face_encoder_blocks.0.0.conv_block.0.weight"] == (16, 6, 7, 7)
    assert shapes["face_encoder_blocks.2.3.conv_block.1.running_mean"] == (64,)
    assert shapes["face_encoder_blocks.6.1.conv_block.0.weight"] == (512, 512, 1, 1)
    assert shapes["audio_encoder.12.conv_block.0.weight"] == (512, 512, 1, 1)
    assert shapes["face_decoder_blocks.1.0.conv_block.0.weight"] == (1024, 512, 3, 3)
    assert shapes["face_decoder_blocks.6.2.conv_block.1.num_batches_tracked"] == ()
    assert shapes["output_block.0.conv_block.0.weight"] == (32, 80, 3, 3)
    assert shapes["output_block.1.weight"] == (3, 32, 1, 1)


def test_expert_and_discriminator_names_are_those_of_the_release() -> None:
    expert = {name: tuple(t.shape) for name, t in SyncNet().state_dict().items()}
    assert expert["face_encoder.1.conv_block.0.weight"] == (64, 32, 5, 5)
    assert expert["face_encoder.16.conv_block.0.weight"] == (512, 512, 1, 1)
    assert expert["audio_encoder.13.conv_block.0.bias"] == (512,)
    judge = {name: tuple(t.shape) for name, t in QualityDiscriminator().state_dict().items()}
    assert judge["face_encoder_blocks.1.1.conv_block.0.weight"] == (64, 64, 5, 5)
    assert judge["binary_pred.0.weight"] == (1, 512, 1, 1)


def test_generator_draws_each_frame_of_a_window_as_it_would_alone(
    generator: Wav2LipGenerator,
) -> None:
    mel = torch.rand(2, 3, 1, 80, 16) * 8 - 4
    faces = torch.rand(2, 6, 3, 96, 96)
    with torch.no_grad():
        together = generator(mel, faces)
        assert together.shape == (2, 3, 3, 96, 96)
        for time in range(3):
            alone = generator(mel[:, time], faces[:, :, time])
            torch.testing.assert_close(together[:, :, time], alone, atol=1e-5, rtol=0)
    assert together.min() >= 0
    assert together.max() <= 1


def test_generator_does_not_see_the_lower_half_of_the_target_if_it_is_masked(
    generator: Wav2LipGenerator,
) -> None:
    mel, faces = torch.zeros(1, 1, 80, 16), torch.rand(1, 6, 96, 96)
    changed = faces.clone()
    changed[:, :3, 48:] = 0.7
    with torch.no_grad():
        assert not torch.equal(generator(mel, faces), generator(mel, changed))
        faces[:, :3, 48:] = 0
        changed[:, :3, 48:] = 0
        assert torch.equal(generator(mel, faces), generator(mel, changed))


def test_expert_gives_speech_first_in_unit_vectors_that_are_not_negative() -> None:
    expert = SyncNet().eval()
    mel, faces = torch.rand(2, 1, 80, 16), torch.rand(2, 15, 48, 96)
    with torch.no_grad():
        speech, lips = expert(mel, faces)
        torch.testing.assert_close(speech, expert.embed_speech(mel))
        other_speech, same_lips = expert(mel + 1, faces)
    for vectors in (speech, lips):
        assert vectors.shape == (2, 512)
        assert (vectors >= 0).all()
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    assert torch.equal(lips, same_lips)
    assert not torch.equal(speech, other_speech)


def test_discriminator_looks_at_the_lower_half_only() -> None:
    judge = QualityDiscriminator().eval()
    faces = torch.rand(2, 3, 5, 96, 96)
    upper_changed, lower_changed = faces.clone(), faces.clone()
    upper_changed[..., :48, :] = 0
    lower_changed[..., 48:, :] = 0
    with torch.no_grad():
        verdict = judge(faces)
        assert verdict.shape == (10, 1)
        assert torch.equal(verdict, judge(upper_changed))
        assert not torch.equal(verdict, judge(lower_changed))


def test_lower_half_is_what_the_generator_draws() -> None:
    rows = torch.arange(96.0)[:, None].expand(96, 96)
    assert lower_half(rows)[0, 0] == 48
    assert lower_half(rows).shape == (48, 96)
