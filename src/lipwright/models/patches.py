"""A discriminator that judges patches of the lower half face at two scales."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipwright.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchDiscriminatorConfig:
    """Shape of the patch discriminator."""

    resolution: int = 160
    """Height and width of a face in pixels; a multiple of 32."""
    width: int = 32
    """Channels of the first layer."""

    def __post_init__(self) -> None:
        if self.resolution < 96 or self.resolution % 32:
            raise ConfigError(
                f"resolution must be a multiple of 32 from 96 on, got {self.resolution}"
            )
        if self.width < 1:
            raise ConfigError(f"width must be at least 1, got {self.width}")


class PatchDiscriminator(nn.Module):
    """Judge patches at full size and at half.

    Isola et al. 2017 and Wang et al. 2018 (pix2pixHD); without a norm, as R1 asks for
    (Mescheder et al. 2018).
    """

    def __init__(self, config: PatchDiscriminatorConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList([_Judge(config.width) for _ in range(2)])

    def forward(self, lower: Tensor) -> Tensor:
        """Judge lower halves.

        Args:
            lower: ``(B, 3, R/2, R)`` in [0, 1].

        Returns:
            ``(B, num_patches)`` of any size: above 0 means real.
        """
        x = 2 * lower - 1
        verdicts = []
        for scale, judge in enumerate(self.scales):
            verdicts.append(torch.flatten(judge(x), 1))
            if scale == 0:
                x = functional.avg_pool2d(x, 2)
        return torch.cat(verdicts, dim=1)


class _Judge(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 3 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(3 * width, 1, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 1, H/8, W/8)``."""
        judged: Tensor = self.layers(x)
        return judged
