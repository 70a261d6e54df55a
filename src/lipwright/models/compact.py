"""Lipwright's own compact networks: a U-Net on patches, and the expert that teaches it.

The picture is cut into patches (pixel unshuffle), so that the widest maps are a quarter of the
picture or less: most of the released generator's time goes into its full-size maps. The speech
modulates every block after the encoder, not only the bottleneck.
"""

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipwright.errors import ConfigError
from lipwright.models.blocks import Conv2d, ModulatedResidual, SpeechEncoder


@dataclass(frozen=True, kw_only=True, slots=True)
class CompactGeneratorConfig:
    """Shape of the compact generator."""

    resolution: int = 96
    """Height and width of the face in pixels: 96 to 384."""
    patch: int = 4
    """Pixels along the side of a patch: an even number; resolution / patch a multiple of 4."""
    width: int = 48
    """Channels of the widest map; the two below have two and four times as many."""
    speech_width: int = 256
    """Length of the speech vector."""

    def __post_init__(self) -> None:
        if not 96 <= self.resolution <= 384:
            raise ConfigError(f"resolution must be from 96 to 384, got {self.resolution}")
        if self.patch < 2 or self.patch % 2:
            raise ConfigError(f"patch must be an even number from 2 on, got {self.patch}")
        if self.resolution % (4 * self.patch):
            raise ConfigError(
                f"resolution must be a multiple of 4 x patch = {4 * self.patch}, "
                f"got {self.resolution}"
            )
        if self.width < 2 or self.speech_width < 1:
            raise ConfigError(
                f"width must be at least 2 and speech_width at least 1, got {self.width} and "
                f"{self.speech_width}"
            )


