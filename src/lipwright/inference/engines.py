"""Choose the engine, device and precision that a generator runs in, and say which and why.

Reduced precision is never trusted: before a graph is used in int8 or bf16 on a machine for the
first time, what it draws is compared with what fp32 draws, and the verdict is kept in Lipwright's
home under everything that it depends on.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, get_args

from lipwright.checkpoints import read_onnx_metadata, sha256_of, written_whole
from lipwright.checkpoints.home import home
from lipwright.errors import CheckpointError, ConfigError
from lipwright.inference import onnxruntime_backend, torch_backend
from lipwright.inference.backend import GeneratorBackend, Precision
from lipwright.inference.machine import available_cores, this_machine
from lipwright.inference.onnxruntime_backend import (
    OnnxRuntimeDevice,
    OnnxRuntimeGenerator,
    is_built_for_cuda,
    onnxruntime_devices,
)
from lipwright.inference.openvino_backend import (
    OpenVinoGenerator,
    compiled_folder,
    cpu_capabilities,
    openvino_version,
)
from lipwright.inference.parity import BOUND, COMPARISON, NUM_COMPARED, graph_difference
from lipwright.inference.torch_backend import TorchDevice, TorchGenerator, torch_devices

log = logging.getLogger(__name__)

Engine = Literal["openvino", "onnxruntime", "torch"]
Device = Literal["cpu", "cuda", "mps", "coreml", "directml"]
DeviceChoice = Literal["auto", Device]
PrecisionChoice = Literal["auto", "int8", "bf16", "fp32"]
TITLES: dict[Engine, str] = {
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "torch": "torch",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineChoice:
    """What draws, and why it was chosen."""

    engine: Engine
    """Library that runs the generator."""
    device: Device
    """Where it runs."""
    precision: Precision
    """Of its arithmetic."""
    threads: int
    """Of the CPU that it may use."""
    reason: str
    """Why, in words."""

    def __str__(self) -> str:
        """One line for people."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return (
            f"{TITLES[self.engine]} on {self.device} in {self.precision}, {threads}: {self.reason}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineStatus:
    """An engine on a device, and whether it can be used here."""

    engine: Engine
    device: Device
    is_ready: bool
    note: str
    """What it runs, or what to install."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Graph:
    """A graph and the precision to run it in."""

    path: Path
    precision: Precision
    reason: str


def open_generator(
    path: Path,
    *,
    device: DeviceChoice = "auto",
    precision: PrecisionChoice = "auto",
    num_threads: int | None = None,
    whole: bool = True,
) -> tuple[GeneratorBackend, EngineChoice]:
    """Open a generator in the engine that suits this machine, or in the one that is asked for.

    Args:
        path: A graph, .onnx or the .xml of int8; or weights, .safetensors, which torch runs. If
            ``NAME.int8.xml`` lies beside ``NAME.onnx``, it is the same network in int8.
        device: ``auto`` takes CUDA where it is there, else the CPU.
        precision: ``auto`` takes the fastest of int8, bf16 and fp32 that this CPU has arithmetic
            for and that draws what fp32 draws.
        num_threads: Of the CPU; by default as many as the cores that this process may use.
        whole: Whether all of the picture is wanted. If not, an engine may save the work for the
            upper half and return the target's.

    Returns:
        The generator, and what was chosen.

    Raises:
        CheckpointError: If the file is damaged or holds something else.
        ConfigError: If what is asked for is unknown, not there, or draws something else than fp32.
        MissingExtraError: If the engine that is asked for is not installed.
    """
    require_engine(device, precision)
    if num_threads is not None and num_threads < 1:
        raise ConfigError(f"num_threads must be at least 1, got {num_threads}")
    if path.suffix.lower() == ".safetensors":
        return _open_torch(path, device, precision, num_threads=num_threads)
    if device == "mps":
        raise ConfigError(
            f"device 'mps' runs weights (.safetensors) in torch, {path} is a graph; give the "
            f"weights, or use --device coreml or --device cpu"
        )
    if device in ("cuda", "coreml", "directml"):
        return _open_onnxruntime(path, device, precision, num_threads=num_threads)
    is_open = device == "auto" and precision in ("auto", "fp32") and path.suffix == ".onnx"
    if is_open and is_built_for_cuda():
        try:
            return _open_onnxruntime(path, "cuda", precision, num_threads=num_threads)
        except ConfigError as err:
            _warn_once(f"{err}; going on with the CPU")
    return _open_openvino(path, precision, num_threads=num_threads, whole=whole)


def require_engine(device: str, precision: str) -> None:
    """Make sure that a device and a precision are known, whether they are there or not.

    Raises:
        ConfigError: If one is not; lists the known ones.
    """
    devices = ("auto", *get_args(Device))
    if device not in devices:
        raise ConfigError(f"device must be one of {', '.join(devices)}, got {device!r}")
    precisions = get_args(PrecisionChoice)
    if precision not in precisions:
        raise ConfigError(f"precision must be one of {', '.join(precisions)}, got {precision!r}")


def engine_statuses() -> list[EngineStatus]:
    """Every engine and device that a generator can run on, and what the missing ones need."""
    found = [
        EngineStatus(
            engine="openvino",
            device="cpu",
            is_ready=True,
            note=f"runs .onnx and int8 .xml; {', '.join(cpu_capabilities())}",
        )
    ]
    ready: set[Device] = {*onnxruntime_devices()}
    for device, way_out in onnxruntime_backend.WAYS_OUT.items():
        if device != "cpu":  # where OpenVINO is faster
            is_ready = device in ready
            note = "runs .onnx, if its driver is there" if is_ready else way_out
            found.append(
                EngineStatus(engine="onnxruntime", device=device, is_ready=is_ready, note=note)
            )
    ready = {*torch_devices()}
    for torch_device, way_out in torch_backend.WAYS_OUT.items():
        is_ready = torch_device in ready
        note = "runs weights, .safetensors" if is_ready else way_out
        found.append(
            EngineStatus(engine="torch", device=torch_device, is_ready=is_ready, note=note)
        )
    return found


def int8_beside(path: Path) -> Path:
    """Where the int8 graph of a model lies, if it has one: ``NAME.int8.xml``."""
    return path.with_name(f"{path.stem}.int8.xml")


def _open_torch(
    path: Path, device: DeviceChoice, precision: PrecisionChoice, *, num_threads: int | None
) -> tuple[GeneratorBackend, EngineChoice]:
    _require_full(precision, "torch")
    if device in ("coreml", "directml"):
        raise ConfigError(
            f"device {device!r} runs graphs (.onnx), {path} holds weights; make a graph: "
            f"lipwright export {path} -o {path.stem}.onnx"
        )
    chosen: TorchDevice = "cuda" if device == "auto" and "cuda" in torch_devices() else "cpu"
    if device in ("cpu", "cuda", "mps"):
        chosen = device
    backend = TorchGenerator(path, device=chosen, num_threads=num_threads)
    reason = "weights run in torch"
    if chosen == "cpu":
        reason += "; a graph is faster on a CPU: lipwright export"
    return backend, _choice("torch", chosen, "fp32", reason=reason, num_threads=num_threads)


def _open_onnxruntime(
    path: Path, device: OnnxRuntimeDevice, precision: PrecisionChoice, *, num_threads: int | None
) -> tuple[GeneratorBackend, EngineChoice]:
    _require_full(precision, device)
    backend = OnnxRuntimeGenerator(path, device=device, num_threads=num_threads)
    reason = f"{device} is there"
    return backend, _choice("onnxruntime", device, "fp32", reason=reason, num_threads=num_threads)


def _open_openvino(
    path: Path, precision: PrecisionChoice, *, num_threads: int | None, whole: bool
) -> tuple[GeneratorBackend, EngineChoice]:
    graph = _graph_for(path, precision)
    choice = _choice(
        "openvino", "cpu", graph.precision, reason=graph.reason, num_threads=num_threads
    )
    parent = _kept("compiled")
    key = _key(_sha256_of_graph(graph.path))
    backend = OpenVinoGenerator(
        graph.path,
        precision=graph.precision,
        num_threads=choice.threads,
        cache=None if parent is None else compiled_folder(parent, key),
        whole=whole,
    )
    return backend, choice


def _require_full(precision: PrecisionChoice, where: str) -> None:
    if precision in ("int8", "bf16"):
        raise ConfigError(
            f"precision {precision!r} is for OpenVINO on the CPU; {where} runs in fp32: use "
            f"--device cpu, or --precision fp32"
        )


def _choice(
    engine: Engine, device: Device, precision: Precision, *, reason: str, num_threads: int | None
) -> EngineChoice:
    threads = num_threads or available_cores()
    return EngineChoice(
        engine=engine,
        device=device,
        precision=precision,
        threads=threads,
        reason=reason,
    )


def _graph_for(path: Path, precision: PrecisionChoice) -> _Graph:
    """The graph of a model that runs in a precision, and the precision that is best."""
    if path.suffix.lower() == ".xml" and read_onnx_metadata(path).get("precision") == "int8":
        return _given_in_int8(path, precision)
    if precision == "auto":
        return _fastest(path)
    if precision == "fp32":
        return _Graph(path=path, precision="fp32", reason="fp32 was asked for")
    candidate = path
    if precision == "int8":
        candidate = int8_beside(path)
        if not candidate.is_file():
            raise ConfigError(
                f"precision 'int8' needs {candidate.name} beside {path}; make it: lipwright export "
                f"WEIGHTS -o {candidate.name} --precision int8 --calibrate CORPUS, or use "
                f"--precision auto"
            )
    machine = this_machine(capabilities=cpu_capabilities())
    if precision == "bf16" and not machine.has_fast_bf16:
        raise ConfigError(
            f"precision 'bf16' is not there: {machine.cpu} has no arithmetic for it; use "
            f"--precision fp32"
        )
    _require_alike(candidate, precision, path)
    return _Graph(path=candidate, precision=precision, reason=f"{precision} was asked for")


def _given_in_int8(path: Path, precision: PrecisionChoice) -> _Graph:
    if precision not in ("auto", "int8"):
        raise ConfigError(
            f"precision {precision!r} needs the fp32 graph, {path} is in int8; give the .onnx file"
        )
    plain = path.with_name(f"{path.name.removesuffix('.xml').removesuffix('.int8')}.onnx")
    if not plain.is_file():
        reason = f"the file is in int8; no {plain.name} lies beside it to compare it with"
        return _Graph(path=path, precision="int8", reason=reason)
    _require_alike(path, "int8", plain)
    return _Graph(path=path, precision="int8", reason="the file is in int8")


def _fastest(path: Path) -> _Graph:
    machine = this_machine(capabilities=cpu_capabilities())
    int8 = int8_beside(path)
    possible: list[tuple[Path, Precision]] = []
    if machine.has_fast_int8 and int8.is_file():
        possible.append((int8, "int8"))
    if machine.has_fast_bf16:
        possible.append((path, "bf16"))
    for candidate, precision in possible:
        try:
            difference = _kept_difference(candidate, precision, path)
        except CheckpointError as err:
            _warn_once(f"{precision} is not used: {err}")
            continue
        if difference <= BOUND:
            reason = (
                f"this CPU has {precision} arithmetic, within {difference:.1e} of fp32 on "
                f"{NUM_COMPARED} inputs"
            )
            return _Graph(path=candidate, precision=precision, reason=reason)
        if candidate != path:  # somebody made it, to be used
            _warn_once(f"{_too_far(candidate, precision, difference)}; it is not used")
    reason = "this CPU has no bf16 arithmetic, and no int8 graph that pays lies beside the model"
    if possible:
        faster = " and ".join(precision for _, precision in possible)
        reason = f"{faster} would draw something else than fp32"
    return _Graph(path=path, precision="fp32", reason=reason)


def _require_alike(candidate: Path, precision: Precision, reference: Path) -> None:
    difference = _kept_difference(candidate, precision, reference)
    if not difference <= BOUND:
        raise ConfigError(
            f"precision {precision!r} is refused: {_too_far(candidate, precision, difference)}; "
            f"use {reference.name} with --precision fp32"
        )


def _too_far(candidate: Path, precision: Precision, difference: float) -> str:
    return (
        f"{candidate} in {precision} is off from fp32 by {difference:.1e} on {NUM_COMPARED} "
        f"inputs, more than {BOUND:.0e}"
    )


def _kept_difference(candidate: Path, precision: Precision, reference: Path) -> float:
    """As :func:`graph_difference`, measured once on a machine."""
    key = _key(COMPARISON, precision, _sha256_of_graph(candidate), _sha256_of_graph(reference))
    folder = _kept("parity")
    file = None if folder is None else folder / f"{key}.json"
    if file is not None and file.is_file():
        try:
            return float(json.loads(file.read_text(encoding="utf-8"))["difference"])
        except (OSError, ValueError, KeyError, TypeError) as err:
            log.info("%s is measured again: %r", file, err)
    log.info("comparing %s in %s with fp32, once on this machine", candidate, precision)
    difference = graph_difference(candidate, precision, reference)
    if file is not None:
        record = {"model": candidate.name, "precision": precision, "difference": str(difference)}
        try:
            with written_whole(file) as temporary:
                temporary.write_text(json.dumps(record), encoding="utf-8")
        except OSError as err:
            log.info("the verdict is not kept: %s", err)
    return difference


def _kept(name: str) -> Path | None:
    """A folder of what can be made again; None without a home."""
    try:
        return home() / "cache" / name
    except ConfigError:
        return None


def _key(*parts: str) -> str:
    """Of parts, this OpenVINO and this CPU."""
    machine = this_machine()
    whole = [*parts, openvino_version(), machine.cpu, *machine.instructions]
    return hashlib.sha256("\n".join(whole).encode()).hexdigest()[:32]


def _sha256_of_graph(path: Path) -> str:
    """Of the file and, for an .xml, of the weights beside it."""
    weights = path.with_suffix(".bin")
    is_pair = path.suffix.lower() == ".xml" and weights.is_file()
    return "".join(_sha256_as_it_is(part) for part in ((path, weights) if is_pair else (path,)))


def _sha256_as_it_is(path: Path) -> str:
    """Of a file, read once as long as it does not change."""
    found = path.stat()
    return _sha256(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8)
def _sha256(path: Path, _changed: int, _num_bytes: int) -> str:
    return sha256_of(path)


@cache
def _warn_once(message: str) -> None:
    log.warning("%s", message)
