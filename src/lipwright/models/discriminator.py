"""Visual quality discriminators: is this lower half face real? They say nothing about sync."""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lipwright.errors import ConfigError
from lipwright.models.blocks import PlainConv2d


def lower_half(faces: Tensor) -> Tensor:
    """``(..., H, W)`` -> ``(..., H/2, W)``: the rows that the generator draws."""
    return faces[..., faces.shape[-2] // 2 :, :]


class QualityDiscriminator(nn.Module):
    """The released discriminator (Prajwal et al. 2020, section 3.4); names as released."""

    def __init__(self) -> None:
        super().__init__()
        conv = PlainConv2d
        self.face_encoder_blocks = nn.ModuleList(
            [
                nn.Sequential(conv(3, 32, kernel=7, padding=3)),
                nn.Sequential(
                    conv(32, 64, kernel=5, stride=(1, 2), padding=2),
                    conv(64, 64, kernel=5, padding=2),
                ),
                nn.Sequential(
                    conv(64, 128, kernel=5, stride=2, padding=2),
                    conv(128, 128, kernel=5, padding=2),
                ),
                nn.Sequential(
                    conv(128, 256, kernel=5, stride=2, padding=2),
                    conv(256, 256, kernel=5, padding=2),
                ),
                nn.Sequential(conv(256, 512, stride=2), conv(512, 512)),
                nn.Sequential(conv(512, 512, stride=2), conv(512, 512)),
                nn.Sequential(conv(512, 512, padding=0), conv(512, 512, kernel=1, padding=0)),
            ]
        )
        self.binary_pred = nn.Sequential(nn.Conv2d(512, 1, 1), nn.Sigmoid())

    def forward(self, faces: Tensor) -> Tensor:
        """Judge faces.

        Args:
            faces: ``(B, 3, T, 96, 96)`` in [0, 1]; only the lower half is looked at.

        Returns:
            ``(B*T, 1)`` in [0, 1]: 1 means real. Rows are time-major.
        """
        x = torch.cat(lower_half(faces).unbind(dim=2))  # (T*B, 3, 48, 96)
        for block in self.face_encoder_blocks:
            x = block(x)
        return cast(Tensor, self.binary_pred(x)).flatten(1)  # (T*B, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class CompactDiscriminatorConfig:
    """Shape of the compact discriminator."""

    resolution: int = 96
    """Height and width of a face in pixels; a multiple of 32."""
    width: int = 24
    """Channels of the first layer."""

    def __post_init__(self) -> None:
        if self.resolution < 96 or self.resolution % 32:
            raise ConfigError(
                f"resolution must be a multiple of 32 from 96 on, got {self.resolution}"
            )
        if self.width < 1:
            raise ConfigError(f"width must be at least 1, got {self.width}")


class CompactDiscriminator(nn.Module):
    """Judge patches of the lower half face (Isola et al. 2017) under a spectral norm."""

    def __init__(self, config: CompactDiscriminatorConfig) -> None:
        super().__init__()
        widths = [3, config.width, 2 * config.width, 4 * config.width, 4 * config.width]
        layers: list[nn.Module] = []
        for in_channels, out_channels in pairwise(widths):
            layers += [
                spectral_norm(nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1)),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(
            *layers, spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)), nn.Sigmoid()
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Judge faces.

        Args:
            faces: ``(B, 3, T, H, W)`` in [0, 1]; only the lower half is looked at.

        Returns:
            ``(B*T, num_patches)`` in [0, 1]: 1 means real. Rows are time-major.
        """
        x = torch.cat(lower_half(faces).unbind(dim=2))  # (T*B, 3, H/2, W)
        return cast(Tensor, self.layers(x)).flatten(1)
