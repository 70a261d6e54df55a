"""The layers that the networks are made of."""

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Literal["relu", "prelu"]
_ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "prelu": nn.PReLU}


class Conv2d(nn.Module):
    """Convolution, batch norm, optional residual, activation: the released system's brick.

    The attribute names ``conv_block`` and ``act`` are part of the released state-dict layout.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        stride: int | tuple[int, int] = 1,
        padding: int = 1,
        is_residual: bool = False,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding),
            nn.BatchNorm2d(out_channels),
        )
        self.act = _ACTIVATIONS[activation]()
        self.is_residual = is_residual

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C_in, H, W)`` -> ``(B, C_out, H', W')``; not negative after a ReLU."""
        out = self.conv_block(x)
        return cast(Tensor, self.act(out + x if self.is_residual else out))


class Conv2dTranspose(nn.Module):
    """Transposed convolution, batch norm, activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        padding: int = 0,
        output_padding: int = 0,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ConvTranspose2d(in_channels, out_channels, kernel, stride, padding, output_padding),
            nn.BatchNorm2d(out_channels),
        )
        self.act = _ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C_in, H, W)`` -> ``(B, C_out, H', W')``; not negative after a ReLU."""
        return cast(Tensor, self.act(self.conv_block(x)))


class PlainConv2d(nn.Module):
    """Convolution and leaky ReLU without a norm: the quality discriminator's brick."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        stride: int | tuple[int, int] = 1,
        padding: int = 1,
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C_in, H, W)`` -> ``(B, C_out, H', W')``."""
        return functional.leaky_relu(self.conv_block(x), 0.01)


class ModulatedResidual(nn.Module):
    """Two convolutions around which the speech scales and shifts each channel (FiLM).

    Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018.
    """

    def __init__(self, channels: int, speech_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.film = nn.Linear(speech_channels, 2 * channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, speech: Tensor) -> Tensor:
        """``(B, C, H, W)`` and ``(B, S)`` -> ``(B, C, H, W)``."""
        scale, shift = self.film(speech)[:, :, None, None].chunk(2, dim=1)  # (B, C, 1, 1) each
        out = self.first_norm(self.first(x)) * (1 + scale) + shift
        out = self.second_norm(self.second(functional.relu(out)))
        return functional.relu(out + x)


class SpeechEncoder(nn.Module):
    """From a window of mel to one vector.

    Only the first layers are convolutions: maps one or two pixels wide make the bf16 convolutions
    of oneDNN read uninitialised memory, so what is left of the window (20x8) is flattened.
    """

    def __init__(self, channels: int, *, num_columns: int = 16, width: int = 32) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            Conv2d(1, width, stride=(2, 1)),
            Conv2d(width, width, is_residual=True),
            Conv2d(width, 2 * width, stride=2),
            Conv2d(2 * width, 2 * width, is_residual=True),
            Conv2d(2 * width, width),
        )
        self.head = nn.Sequential(
            nn.Linear(width * 20 * (num_columns // 2), channels),
            nn.ReLU(),
            nn.Linear(channels, channels),
        )

    def forward(self, mel: Tensor) -> Tensor:
        """``(B, 1, 80, 16)`` in [-4, 4] -> ``(B, channels)``."""
        x = self.convolutions(mel / 4)  # (B, width, 20, 8)
        return cast(Tensor, self.head(torch.flatten(x, 1)))
