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
from itertools import pairwise
from typing import Literal, NamedTuple, cast

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
        shape, bricks = _VARIANTS[config.layout, config.resolution], _Bricks(config.activation)
        self.face_encoder_blocks = nn.ModuleList(
            [
                bricks.stem(shape.down[0].before),
                *(bricks.down(stage) for stage in shape.down),
                *(bricks.bottom(shape.down[-1].after, kernel) for kernel in shape.bottom_kernels),
            ]
        )
        self.audio_encoder = bricks.speech(shape.speech_widths, count=shape.speech_residuals)
        self.face_decoder_blocks = nn.ModuleList(
            [
                bricks.point(shape.speech_widths[-1]),
                bricks.spread(shape.spread, kernel=shape.bottom_kernels[-1]),
                *(bricks.up(stage) for stage in shape.up),
            ]
        )
        self.output_block = bricks.output(shape.output_widths)

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


class _Stage(NamedTuple):
    """A change of scale, and residual blocks behind it."""

    before: int  # channels
    after: int
    num_residual: int
    kernel: int = 3
    to_odd: bool = False  # to a map twice as large less one


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    down: tuple[_Stage, ...]
    bottom_kernels: tuple[int, ...]  # each takes a map to one smaller by kernel - 1
    speech_widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    speech_residuals: tuple[int, ...] = (2, 2, 2, 1)
    spread: _Stage
    up: tuple[_Stage, ...]
    output_widths: tuple[int, int] = (80, 32)


class _Bricks:
    """The stages that all variants are made of, with one activation."""

    def __init__(self, activation: Activation) -> None:
        self.conv = partial(Conv2d, activation=activation)
        self.transposed = partial(Conv2dTranspose, activation=activation)

    def residual(self, channels: int, count: int) -> list[nn.Module]:
        return [self.conv(channels, channels, is_residual=True) for _ in range(count)]

    def stem(self, channels: int) -> nn.Sequential:
        return nn.Sequential(self.conv(6, channels, kernel=7, padding=3))

    def down(self, stage: _Stage) -> nn.Sequential:
        first = self.conv(
            stage.before, stage.after, kernel=stage.kernel, stride=2, padding=stage.kernel // 2
        )
        return nn.Sequential(first, *self.residual(stage.after, stage.num_residual))

    def bottom(self, channels: int, kernel: int) -> nn.Sequential:
        return nn.Sequential(
            self.conv(channels, channels, kernel=kernel, padding=0), *self.point(channels)
        )

    def point(self, channels: int) -> nn.Sequential:
        return nn.Sequential(self.conv(channels, channels, kernel=1, padding=0))

    def spread(self, stage: _Stage, *, kernel: int) -> nn.Sequential:
        """From a map of 1x1 to one of ``kernel`` x ``kernel``."""
        first = self.transposed(stage.before, stage.after, kernel=kernel)
        return nn.Sequential(first, *self.residual(stage.after, stage.num_residual))

    def up(self, stage: _Stage) -> nn.Sequential:
        first = self.transposed(
            stage.before, stage.after, stride=2, padding=1, output_padding=0 if stage.to_odd else 1
        )
        return nn.Sequential(first, *self.residual(stage.after, stage.num_residual))

    def speech(self, widths: tuple[int, ...], *, count: tuple[int, ...]) -> nn.Sequential:
        layers = [self.conv(1, widths[0]), *self.residual(widths[0], count[0])]
        strides = ((3, 1), (3, 3), (3, 2))  # rows, columns: 80x16 to 3x3
        for (before, after), stride, num in zip(
            pairwise(widths[:-1]), strides, count[1:], strict=True
        ):
            layers += [self.conv(before, after, stride=stride), *self.residual(after, num)]
        layers += [self.conv(widths[-2], widths[-1], padding=0), *self.point(widths[-1])]
        return nn.Sequential(*layers)

    def output(self, widths: tuple[int, int]) -> nn.Sequential:
        before, channels = widths
        return nn.Sequential(self.conv(before, channels), nn.Conv2d(channels, 3, 1), nn.Sigmoid())


_VARIANTS = {
    ("released", 96): _Shape(
        down=(
            _Stage(16, 32, 2),
            _Stage(32, 64, 3),
            _Stage(64, 128, 2),
            _Stage(128, 256, 2),
            _Stage(256, 512, 1),
        ),
        bottom_kernels=(3,),
        spread=_Stage(1024, 512, 1),
        up=(
            _Stage(1024, 512, 2),
            _Stage(768, 384, 2),
            _Stage(512, 256, 2),
            _Stage(320, 128, 2),
            _Stage(160, 64, 2),
        ),
    ),
    ("released", 256): _Shape(
        down=(
            _Stage(16, 32, 2),
            _Stage(32, 64, 3),
            _Stage(64, 128, 2),
            _Stage(128, 256, 2),
            _Stage(256, 512, 1),
            _Stage(512, 512, 1),
        ),
        bottom_kernels=(4,),
        spread=_Stage(1024, 512, 1),
        up=(
            _Stage(1024, 512, 1),
            _Stage(1024, 512, 2),
            _Stage(768, 384, 2),
            _Stage(512, 256, 2),
            _Stage(320, 128, 2),
            _Stage(160, 64, 2),
        ),
    ),
    ("released", 288): _Shape(
        down=(
            _Stage(16, 32, 1, kernel=5),
            _Stage(32, 32, 2),
            _Stage(32, 64, 3),
            _Stage(64, 128, 2),
            _Stage(128, 256, 2),
            _Stage(256, 512, 1),
        ),
        bottom_kernels=(3, 3),  # 5x5, 3x3, 1x1
        spread=_Stage(1024, 512, 1),
        up=(
            _Stage(1024, 512, 2, to_odd=True),  # 5x5
            _Stage(1024, 512, 2, to_odd=True),  # 9x9
            _Stage(768, 384, 2),
            _Stage(512, 256, 2),
            _Stage(320, 128, 2),
            _Stage(160, 64, 2),
            _Stage(96, 64, 2),
        ),
    ),
    ("compressed", 96): _Shape(
        down=(
            _Stage(4, 8, 0),
            _Stage(8, 16, 0),
            _Stage(16, 32, 0),
            _Stage(32, 64, 0),
            _Stage(64, 128, 0),
        ),
        bottom_kernels=(3,),
        speech_widths=(8, 16, 32, 64, 128),
        speech_residuals=(0, 0, 0, 0),
        spread=_Stage(256, 128, 0),
        up=(
            _Stage(256, 128, 0),
            _Stage(192, 96, 0),
            _Stage(128, 64, 0),
            _Stage(80, 32, 0),
            _Stage(40, 16, 0),
        ),
        output_widths=(20, 8),
    ),
}
