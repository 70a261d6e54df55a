"""The running mean of a network's weights, which draws better than the newest ones."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_Tensors = tuple[Tensor, ...] | list[Tensor]


def running_mean(network: nn.Module, decay: float) -> AveragedModel:
    """A mean that forgets the first steps quickly, and settles at a decay.

    Args:
        network: Whose weights; statistics of its norms are averaged too, so that they fit.
        decay: Share of the mean that a step leaves, in the long run.

    Returns:
        The mean; ``update_parameters`` takes a step.
    """

    @torch.no_grad()
    def update(mean: _Tensors, current: _Tensors, num_averaged: Tensor | int) -> None:
        if not mean[0].is_floating_point():  # the norms' counts of batches
            torch._foreach_copy_(mean, current)
            return
        steps = int(num_averaged)
        torch._foreach_lerp_(mean, current, 1 - min(decay, (1 + steps) / (10 + steps)))

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)
