"""Run a generator in ONNX Runtime: on CUDA, CoreML and DirectML devices, and on the CPU."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import CheckpointError, ConfigError, MissingExtraError, require
from lipwright.faces import CropRule
from lipwright.inference.backend import (
    Shape,
    finish_faces,
    graph_record,
    network_inputs,
    prepare_faces,
)
from lipwright.speech import Alignment

OnnxRuntimeDevice = Literal["cpu", "cuda", "coreml", "directml"]
_PROVIDERS: dict[OnnxRuntimeDevice, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
# Fractions of ten bits are CUDA's way of fp32 by default; what is called fp32 here is fp32.
_OPTIONS: dict[OnnxRuntimeDevice, dict[str, str]] = {"cuda": {"use_tf32": "0"}}
WAYS_OUT: dict[OnnxRuntimeDevice, str] = {
    "cpu": "pip install 'lipwright[onnxruntime]'",
    "cuda": "pip uninstall onnxruntime, then pip install onnxruntime-gpu, and NVIDIA's driver",
    "coreml": "pip install 'lipwright[onnxruntime]' on a Mac",
    "directml": "pip uninstall onnxruntime, then pip install onnxruntime-directml, on Windows",
}
"""What to install for each device."""


class _Port(Protocol):
    name: str
    shape: Sequence[int | str | None]


class _Meta(Protocol):
    custom_metadata_map: dict[str, str]


class _Session(Protocol):
    """What is used of ONNX Runtime's session; it ships no types."""

    def get_inputs(self) -> Sequence[_Port]: ...
    def get_outputs(self) -> Sequence[_Port]: ...
    def get_modelmeta(self) -> _Meta: ...
    def get_providers(self) -> Sequence[str]: ...
    def run(
        self, names: Sequence[str], feeds: Mapping[str, NDArray[np.float32]]
    ) -> Sequence[NDArray[np.float32]]: ...


class OnnxRuntimeGenerator:
    """Runs an exported generator in ONNX Runtime, in fp32."""

    def __init__(
        self, path: Path, *, device: OnnxRuntimeDevice = "cpu", num_threads: int | None = None
    ) -> None:
        """Load the network and bring it to the device.

        Args:
            path: ONNX file with inputs ``mel`` and ``faces``, as Lipwright exports it.
            device: Where to run it.
            num_threads: Threads of the CPU to use; all by default.

        Raises:
            CheckpointError: If the file is damaged or holds something else.
            ConfigError: If the device is not there.
            MissingExtraError: If ONNX Runtime is not installed.
        """
        if not path.is_file():
            raise CheckpointError(f"no such model file: {str(path)!r}")
        if path.suffix.lower() != ".onnx":
            raise ConfigError(
                f"ONNX Runtime reads .onnx files, {path} is none; use --device cpu, or give the "
                f"model's .onnx file"
            )
        try:
            runtime = require("onnxruntime", extra="onnxruntime")
        except MissingExtraError as err:
            raise MissingExtraError(
                f"device {device!r} needs ONNX Runtime, which is not installed: "
                f"{WAYS_OUT[device]}; or use --device cpu, which OpenVINO serves"
            ) from err
        self._session = _opened(runtime, path, device=device, num_threads=num_threads)
        found = (*self._session.get_inputs(), *self._session.get_outputs())
        ports = {port.name: _shape(port.shape) for port in found}
        record = graph_record(self._session.get_modelmeta().custom_metadata_map, ports, path)
        self.resolution: int = record.resolution
        """Height and width of a face in pixels."""
        self.alignment: Alignment = record.alignment
        """Which stretch of speech it draws a frame from."""
        self.columns: int = record.columns
        """Mel columns of that stretch."""
        self.crop: CropRule = record.crop
        """Which box around a face it looks at."""
        self.licence: str = record.licence
        """Of its weights."""
        self.with_amplitude: bool = record.with_amplitude
        """Whether it can be told how far the mouth moves."""
        self._record = record

    def draw(
        self,
        targets: NDArray[np.uint8],
        references: NDArray[np.uint8],
        windows: NDArray[np.float32],
        amplitudes: NDArray[np.float32] | None = None,
        landmarks: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Draw faces that say the speech; see :class:`GeneratorBackend`."""
        faces = prepare_faces(targets, references, is_bgr=self._record.is_bgr)
        batches = network_inputs(self._record, faces, windows, amplitudes)
        results = [self._session.run(["drawn"], batch)[0] for batch in batches]
        return finish_faces(np.concatenate(results), is_bgr=self._record.is_bgr)


def is_built_for_cuda() -> bool:
    """Whether an ONNX Runtime for CUDA is installed, told by its files.

    Importing it takes a tenth of a second, and it writes an identity of the machine into the
    user's home: too much to ask of everybody who renders on a CPU.
    """
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return False
    return any((Path(spec.origin).parent / "capi").glob("*onnxruntime_providers_cuda*"))


def onnxruntime_devices() -> tuple[OnnxRuntimeDevice, ...]:
    """Devices that the installed ONNX Runtime was built for; none if it is not installed.

    That it was built for a device does not mean that there is one: opening a generator tells.
    """
    try:
        runtime = require("onnxruntime", extra="onnxruntime")
    except MissingExtraError:
        return ()
    built_for = runtime.get_available_providers()
    return tuple(device for device, provider in _PROVIDERS.items() if provider in built_for)


def _opened(
    runtime: ModuleType, path: Path, *, device: OnnxRuntimeDevice, num_threads: int | None
) -> _Session:
    provider = _PROVIDERS[device]
    if provider not in runtime.get_available_providers():
        raise ConfigError(
            f"device {device!r} is not there: the installed ONNX Runtime {runtime.__version__} was "
            f"not built for it; {WAYS_OUT[device]}; or use --device cpu"
        )
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors; what went wrong is said here
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    if device == "directml":  # which requires both
        options.enable_mem_pattern = False
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    asked = [(provider, _OPTIONS.get(device, {}))]
    try:
        session: _Session = runtime.InferenceSession(path, options, providers=asked)
    except _failures(runtime) as err:
        if device != "cpu":
            raise ConfigError(
                f"device {device!r} cannot run {path}: {err}; use --device cpu"
            ) from err
        raise CheckpointError(
            f"{path} ({path.stat().st_size} bytes) is not a whole ONNX file: {err}; copy or export "
            f"it again"
        ) from err
    # Where a device or its driver is missing, ONNX Runtime goes on with the CPU and only logs it.
    if session.get_providers()[0] != provider:
        raise ConfigError(
            f"device {device!r} cannot be used: ONNX Runtime has code for it but found no device "
            f"or driver; {WAYS_OUT[device]}; or use --device cpu"
        )
    return session


def _failures(runtime: ModuleType) -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: classes without a common base that is theirs."""
    names = ("Fail", "InvalidGraph", "InvalidProtobuf", "InvalidArgument", "NotImplemented")
    state = runtime.capi.onnxruntime_pybind11_state
    own: list[type[Exception]] = [
        getattr(state, name) for name in (*names, "RuntimeException", "EPFail")
    ]
    return (*own, RuntimeError, ValueError)


def _shape(lengths: Sequence[int | str | None]) -> Shape:
    """Names stand for lengths that may be any."""
    return tuple(length if isinstance(length, int) else None for length in lengths)
