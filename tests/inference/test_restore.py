"""Restoration networks are recognised by their ports, and touch no more than the mouth.

The networks are stand-ins with the ports of GFPGAN, CodeFormer and GPEN; real weights are not
needed to say which way colours, ranges and numbers go.
"""

import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from lipwright import SyncOptions, preview, sync
from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path
from lipwright.errors import CheckpointError, ConfigError
from lipwright.faces import Mtcnn, crop_box
from lipwright.faces.follow import Face
from lipwright.faces.landmarks import Landmarker
from lipwright.faces.points import FIVE_POINTS
from lipwright.inference.restore import MouthRestorer, OnnxRestorer, ffhq_box
from lipwright.media import native_still, read_frames, read_speech
from lipwright.media.native_rgb import rgb

FIRST, SECOND, THIRD = (np.eye(3, dtype=np.float32)[i][None, :, None, None] for i in range(3))


def stand_in(
    path: Path,
    size: int,
    *,
    name: str = "input",
    number: int | None = None,
    metadata: dict[str, str] | None = None,
    channels: int = 3,
) -> Path:
    """Adds 0.5 to the first channel; with a second input, as much as that says."""
    shape = [1, channels, size, size]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
    first = FIRST[:, :channels]
    nodes = [helper.make_node("Add", [name, "change"], ["output"])]
    consts = [helper.make_tensor("change", TensorProto.FLOAT, first.shape, (first * 0.5).ravel())]
    if number is not None:
        inputs.append(helper.make_tensor_value_info("weight", number, [1]))
        consts = [helper.make_tensor("first", TensorProto.FLOAT, first.shape, first.ravel())]
        nodes = [
            helper.make_node("Cast", ["weight"], ["share"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["first", "share"], ["change"]),
            *nodes,
        ]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "g", inputs, [output], consts)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, str(path))
    return path


def test_gfpgan_and_gpen_take_one_picture_of_their_size(tmp_path: Path) -> None:
    for size in (256, 512):
        restorer = OnnxRestorer(stand_in(tmp_path / f"{size}.onnx", size), num_threads=1)
        assert restorer.size == size
        face = np.full((size, size, 3), 51, dtype=np.uint8)
        restored = restorer.restore(face)
        assert restored.dtype == np.float32
        np.testing.assert_allclose(restored[..., 0], 0.2 + 0.25, atol=1e-6)  # half of 0.5
        np.testing.assert_allclose(restored[..., 1:], 0.2, atol=1e-6)


@pytest.mark.parametrize("number", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_codeformer_is_told_its_fidelity(tmp_path: Path, number: int) -> None:
    path = stand_in(tmp_path / "c.onnx", 64, number=number)
    for fidelity in (0.0, 0.4, 1.0):
        restorer = OnnxRestorer(path, fidelity=fidelity, num_threads=1)
        restored = restorer.restore(np.full((64, 64, 3), 51, dtype=np.uint8))
        np.testing.assert_allclose(restored[..., 0], 0.2 + fidelity / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "metadata"), [("input_bgr", {}), ("input", {"channel_order": "bgr"})]
)
def test_an_export_may_say_that_its_colours_are_bgr(
    tmp_path: Path, name: str, metadata: dict[str, str]
) -> None:
    path = stand_in(tmp_path / "b.onnx", 64, name=name, metadata=metadata)
    restored = OnnxRestorer(path, num_threads=1).restore(np.full((64, 64, 3), 51, dtype=np.uint8))
    np.testing.assert_allclose(restored.mean(axis=(0, 1)), [0.2, 0.2, 0.45], atol=1e-6)


def test_what_is_no_restoration_network_is_refused_with_its_ports(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"g.onnx is no restoration.*input \[1,1,64,64\]"):
        OnnxRestorer(stand_in(tmp_path / "g.onnx", 64, channels=1))
    with pytest.raises(CheckpointError, match="no such model file"):
        OnnxRestorer(tmp_path / "nothing.onnx")
    with pytest.raises(CheckpointError, match="no restoration network"):
        OnnxRestorer(model_path(DEFAULT_LANDMARKS))
    with pytest.raises(ConfigError, match=r"fidelity must be in \[0, 1\], got 2"):
        OnnxRestorer(stand_in(tmp_path / "c.onnx", 64), fidelity=2)


