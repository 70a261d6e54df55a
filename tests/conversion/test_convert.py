"""From every container that people have to the same pictures; and clear words for the rest."""

import pickle  # noqa: TID251 - to make what must be refused
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from lipwright.checkpoints import (
    Metadata,
    openvino_core,
    read_metadata,
    read_onnx,
    read_onnx_metadata,
)
from lipwright.conversion.convert import RESEARCH_ONLY, convert
from lipwright.conversion.export import export_released
from lipwright.corpus.offset import read_expert
from lipwright.errors import CheckpointError
from lipwright.inference import OpenVinoGenerator
from lipwright.models.build import build_network, load_network, save_network
from lipwright.models.discriminator import QualityDiscriminator
from lipwright.models.syncnet import SyncNet
from lipwright.models.syncnet_v2 import SyncNetV2
from lipwright.models.wav2lip import Wav2LipConfig, Wav2LipGenerator
from lipwright.speech.mfcc import CEPSTRA_FRONT_END

STEP = 4321


@pytest.fixture(scope="module")
def network() -> Wav2LipGenerator:
    """A small member of the family whose norms have seen something."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        built = Wav2LipGenerator(Wav2LipConfig(layout="compressed")).train()
        with torch.no_grad():
            for _ in range(3):
                built(torch.rand(4, 1, 80, 16) * 8 - 4, torch.rand(4, 6, 96, 96))
    return built.eval()


def inputs(batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(batch)
    mel = torch.rand(batch, 1, 80, 16, generator=generator) * 8 - 4
    return mel, torch.rand(batch, 6, 96, 96, generator=generator)


def save_pickle(path: Path, network: nn.Module) -> None:
    record = {"state_dict": network.state_dict(), "optimizer": None, "global_step": STEP}
    torch.save(record, path)


def save_old_pickle(path: Path, network: nn.Module) -> None:
    state = {
        f"module.{name}": tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    record = {"state_dict": state, "optimizer": {"state": {}}, "global_step": STEP}
    torch.save(record, path, _use_new_zipfile_serialization=False)


def save_script(path: Path, network: nn.Module) -> None:
    torch.jit.save(torch.jit.trace(network, inputs()), path)


def save_bare_safetensors(path: Path, network: nn.Module) -> None:
    save_file({name: t.contiguous() for name, t in network.state_dict().items()}, path)


CONTAINERS: dict[str, tuple[Callable[[Path, nn.Module], None], str, int]] = {
    "wav2lip_gan.pth": (save_pickle, "zip pickle", STEP),
    "old.pth": (save_old_pickle, "legacy pickle", STEP),
    "Wav2Lip-SD-GAN.pt": (save_script, "TorchScript archive", 0),
    "bare.safetensors": (save_bare_safetensors, "safetensors", 0),
}


def draw(graph: Path, mel: Tensor, faces: Tensor) -> NDArray[np.float32]:
    """What the runtime draws for BGR faces as the network takes them, in BGR."""
    pixels = np.rint(faces.numpy() * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    target, reference = pixels[..., 2::-1], pixels[..., :2:-1]  # to RGB
    drawn = OpenVinoGenerator(graph, num_threads=1).draw(target, reference, mel.numpy())
    return drawn[..., ::-1].transpose(0, 3, 1, 2)


def expected(network: nn.Module, mel: Tensor, faces: Tensor) -> NDArray[np.float32]:
    seen = (faces * 255).round() / 255
    seen[:, :3, 48:] = 0
    with torch.no_grad():
        drawn: NDArray[np.float32] = network(mel, seen).numpy()
    return drawn


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_same_pictures(
    name: str, network: Wav2LipGenerator, tmp_path: Path
) -> None:
    save, form, step = CONTAINERS[name]
    save(tmp_path / name, network)
    done = convert(tmp_path / name, tmp_path / "out")
    assert done.form == form
    assert done.title == "compressed Wav2Lip generator, 96 px (Nota)"
    assert done.weights is not None
    meta = read_metadata(done.weights)
    assert (meta.kind, meta.architecture, meta.step) == ("generator", "wav2lip", step)
    assert (meta.channel_order, meta.alignment, meta.crop) == ("bgr", "trained", "released")
    assert meta.licence == RESEARCH_ONLY
    assert meta.notes["converted_from"] == name
    assert done.onnx is not None
    assert read_onnx_metadata(done.onnx)["licence"] == RESEARCH_ONLY
    assert done.difference is not None
    assert done.difference < 1e-5
    mel, faces = inputs()
    np.testing.assert_allclose(
        draw(done.onnx, mel, faces), expected(network, mel, faces), atol=1e-5
    )
    rebuilt, _ = load_network(done.weights, kind="generator")
    with torch.no_grad():
        assert torch.equal(rebuilt(mel, faces), network(mel, faces))


@pytest.mark.parametrize(
    ("speech", "faces_name", "is_dynamic"),
    [("mel_spectrogram", "video_frames", True), ("source", "target", False)],
)
def test_onnx_exports_of_the_forks_are_taken_as_they_are(
    network: Wav2LipGenerator,
    tmp_path: Path,
    *,
    speech: str,
    faces_name: str,
    is_dynamic: bool,
) -> None:
    source = tmp_path / "wav2lip.onnx"
    export_as_a_fork_does(network, source, (speech, faces_name), is_dynamic=is_dynamic)
    done = convert(source, tmp_path / "out", licence="MIT", alignment="released")
    assert done.weights is None
    assert done.onnx is not None
    assert f"({speech}, {faces_name})" in done.title
    assert done.difference == 0
    backend = OpenVinoGenerator(done.onnx)
    assert (backend.resolution, backend.alignment, backend.crop) == (96, "released", "released")
    assert backend.licence == "MIT"
    mel, faces = inputs(3)
    np.testing.assert_allclose(
        draw(done.onnx, mel, faces), expected(network, mel, faces), atol=1e-5
    )


def export_as_a_fork_does(
    network: nn.Module, path: Path, names: tuple[str, str], *, is_dynamic: bool
) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.onnx.export(
        network,
        inputs(2 if is_dynamic else 1),
        dynamo=True,
        verbose=False,
        input_names=list(names),
        output_names=["predicted_frames"],
        dynamic_shapes=({0: batch}, {0: batch}) if is_dynamic else None,
        opset_version=18,
    )
    assert program is not None
    onnx.save(program.model_proto, path)


def test_an_expert_and_a_discriminator_are_converted_too(tmp_path: Path) -> None:
    for built, kind in ((SyncNet(), "expert"), (QualityDiscriminator(), "discriminator")):
        save_pickle(tmp_path / f"{kind}.pth", built.eval())
        done = convert(tmp_path / f"{kind}.pth", tmp_path / f"{kind}_out")
        assert done.metadata.kind == kind
        assert (done.onnx is None) == (kind == "discriminator")
        assert done.weights is not None
        load_network(done.weights, kind=done.metadata.kind)


def test_the_bare_pickle_of_syncnet_v2_becomes_a_judge_that_no_one_takes_for_an_expert(
    tmp_path: Path,
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = SyncNetV2().eval()
    torch.save(network.state_dict(), tmp_path / "syncnet_v2.model")
    done = convert(tmp_path / "syncnet_v2.model", tmp_path / "syncnet_v2")
    assert done.title == "SyncNet v2, the judge of LSE-D and LSE-C"
    meta = done.metadata
    assert (meta.kind, meta.architecture, meta.channel_order) == ("expert", "syncnet-v2", "bgr")
    assert (meta.mel, meta.licence) == (CEPSTRA_FRONT_END, RESEARCH_ONLY)
    assert done.onnx is not None
    assert done.difference is not None
    assert done.difference < 1e-5
    graph, metadata = read_onnx(done.onnx)
    assert (metadata["kind"], metadata["resolution"]) == ("judge", "224")
    assert metadata["mel"] == CEPSTRA_FRONT_END
    with pytest.raises(CheckpointError, match="holds a judge, an expert is needed"):
        read_expert(done.onnx)
    with pytest.raises(CheckpointError, match="holds a judge, a generator is needed"):
        OpenVinoGenerator(done.onnx)
    mfcc, faces = torch.randn(2, 1, 13, 20) * 10, torch.rand(2, 3, 5, 224, 224) * 255
    found = openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
        {"mfcc": mfcc.numpy(), "faces": faces.numpy()}
    )
    with torch.no_grad():
        for name, expected in zip(("speech", "lips"), network(mfcc, faces), strict=True):
            np.testing.assert_allclose(found[name], expected.numpy(), rtol=1e-4, atol=1e-4)
    load_network(tmp_path / "syncnet_v2.safetensors", kind="expert")


class Malice:
    """What a hostile checkpoint holds: a call that unpickling would make."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._marker,)


