"""The engine is chosen by what is there, and nothing that draws something else is ever chosen."""

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import openvino as ov
import pytest

import lipwright
from lipwright.checkpoints import DEFAULT_MODEL, model_path, read_onnx
from lipwright.errors import CheckpointError, ConfigError
from lipwright.inference import SyncOptions, engines, openvino_backend
from lipwright.inference.backend import Precision
from lipwright.inference.engines import int8_beside, open_generator
from lipwright.inference.machine import Machine
from lipwright.inference.onnxruntime_backend import onnxruntime_devices
from lipwright.inference.openvino_backend import compiled_folder, cpu_capabilities
from lipwright.inference.parity import BOUND, graph_difference

PLAIN, BF16, INT8 = ("avx2",), ("avx2", "avx512_bf16"), ("avx2", "avx512_bf16", "vnni")


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, and warnings that were not given before."""
    monkeypatch.setenv("LIPWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(engines, "onnxruntime_devices", lambda: ("cpu",))
    engines._warn_once.cache_clear()
    return tmp_path / "home" / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copy(model_path(DEFAULT_MODEL), tmp_path / "mine.onnx"))


def on_a_cpu_with(monkeypatch: pytest.MonkeyPatch, instructions: tuple[str, ...]) -> None:
    def this_machine(**_: object) -> Machine:
        return Machine(
            cpu="A CPU", cores=1, instructions=instructions, memory=None, memory_free=None
        )

    monkeypatch.setattr(engines, "this_machine", this_machine)


def differing_by(monkeypatch: pytest.MonkeyPatch, **found: float) -> list[str]:
    """Have comparisons end so, by precision; returns those that were made."""
    made: list[str] = []

    def graph_difference(_candidate: Path, precision: Precision, _reference: Path) -> float:
        made.append(precision)
        return found[precision]

    monkeypatch.setattr(engines, "graph_difference", graph_difference)
    return made


def as_int8(model: Path, *, move: float = 0.0) -> Path:
    """The same network where its int8 graph would lie; each bias of one layer may be moved."""
    graph, metadata = read_onnx(model)
    if move:
        changed = onnx.load(model)
        largest = max(changed.graph.initializer, key=lambda weights: len(weights.raw_data))
        values = np.frombuffer(largest.raw_data, dtype=np.float32)
        largest.raw_data = (values + np.float32(move)).tobytes()
        onnx.save(changed, model.with_name("changed.onnx"))
        graph, _ = read_onnx(model.with_name("changed.onnx"))
    graph.set_rt_info({**metadata, "precision": "int8"}, "framework")
    ov.save_model(graph, int8_beside(model), compress_to_fp16=False)
    return int8_beside(model)


@pytest.mark.parametrize(
    ("instructions", "with_int8", "expected"),
    [
        (PLAIN, True, "fp32"),
        (BF16, True, "bf16"),
        (INT8, True, "int8"),
        (INT8, False, "bf16"),
        (("amx_int8",), True, "int8"),
        (("amx_bf16",), False, "bf16"),
    ],
)
def test_the_fastest_precision_that_the_cpu_is_made_for_is_taken(
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    instructions: tuple[str, ...],
    with_int8: bool,
    expected: str,
) -> None:
    on_a_cpu_with(monkeypatch, instructions)
    differing_by(monkeypatch, int8=0.01, bf16=0.001)
    if with_int8:
        as_int8(model)
    _, choice = open_generator(model, num_threads=1)
    assert (choice.engine, choice.device, choice.precision) == ("openvino", "cpu", expected)
    assert choice.threads == 1
    assert expected in str(choice)
    assert "1 thread:" in str(choice)


@pytest.mark.parametrize("difference", [0.03, float("nan"), float("inf")])
def test_an_int8_graph_that_draws_something_else_is_left_out_with_one_warning(
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    difference: float,
) -> None:
    on_a_cpu_with(monkeypatch, ("avx2", "vnni"))
    made = differing_by(monkeypatch, int8=difference)
    as_int8(model)
    for _ in range(2):
        assert open_generator(model)[1].precision == "fp32"
    assert made == ["int8"]  # the verdict is kept
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    with pytest.raises(ConfigError, match=r"'int8' is refused.*--precision fp32"):
        open_generator(model, precision="int8")


def test_bf16_that_draws_something_else_is_left_out_and_the_reason_told(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    on_a_cpu_with(monkeypatch, BF16)
    made = differing_by(monkeypatch, bf16=0.03)
    for _ in range(2):
        _, choice = open_generator(model)
    assert (choice.precision, made) == ("fp32", ["bf16"])
    assert "bf16 would draw something else" in str(choice)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]  # nobody asked for it
    with pytest.raises(ConfigError, match=r"'bf16' is refused.*--precision fp32"):
        open_generator(model, precision="bf16")


def test_a_graph_of_other_weights_is_caught(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_cpu_with(monkeypatch, ("vnni",))
    assert graph_difference(as_int8(model), "int8", model) <= 1e-5
    changed = as_int8(model, move=0.05)
    assert graph_difference(changed, "int8", model) > BOUND
    assert open_generator(model)[1].precision == "fp32"
    for path in (model, changed):
        with pytest.raises(ConfigError, match="is refused"):
            open_generator(path, precision="int8")


@pytest.mark.skipif("BF16" not in cpu_capabilities(), reason="this CPU has no bf16 arithmetic")
def test_bf16_of_the_shipped_model_is_refused_for_what_it_makes_of_hair(model: Path) -> None:
    assert graph_difference(model, "bf16", model) > BOUND  # on people, too
    assert open_generator(model)[1].precision == "fp32"
    with pytest.raises(ConfigError, match="'bf16' is refused"):
        open_generator(model, precision="bf16")


def test_another_network_beside_a_model_is_not_its_int8(model: Path) -> None:
    graph, metadata = read_onnx(model)
    graph.set_rt_info({**metadata, "precision": "int8", "alignment": "released"}, "framework")
    ov.save_model(graph, int8_beside(model))
    assert graph_difference(int8_beside(model), "int8", model) == float("inf")


def test_a_damaged_int8_graph_is_left_out_by_auto(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    on_a_cpu_with(monkeypatch, ("vnni",))
    as_int8(model).with_suffix(".bin").unlink()
    assert open_generator(model)[1].precision == "fp32"
    assert "int8 is not used" in caplog.text
    with pytest.raises(CheckpointError, match="not a whole OpenVINO network"):
        open_generator(model, precision="int8")


def test_a_file_in_int8_is_run_as_it_is(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_cpu_with(monkeypatch, PLAIN)
    int8 = as_int8(model)
    model.unlink()
    _, choice = open_generator(int8)
    assert choice.precision == "int8"
    assert "no mine.onnx" in choice.reason
    with pytest.raises(ConfigError, match=r"'fp32' needs the fp32 graph.*\.onnx"):
        open_generator(int8, precision="fp32")


def test_what_is_not_there_is_named_with_the_way_out(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_cpu_with(monkeypatch, PLAIN)
    with pytest.raises(ConfigError, match=r"'int8' needs mine\.int8\.xml.*lipwright export"):
        open_generator(model, precision="int8")
    with pytest.raises(ConfigError, match=r"'bf16' is not there: A CPU has.*--precision fp32"):
        open_generator(model, precision="bf16")
    with pytest.raises(ConfigError, match=r"'mps' runs weights.*--device cpu"):
        open_generator(model, device="mps")
    with pytest.raises(ConfigError, match=r"device must be one of auto, cpu, .*, got 'tpu'"):
        SyncOptions(device="tpu")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"precision must be one of .*, got 'fp16'"):
        SyncOptions(precision="fp16")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="num_threads must be at least 1, got 0"):
        open_generator(model, num_threads=0)


def test_cuda_without_a_device_is_said_and_the_cpu_draws(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("onnxruntime")
    if "cuda" in onnxruntime_devices():
        pytest.skip("CUDA is there")
    monkeypatch.setattr(engines, "is_built_for_cuda", lambda: True)
    assert open_generator(model)[1].device == "cpu"
    assert "going on with the CPU" in caplog.text
    assert open_generator(model, device="cpu")[1].engine == "openvino"


def test_a_home_that_cannot_be_written_costs_time_only(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_cpu_with(monkeypatch, BF16)
    made = differing_by(monkeypatch, bf16=0.001)
    blocked = tmp_path / "a file"
    blocked.write_text("no folder")
    monkeypatch.setenv("LIPWRIGHT_HOME", str(blocked))
    for _ in range(2):
        assert open_generator(model)[1].precision == "bf16"
    assert made == ["bf16", "bf16"]


def test_a_verdict_that_cannot_be_read_is_made_again(
    model: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_cpu_with(monkeypatch, BF16)
    made = differing_by(monkeypatch, bf16=0.001)
    open_generator(model)
    (verdict,) = (kept / "parity").iterdir()
    verdict.write_text("{")
    open_generator(model)
    open_generator(model)
    assert made == ["bf16", "bf16"]


def test_compiled_networks_draw_the_same_from_disk(model: Path, kept: Path) -> None:
    rng = np.random.default_rng(0)
    backend, _ = open_generator(model, precision="fp32")
    size = backend.resolution
    faces = rng.integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    mel = rng.uniform(-4, 4, (3, 1, 80, backend.columns)).astype(np.float32)
    first = backend.draw(faces, faces, mel)
    blobs = list((kept / "compiled").glob("*/*"))
    assert blobs
    again, _ = open_generator(model, precision="fp32")
    assert np.array_equal(first, again.draw(faces, faces, mel))
    for blob in blobs:
        blob.chmod(0o600)
        blob.write_bytes(blob.read_bytes()[:1000])
    mended, _ = open_generator(model, precision="fp32")
    assert np.array_equal(first, mended.draw(faces, faces, mel))


def test_compiled_networks_that_were_not_used_for_longest_make_room(tmp_path: Path) -> None:
    for number, name in enumerate(("old", "older", "new")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a.blob").write_bytes(bytes(1000))
        at = {"older": 1000, "old": 2000}.get(name, 3000 + number)
        os.utime(folder, (at, at))
    assert compiled_folder(tmp_path, "mine", max_bytes=2000) == tmp_path / "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"old", "new", "mine"}
    compiled_folder(tmp_path, "old", max_bytes=1000)  # used again: now it is the newest
    assert {path.name for path in tmp_path.iterdir()} == {"old", "mine"}
    assert openvino_backend.MAX_COMPILED_BYTES <= 2**30


def test_a_job_says_what_it_was_drawn_by(
    astronaut_file: Path, demo_speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_cpu_with(monkeypatch, BF16)
    differing_by(monkeypatch, bf16=0.001)
    out = tmp_path / "out.mp4"
    options = SyncOptions(device="cpu")
    result = lipwright.sync(astronaut_file, demo_speech, out, options=options)
    assert (result.engine.engine, result.engine.precision) == ("openvino", "bf16")
    assert result.engine.reason


def test_the_released_way_refuses_a_model_that_hears_longer_windows(
    astronaut_file: Path, demo_speech: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="16 mel columns, the model hears 65"):
        lipwright.sync(
            astronaut_file, demo_speech, tmp_path / "o.mp4", options=SyncOptions(mode="released")
        )
    assert not list(tmp_path.glob("*.mp4"))