class Flickering:
    """Makes faces brighter by an amount that changes from call to call."""

    size = 128

    def __init__(self, *amounts: float) -> None:
        self._amounts = list(amounts)

    def restore(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.clip(face.astype(np.float32) / 255 + np.float32(self._amounts.pop(0)), 0, 1)


@pytest.fixture(scope="module")
def face(astronaut: NDArray[np.uint8]) -> Face:
    box = crop_box(Mtcnn().detect(astronaut)[0].landmarks)
    found = Landmarker(model_path(DEFAULT_LANDMARKS), num_threads=1).find(astronaut, box)
    return Face(box=box, landmarks=found)


def mouth_of(face: Face) -> tuple[int, int]:
    assert face.landmarks is not None
    x, y = face.landmarks.points[[FIVE_POINTS[3][0], FIVE_POINTS[4][0]]].mean(axis=0)
    return int(x), int(y)


def test_the_square_stands_as_the_template_does(face: Face) -> None:
    assert face.landmarks is not None
    box = ffhq_box(face.landmarks)
    five = np.stack([face.landmarks.points[list(p)].mean(axis=0) for p in FIVE_POINTS])
    rows = ((five - box[:2]) / (box[2:] - box[:2]) * 512)[:, 1]
    assert rows[:2].mean() == pytest.approx(240, abs=12)
    assert rows[3:].mean() == pytest.approx(371, abs=12)


def test_the_mouth_is_restored_by_its_share_and_nothing_else_is(
    astronaut: NDArray[np.uint8], face: Face
) -> None:
    frame = native_still(astronaut)
    x, y = mouth_of(face)
    gains = []
    for strength in (1.0, 0.5):
        after = rgb(MouthRestorer(Flickering(0.1), strength=strength).restore(frame, face))
        change = after.astype(int) - astronaut
        gains.append(change[y + 8 : y + 14, x - 5 : x + 5].mean())
        assert not change[: int(face.box[1] + 0.4 * (face.box[3] - face.box[1]))].any()
        assert not change[:, : int(face.box[0])].any()
    assert gains[0] == pytest.approx(25, abs=4)
    assert gains[1] == pytest.approx(gains[0] / 2, abs=2)


def test_a_restorer_that_flickers_does_not_make_the_light_flicker(
    astronaut: NDArray[np.uint8], face: Face
) -> None:
    frame = native_still(astronaut)
    x, y = mouth_of(face)
    restorer = MouthRestorer(Flickering(0.1, -0.1, 0.1), strength=1.0)

    def level(time: Fraction) -> float:
        after = rgb(restorer.restore(replace(frame, time=time), face))
        return float((after.astype(int) - astronaut)[y + 8 : y + 14, x - 5 : x + 5].mean())

    first, second = level(Fraction(0)), level(Fraction(1, 25))
    assert abs(second - first) < 0.25 * 50
    restorer.forget()
    assert level(Fraction(2, 25)) == pytest.approx(first, abs=1)


def test_what_is_not_to_be_restored_is_passed_through(
    astronaut: NDArray[np.uint8], face: Face
) -> None:
    frame = native_still(astronaut)
    assert MouthRestorer(Flickering(), strength=0.0).restore(frame, face) is frame
    unseen = replace(face, landmarks=None)
    assert MouthRestorer(Flickering(), strength=1.0).restore(frame, unseen) is frame
    with pytest.raises(ConfigError, match=r"strength must be in \[0, 1\], got -1"):
        MouthRestorer(Flickering(), strength=-1)


def test_a_job_and_its_preview_let_the_restorer_work(
    astronaut_file: Path, demo_speech: Path, tmp_path: Path
) -> None:
    reddening, speech = stand_in(tmp_path / "red.onnx", 128), tmp_path / "speech.wav"
    with wave.open(str(speech), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes((read_speech(demo_speech)[:5000] * 32767).astype("<i2").tobytes())
    reds = {}
    for name, restore in (("plain", None), ("restored", reddening)):
        options = SyncOptions(restore=restore, restore_strength=1.0)
        out = tmp_path / f"{name}.png"
        preview(astronaut_file, speech, out, num_frames=2, options=options)
        sync(astronaut_file, speech, tmp_path / f"{name}.mkv", options=options)
        frame = next(iter(read_frames(tmp_path / f"{name}.mkv"))).pixels
        strip = cv2.imread(str(out))[..., ::-1]
        reds[name] = [float((p[..., 0].astype(int) - p[..., 1]).mean()) for p in (frame, strip)]
    assert reds["restored"][0] > reds["plain"][0] + 0.2
    assert reds["restored"][1] > reds["plain"][1] + 0.2
