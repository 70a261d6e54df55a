"""Run a generator's own weights in torch: on CUDA and Apple's MPS devices, and on the CPU.

The runtime does without torch, so torch and the networks are imported when a generator is opened.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError, require
from lipwright.faces import CropRule
from lipwright.inference.backend import (
    finish_faces,
    network_inputs,
    prepare_faces,
    weights_record,
)
from lipwright.speech import Alignment

TorchDevice = Literal["cpu", "cuda", "mps"]
WAYS_OUT: dict[TorchDevice, str] = {
    "cpu": "pip install 'lipwright[train]'",
    "cuda": "install NVIDIA's driver and a build of torch for CUDA (https://pytorch.org)",
    "mps": "it needs a Mac with Apple silicon: pip install 'lipwright[train]' there",
}
"""What to install for each device."""


class TorchGenerator:
    """Runs trained weights in torch, in fp32."""

    def __init__(
        self, path: Path, *, device: TorchDevice = "cpu", num_threads: int | None = None
    ) -> None:
        """Build the network and bring it to the device.

        Args:
            path: Weights as training or ``lipwright convert`` writes them: .safetensors.
            device: Where to run it.
            num_threads: Threads of the CPU to use, which holds for all of torch in this process;
                unchanged by default.

        Raises:
            CheckpointError: If the file is damaged or holds something else.
            ConfigError: If the device is not there.
            MissingExtraError: If torch is not installed.
        """
        self._torch = require("torch", extra="train")
        if not _is_there(self._torch, device):
            raise ConfigError(
                f"device {device!r} is not there: torch {self._torch.__version__} finds none; "
                f"{WAYS_OUT[device]}; or use --device cpu"
            )
        build = import_module("lipwright.models.build")
        network, meta = build.load_network(path, kind="generator")
        record = weights_record(meta, path, resolution=build.resolution_of(meta.config))
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
        self._record, self._device = record, device
        self._network = network.to(device)
        if num_threads is not None:
            self._torch.set_num_threads(num_threads)

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
        (batch,) = network_inputs(self._record, faces, windows, amplitudes)
        inputs = [self._torch.from_numpy(rows).to(self._device) for rows in batch.values()]
        with self._torch.inference_mode():
            drawn: NDArray[np.float32] = self._network(*inputs).float().cpu().numpy()
        return finish_faces(drawn, is_bgr=self._record.is_bgr)


def torch_devices() -> tuple[TorchDevice, ...]:
    """Devices that torch finds; none if it is not installed. Importing torch takes seconds."""
    if find_spec("torch") is None:
        return ()
    torch = require("torch", extra="train")
    known: tuple[TorchDevice, ...] = ("cpu", "cuda", "mps")
    return tuple(device for device in known if _is_there(torch, device))


def _is_there(torch: ModuleType, device: TorchDevice) -> bool:
    if device == "cpu":
        return True
    finder = torch.cuda if device == "cuda" else torch.backends.mps
    return bool(finder.is_available())
