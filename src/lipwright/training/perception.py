"""How alike two faces are to a network that finds landmarks: a perceptual loss of our own.

Johnson et al., "Perceptual Losses for Real-Time Style Transfer", ECCV 2016, with the landmark
network's layers, which know hundreds of faces, in the place of a network of unfree origin.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipwright.models.landmarks import LandmarkNet

_RESOLUTION = 128  # of the landmark network
_DEPTHS = (0, 2, 5)  # layers compared: edges, parts of lips, mouths


class Perception(nn.Module):
    """Compares faces in a frozen landmark network's layers."""

    def __init__(self, network: LandmarkNet) -> None:
        """Freeze the network.

        Args:
            network: In evaluation mode; kept.
        """
        super().__init__()
        self._network = network.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "Perception":
        """Stay in evaluation mode, whatever is asked for."""
        return super().train(False)

    def forward(self, drawn: Tensor, true: Tensor) -> Tensor:
        """Compare.

        Args:
            drawn: ``(B, 3, R, R)`` in [0, 1].
            true: ``(B, 3, R, R)`` in [0, 1].

        Returns:
            A scalar: mean absolute difference over the mean absolute value, mean of the layers.
        """
        with torch.no_grad():
            aims = self._layers(true)
        found = self._layers(drawn)
        ratios = [
            (mine - aim).abs().mean() / aim.abs().mean().clamp(min=1e-6)
            for mine, aim in zip(found, aims, strict=True)
        ]
        return torch.stack(ratios).mean()

    def points(self, faces: Tensor) -> Tensor:
        """Landmarks of faces, as shares of the side.

        Args:
            faces: ``(B, 3, R, R)`` in [0, 1].

        Returns:
            ``(B, P, 2)``.
        """
        return cast(Tensor, self._network(_resized(faces))[0])

    def _layers(self, faces: Tensor) -> list[Tensor]:
        x = 2 * _resized(faces) - 1
        layers = []
        for depth in range(_DEPTHS[-1] + 1):
            x = self._network.convolutions[depth](x)
            if depth in _DEPTHS:
                layers.append(x)
        return layers


def _resized(faces: Tensor) -> Tensor:
    if faces.shape[-1] == _RESOLUTION:
        return faces
    return functional.interpolate(
        faces, size=(_RESOLUTION, _RESOLUTION), mode="bilinear", antialias=True
    )