class CompactGenerator(nn.Module):
    """Draw the lower half of a face to fit a window of speech."""

    def __init__(self, config: CompactGeneratorConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.speech_width = config.speech_width
        w, s = config.width, config.speech_width
        self.speech_encoder = SpeechEncoder(s)
        self.stem = Conv2d(6 * config.patch**2, w)
        self.encoder0 = _residual(w)
        self.encoder1 = nn.Sequential(Conv2d(w, 2 * w, stride=2), _residual(2 * w))
        self.encoder2 = nn.Sequential(Conv2d(2 * w, 4 * w, stride=2), _residual(4 * w))
        self.middle = nn.ModuleList([ModulatedResidual(4 * w, s) for _ in range(2)])
        self.join1 = Conv2d(6 * w, 2 * w, kernel=1, padding=0)
        self.decoder1 = ModulatedResidual(2 * w, s)
        self.join0 = Conv2d(3 * w, w, kernel=1, padding=0)
        self.decoder0 = ModulatedResidual(w, s)
        # The last steps work on patches of half the size, beside the reference at that size.
        half = config.patch // 2
        self.finer = nn.Sequential(nn.Conv2d(w, 4 * (w // 2), 1), nn.PixelShuffle(2))
        self.detail = Conv2d(w // 2 + 6 * half**2, w // 2)
        self.output = nn.Conv2d(w // 2, 3 * half**2, 3, padding=1)
        nn.init.zeros_(self.output.weight)  # the first thing drawn is the reference itself
        nn.init.zeros_(cast(Tensor, self.output.bias))

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        """Draw faces that say the speech.

        Args:
            mel: ``(B, 1, 80, 16)`` in [-4, 4].
            faces: ``(B, 6, H, W)`` in [0, 1], RGB; channels 0-2 the target with its lower half
                set to zero, 3-5 a reference of the same person.

        Returns:
            ``(B, 3, H, W)`` in [0, 1].
        """
        speech = functional.relu(self.speech_encoder(mel))  # (B, S)
        x0 = self.encoder0(self.stem(functional.pixel_unshuffle(faces, self.patch)))  # (B,w,h,h)
        x1 = self.encoder1(x0)  # (B, 2w, h/2, h/2)
        x = self.encoder2(x1)  # (B, 4w, h/4, h/4)
        for block in self.middle:
            x = block(x, speech)
        x = self.join1(torch.cat([_double(x), x1], dim=1))  # (B, 2w, h/2, h/2)
        x = self.decoder1(x, speech)
        x = self.join0(torch.cat([_double(x), x0], dim=1))  # (B, w, h, h)
        x = self.decoder0(x, speech)
        fine = functional.pixel_unshuffle(faces, self.patch // 2)  # (B, 6 (p/2)^2, 2h, 2h)
        x = self.detail(torch.cat([self.finer(x), fine], dim=1))  # (B, w/2, 2h, 2h)
        change = functional.pixel_shuffle(self.output(x), self.patch // 2)  # (B, 3, H, W)
        # Only what is new is drawn: the upper half is the target's, the lower half starts from the
        # reference's, so that skin, beard and light keep their grain and need not be learnt.
        target, reference = faces.split(3, dim=1)
        half = faces.shape[2] // 2
        before = reference[:, :, half:]
        lower = _no_greener(before + change[:, :, half:], before).clamp(0, 1)
        return torch.cat([target[:, :, :half], lower], dim=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class CompactExpertConfig:
    """Shape of the compact expert."""

    resolution: int = 96
    """Width of the faces in pixels; their lower half is half as high. A multiple of 32."""
    width: int = 64
    """Channels of the widest map."""
    embedding: int = 256
    """Length of the two vectors."""
    objective: Literal["cosine", "contrastive"] = "cosine"
    """What it is trained for. ``cosine``: embeddings are not negative, their dot product is the
    probability of being in sync (the paper's). ``contrastive``: the right speech among others of
    the same clip."""
    dropout: float = 0.1
    """Share of features dropped before each embedding during training."""

    def __post_init__(self) -> None:
        if self.resolution < 96 or self.resolution % 32:
            raise ConfigError(
                f"resolution must be a multiple of 32 from 96 on, got {self.resolution}"
            )
        if self.width < 1 or self.embedding < 1:
            raise ConfigError(
                f"width and embedding must be at least 1, got {self.width}, {self.embedding}"
            )
        if self.objective not in ("cosine", "contrastive"):
            raise ConfigError(
                f"objective must be 'cosine' or 'contrastive', got {self.objective!r}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be from 0 to below 1, got {self.dropout}")


class CompactExpert(nn.Module):
    """Embed five lower half faces and 0.2 s of speech into one space, on patches."""

    def __init__(self, config: CompactExpertConfig) -> None:
        super().__init__()
        w = config.width
        patch = config.resolution // 24
        self.patch = patch
        self.is_cosine = config.objective == "cosine"
        self.speech_encoder = SpeechEncoder(config.embedding)
        self.speech_head = nn.Sequential(
            nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(config.embedding, config.embedding)
        )
        self.face_encoder = nn.Sequential(
            Conv2d(15 * patch**2, w),  # (B, w, 12, 24)
            Conv2d(w, w, is_residual=True),
            Conv2d(w, 2 * w, stride=2),  # (B, 2w, 6, 12)
            Conv2d(2 * w, 2 * w, is_residual=True),
            Conv2d(2 * w, 3 * w, stride=2),  # (B, 3w, 3, 6)
            Conv2d(3 * w, 3 * w, is_residual=True),
        )
        self.face_head = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(3 * w * 3 * 6, config.embedding),
            nn.ReLU(),
            nn.Linear(config.embedding, config.embedding),
        )

    def forward(self, mel: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Embed speech and lips.

        Args:
            mel: ``(B, 1, 80, 16)`` in [-4, 4].
            faces: ``(B, 15, R/2, R)`` in [0, 1], RGB: five lower halves stacked on channels in
                time.

        Returns:
            Speech and lips, each ``(B, E)``, of unit length.
        """
        return self.embed_speech(mel), self.embed_lips(faces)

    def embed_speech(self, mel: Tensor) -> Tensor:
        """``(B, 1, 80, 16)`` -> ``(B, E)`` of unit length."""
        return self._unit(self.speech_head(self.speech_encoder(mel)))

    def embed_lips(self, faces: Tensor) -> Tensor:
        """``(B, 15, R/2, R)`` -> ``(B, E)`` of unit length."""
        x = self.face_encoder(functional.pixel_unshuffle(faces, self.patch))  # (B, 3w, 3, 6)
        return self._unit(self.face_head(torch.flatten(x, 1)))

    def _unit(self, embedding: Tensor) -> Tensor:
        if self.is_cosine:  # the cross-entropy needs a cosine in [0, 1]
            embedding = functional.relu(embedding)
        return functional.normalize(embedding, dim=1)


def _no_greener(after: Tensor, before: Tensor) -> Tensor:
    """Let no pixel become greener against its red than it was: no mouth, tooth or skin is.

    Where lips part, red goes down most. On a reference that bares its teeth, which few of the
    people trained on do, that alone would paint them green. ``(B, 3, H, W)`` RGB, twice.
    """
    allowed = functional.relu(before[:, 1:2] - before[:, 0:1])  # (B, 1, H, W)
    red = torch.maximum(after[:, 0:1], after[:, 1:2] - allowed)
    return torch.cat([red, after[:, 1:]], dim=1)


def _residual(channels: int) -> nn.Sequential:
    return nn.Sequential(
        Conv2d(channels, channels, is_residual=True), Conv2d(channels, channels, is_residual=True)
    )


def _double(x: Tensor) -> Tensor:
    """``(B, C, H, W)`` -> ``(B, C, 2H, 2W)``."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
