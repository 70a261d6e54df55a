"""Teach the generator what a mouth does, by landmarks: in its hearing and in its pictures.

The picture's loss says little about speech: most pixels do not depend on it, and a mouth that
hardly moves costs little. So a linear layer reads the motion of the mouth from the code of the
speech, and a small network, which learns from true faces what their landmarks say, reads the
shape of the mouth that was drawn. Both are dropped after training.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipwright.errors import ConfigError
from lipwright.faces.points import SHAPE_NAMES
from lipwright.models.blocks import PlainConv2d
from lipwright.models.compact import CompactGenerator

_UNIT = 0.1  # of the distance between the eye corners: motions are about one unit
_READ_SIZE = 96  # pixels
_ROUNDING = 0.3  # units below which a difference counts squared


class Articulation(nn.Module):
    """Reads the motion of the mouth from a compact generator's code of the speech."""

    def __init__(self, generator: nn.Module) -> None:
        """Fit a layer to a generator's code.

        Args:
            generator: A compact generator; nothing of it is kept.

        Raises:
            ConfigError: If it is another one.
        """
        super().__init__()
        if not isinstance(generator, CompactGenerator):
            raise ConfigError("the articulation loss needs a compact generator")
        self.head = nn.Linear(generator.speech_width, len(SHAPE_NAMES))

    def forward(self, generator: nn.Module, mel: Tensor) -> Tensor:
        """What the generator hears in a speech.

        Args:
            generator: A compact generator.
            mel: ``(B, 1, 80, 16)`` in [-4, 4].

        Returns:
            Motion of the mouth, ``(B, 4)``, see ``PackReader.mouth_motion``.
        """
        code = functional.relu(cast(CompactGenerator, generator).speech_encoder(mel))  # (B, S)
        motion: Tensor = self.head(code) * _UNIT
        return motion


class MouthReader(nn.Module):
    """Reads the shape of the mouth from a picture of a face, on patches."""

    def __init__(self, *, width: int = 32) -> None:
        """Build the network.

        Args:
            width: Channels of the widest map.
        """
        super().__init__()
        w = width
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(_READ_SIZE // 24),  # (B, 48, 24, 24)
            PlainConv2d(3 * (_READ_SIZE // 24) ** 2, w),  # (B, w, 24, 24)
            PlainConv2d(w, w),
            PlainConv2d(w, 2 * w, stride=2),  # (B, 2w, 12, 12)
            PlainConv2d(2 * w, 2 * w),
            PlainConv2d(2 * w, 3 * w, stride=2),  # (B, 3w, 6, 6)
            nn.Flatten(),
            nn.Linear(3 * w * 36, 128),
            nn.ReLU(),
            nn.Linear(128, len(SHAPE_NAMES)),
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Read shapes.

        Args:
            faces: ``(B, 3, R, R)`` in [0, 1]; read at 96 px, whatever their size.

        Returns:
            ``(B, 4)``, see ``faces.mouth_shape``.
        """
        if faces.shape[-1] != _READ_SIZE:
            faces = functional.interpolate(faces, size=(_READ_SIZE, _READ_SIZE), mode="area")
        shape: Tensor = self.layers(faces - 0.5) * _UNIT  # (B, 4)
        return shape


def articulation_loss(heard: Tensor, true: Tensor) -> Tensor:
    """How far the motion that was heard, or the shape that was read, is from the true one.

    Args:
        heard: ``(B, 4)``, in distances of the outer eye corners.
        true: ``(B, 4)``.

    Returns:
        A scalar: Huber's loss, in tenths of that distance.
    """
    return functional.smooth_l1_loss(heard / _UNIT, true / _UNIT, beta=_ROUNDING)


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's, of two rows of numbers ``(N,)``; 0 where one of them does not move."""
    if float(a.std()) == 0 or float(b.std()) == 0:
        return 0.0
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])