def test_a_malicious_file_is_refused_and_nothing_run(
    network: Wav2LipGenerator, tmp_path: Path
) -> None:
    marker = tmp_path / "was run"
    record = {"state_dict": network.state_dict(), "optimizer": Malice(marker)}
    for name, is_zip in (("zip.pth", True), ("old.pth", False)):
        torch.save(record, tmp_path / name, _use_new_zipfile_serialization=is_zip)
        with pytest.raises(CheckpointError, match="refused"):
            convert(tmp_path / name, tmp_path / "out")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Malice(marker)))
    with pytest.raises(CheckpointError):
        convert(tmp_path / "plain.pth", tmp_path / "out")
    assert not marker.exists()
    assert not list(tmp_path.glob("out*"))


def test_what_is_wrong_with_a_file_is_said_with_its_name(
    network: Wav2LipGenerator, tmp_path: Path
) -> None:
    page = tmp_path / "page.pth"
    page.write_text("<!DOCTYPE html><html><body>404</body></html>")
    with pytest.raises(CheckpointError, match=r"page\.pth.*web page"):
        convert(page, tmp_path / "out")
    whole = tmp_path / "whole.pth"
    save_pickle(whole, network)
    cut = tmp_path / "cut.pth"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=str(cut.stat().st_size)):
        convert(cut, tmp_path / "out")
    other = tmp_path / "other.pth"
    torch.save({"layer1.weight": torch.ones(3)}, other)
    with pytest.raises(CheckpointError, match=r"other\.pth \(zip pickle\) holds no network"):
        convert(other, tmp_path / "out")
    broken = tmp_path / "nan.pth"
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state["output_block.1.bias"][0] = float("nan")
    torch.save(state, broken)
    with pytest.raises(CheckpointError, match=r"output_block\.1\.bias.*NaN"):
        convert(broken, tmp_path / "out")
    with pytest.raises(CheckpointError, match="folder is missing"):
        convert(whole, tmp_path / "nowhere" / "out")
    assert not list(tmp_path.glob("out*"))


