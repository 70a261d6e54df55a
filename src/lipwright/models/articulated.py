"""Hear what the mouth does, then draw it: a generator in two parts that meet in landmarks.

What a mouth does while it speaks is much the same in every face (``faces.motion``), and few
numbers. So the part that hears learns from landmarks alone, hundreds of times as fast as through
pictures; and the part that draws learns from true motion, so it need not hedge and draws sharply.
It finds the reference's landmarks, moves its own pixels as they move (spatial transformer,
Jaderberg et al. 2015), and adds only what is new, such as the inside of the mouth.
"""

from dataclasses import dataclass
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipwright.errors import ConfigError
from lipwright.faces.points import NUM_LANDMARKS
from lipwright.models.blocks import Conv2d, ModulatedResidual
from lipwright.models.hearing import ARTICULATION_LENGTH, Hearing, HearingConfig
from lipwright.models.landmarks import LandmarkConfig, LandmarkNet
from lipwright.models.warp import Warp

LANDMARK_RESOLUTION = 128  # pixels that the landmark network sees
_LANDMARK_MARGIN = 1.2  # side of what it sees over that of the picture, whose edge is repeated
_SHIFTED = 20.0  # brings displacements, as shares of the side, to the size of 1
_LIVELY = 3.0  # brings articulations to the size of 1
_LEVEL = 0.1  # of brightness: what the last layer thinks in


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawingConfig:
    """Shape of the part that draws."""

    resolution: int = 160
    """Height and width of the face in pixels: 96 to 384."""
    patch: int = 4
    """Pixels along the side of a patch: an even number; resolution / patch a multiple of 8."""
    width: int = 32
    """Channels of the widest map; the two below have two and four times as many."""
    fine: int = 32
    """Channels of the map on half patches."""
    code: int = 128
    """Length of the code of the articulation."""
    landmark_width: int = 16
    """Channels of the widest map of the landmark network."""

    def __post_init__(self) -> None:
        if not 96 <= self.resolution <= 384:
            raise ConfigError(f"resolution must be from 96 to 384, got {self.resolution}")
        if self.patch < 2 or self.patch % 2:
            raise ConfigError(f"patch must be an even number from 2 on, got {self.patch}")
        if self.resolution % (8 * self.patch):
            raise ConfigError(
                f"resolution must be a multiple of 8 x patch = {8 * self.patch}, got "
                f"{self.resolution}"
            )
        if min(self.width, self.fine, self.code) < 1:
            raise ConfigError(
                f"width, fine and code must be at least 1, got {self.width}, {self.fine} and "
                f"{self.code}"
            )


