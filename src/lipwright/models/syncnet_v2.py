"""SyncNet v2, the network behind LSE-D and LSE-C: how far are these lips from this speech?

Chung and Zisserman, "Out of Time: Automated Lip Sync in the Wild", ACCV-W 2016, section 2, in the
later form that takes colour and that the field measures with. Attribute names are the state-dict
layout of the weights that its authors released.
"""

from typing import cast

import torch
from torch import Tensor, nn

RESOLUTION = 224  # pixels


class SyncNetV2(nn.Module):
    """Embed five whole faces and 0.2 s of speech into one space; distances in it tell sync."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_spectral(1, 64),
            nn.MaxPool2d(1, 1),  # changes nothing, and is part of the layout
            *_spectral(64, 192),
            nn.MaxPool2d(3, (1, 2)),
            *_spectral(192, 384),
            *_spectral(384, 256),
            *_spectral(256, 256),
            nn.MaxPool2d(3, 2),
            *_spectral(256, 512, kernel=(5, 4), padding=0),
        )
        self.netcnnlip = nn.Sequential(
            *_moving(3, 96, kernel=(5, 7, 7), stride=2, padding=0),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_moving(96, 256, kernel=(1, 5, 5), stride=2),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_moving(256, 256),
            *_moving(256, 256),
            *_moving(256, 256),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_moving(256, 512, kernel=(1, 6, 6), padding=0),
        )
        self.netfcaud = _head()
        self.netfclip = _head()

    def forward(self, mfcc: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Embed speech and lips.

        Args:
            mfcc: ``(B, 1, 13, 20)``, see ``speech.mfcc``.
            faces: ``(B, 3, 5, 224, 224)`` BGR in [0, 255]: five faces that follow each other.

        Returns:
            Speech and lips, each ``(B, 1024)``; of any length, sync is the Euclidean distance.
        """
        return self.embed_speech(mfcc), self.embed_lips(faces)

    def embed_speech(self, mfcc: Tensor) -> Tensor:
        """``(B, 1, 13, 20)`` -> ``(B, 1024)``."""
        x = self.netcnnaud(mfcc)  # (B, 512, 1, 1)
        return cast(Tensor, self.netfcaud(torch.flatten(x, 1)))  # (B, 1024)

    def embed_lips(self, faces: Tensor) -> Tensor:
        """``(B, 3, 5, 224, 224)`` BGR in [0, 255] -> ``(B, 1024)``."""
        x = self.netcnnlip(faces)  # (B, 512, 1, 1, 1)
        return cast(Tensor, self.netfclip(torch.flatten(x, 1)))  # (B, 1024)


def _spectral(
    before: int, after: int, *, kernel: int | tuple[int, int] = 3, padding: int = 1
) -> list[nn.Module]:
    """Over coefficients and time of the speech."""
    return [
        nn.Conv2d(before, after, kernel, padding=padding),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]


def _moving(
    before: int,
    after: int,
    *,
    kernel: tuple[int, int, int] = (1, 3, 3),
    stride: int = 1,
    padding: int = 1,
) -> list[nn.Module]:
    """Over time, rows and columns of the faces; stride and padding leave time alone."""
    return [
        nn.Conv3d(before, after, kernel, (1, stride, stride), (0, padding, padding)),
        nn.BatchNorm3d(after),
        nn.ReLU(),
    ]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))
