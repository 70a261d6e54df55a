"""Devices and precision: the only module that knows of them."""

from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from torch.optim import Optimizer

from lipwright.errors import TrainingError
from lipwright.training.recipe import RunConfig
from lipwright.training.windows import Batch

Device = Literal["auto", "cpu", "cuda", "mps"]


class Engine:
    """Where and how precisely a run computes."""

    def __init__(self, run: RunConfig) -> None:
        """Choose the device once.

        Args:
            run: The recipe's part on the run.

        Raises:
            TrainingError: If the device that is asked for is not there.
        """
        available = {
            "cpu": True,
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
        }
        if run.device != "auto" and not available[run.device]:
            there = ", ".join(name for name, is_there in available.items() if is_there)
            raise TrainingError(f"device {run.device!r} is not available here; there is: {there}")
        if run.threads is not None:
            torch.set_num_threads(run.threads)
        # Accelerate keeps its choice for the life of the process; each run here makes its own.
        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 - there is no public way
        self._accelerator = Accelerator(
            cpu=run.device == "cpu",
            mixed_precision="bf16" if run.precision == "bf16" else "no",
        )
        if self._accelerator.num_processes > 1:
            raise TrainingError(
                f"{self._accelerator.num_processes} processes were launched; training runs in one"
            )

    @property
    def device(self) -> torch.device:
        """Where tensors are."""
        device: torch.device = self._accelerator.device
        return device

    def prepare(self, network: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        """Bring a network that is trained to the device and its precision."""
        prepared, prepared_optimizer = self._accelerator.prepare(network, optimizer)
        return prepared, prepared_optimizer

    def place(self, network: nn.Module) -> nn.Module:
        """Bring a network that is only used to the device."""
        return network.to(self.device)

    def move(self, batch: Batch) -> Batch:
        """Bring a batch to the device."""
        return {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}

    def minimise(
        self, loss: torch.Tensor, network: nn.Module, optimizer: Optimizer, *, clip_norm: float
    ) -> float:
        """Take one step down a loss.

        Args:
            loss: A scalar.
            network: Whose weights move.
            optimizer: How they move.
            clip_norm: Gradients longer than this are shortened to it.

        Returns:
            Length of the gradient before it was shortened.
        """
        optimizer.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        norm = self._accelerator.clip_grad_norm_(network.parameters(), clip_norm)
        optimizer.step()
        return float(norm)

    def unwrap(self, network: nn.Module) -> nn.Module:
        """The network itself, without what precision wrapped around it."""
        unwrapped: nn.Module = self._accelerator.unwrap_model(network)
        return unwrapped
