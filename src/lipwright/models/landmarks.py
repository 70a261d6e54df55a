"""A small network that finds the landmarks of a face, and how the head is turned."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from lipwright.errors import ConfigError
from lipwright.models.blocks import Conv2d


@dataclass(frozen=True, kw_only=True, slots=True)
class LandmarkConfig:
    """Shape of the landmark network."""

    resolution: int = 128
    """Height and width of the picture in pixels: a multiple of 32."""
    width: int = 16
    """Channels of the widest map."""
    num_points: int = 136
    """Points found."""

    def __post_init__(self) -> None:
        if self.resolution < 64 or self.resolution % 32:
            raise ConfigError(
                f"resolution must be a multiple of 32 from 64 on, got {self.resolution}"
            )
        if self.width < 1 or self.num_points < 1:
            raise ConfigError(
                f"width and num_points must be at least 1, got {self.width} and {self.num_points}"
            )


class LandmarkNet(nn.Module):
    """Strided convolutions down to 4x4 places, whose order the last layers keep.

    Regressed, not read off heat maps: a mouth of 40 pixels needs parts of a pixel, and 136 maps
    of a useful size would cost more than all the rest.
    """

    def __init__(self, config: LandmarkConfig) -> None:
        super().__init__()
        w = config.width
        places = (config.resolution // 32) ** 2
        self.convolutions = nn.Sequential(
            Conv2d(3, w, stride=2),
            Conv2d(w, 2 * w, stride=2),
            Conv2d(2 * w, 2 * w, is_residual=True),
            Conv2d(2 * w, 3 * w, stride=2),
            Conv2d(3 * w, 3 * w, is_residual=True),
            Conv2d(3 * w, 3 * w, is_residual=True),
            Conv2d(3 * w, 4 * w, stride=2),
            Conv2d(4 * w, 4 * w, is_residual=True),
            Conv2d(4 * w, 4 * w, is_residual=True),
            Conv2d(4 * w, 6 * w, stride=2),
            Conv2d(6 * w, 6 * w, is_residual=True),
            Conv2d(6 * w, 6 * w, is_residual=True),
            Conv2d(6 * w, 4 * w, kernel=1, padding=0),
        )
        self.head = nn.Sequential(
            nn.Linear(4 * w * places, 256), nn.ReLU(), nn.Linear(256, 2 * config.num_points + 2)
        )
        last = cast(nn.Linear, self.head[2])
        nn.init.zeros_(last.weight)  # the first answer is that all points lie in the middle

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Find the points of faces.

        Args:
            faces: ``(B, 3, R, R)`` in [0, 1], RGB.

        Returns:
            ``(B, P, 2)`` x y as shares of the picture's side, and ``(B, 2)`` yaw and pitch in
            radians.
        """
        x = self.convolutions(2 * faces - 1)  # (B, 4w, R/32, R/32)
        answer = self.head(torch.flatten(x, 1))  # (B, 2P + 2)
        points = answer[:, :-2].unflatten(1, (-1, 2)) + 0.5  # (B, P, 2)
        return points, answer[:, -2:]
