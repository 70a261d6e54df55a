"""Whoever knows the landmarks of a reference spares the generator the search for them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lipwright.checkpoints import (
    DEFAULT_MODEL,
    TINY_MODEL,
    Metadata,
    model_path,
    openvino_core,
    read_onnx,
)
from lipwright.conversion.export import export_onnx
from lipwright.faces.points import LIPS, NUM_LANDMARKS
from lipwright.inference import OpenVinoGenerator
from lipwright.inference.backend import LANDMARKS, prepare_faces
from lipwright.inference.openvino_backend import graph_ports, told_landmarks
from lipwright.inference.parity import graph_inputs
from lipwright.models.build import build_network, save_network

NUM = 3


@pytest.fixture(params=[DEFAULT_MODEL, TINY_MODEL])
def model(request: pytest.FixtureRequest) -> Path:
    return model_path(request.param)


@pytest.fixture
def backend(model: Path) -> OpenVinoGenerator:
    return OpenVinoGenerator(model)


def rows(backend: OpenVinoGenerator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Pictures of faces of a kind, and speech."""
    mel, faces = next(b for b in graph_inputs(backend.resolution, backend.columns) if len(b[0]) > 2)
    pictures = np.rint(faces[:NUM, 3:].transpose(0, 2, 3, 1) * 255).astype(np.uint8)
    return pictures, mel[:NUM]


def found_in(path: Path, pictures: NDArray[np.uint8], mel: NDArray[np.float32]) -> np.ndarray:
    """Where the whole graph finds them."""
    network = openvino_core().compile_model(
        read_onnx(path)[0], "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    faces = prepare_faces(pictures, pictures, is_bgr=False)
    given = {"mel": mel, "faces": faces, "amplitude": np.ones(len(mel), dtype=np.float32)}
    return np.array(network(given)[LANDMARKS])


def test_told_what_it_would_find_it_draws_the_same(model: Path, backend: OpenVinoGenerator) -> None:
    pictures, mel = rows(backend)
    landmarks = found_in(model, pictures, mel)
    assert landmarks.shape == (NUM, NUM_LANDMARKS, 2)
    found = backend.draw(pictures, pictures, mel)
    told = backend.draw(pictures, pictures, mel, landmarks=landmarks)
    assert np.abs(found - told).max() < 1e-5


def test_it_draws_the_mouth_where_it_is_told_that_it_is(
    model: Path, backend: OpenVinoGenerator
) -> None:
    pictures, mel = rows(backend)
    landmarks = found_in(model, pictures, mel)
    elsewhere = landmarks.copy()
    elsewhere[:, list(LIPS)] += (0.05, 0.0)
    there, moved = (
        backend.draw(pictures, pictures, mel, landmarks=places) for places in (landmarks, elsewhere)
    )
    assert np.abs(there - moved).max() > 0.02


def test_the_graph_that_is_told_is_smaller(model: Path) -> None:
    whole = read_onnx(model)[0]
    told = told_landmarks(whole)
    assert told is not None
    assert graph_ports(told)[LANDMARKS] == (None, NUM_LANDMARKS, 2)
    assert {"mel", "faces", "amplitude", "landmarks"} == {
        name for port in told.inputs for name in port.names
    }
    convolutions = [
        sum(op.get_type_name() == "Convolution" for op in graph.get_ops())
        for graph in (whole, told)
    ]
    assert convolutions[1] < convolutions[0]


def test_a_graph_that_finds_none_stays_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights, path = tmp_path / "mine.safetensors", tmp_path / "mine.onnx"
    options = {"width": 16, "speech_width": 32}
    network = build_network("generator", "compact", options)
    meta = Metadata(kind="generator", architecture="compact", config=options, licence="MIT")
    save_network(network.eval(), weights, meta)
    export_onnx(weights, path)
    assert told_landmarks(read_onnx(path)[0]) is None
    backend = OpenVinoGenerator(path)
    pictures, mel = rows(backend)
    landmarks = np.full((NUM, NUM_LANDMARKS, 2), 0.5, dtype=np.float32)
    drawn = backend.draw(pictures, pictures, mel)
    assert np.array_equal(drawn, backend.draw(pictures, pictures, mel, landmarks=landmarks))
