from pathlib import Path

import numpy as np
import pytest
from clip_makers import crops_and_mel
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.corpus import offset as offset_module
from lipwright.corpus.offset import MAX_SHIFT, ExpertOffsetMeter, offset_of, read_expert
from lipwright.errors import CheckpointError


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def said(num_windows: int, *, early: int, seed: int) -> tuple[NDArray[np.float32], ...]:
    """Speech and lips of one text; the sound of time t is that of the lips at t + early."""
    spoken = unit(np.random.default_rng(seed).normal(size=(num_windows + 2 * MAX_SHIFT, 32)))
    lips = spoken[MAX_SHIFT : MAX_SHIFT + num_windows]
    return spoken[MAX_SHIFT + early :][:num_windows], lips


@pytest.mark.parametrize("early", [-12, -5, -1, 0, 1, 3, 12])
def test_sound_that_comes_too_early_has_a_positive_offset(early: int) -> None:
    speech, lips = said(40, early=early, seed=1)
    offset = offset_of(speech, lips)
    assert offset.frames == early
    assert offset.confidence > 0.8


@settings(deadline=None, max_examples=40)
@given(
    early=st.integers(-MAX_SHIFT, MAX_SHIFT),
    num_windows=st.integers(20, 60),
    noise=st.floats(0, 0.5),
    seed=st.integers(0, 1000),
)
def test_offset_is_found_in_noise(early: int, num_windows: int, noise: float, seed: int) -> None:
    speech, lips = said(num_windows, early=early, seed=seed)
    rng = np.random.default_rng(seed + 1)
    heard = unit(speech + noise * unit(rng.normal(size=speech.shape)))
    offset = offset_of(heard, lips)
    assert offset.frames == early
    assert 0 < offset.confidence <= 1.5


def test_moving_the_sound_by_the_offset_puts_it_right() -> None:
    speech, lips = said(30, early=4, seed=2)
    later = np.concatenate([speech[:1].repeat(4, axis=0), speech[:-4]])
    assert offset_of(later, lips).frames == 0


@pytest.mark.parametrize("num_windows", [1, 2, 5])
def test_clips_shorter_than_the_reach_are_measured_as_far_as_they_go(num_windows: int) -> None:
    speech, lips = said(num_windows, early=0, seed=7)
    assert offset_of(speech, lips).frames == 0


def test_embeddings_that_never_change_give_no_confidence() -> None:
    one = unit(np.ones((1, 16)))
    offset = offset_of(one.repeat(26, axis=0), one.repeat(26, axis=0))
    assert offset.confidence == pytest.approx(0, abs=1e-6)


def test_unrelated_speech_gives_little_confidence() -> None:
    speech, _ = said(400, early=0, seed=3)
    _, lips = said(400, early=0, seed=4)
    assert offset_of(speech, lips).confidence < 0.1


def test_meter_computes_what_the_network_in_torch_does(expert: Path) -> None:
    torch = pytest.importorskip("torch")
    from lipwright.models.build import load_network  # noqa: PLC0415
    from lipwright.speech import EXPERT_LEAD, cut_windows  # noqa: PLC0415

    network, _ = load_network(expert.with_suffix(".safetensors"), kind="expert")
    crops, mel = crops_and_mel(30)
    meter = ExpertOffsetMeter(expert)
    # 3.2 columns a frame, written out: rounded to the nearest column.
    starts = np.array([int(np.floor(3.2 * i + 0.5)) for i in range(26)]) - EXPERT_LEAD
    with torch.no_grad():
        speech = network.embed_speech(torch.from_numpy(cut_windows(mel, starts)))
        lips = network.embed_lips(torch.from_numpy(meter.faces(crops)))
    expected = offset_of(speech.numpy(), lips.numpy())
    measured = meter.measure(crops, mel)
    assert measured.frames == expected.frames
    assert measured.confidence == pytest.approx(expected.confidence, abs=1e-5)


