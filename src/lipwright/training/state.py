"""All that is trained, in one place, and on disk as safetensors: resuming loses nothing."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lipwright.checkpoints import read_tensors, write_tensors
from lipwright.errors import CheckpointError

FORMAT = "lipwright-training-1"


@dataclass(kw_only=True, slots=True)
class TrainState:
    """Networks, optimizers and the number of steps taken."""

    networks: dict[str, nn.Module]
    """By name; a running mean of weights counts as one."""
    optimizers: dict[str, Optimizer]
    """By name."""
    step: int = 0
    """Steps taken."""
    identity: dict[str, object] = field(default_factory=dict)
    """What must be the same for a resume to make sense: networks and seed."""

    def save(self, path: Path) -> None:
        """Write everything, the random state included, under a temporary name; then rename."""
        tensors: dict[str, Tensor] = {"random": torch.get_rng_state()}
        for name, network in self.networks.items():
            for key, tensor in network.state_dict().items():
                tensors[f"network/{name}/{key}"] = tensor
        for name, optimizer in self.optimizers.items():
            for index, values in optimizer.state_dict()["state"].items():
                for key, tensor in values.items():
                    tensors[f"optimizer/{name}/{index}/{key}"] = tensor
        write_tensors(
            path,
            {key: tensor.detach().cpu().numpy() for key, tensor in tensors.items()},
            {
                "format": FORMAT,
                "step": str(self.step),
                "identity": json.dumps(self.identity, sort_keys=True),
            },
        )

    def load(self, path: Path) -> None:
        """Go on from a saved state.

        Args:
            path: What :meth:`save` wrote.

        Raises:
            CheckpointError: If it is damaged or belongs to other networks or another seed.
        """
        arrays, metadata = read_tensors(path)
        if metadata.get("format") != FORMAT:
            raise CheckpointError(f"{path} is not a training state of this version")
        identity = json.loads(metadata["identity"])
        if identity != json.loads(json.dumps(self.identity)):
            raise CheckpointError(
                f"{path} was trained as {identity}, the recipe asks for {self.identity}; use "
                f"another run folder"
            )
        tensors = {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}
        try:
            self._restore(tensors)
        except (RuntimeError, KeyError, ValueError) as err:
            raise CheckpointError(
                f"{path} does not fit this recipe: {err}; use another run folder"
            ) from err
        self.step = int(metadata["step"])

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        for name, network in self.networks.items():
            network.load_state_dict(_below(tensors, f"network/{name}/"))
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, tensor in _below(tensors, f"optimizer/{name}/").items():
                index, entry = key.split("/")
                state.setdefault(int(index), {})[entry] = tensor
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        torch.set_rng_state(tensors["random"])


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: t for key, t in tensors.items() if key.startswith(prefix)}
