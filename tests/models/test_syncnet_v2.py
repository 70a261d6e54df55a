"""SyncNet v2: sizes, names and shapes as its authors' weights have them, and what it sees."""

import pytest
import torch

from lipwright.errors import ConfigError
from lipwright.models.build import build_network
from lipwright.models.syncnet_v2 import SyncNetV2


@pytest.fixture(scope="module")
def network() -> SyncNetV2:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SyncNetV2().eval()


def inputs(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(batch)
    mfcc = torch.randn(batch, 1, 13, 20, generator=generator) * 10
    return mfcc, torch.rand(batch, 3, 5, 224, 224, generator=generator) * 255


def test_names_and_shapes_are_those_of_the_release(network: SyncNetV2) -> None:
    shapes = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    for name, shape in {
        "netcnnaud.0.weight": (64, 1, 3, 3),
        "netcnnaud.4.weight": (192, 64, 3, 3),
        "netcnnaud.8.weight": (384, 192, 3, 3),
        "netcnnaud.11.weight": (256, 384, 3, 3),
        "netcnnaud.14.weight": (256, 256, 3, 3),
        "netcnnaud.18.weight": (512, 256, 5, 4),
        "netcnnaud.19.running_var": (512,),
        "netcnnlip.0.weight": (96, 3, 5, 7, 7),
        "netcnnlip.4.weight": (256, 96, 1, 5, 5),
        "netcnnlip.8.weight": (256, 256, 1, 3, 3),
        "netcnnlip.11.weight": (256, 256, 1, 3, 3),
        "netcnnlip.14.weight": (256, 256, 1, 3, 3),
        "netcnnlip.18.weight": (512, 256, 1, 6, 6),
        "netcnnlip.19.bias": (512,),
        "netfcaud.0.weight": (512, 512),
        "netfcaud.1.num_batches_tracked": (),
        "netfcaud.3.weight": (1024, 512),
        "netfclip.3.bias": (1024,),
    }.items():
        assert shapes[name] == shape, name
    # A layer with weights has two entries, its norm five; the last layers have no norm.
    assert len(shapes) == (6 + 6 + 2) * 7 + 2 * 2


def test_speech_and_lips_are_embedded_apart_and_by_clip(network: SyncNetV2) -> None:
    mfcc, faces = inputs(2)
    with torch.no_grad():
        speech, lips = network(mfcc, faces)
        assert speech.shape == lips.shape == (2, 1024)
        torch.testing.assert_close(network.embed_speech(mfcc[1:]), speech[1:])
        torch.testing.assert_close(network.embed_lips(faces[1:]), lips[1:])
    assert not torch.equal(speech[0], speech[1])
    assert not torch.equal(lips[0], lips[1])


def test_maps_have_the_sizes_of_the_design(network: SyncNetV2) -> None:
    """(size + 2 padding - kernel) // stride + 1, layer by layer, computed by hand."""
    mfcc, faces = inputs(1)
    with torch.no_grad():
        speech = network.netcnnaud[:18](mfcc)
        lips = network.netcnnlip[:18](faces)
    # 13x20, pool 3x3 by (1, 2): 11x9, pool 3x3 by 2: 5x4
    assert speech.shape == (1, 256, 5, 4)
    # 224, 109, 54, 26, 13, 6; five frames become one in the first layer
    assert lips.shape == (1, 256, 1, 6, 6)


def test_every_frame_is_looked_at(network: SyncNetV2) -> None:
    _, faces = inputs(1)
    with torch.no_grad():
        before = network.embed_lips(faces)
        for frame in range(5):
            changed = faces.clone()
            changed[:, :, frame, 120:] = 0
            assert not torch.equal(network.embed_lips(changed), before)


def test_it_is_an_expert_of_224_pixels_only() -> None:
    with torch.device("meta"):
        built = build_network("expert", "syncnet-v2", {"resolution": 224})
        assert isinstance(built, SyncNetV2)
        for options in ({}, {"resolution": 96}, {"resolution": 224, "width": 8}):
            with pytest.raises(ConfigError, match="no options but resolution = 224"):
                build_network("expert", "syncnet-v2", options)
