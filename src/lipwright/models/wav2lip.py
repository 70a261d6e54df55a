"""The released generator: identity encoder, speech encoder and face decoder at 96 px.

Prajwal et al., "A Lip Sync Expert Is All You Need for Speech to Lip Generation In the Wild",
ACM MM 2020, section 3.3. Attribute names are the released state-dict layout.
"""

from typing import cast

import torch
from torch import Tensor, nn

from lipwright.models.blocks import Conv2d, Conv2dTranspose


def _down(in_channels: int, out_channels: int, *, num_residual: int) -> nn.Sequential:
    residual = (Conv2d(out_channels, out_channels, is_residual=True) for _ in range(num_residual))
    return nn.Sequential(Conv2d(in_channels, out_channels, stride=2), *residual)


def _up(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        Conv2dTranspose(in_channels, out_channels, stride=2, padding=1, output_padding=1),
        Conv2d(out_channels, out_channels, is_residual=True),
        Conv2d(out_channels, out_channels, is_residual=True),
    )


class Wav2LipGenerator(nn.Module):
    """Draw the lower half of a face to fit a window of speech, as released (96 px)."""

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder_blocks = nn.ModuleList(
            [
                nn.Sequential(Conv2d(6, 16, kernel=7, padding=3)),
                _down(16, 32, num_residual=2),
                _down(32, 64, num_residual=3),
                _down(64, 128, num_residual=2),
                _down(128, 256, num_residual=2),
                _down(256, 512, num_residual=1),
                nn.Sequential(Conv2d(512, 512, padding=0), Conv2d(512, 512, kernel=1, padding=0)),
            ]
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
            Conv2d(256, 512, padding=0),
            Conv2d(512, 512, kernel=1, padding=0),
        )
        self.face_decoder_blocks = nn.ModuleList(
            [
                nn.Sequential(Conv2d(512, 512, kernel=1, padding=0)),
                nn.Sequential(Conv2dTranspose(1024, 512), Conv2d(512, 512, is_residual=True)),
                _up(1024, 512),
                _up(768, 384),
                _up(512, 256),
                _up(320, 128),
                _up(160, 64),
            ]
        )
        self.output_block = nn.Sequential(Conv2d(80, 32), nn.Conv2d(32, 3, 1), nn.Sigmoid())

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        """Draw faces that say the speech.

        Args:
            mel: ``(B, 1, 80, 16)`` in [-4, 4], or ``(B, T, 1, 80, 16)``.
            faces: ``(B, 6, 96, 96)`` in [0, 1], or ``(B, 6, T, 96, 96)``; channels 0-2 the
                target with its lower half set to zero, 3-5 a reference of the same person.

        Returns:
            ``(B, 3, 96, 96)`` in [0, 1], or ``(B, 3, T, 96, 96)``.
        """
        if faces.dim() == 4:
            return self._draw(mel, faces)
        batch = faces.shape[0]
        # Time-major rows, as released: row t * B + b.
        rows = torch.cat(faces.unbind(dim=2))  # (T*B, 6, H, W)
        drawn = self._draw(torch.cat(mel.unbind(dim=1)), rows)  # (T*B, 3, H, W)
        return torch.stack(drawn.split(batch), dim=2)  # (B, 3, T, H, W)

    def _draw(self, mel: Tensor, faces: Tensor) -> Tensor:
        features = []
        x = faces
        for block in self.face_encoder_blocks:
            x = block(x)
            features.append(x)
        x = self.audio_encoder(mel)  # (B, 512, 1, 1)
        for block in self.face_decoder_blocks:
            x = torch.cat([block(x), features.pop()], dim=1)
        return cast(Tensor, self.output_block(x))  # (B, 3, 96, 96)