def test_an_onnx_file_of_another_network_is_refused_with_its_inputs(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    program = torch.onnx.export(nn.Linear(3, 2), (torch.zeros(1, 3),), dynamo=True, verbose=False)
    assert program is not None
    onnx.save(program.model_proto, path)
    with pytest.raises(CheckpointError, match=r"not a Wav2Lip generator: it takes .*\[1,3\]"):
        convert(path, tmp_path / "out")


def test_converting_does_not_overwrite_its_source(
    network: Wav2LipGenerator, tmp_path: Path
) -> None:
    source = tmp_path / "bare.safetensors"
    save_bare_safetensors(source, network)
    before = source.read_bytes()
    with pytest.raises(CheckpointError, match="would be overwritten"):
        convert(source, tmp_path / "bare")
    assert source.read_bytes() == before


def test_weights_of_ours_go_to_the_released_layout_and_back(tmp_path: Path) -> None:
    """In RGB here, in BGR there: the same pictures both ways."""
    options = {"resolution": 96, "layout": "compressed"}
    ours = build_network("generator", "wav2lip", options).eval()
    meta = Metadata(kind="generator", architecture="wav2lip", config=options, step=7)
    save_network(ours, tmp_path / "ours.safetensors", meta)
    export_released(tmp_path / "ours.safetensors", tmp_path / "theirs.pth")
    done = convert(tmp_path / "theirs.pth", tmp_path / "back")
    assert done.weights is not None
    assert done.metadata.step == 7
    back, _ = load_network(done.weights, kind="generator")
    mel, faces = inputs()
    bgr = faces[:, [2, 1, 0, 5, 4, 3]]
    with torch.no_grad():
        torch.testing.assert_close(back(mel, bgr)[:, [2, 1, 0]], ours(mel, faces))


def test_a_compact_network_has_no_released_layout(tmp_path: Path) -> None:
    options = {"width": 4, "speech_width": 8}
    meta = Metadata(kind="generator", architecture="compact", config=options)
    weights = tmp_path / "compact.safetensors"
    save_network(build_network("generator", "compact", options), weights, meta)
    with pytest.raises(CheckpointError, match='only architecture = "wav2lip"'):
        export_released(weights, tmp_path / "theirs.pth")
    assert not (tmp_path / "theirs.pth").exists()