class Drawing(nn.Module):
    """Draw the lower half of a face with lips and jaw as told."""

    base: Tensor

    def __init__(self, config: DrawingConfig) -> None:
        super().__init__()
        w, f, c, p = config.width, config.fine, config.code, config.patch
        self.config = config
        self.patch = p
        self.encode = nn.Sequential(
            nn.Linear(ARTICULATION_LENGTH, c), nn.ReLU(), nn.Linear(c, c), nn.ReLU()
        )
        self.landmarks = LandmarkNet(
            LandmarkConfig(
                resolution=LANDMARK_RESOLUTION,
                width=config.landmark_width,
                num_points=NUM_LANDMARKS,
            )
        ).requires_grad_(False)
        self.warp = Warp(config.resolution // (p // 2))
        self.stem = Conv2d(6 * p**2, w)
        self.encoder0 = _residual(w)
        self.encoder1 = nn.Sequential(Conv2d(w, 2 * w, stride=2), _residual(2 * w))
        self.encoder2 = nn.Sequential(Conv2d(2 * w, 4 * w, stride=2), _residual(4 * w))
        self.middle = nn.ModuleList([ModulatedResidual(4 * w, c) for _ in range(2)])
        self.join1 = Conv2d(6 * w, 2 * w, kernel=1, padding=0)
        self.decoder1 = ModulatedResidual(2 * w, c)
        self.join0 = Conv2d(3 * w + 3, w, kernel=1, padding=0)
        self.decoder0 = ModulatedResidual(w, c)
        # In pixels, or a step of training would move everything by dozens of them.
        self.flow = nn.Conv2d(w, 2, 3, padding=1)
        self.pixel = 2 / config.resolution  # in half widths of the picture
        self.finer = nn.Sequential(nn.Conv2d(w, 4 * f, 1), nn.PixelShuffle(2))
        self.detail = Conv2d(f + 3 * (p // 2) ** 2 + 3, f)
        self.detail_residual = ModulatedResidual(f, c)
        self.output = nn.Conv2d(f, 3 * (p // 2) ** 2, 3, padding=1)
        for last in (self.flow, self.output):  # the first thing drawn is the reference itself
            nn.init.zeros_(last.weight)
            nn.init.zeros_(cast(Tensor, last.bias))
        places = (torch.arange(config.resolution) + 0.5) / config.resolution * 2 - 1
        down, across = torch.meshgrid(places, places, indexing="ij")
        base = torch.stack([across, down], dim=-1)[config.resolution // 2 :]
        self.register_buffer("base", base[None], persistent=False)  # (1, R/2, R, 2)

    def forward(self, articulation: Tensor, faces: Tensor) -> Tensor:
        """Draw.

        Args:
            articulation: ``(B, A)``.
            faces: ``(B, 6, R, R)`` in [0, 1], RGB; channels 0-2 the target with its lower half
                set to zero, 3-5 a reference of the same person.

        Returns:
            ``(B, 3, R, R)`` in [0, 1].
        """
        return self.with_flow(articulation, faces)[0]

    def with_flow(
        self, articulation: Tensor, faces: Tensor, points: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw, and tell where the reference's pixels were taken from.

        Args:
            articulation: See :meth:`forward`.
            faces: See :meth:`forward`.
            points: ``(B, P, 2)`` landmarks of the reference as shares of its side; found if None.

        Returns:
            What was drawn; and ``(B, 2, R/2, R)``: from each pixel of the lower half, x and y to
            the place in the reference that it shows, in half widths of the picture.
        """
        target, reference = faces.split(3, dim=1)
        if points is None:
            with torch.no_grad():
                points = self.find(reference)  # (B, P, 2)
        led, openness = self.warp(points, articulation)  # (B, 2, h, 2h), (B, 1, h, 2h)
        shape = torch.cat([led * _SHIFTED, openness], dim=1)  # (B, 3, h, 2h)
        code = self.encode(articulation * _LIVELY)  # (B, c)
        x0 = self.encoder0(self.stem(functional.pixel_unshuffle(faces, self.patch)))  # (B,w,h,h)
        x1 = self.encoder1(x0)  # (B, 2w, h/2, h/2)
        x = self.encoder2(x1)  # (B, 4w, h/4, h/4)
        for block in self.middle:
            x = block(x, code)
        # From here on only the lower half is computed.
        x = self.join1(torch.cat([_lower(_double(x)), _lower(x1)], dim=1))  # (B, 2w, h/4, h/2)
        x = self.decoder1(x, code)
        coarse = functional.avg_pool2d(shape, 2)  # (B, 3, h/2, h)
        x = self.join0(torch.cat([_double(x), _lower(x0), coarse], dim=1))  # (B, w, h/2, h)
        x = self.decoder0(x, code)
        flow = _enlarged(2 * led, self.patch // 2) + _enlarged(
            self.flow(x) * self.pixel, self.patch
        )  # (B, 2, R/2, R)
        moved = functional.grid_sample(
            reference,
            self.base + flow.permute(0, 2, 3, 1),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )  # (B, 3, R/2, R)
        half = self.patch // 2
        x = torch.cat([self.finer(x), functional.pixel_unshuffle(moved, half), shape], dim=1)
        x = self.detail_residual(self.detail(x), code)  # (B, f, h, 2h)
        change = functional.pixel_shuffle(self.output(x), half) * _LEVEL  # (B, 3, R/2, R)
        lower = _no_colder(moved + change, moved).clamp(0, 1)
        return torch.cat([target[:, :, : target.shape[2] // 2], lower], dim=2), flow

    def find(self, reference: Tensor) -> Tensor:
        """Find the landmarks of a reference.

        Args:
            reference: ``(B, 3, R, R)`` in [0, 1].

        Returns:
            ``(B, P, 2)`` as shares of its side.
        """
        resolution = reference.shape[-1]
        edge = round(resolution * (_LANDMARK_MARGIN - 1) / 2)
        wide = functional.pad(reference, (edge, edge, edge, edge), mode="replicate")
        size = (LANDMARK_RESOLUTION, LANDMARK_RESOLUTION)
        seen = functional.interpolate(wide, size=size, mode="bilinear", align_corners=False)
        points: Tensor = self.landmarks(seen)[0]
        return (points - 0.5) * (1 + 2 * edge / resolution) + 0.5

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all but the landmark network, which others have trained."""
        super().train(mode)
        self.landmarks.eval()
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class ArticulatedConfig:
    """Shape of the whole generator: the fields of both parts."""

    resolution: int = 160
    """See :class:`DrawingConfig`."""
    patch: int = 4
    """See :class:`DrawingConfig`."""
    width: int = 32
    """See :class:`DrawingConfig`."""
    fine: int = 32
    """See :class:`DrawingConfig`."""
    code: int = 128
    """See :class:`DrawingConfig`."""
    landmark_width: int = 16
    """See :class:`DrawingConfig`."""
    columns: int = 65
    """See :class:`HearingConfig`."""
    hearing_width: int = 96
    """See :class:`HearingConfig`."""


class ArticulatedGenerator(nn.Module):
    """Draw the lower half of a face to fit a window of speech, in one pass."""

    def __init__(self, config: ArticulatedConfig) -> None:
        super().__init__()
        self.hearing = Hearing(
            HearingConfig(columns=config.columns, hearing_width=config.hearing_width)
        )
        self.drawing = Drawing(
            DrawingConfig(
                resolution=config.resolution,
                patch=config.patch,
                width=config.width,
                fine=config.fine,
                code=config.code,
                landmark_width=config.landmark_width,
            )
        )

    def forward(self, mel: Tensor, faces: Tensor, amplitude: Tensor | None = None) -> Tensor:
        """Draw faces that say the speech.

        Args:
            mel: ``(B, 1, 80, columns)`` in [-4, 4].
            faces: ``(B, 6, R, R)`` in [0, 1], RGB; channels 0-2 the target with its lower half
                set to zero, 3-5 a reference of the same person.
            amplitude: ``(B,)`` times that the mouth moves as far as by itself; 0 keeps it at
                rest. None for 1.

        Returns:
            ``(B, 3, R, R)`` in [0, 1].
        """
        return self.with_landmarks(mel, faces, amplitude)[0]

    def with_landmarks(
        self, mel: Tensor, faces: Tensor, amplitude: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw, and tell where the reference's landmarks are.

        Args:
            mel: See :meth:`forward`.
            faces: See :meth:`forward`.
            amplitude: See :meth:`forward`.

        Returns:
            What was drawn; and ``(B, P, 2)``: the landmarks as shares of the reference's side.
        """
        articulation = self.hearing(mel)[:, 0]  # (B, A); nothing is a mouth at rest
        if amplitude is not None:
            articulation = articulation * amplitude[:, None]
        with torch.no_grad():
            points = self.drawing.find(faces[:, 3:])
        return self.drawing.with_flow(articulation, faces, points)[0], points


def _residual(channels: int) -> nn.Sequential:
    return nn.Sequential(
        Conv2d(channels, channels, is_residual=True), Conv2d(channels, channels, is_residual=True)
    )


def _lower(x: Tensor) -> Tensor:
    """``(B, C, H, W)`` -> ``(B, C, H/2, W)``."""
    return x[:, :, x.shape[2] // 2 :]


def _no_colder(after: Tensor, before: Tensor) -> Tensor:
    """Let no pixel become greener or bluer against its red than it was: no mouth or skin is.

    Where lips part, red goes down most. On a reference that bares its teeth, which few of the
    people trained on do, that alone would paint them blue. ``(B, 3, H, W)`` RGB, twice.
    """
    allowed = functional.relu(before[:, 1:] - before[:, :1])  # (B, 2, H, W)
    floors = after[:, 1:] - allowed
    red = torch.maximum(after[:, :1], torch.maximum(floors[:, :1], floors[:, 1:]))
    return torch.cat([red, after[:, 1:]], dim=1)


def _enlarged(x: Tensor, factor: int) -> Tensor:
    """``(B, C, H, W)`` -> ``(B, C, factor H, factor W)``, in straight lines."""
    return functional.interpolate(
        x, scale_factor=float(factor), mode="bilinear", align_corners=False
    )


def _double(x: Tensor) -> Tensor:
    """``(B, C, H, W)`` -> ``(B, C, 2H, 2W)``."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
