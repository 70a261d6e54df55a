"""An expert that sees landmarks, not pixels: which speech do these lips say, whoever's they are?

An expert on pixels has to learn from few people what a mouth is before it learns what it says, and
knows the people rather than the mouths. Landmarks come from a network that knows hundreds of faces.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipwright.errors import ConfigError
from lipwright.models.blocks import SpeechEncoder

NUM_FRAMES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionExpertConfig:
    """Shape of the expert on landmarks."""

    motion: int = 94
    """Numbers of a frame: ``faces.motion.MOTION_LENGTH``."""
    width: int = 256
    """Of the layer between lips and embedding."""
    embedding: int = 128
    """Length of the embedding."""
    dropout: float = 0.2
    """Share of values that are dropped in training, on both sides."""

    def __post_init__(self) -> None:
        if min(self.motion, self.width, self.embedding) < 1:
            raise ConfigError(
                f"motion, width and embedding must be at least 1, got {self.motion}, "
                f"{self.width} and {self.embedding}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be from 0 to below 1, got {self.dropout}")


class MotionExpert(nn.Module):
    """Embed the motion of lips in five frames and 0.2 s of speech into one space."""

    def __init__(self, config: MotionExpertConfig) -> None:
        super().__init__()
        self.speech_encoder = SpeechEncoder(config.embedding)
        self.speech_head = nn.Sequential(
            nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(config.embedding, config.embedding)
        )
        self.lips_head = nn.Sequential(
            nn.Linear(NUM_FRAMES * config.motion, config.width),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width, config.embedding),
        )

    def forward(self, mel: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Embed speech and lips.

        Args:
            mel: ``(B, 1, 80, 16)`` in [-4, 4].
            motion: ``(B, 5, M)``: ``faces.motion.lip_motion`` of five frames.

        Returns:
            Speech and lips, each ``(B, E)``, of unit length.
        """
        speech = self.speech_head(self.speech_encoder(mel))
        lips = self.lips_head(torch.flatten(motion, 1))
        return functional.normalize(speech, dim=1), functional.normalize(lips, dim=1)
