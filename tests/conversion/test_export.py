"""Export: a faithful graph with its papers, or nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from lipwright.checkpoints import Metadata, read_onnx_metadata
from lipwright.conversion import export
from lipwright.conversion.export import amplify_speech, export_onnx
from lipwright.errors import CheckpointError, ConfigError
from lipwright.faces.landmarks import LANDMARK_MARGIN, Landmarker
from lipwright.inference import OpenVinoGenerator
from lipwright.models.build import build_network, save_network
from lipwright.models.compact import CompactGenerator, CompactGeneratorConfig
from lipwright.speech import FRONT_END


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {"width": 4, "speech_width": 8}
    path = tmp_path_factory.mktemp("weights") / "generator.safetensors"
    meta = Metadata(
        kind="generator", architecture="compact", config=options, step=3, licence="Apache-2.0"
    )
    save_network(build_network("generator", "compact", options), path, meta)
    return path


def test_an_exported_generator_draws_and_says_what_it_is(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "g.onnx"
    assert export_onnx(weights, out) < 1e-4
    metadata = read_onnx_metadata(out)
    assert (metadata["kind"], metadata["resolution"]) == ("generator", "96")
    assert (metadata["licence"], metadata["channel_order"]) == ("Apache-2.0", "rgb")
    assert metadata["mel"] == FRONT_END
    assert OpenVinoGenerator(out).resolution == 96
    assert [path.name for path in tmp_path.iterdir()] == ["g.onnx"]


def test_the_weights_themselves_are_never_written_over(weights: Path) -> None:
    before = weights.read_bytes()
    with pytest.raises(CheckpointError, match=r"must end in \.onnx"):
        export_onnx(weights, weights)
    assert weights.read_bytes() == before


def test_a_speech_gain_moves_the_mouth_further_and_leaves_silence_alone() -> None:
    torch.manual_seed(2)
    network = CompactGenerator(CompactGeneratorConfig(width=4, speech_width=8)).eval()
    torch.nn.init.normal_(network.output.weight, std=0.1)
    codes: list[torch.Tensor] = []
    film = network.middle[0].film
    assert isinstance(film, torch.nn.Linear)
    film.register_forward_hook(lambda _module, _inputs, output: codes.append(output))
    silence, speech = torch.full((1, 1, 80, 16), -4.0), torch.rand(1, 1, 80, 16) * 4 - 2
    faces = torch.rand(1, 6, 96, 96)
    with torch.no_grad():
        rest = network(silence, faces)
        network(speech, faces)
        amplify_speech(network, 2.0)
        torch.testing.assert_close(network(silence, faces), rest, atol=1e-5, rtol=0)
        network(speech, faces)
    before, after = codes[1] - codes[0], codes[3] - codes[2]
    torch.testing.assert_close(after, 2 * before, atol=1e-5, rtol=1e-4)
    with pytest.raises(ConfigError, match="speech_gain must be above 0, got 0"):
        amplify_speech(network, 0.0)
    with pytest.raises(ConfigError, match="compact generators only"):
        amplify_speech(torch.nn.Identity(), 2.0)


def test_a_missing_folder_is_said(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="its folder is missing"):
        export_onnx(weights, tmp_path / "none" / "g.onnx")


def test_a_graph_that_differs_is_not_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = replace(export._PORTS["generator"], tolerance=-1.0)
    monkeypatch.setitem(export._PORTS, "generator", strict)
    with pytest.raises(CheckpointError, match="differs from torch by"):
        export_onnx(weights, tmp_path / "g.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_discriminator_is_not_exported(tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    meta = Metadata(kind="discriminator", architecture="compact", config={"width": 4})
    save_network(build_network("discriminator", "compact", {"width": 4}), path, meta)
    with pytest.raises(CheckpointError, match="it has no form for use"):
        export_onnx(path, tmp_path / "d.onnx")


@pytest.fixture(scope="module")
def landmarks(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, Path, float]:
    """A landmark network of the default size with answers of its own, exported."""
    folder = tmp_path_factory.mktemp("landmarks")
    with torch.random.fork_rng():
        torch.manual_seed(6)
        network = build_network("landmarks", "compact", {"resolution": 128}).eval()
        # Fresh ones say for any picture that all points lie in the middle.
        torch.nn.init.normal_(network.get_parameter("head.2.weight"), std=0.05)
    meta = Metadata(kind="landmarks", architecture="compact", config={"resolution": 128})
    save_network(network, folder / "l.safetensors", meta)
    difference = export_onnx(folder / "l.safetensors", folder / "l.onnx")
    return network, folder / "l.onnx", difference


def test_an_exported_landmark_network_is_small(
    landmarks: tuple[torch.nn.Module, Path, float],
) -> None:
    network, path, _ = landmarks
    assert path.stat().st_size < 2_000_000
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(path).graph.initializer}
    halves = {name: array for name, array in weights.items() if array.dtype == np.float16}
    assert all(array.size < 512 for array in weights.values() if array.dtype == np.float32)
    num_weights = sum(tensor.numel() for tensor in network.parameters())
    assert sum(array.size for array in halves.values()) > 0.98 * num_weights


def test_an_exported_landmark_network_finds_what_torch_does(
    landmarks: tuple[torch.nn.Module, Path, float],
) -> None:
    network, path, difference = landmarks
    assert difference < 5e-4
    metadata = read_onnx_metadata(path)
    assert (metadata["kind"], metadata["resolution"]) == ("landmarks", "128")
    frame = np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    edge = (128 - 128 / LANDMARK_MARGIN) / 2  # so that the network sees just this frame
    box = np.array([edge, edge, 128 - edge, 128 - edge], dtype=np.float32)
    found = Landmarker(path).find(frame, box)
    with torch.no_grad():
        faces = torch.from_numpy(frame.transpose(2, 0, 1)[None]).float() / 255
        points, pose = (answer[0].numpy() for answer in network(faces))
    assert np.ptp(points, axis=0).min() > 0.02  # or there would be nothing to agree on
    np.testing.assert_allclose(found.points, 128 * points, atol=0.1)
    np.testing.assert_allclose((found.yaw, found.pitch), pose, atol=1e-3)
