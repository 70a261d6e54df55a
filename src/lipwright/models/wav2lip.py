"""The released generator and its descendants: identity encoder, speech encoder, face decoder.

Prajwal et al., "A Lip Sync Expert Is All You Need for Speech to Lip Generation In the Wild",
ACM MM 2020, section 3.3. Attribute names are the released state-dict layout, which the variants
that people trained since share:

* 96 px: the released network, 36.3 M parameters.
* 256 px: one more stage of 512 channels and a bottleneck of 4x4 (LiveTalking's wav2lip256).
* 288 px: nine stages, maps of 5x5 and 3x3 at the bottom (primepake's wav2lipv2).
* compressed: 96 px without residual blocks, 1.3 M parameters (Nota's nota-wav2lip).
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import torch
from torch import Tensor, nn

from lipwright.errors import ConfigError
from lipwright.models.blocks import Activation, Conv2d, Conv2dTranspose

Layout = Literal["released", "compressed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wav2LipConfig:
    """Which of the family."""

    resolution: int = 96
    """Height and width of the face in pixels: 96, 256 or 288; 96 if compressed."""
    layout: Layout = "released"
    """``released``, or ``compressed`` for Nota's network."""
    activation: Activation = "relu"
    """``relu``, or ``prelu`` as early weights of 288 px have it."""

    def __post_init__(self) -> None:
        if (self.layout, self.resolution) not in _VARIANTS:
            known = ", ".join(f"{layout} at {size} px" for layout, size in _VARIANTS)
            raise ConfigError(
                f"no {self.layout} generator of {self.resolution} px is known; there are: {known}"
            )
        if self.activation not in ("relu", "prelu"):
            raise ConfigError(f"activation must be 'relu' or 'prelu', got {self.activation!r}")


class Wav2LipGenerator(nn.Module):
    """Draw the lower half of a face to fit a window of speech, as released."""

    def __init__(self, config: Wav2LipConfig | None = None) -> None:
        """Build the network.

        Args:
            config: Which of the family; the released one by default.
        """
        super().__init__()
        config = config or Wav2LipConfig()
        parts = _VARIANTS[config.layout, config.resolution](config.activation)
        self.face_encoder_blocks = parts.face_encoder
        self.audio_encoder = parts.audio_encoder
        self.face_decoder_blocks = parts.face_decoder
        self.output_block = parts.output

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        """Draw faces that say the speech.

        Args:
            mel: ``(B, 1, 80, 16)`` in [-4, 4], or ``(B, T, 1, 80, 16)``.
            faces: ``(B, 6, R, R)`` in [0, 1], or ``(B, 6, T, R, R)``; channels 0-2 the
                target with its lower half set to zero, 3-5 a reference of the same person.

        Returns:
            ``(B, 3, R, R)`` in [0, 1], or ``(B, 3, T, R, R)``.
        """
        if faces.dim() == 4:
            return self._draw(mel, faces)
        batch = faces.shape[0]
        # Time-major rows, as released: row t * B + b.
        rows = torch.cat(faces.unbind(dim=2))  # (T*B, 6, R, R)
        drawn = self._draw(torch.cat(mel.unbind(dim=1)), rows)  # (T*B, 3, R, R)
        return torch.stack(drawn.split(batch), dim=2)  # (B, 3, T, R, R)

    def _draw(self, mel: Tensor, faces: Tensor) -> Tensor:
        features = []
        x = faces
        for block in self.face_encoder_blocks:
            x = block(x)
            features.append(x)
        x = self.audio_encoder(mel)  # (B, 512, 1, 1)
        for block in self.face_decoder_blocks:
            x = torch.cat([block(x), features.pop()], dim=1)
        return cast(Tensor, self.output_block(x))  # (B, 3, R, R)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parts:
    face_encoder: nn.ModuleList
    audio_encoder: nn.Sequential
    face_decoder: nn.ModuleList
    output: nn.Sequential


