"""The part of an articulated generator that hears, and the ear of the expert on landmarks."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipwright.errors import ConfigError

ARTICULATION_LENGTH = 94  # ``faces.motion.MOTION_LENGTH``
_DILATIONS = (1, 2, 4, 8)
_DROPOUT = 0.2  # share of values dropped in training
_FRONT = 4  # columns that the first convolutions use up


@dataclass(frozen=True, kw_only=True, slots=True)
class HearingConfig:
    """Shape of the part that hears."""

    columns: int = 65
    """Mel columns of a window: 80 a second."""
    hearing_width: int = 96
    """Channels of its maps."""

    def __post_init__(self) -> None:
        if self.columns <= _used():
            raise ConfigError(f"columns must be above {_used()}, got {self.columns}")
        if self.hearing_width < 1:
            raise ConfigError(f"hearing_width must be at least 1, got {self.hearing_width}")


class Hearing(nn.Module):
    """From speech to the motion of lips and jaw, of one moment or of many in a row."""

    def __init__(self, config: HearingConfig, *, numbers: int = ARTICULATION_LENGTH) -> None:
        """Build it.

        Args:
            config: Its shape.
            numbers: How many it gives of a moment; others than a generator's are for the expert
                that hears with it, so no recipe can ask for them.
        """
        super().__init__()
        w = config.hearing_width
        # Over bands and columns first: another voice has the same pattern on other bands.
        self.front = nn.Sequential(
            *_banded(1, 16, columns=3), *_banded(16, 24, columns=3), *_banded(24, 24, columns=1)
        )
        self.mix = nn.Sequential(
            nn.Conv1d(24 * 10, w, 1), nn.BatchNorm1d(w), nn.ReLU(), nn.Dropout(_DROPOUT)
        )
        self.blocks = nn.ModuleList([_Dilated(w, d) for d in _DILATIONS])
        self.gather = nn.Conv1d(w, w, config.columns - _used())
        self.head = nn.Sequential(
            nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(w, w), nn.ReLU(),
        )  # fmt: skip
        self.last = nn.Linear(w, numbers)
        self.config = config

    def forward(self, mel: Tensor) -> Tensor:
        """Hear.

        Args:
            mel: ``(B, 1, 80, T)`` in [-4, 4], T at least the window's columns.

        Returns:
            ``(B, T - columns + 1, A)``: how lips and jaw stand in the middle of each window, see
            ``faces.motion.articulation``; or as many numbers as were asked for.
        """
        x = self.front(mel / 4)  # (B, 24, 10, T - 4)
        x = self.mix(x.flatten(1, 2))  # (B, w, T - 4)
        for block in self.blocks:
            x = block(x)  # (B, w, T - 34)
        if mel.shape[-1] == self.config.columns:
            # The same sum as a product: a convolution whose output is one column wide may read
            # memory that is not its own in bf16.
            weight, bias = self.gather.weight.flatten(1), self.gather.bias
            x = functional.linear(torch.flatten(x, 1), weight, bias)[:, None]  # (B, 1, w)
        else:
            x = self.gather(x).transpose(1, 2)  # (B, T - columns + 1, w)
        return cast(Tensor, self.last(self.head(x)))


class _Dilated(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.layers = nn.Sequential(
            nn.Conv1d(channels, channels, 3, dilation=dilation),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Dropout(_DROPOUT),
            nn.Conv1d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` -> ``(B, C, T - 2 d)``."""
        d = self.dilation
        return cast(Tensor, x[:, :, d:-d] + self.layers(x))


def _banded(in_channels: int, out_channels: int, *, columns: int) -> list[nn.Module]:
    """Halve the bands, and use up columns."""
    bands = 5 if columns > 1 else 3
    return [
        nn.Conv2d(
            in_channels, out_channels, (bands, columns), stride=(2, 1), padding=(bands // 2, 0)
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


def _used() -> int:
    """Columns that all convolutions before the last use up."""
    return _FRONT + 2 * sum(_DILATIONS)
