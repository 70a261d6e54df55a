"""An expert that sees landmarks, not pixels: which speech do these lips say, whoever's they are?

An expert on pixels has to learn from few people what a mouth is before it learns what it says, and
knows the people rather than the mouths. Landmarks come from a network that knows hundreds of faces.
It hears with what hears in a generator, and looks at more than a syllable: a mouth that opens fits
most vowels, how it goes on from there fits few.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipwright.errors import ConfigError
from lipwright.models.hearing import Hearing, HearingConfig
from lipwright.speech import WHOLE_COLUMNS, WHOLE_FRAMES, expert_columns

_NEIGHBOURS = 3  # frames that the first layer looks at


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionExpertConfig:
    """Shape of the expert on landmarks."""

    frames: int = 15
    """Frames of a window, 25 a second: a multiple of five, 15 at least."""
    hearing_width: int = 96
    """Channels of the maps of the part that hears."""
    motion: int = 94
    """Numbers of a frame: ``faces.motion.MOTION_LENGTH``."""
    width: int = 128
    """Channels of the layers between lips and embedding."""
    embedding: int = 128
    """Length of the embedding."""
    dropout: float = 0.2
    """Share of values on the side of the lips that are dropped in training."""

    def __post_init__(self) -> None:
        if min(self.motion, self.width, self.embedding) < 1:
            raise ConfigError(
                f"motion, width and embedding must be at least 1, got {self.motion}, "
                f"{self.width} and {self.embedding}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be from 0 to below 1, got {self.dropout}")
        try:
            _ = self.hearing
        except ConfigError as err:
            raise ConfigError(f"an expert of {self.frames} frames cannot hear: {err}") from err

    @property
    def columns(self) -> int:
        """Mel columns of a window: those that lie over its frames."""
        return expert_columns(self.frames)

    @property
    def hearing(self) -> HearingConfig:
        """Shape of the part that hears."""
        return HearingConfig(columns=self.columns, hearing_width=self.hearing_width)


class MotionExpert(nn.Module):
    """Embed the motion of lips over some frames, and the speech of that time, into one space."""

    def __init__(self, config: MotionExpertConfig) -> None:
        super().__init__()
        self.config = config
        self.speech = Hearing(config.hearing, numbers=config.embedding)
        self.lips = _Lips(config)

    def forward(self, mel: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Embed windows of speech and lips.

        Args:
            mel: ``(B, 1, 80, C)`` in [-4, 4], C the window's columns.
            motion: ``(B, F, M)``: ``faces.motion.lip_motion`` of the window's F frames.

        Returns:
            Speech and lips, each ``(B, E)``, of unit length.
        """
        speech, lips = self.embed(mel, motion)  # (B, 1, E)
        return speech[:, 0], lips[:, 0]

    def embed(self, mel: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Embed all windows of whole stretches at once.

        Args:
            mel: ``(B, 1, 80, T)`` in [-4, 4].
            motion: ``(B, N, M)``.

        Returns:
            Speech ``(B, T - C + 1, E)`` of the windows from each column on, and lips
            ``(B, N - F + 1, E)`` of those from each frame on, of unit length.
        """
        speech, lips = self.speech(mel), self.lips(motion)
        return functional.normalize(speech, dim=2), functional.normalize(lips, dim=2)

    def pairs(self, mel: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Embed speech and lips of every fifth frame, where frames begin on whole columns.

        Args:
            mel: ``(B, 1, 80, 16 N / 5)`` in [-4, 4]: the speech of the frames.
            motion: ``(B, N, M)`` of N frames, a multiple of five.

        Returns:
            Speech and lips of ``K = (N - F) / 5 + 1`` windows, each ``(B, K, E)``, of unit length.
        """
        speech, lips = self.embed(mel, motion)
        return speech[:, ::WHOLE_COLUMNS], lips[:, ::WHOLE_FRAMES]


class _Lips(nn.Module):
    def __init__(self, config: MotionExpertConfig) -> None:
        super().__init__()
        w = config.width
        self.frames = config.frames
        self.front = nn.Sequential(
            nn.Conv1d(config.motion, w, _NEIGHBOURS), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.gather = nn.Conv1d(w, w, config.frames - _NEIGHBOURS + 1)
        self.head = nn.Sequential(
            nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(w, config.embedding)
        )

    def forward(self, motion: Tensor) -> Tensor:
        """``(B, N, M)`` -> ``(B, N - F + 1, E)``."""
        x = self.front(motion.transpose(1, 2))  # (B, w, N - 2)
        if motion.shape[1] == self.frames:
            # The same sum as a product: see ``Hearing.forward``.
            weight, bias = self.gather.weight.flatten(1), self.gather.bias
            x = functional.linear(torch.flatten(x, 1), weight, bias)[:, None]  # (B, 1, w)
        else:
            x = self.gather(x).transpose(1, 2)  # (B, N - F + 1, w)
        return cast(Tensor, self.head(x))