class _Bricks:
    """The stages that all variants are made of, with one activation."""

    def __init__(self, activation: Activation) -> None:
        self.conv = partial(Conv2d, activation=activation)
        self.transposed = partial(Conv2dTranspose, activation=activation)

    def residual(self, channels: int, count: int) -> list[nn.Module]:
        return [self.conv(channels, channels, is_residual=True) for _ in range(count)]

    def stem(self, channels: int) -> nn.Sequential:
        return nn.Sequential(self.conv(6, channels, kernel=7, padding=3))

    def down(self, before: int, after: int, count: int, *, kernel: int = 3) -> nn.Sequential:
        first = self.conv(before, after, kernel=kernel, stride=2, padding=kernel // 2)
        return nn.Sequential(first, *self.residual(after, count))

    def bottom(self, channels: int, *, kernel: int = 3) -> nn.Sequential:
        """To a map smaller by ``kernel - 1``."""
        return nn.Sequential(
            self.conv(channels, channels, kernel=kernel, padding=0),
            self.conv(channels, channels, kernel=1, padding=0),
        )

    def point(self, channels: int) -> nn.Sequential:
        return nn.Sequential(self.conv(channels, channels, kernel=1, padding=0))

    def spread(self, before: int, after: int, count: int, *, kernel: int = 3) -> nn.Sequential:
        """From a map of 1x1 to one of ``kernel`` x ``kernel``."""
        first = self.transposed(before, after, kernel=kernel)
        return nn.Sequential(first, *self.residual(after, count))

    def up(self, before: int, after: int, count: int, *, to_odd: bool = False) -> nn.Sequential:
        """To a map twice as large, or twice less one."""
        padding = 0 if to_odd else 1
        first = self.transposed(before, after, stride=2, padding=1, output_padding=padding)
        return nn.Sequential(first, *self.residual(after, count))

    def output(self, before: int, channels: int) -> nn.Sequential:
        return nn.Sequential(self.conv(before, channels), nn.Conv2d(channels, 3, 1), nn.Sigmoid())

    def speech(self) -> nn.Sequential:
        conv, residual = self.conv, self.residual
        return nn.Sequential(
            conv(1, 32), *residual(32, 2),
            conv(32, 64, stride=(3, 1)), *residual(64, 2),
            conv(64, 128, stride=3), *residual(128, 2),
            conv(128, 256, stride=(3, 2)), *residual(256, 1),
            conv(256, 512, padding=0), conv(512, 512, kernel=1, padding=0),
        )  # fmt: skip


def _released_96(activation: Activation) -> _Parts:
    b = _Bricks(activation)
    return _Parts(
        face_encoder=nn.ModuleList(
            [
                b.stem(16),
                b.down(16, 32, 2),
                b.down(32, 64, 3),
                b.down(64, 128, 2),
                b.down(128, 256, 2),
                b.down(256, 512, 1),
                b.bottom(512),
            ]
        ),
        audio_encoder=b.speech(),
        face_decoder=nn.ModuleList(
            [
                b.point(512),
                b.spread(1024, 512, 1),
                b.up(1024, 512, 2),
                b.up(768, 384, 2),
                b.up(512, 256, 2),
                b.up(320, 128, 2),
                b.up(160, 64, 2),
            ]
        ),
        output=b.output(80, 32),
    )


def _released_256(activation: Activation) -> _Parts:
    b = _Bricks(activation)
    return _Parts(
        face_encoder=nn.ModuleList(
            [
                b.stem(16),
                b.down(16, 32, 2),
                b.down(32, 64, 3),
                b.down(64, 128, 2),
                b.down(128, 256, 2),
                b.down(256, 512, 1),
                b.down(512, 512, 1),
                b.bottom(512, kernel=4),
            ]
        ),
        audio_encoder=b.speech(),
        face_decoder=nn.ModuleList(
            [
                b.point(512),
                b.spread(1024, 512, 1, kernel=4),
                b.up(1024, 512, 1),
                b.up(1024, 512, 2),
                b.up(768, 384, 2),
                b.up(512, 256, 2),
                b.up(320, 128, 2),
                b.up(160, 64, 2),
            ]
        ),
        output=b.output(80, 32),
    )


def _released_288(activation: Activation) -> _Parts:
    b = _Bricks(activation)
    return _Parts(
        face_encoder=nn.ModuleList(
            [
                b.stem(16),
                b.down(16, 32, 1, kernel=5),
                b.down(32, 32, 2),
                b.down(32, 64, 3),
                b.down(64, 128, 2),
                b.down(128, 256, 2),
                b.down(256, 512, 1),  # 5x5
                b.bottom(512),  # 3x3
                b.bottom(512),  # 1x1
            ]
        ),
        audio_encoder=b.speech(),
        face_decoder=nn.ModuleList(
            [
                b.point(512),
                b.spread(1024, 512, 1),
                b.up(1024, 512, 2, to_odd=True),  # 5x5
                b.up(1024, 512, 2, to_odd=True),  # 9x9
                b.up(768, 384, 2),
                b.up(512, 256, 2),
                b.up(320, 128, 2),
                b.up(160, 64, 2),
                b.up(96, 64, 2),
            ]
        ),
        output=b.output(80, 32),
    )


def _compressed_96(activation: Activation) -> _Parts:
    b = _Bricks(activation)
    speech = nn.Sequential(
        b.conv(1, 8),
        b.conv(8, 16, stride=(3, 1)),
        b.conv(16, 32, stride=3),
        b.conv(32, 64, stride=(3, 2)),
        b.conv(64, 128, padding=0),
        b.conv(128, 128, kernel=1, padding=0),
    )
    widths = (4, 8, 16, 32, 64, 128)
    stages = [b.down(before, 2 * before, 0) for before in widths[:-1]]
    return _Parts(
        face_encoder=nn.ModuleList([b.stem(4), *stages, b.bottom(128)]),
        audio_encoder=speech,
        face_decoder=nn.ModuleList(
            [
                b.point(128),
                b.spread(256, 128, 0),
                b.up(256, 128, 0),
                b.up(192, 96, 0),
                b.up(128, 64, 0),
                b.up(80, 32, 0),
                b.up(40, 16, 0),
            ]
        ),
        output=b.output(20, 8),
    )


_VARIANTS = {
    ("released", 96): _released_96,
    ("released", 256): _released_256,
    ("released", 288): _released_288,
    ("compressed", 96): _compressed_96,
}
