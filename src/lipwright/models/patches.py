"""A discriminator that judges patches of a mouth at two scales."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipwright.errors import ConfigError

_DETAIL = 12.0  # brings detail, in levels of 1, to the size of 1
_GROUPS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchDiscriminatorConfig:
    """Shape of the patch discriminator."""

    resolution: int = 160
    """Height and width of a face in pixels; a multiple of 32."""
    width: int = 32
    """Channels of the first layer; a multiple of 4."""

    def __post_init__(self) -> None:
        if self.resolution < 96 or self.resolution % 32:
            raise ConfigError(
                f"resolution must be a multiple of 32 from 96 on, got {self.resolution}"
            )
        if self.width < 1 or self.width % _GROUPS:
            raise ConfigError(f"width must be a multiple of {_GROUPS}, got {self.width}")


class PatchDiscriminator(nn.Module):
    """Judge patches at full size and at half, by their colours and by their detail.

    Isola et al. 2017 and Wang et al. 2018 (pix2pixHD). The detail is what a blur takes away:
    without being shown it, the discriminator has to find among all faces the little that is drawn
    too softly, and after hundreds of steps has not.
    """

    def __init__(self, config: PatchDiscriminatorConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList([_Judge(config.width) for _ in range(2)])

    def forward(self, faces: Tensor) -> Tensor:
        """Judge parts of faces.

        Args:
            faces: ``(B, 3, H, W)`` in [0, 1].

        Returns:
            ``(B, num_patches)`` of any size: above 0 means real.
        """
        blurred = functional.avg_pool2d(faces, 5, 1, 2, count_include_pad=False)
        x = torch.cat([2 * faces - 1, _DETAIL * (faces - blurred)], dim=1)  # (B, 6, H, W)
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
            nn.Conv2d(6, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.GroupNorm(_GROUPS, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 3 * width, 4, stride=2, padding=1),
            nn.GroupNorm(_GROUPS, 3 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(3 * width, 1, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 6, H, W)`` -> ``(B, 1, H/8, W/8)``."""
        judged: Tensor = self.layers(x)
        return judged