def test_embeddings_have_unit_length(expert: Path) -> None:
    crops, mel = crops_and_mel(30)
    speech, lips = ExpertOffsetMeter(expert).embed(crops, mel)
    assert speech.shape == lips.shape == (26, 16)
    for rows in (speech, lips):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_meter_measures_alike_whatever_it_holds_at_a_time(
    expert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops, mel = crops_and_mel(30)
    meter = ExpertOffsetMeter(expert)
    whole = meter.measure(crops, mel)
    for batch in (1, 7, 26):
        monkeypatch.setattr(offset_module, "_BATCH", batch)
        parts = meter.measure(crops, mel)
        assert parts.frames == whole.frames
        assert parts.confidence == pytest.approx(whole.confidence, abs=1e-5)


def test_meter_sees_the_lower_half_as_training_does(expert: Path) -> None:
    pytest.importorskip("torch")
    from lipwright.training.augment import PictureChange, change_picture  # noqa: PLC0415

    crops, _ = crops_and_mel(8)
    faces = ExpertOffsetMeter(expert).faces(crops)
    assert faces.shape == (4, 15, 48, 96)
    assert faces.dtype == np.float32
    trained = np.stack([change_picture(crop, PictureChange(), size=96) for crop in crops])
    lower = trained.transpose(0, 3, 1, 2)[:, :, 48:] / 255  # (8, 3, 48, 96)
    for first in range(4):
        expected = lower[first : first + 5].reshape(15, 48, 96)
        difference = np.abs(faces[first] - expected).mean()
        assert difference < 0.02
        for axis in (1, 2):  # a pixel off would be seen
            for step in (-1, 1):
                moved = np.abs(np.roll(faces[first], step, axis=axis) - expected).mean()
                assert moved > 1.5 * difference


def relabelled(expert: Path, out: Path, **changes: str | None) -> Path:
    """The expert with other metadata; None removes an entry."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(expert)
    kept = {entry.key: entry.value for entry in model.metadata_props} | changes
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {k: v for k, v in kept.items() if v is not None})
    onnx.save(model, out)
    return out


def test_expert_that_takes_blue_first_is_given_blue_first(expert: Path, tmp_path: Path) -> None:
    path = relabelled(expert, tmp_path / "bgr.onnx", channel_order="bgr")
    crops, _ = crops_and_mel(5)
    rgb, bgr = ExpertOffsetMeter(expert).faces(crops), ExpertOffsetMeter(path).faces(crops)
    swapped = rgb.reshape(5, 3, 48, 96)[:, ::-1].reshape(1, 15, 48, 96)
    np.testing.assert_array_equal(bgr, swapped)
    assert not np.array_equal(bgr, rgb)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "generator"}, "holds a generator, an expert is needed"),
        ({"kind": None}, "network without metadata, an expert is needed"),
        ({"resolution": None}, "not an expert as Lipwright exports them.*export it again"),
        ({"resolution": "large"}, "not an expert as Lipwright exports them"),
    ],
)
def test_meter_refuses_what_is_no_expert(
    expert: Path, tmp_path: Path, changes: dict[str, str | None], message: str
) -> None:
    path = relabelled(expert, tmp_path / "other.onnx", **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        ExpertOffsetMeter(path)
    assert str(path) in str(caught.value)


def test_meter_refuses_a_network_with_other_inputs(expert: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value], [out])
    opset = onnx.helper.make_opsetid("", 18)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    onnx.helper.set_model_props(model, {"kind": "expert", "resolution": "96"})
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(CheckpointError, match="not an expert as Lipwright exports them"):
        read_expert(tmp_path / "x.onnx")


def test_meter_refuses_missing_and_foreign_files(expert: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no such model file: .*gone\.onnx"):
        ExpertOffsetMeter(tmp_path / "gone.onnx")
    with pytest.raises(CheckpointError, match=r"not a whole ONNX file"):
        ExpertOffsetMeter(expert.with_suffix(".safetensors"))
