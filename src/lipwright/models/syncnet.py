"""The released lip-sync expert: do these lips say this speech?

Prajwal et al. 2020, section 3.2, after Chung and Zisserman, "Out of Time", ACCV-W 2016.
Attribute names are the released state-dict layout.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipwright.models.blocks import Conv2d


class SyncNet(nn.Module):
    """Embed five lower half faces and 0.2 s of speech into one space, as released."""

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder = nn.Sequential(
            Conv2d(15, 32, kernel=7, padding=3),
            Conv2d(32, 64, kernel=5, stride=(1, 2)),
            Conv2d(64, 64, is_residual=True),
            Conv2d(64, 64, is_residual=True),
            Conv2d(64, 128, stride=2),
            Conv2d(128, 128, is_residual=True),
            Conv2d(128, 128, is_residual=True),
            Conv2d(128, 128, is_residual=True),
            Conv2d(128, 256, stride=2),
            Conv2d(256, 256, is_residual=True),
            Conv2d(256, 256, is_residual=True),
            Conv2d(256, 512, stride=2),
            Conv2d(512, 512, is_residual=True),
            Conv2d(512, 512, is_residual=True),
            Conv2d(512, 512, stride=2),
            Conv2d(512, 512, padding=0),
            Conv2d(512, 512, kernel=1, padding=0),
        )
        self.audio_encoder = nn.Sequential(
            Conv2d(1, 32),
            Conv2d(32, 32, is_residual=True),
            Conv2d(32, 32, is_residual=True),
            Conv2d(32, 64, stride=(3, 1)),
            Conv2d(64, 64, is_residual=True),
            Conv2d(64, 64, is_residual=True),
            Conv2d(64, 128, stride=3),
            Conv2d(128, 128, is_residual=True),
            Conv2d(128, 128, is_residual=True),
            Conv2d(128, 256, stride=(3, 2)),
            Conv2d(256, 256, is_residual=True),
            Conv2d(256, 256, is_residual=True),
            Conv2d(256, 512, padding=0),
            Conv2d(512, 512, kernel=1, padding=0),
        )

    def forward(self, mel: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Embed speech and lips.

        Args:
            mel: ``(B, 1, 80, 16)`` in [-4, 4].
            faces: ``(B, 15, 48, 96)`` in [0, 1]: five lower halves stacked on channels in time.

        Returns:
            Speech and lips, each ``(B, 512)``, of unit length and not negative, so that their
            dot product is a probability.
        """
        return self.embed_speech(mel), self.embed_lips(faces)

    def embed_speech(self, mel: Tensor) -> Tensor:
        """``(B, 1, 80, 16)`` -> ``(B, 512)`` of unit length, not negative."""
        return functional.normalize(torch.flatten(self.audio_encoder(mel), 1), dim=1)

    def embed_lips(self, faces: Tensor) -> Tensor:
        """``(B, 15, 48, 96)`` -> ``(B, 512)`` of unit length, not negative."""
        return functional.normalize(torch.flatten(self.face_encoder(faces), 1), dim=1)
