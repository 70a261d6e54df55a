"""Which network is it? Recognised by names and shapes, or refused with what is wrong."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lipwright.conversion.recognise import KNOWN, KnownNetwork, recognise
from lipwright.errors import CheckpointError
from lipwright.models.build import build_network

Arrays = dict[str, NDArray[np.generic]]


def weights_of(known: KnownNetwork) -> Arrays:
    """Tensors of the right names and shapes; zeros, which take no memory until they are touched."""
    with torch.device("meta"):
        state = build_network(known.kind, known.architecture, known.options).state_dict()
    types = {torch.int64: np.int64, torch.float32: np.float32}
    return {n: np.zeros(tuple(t.shape), types[t.dtype]) for n, t in state.items()}


@pytest.fixture
def compressed() -> Arrays:
    (known,) = (known for known in KNOWN if known.options.get("layout") == "compressed")
    return weights_of(known)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.title)
def test_every_known_network_is_recognised_as_itself(known: KnownNetwork) -> None:
    found, tensors = recognise(weights_of(known))
    assert found is known
    with torch.device("meta"):
        network = build_network(known.kind, known.architecture, known.options)
    assert tensors.keys() == network.state_dict().keys()


def test_prefixes_of_wrappers_are_taken_off(compressed: Arrays) -> None:
    for prefix in ("module.", "_orig_mod.", "module.generator."):
        wrapped = {prefix + name: array for name, array in compressed.items()}
        _, tensors = recognise(wrapped)
        assert tensors.keys() == compressed.keys()


def test_missing_counters_are_put_in_and_half_precision_widened(compressed: Arrays) -> None:
    old = {
        name: array.astype(np.float16)
        for name, array in compressed.items()
        if not name.endswith("num_batches_tracked")
    }
    _, tensors = recognise(old)
    assert tensors.keys() == compressed.keys()
    assert {array.dtype for array in tensors.values()} == {np.dtype("f4"), np.dtype("i8")}
    assert tensors["audio_encoder.0.conv_block.1.num_batches_tracked"].shape == ()


def test_syncnet_v2_is_recognised_and_alone_hears_cepstra() -> None:
    (known,) = (known for known in KNOWN if known.architecture == "syncnet-v2")
    old = {n: a for n, a in weights_of(known).items() if not n.endswith("num_batches_tracked")}
    assert {name.split(".")[0] for name in old} == {
        "netcnnaud",
        "netcnnlip",
        "netfcaud",
        "netfclip",
    }
    found, tensors = recognise(old)
    assert found is known
    assert tensors["netfclip.1.num_batches_tracked"] == 0
    assert [k for k in KNOWN if k.front_end.startswith("mfcc")] == [known]


def test_a_syncnet_of_another_width_is_refused_with_what_differs() -> None:
    (known,) = (known for known in KNOWN if known.architecture == "syncnet-v2")
    wider = weights_of(known) | {"netfclip.3.weight": np.zeros((2048, 512), np.float32)}
    with pytest.raises(
        CheckpointError,
        match=r"almost a SyncNet v2.*netfclip.3.weight \[2048, 512\] for \[1024, 512",
    ):
        recognise(wider)


def test_missing_names_are_listed_and_counted(compressed: Arrays) -> None:
    dropped = [name for name in compressed if name.startswith("audio_encoder.0")]
    for name in dropped:
        del compressed[name]
    with pytest.raises(CheckpointError) as caught:
        recognise(compressed)
    text = str(caught.value)
    assert "almost a compressed Wav2Lip generator, 96 px (Nota)" in text
    # The counter of the norm is not missed: seven entries but that one.
    assert "6 missing: audio_encoder.0.conv_block.0.weight" in text
    assert "and 1 more" in text


def test_unexpected_names_and_other_shapes_are_said(compressed: Arrays) -> None:
    compressed["extra.weight"] = np.zeros(3, np.float32)
    compressed["output_block.1.weight"] = np.zeros((4, 8, 1, 1), np.float32)
    with pytest.raises(
        CheckpointError,
        match=r"1 unexpected: extra.weight; 1 of another shape: output_block.1.weight "
        r"\[4, 8, 1, 1\] for \[3, 8, 1, 1\]",
    ):
        recognise(compressed)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("netcnnlip.0.weight", "a SyncNet of another shape than SyncNet v2"),
        ("stylegan_decoder.conv.weight", "GFPGAN"),
        ("conv4_3_norm.weight", "S3FD"),
        ("face_encoder.0.other.weight", "a lip-sync expert of another shape"),
        ("face_encoder_blocks.0.other.weight", "a relative of the Wav2Lip generator"),
        ("layer1.weight", "another network (1 tensors, 0.0 M values: layer1.weight"),
    ],
)
def test_another_network_is_called_what_it_looks_like(name: str, words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        recognise({name: np.zeros((3, 3), np.float32)})
    assert words in str(caught.value)


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(CheckpointError, match="another network"):
        recognise({})
