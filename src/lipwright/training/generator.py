"""Train the generator against the frozen expert and the quality discriminator.

Prajwal et al. 2020, sections 3.3 and 3.4. The expert is in evaluation mode throughout (the
released code leaves it in training mode).
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lipwright.checkpoints import Metadata
from lipwright.corpus import load_clips
from lipwright.errors import ConfigError, TrainingError
from lipwright.faces import MOUTH_ROW
from lipwright.models.build import build_network, load_network, resolution_of, save_network
from lipwright.models.compact import CompactExpert, CompactGenerator
from lipwright.models.discriminator import lower_half
from lipwright.models.syncnet import SyncNet
from lipwright.training.articulation import (
    Articulation,
    MouthReader,
    articulation_loss,
    correlation,
)
from lipwright.training.average import running_mean
from lipwright.training.engine import Engine
from lipwright.training.loop import set_learning_rate
from lipwright.training.losses import (
    adversarial_loss,
    contrastive_loss,
    discriminator_loss,
    mouth_weights,
    reconstruction_loss,
    sync_loss,
)
from lipwright.training.recipe import GeneratorRecipe
from lipwright.training.state import TrainState
from lipwright.training.windows import Batch, GeneratorWindows, WindowConfig

WEIGHTS_NAME = "generator.safetensors"
_EVALUATION_SEED = 977
_SHEET_ROWS = 8
_READER_RATE = 1e-3


class GeneratorTrainer:
    """Holds generator, discriminator and expert, and takes their steps."""

    def __init__(self, recipe: GeneratorRecipe) -> None:
        """Build the networks and open the corpus.

        Args:
            recipe: The run.
        """
        self._recipe = recipe
        self._resolution = resolution_of(recipe.network.options)
        self._engine = Engine(recipe.run)
        torch.manual_seed(recipe.data.seed)
        generator = build_network("generator", recipe.network.architecture, recipe.network.options)
        self._expert = None if recipe.expert is None else self._load_expert(recipe.expert)
        if recipe.with_speech_of_expert:
            _copy_speech_encoder(self._expert, generator)
        discriminator = build_network(
            "discriminator", recipe.discriminator.architecture, recipe.discriminator.options
        )
        self._articulation = Articulation(generator) if recipe.articulation > 0 else None
        learning = nn.ModuleList([generator])
        if self._articulation is not None:
            learning.append(self._engine.place(self._articulation))
        self._reader, self._reader_optimizer = self._engine.prepare(
            reader := MouthReader(),
            torch.optim.Adam(reader.parameters(), lr=_READER_RATE),
        )
        self._generator, self._optimizer = self._engine.prepare(
            generator,
            torch.optim.Adam(
                learning.parameters(),
                lr=recipe.optimizer.learning_rate,
                betas=recipe.optimizer.betas,
            ),
        )
        self._discriminator, self._discriminator_optimizer = self._engine.prepare(
            discriminator,
            torch.optim.Adam(
                discriminator.parameters(),
                lr=recipe.discriminator_optimizer.learning_rate,
                betas=recipe.discriminator_optimizer.betas,
            ),
        )
        self._mean = running_mean(self._engine.unwrap(self._generator), recipe.ema_decay)
        self._weights = self._engine.move(
            {
                "pixels": mouth_weights(
                    self._resolution, mouth_row=MOUTH_ROW, factor=recipe.mouth_factor
                )
            }
        )["pixels"]
        self.windows = self._windows("train", is_training=True)
        self._held_out = self._windows("val", is_training=False)
        self.state = TrainState(
            networks={
                "generator": self._engine.unwrap(self._generator),
                "mean": self._mean,
                "discriminator": self._engine.unwrap(self._discriminator),
                "reader": self._engine.unwrap(self._reader),
                **({} if self._articulation is None else {"articulation": self._articulation}),
            },
            optimizers={
                "generator": self._optimizer,
                "discriminator": self._discriminator_optimizer,
                "reader": self._reader_optimizer,
            },
            identity={
                "kind": "generator",
                "network": [recipe.network.architecture, dict(recipe.network.options)],
                "discriminator": [
                    recipe.discriminator.architecture,
                    dict(recipe.discriminator.options),
                ],
                "seed": recipe.data.seed,
            },
        )

    def _load_expert(self, path: Path) -> SyncNet | CompactExpert:
        expert, meta = load_network(path, kind="expert")
        if not isinstance(expert, SyncNet | CompactExpert):
            raise ConfigError(
                f"{path} holds a {meta.architecture}, which judges videos but cannot teach: it "
                f"takes other inputs than mel and pixels; give a compact or wav2lip expert"
            )
        self._expert_resolution = resolution_of(meta.config)
        self._is_contrastive = meta.config.get("objective") == "contrastive"
        self._temperature = float(meta.notes.get("temperature", 0.07))
        self._engine.place(expert.requires_grad_(False))
        return expert

    def _windows(self, split: str, *, is_training: bool) -> GeneratorWindows:
        data = self._recipe.data
        config = WindowConfig(
            resolution=self._resolution,
            batch_size=data.batch_size,
            seed=data.seed if is_training else _EVALUATION_SEED,
            with_speech_changes=data.with_speech_changes and is_training,
            with_picture_changes=data.with_picture_changes and is_training,
            speaker_balance=data.speaker_balance if is_training else 1.0,
            puppet_share=data.puppet_share,
        )
        clips = load_clips(data.corpus, "train" if split == "train" else "val")
        return GeneratorWindows(
            clips,
            config,
            with_motion=self._recipe.needs_landmarks,
            single_until=self._recipe.single_until if is_training else 0,
        )

    def step(self, batch: Batch) -> dict[str, float]:
        """Learn from one batch of :class:`GeneratorWindows`."""
        recipe, step = self._recipe, self.state.step
        for network in (self._generator, self._discriminator):
            network.train()
        rate = set_learning_rate(
            self._optimizer, recipe.optimizer, step=step, steps=recipe.run.steps
        )
        sync_weight = recipe.sync.at(step)
        adversarial_weight = recipe.adversarial.at(step)
        batch = self._engine.move(batch)
        true = batch["faces"].float() / 255  # (B, T, 3, R, R)
        drawn = self._draw(self._generator, batch)  # (B, T, 3, R, R)
        l1 = reconstruction_loss(drawn.flatten(0, 1), true.flatten(0, 1), self._weights)
        loss = (1 - sync_weight - adversarial_weight) * l1
        terms = {
            "generator/l1": float(l1.detach()),
            "generator/learning_rate": rate,
            "generator/sync_weight": sync_weight,
            "generator/adversarial_weight": adversarial_weight,
        }
        if self._articulation is not None:
            heard = self._articulation(
                self._engine.unwrap(self._generator), batch["mel"].flatten(0, 1)
            )
            articulation = articulation_loss(heard, batch["motion"].flatten(0, 1))
            loss = loss + recipe.articulation * articulation
            terms["generator/articulation"] = float(articulation.detach())
        if recipe.reading.weight > 0:
            loss = loss + self._reading(drawn, true, batch["shape"], terms)
        if sync_weight > 0:
            sync = self._sync(drawn, batch["sync_mel"])
            loss = loss + sync_weight * sync
            terms["generator/sync"] = float(sync.detach())
        if adversarial_weight > 0:
            adversarial = adversarial_loss(self._discriminator(drawn.transpose(1, 2)))
            loss = loss + adversarial_weight * adversarial
            terms["generator/adversarial"] = float(adversarial.detach())
        terms["generator/gradient_norm"] = self._engine.minimise(
            loss, self._generator, self._optimizer, clip_norm=recipe.optimizer.clip_norm
        )
        self._mean.update_parameters(self._engine.unwrap(self._generator))
        if adversarial_weight > 0:
            terms["discriminator/loss"] = self._step_discriminator(drawn.detach(), true)
        return terms

    def _reading(
        self, drawn: Tensor, true: Tensor, shape: Tensor, terms: dict[str, float]
    ) -> Tensor:
        """Let the reader learn from true faces; the weighted term of what it reads from drawn."""
        shape = shape.flatten(0, 1)
        learnt = articulation_loss(self._reader(true.flatten(0, 1)), shape)
        self._engine.minimise(learnt, self._reader, self._reader_optimizer, clip_norm=1.0)
        terms["reader/loss"] = float(learnt.detach())
        terms["generator/reading_weight"] = weight = self._recipe.reading.at(self.state.step)
        if weight == 0:
            return torch.zeros((), device=drawn.device)
        self._reader.requires_grad_(False)
        reading = articulation_loss(self._reader(drawn.flatten(0, 1)), shape)
        self._reader.requires_grad_(True)
        terms["generator/reading"] = float(reading.detach())
        return weight * reading

    def _step_discriminator(self, drawn: Tensor, true: Tensor) -> float:
        recipe = self._recipe
        set_learning_rate(
            self._discriminator_optimizer,
            recipe.discriminator_optimizer,
            step=self.state.step,
            steps=recipe.run.steps,
        )
        loss = discriminator_loss(
            self._discriminator(true.transpose(1, 2)), self._discriminator(drawn.transpose(1, 2))
        )
        self._engine.minimise(
            loss,
            self._discriminator,
            self._discriminator_optimizer,
            clip_norm=recipe.discriminator_optimizer.clip_norm,
        )
        return float(loss.detach())

    def _draw(self, generator: nn.Module, batch: Batch) -> Tensor:
        """Faces of a batch, ``(B, T, 3, R, R)`` in [0, 1]."""
        drawn: Tensor = generator(
            batch["mel"].flatten(0, 1), generator_input(batch["faces"], batch["reference"])
        )  # (B*T, 3, R, R)
        windows: Tensor = drawn.float().unflatten(0, batch["mel"].shape[:2])
        return windows

    def _sync(self, drawn: Tensor, mel: Tensor) -> Tensor:
        """The expert's verdict on faces ``(B, 5, 3, R, R)`` and speech ``(B, K, 1, 80, 16)``."""
        if self._expert is None:
            raise TrainingError("sync has weight but no expert was loaded")
        size = self._expert_resolution
        if size != self._resolution:
            drawn = functional.interpolate(
                drawn.flatten(0, 1), size=(size, size), mode="area"
            ).unflatten(0, drawn.shape[:2])
        lower = lower_half(drawn).flatten(1, 2)  # (B, 15, S/2, S)
        lips = self._expert.embed_lips(lower)  # (B, E)
        if not self._is_contrastive:
            in_sync = torch.ones(len(lips), device=lips.device)
            return sync_loss(self._expert.embed_speech(mel[:, 0]), lips, in_sync)
        candidates = self._expert.embed_speech(mel.flatten(0, 1))  # (B*K, E)
        return contrastive_loss(
            lips,
            candidates.unflatten(0, mel.shape[:2]),
            torch.zeros(len(lips), dtype=torch.int64, device=lips.device),
            temperature=self._temperature,
        )

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """On held-out speakers, by the running mean of the weights."""
        network = self._mean.eval()
        totals: dict[str, list[float]] = {}
        openings: list[tuple[Tensor, Tensor]] = []
        drawn_openings: list[tuple[Tensor, Tensor]] = []
        for index in range(self._recipe.run.evaluate_batches):
            batch = self._engine.move(self._held_out.batch(index))
            true = batch["faces"].float() / 255
            drawn = self._draw(network, batch)
            difference = reconstruction_loss(drawn.flatten(0, 1), true.flatten(0, 1), self._weights)
            totals.setdefault("held_out/l1", []).append(float(difference))
            if self._expert is not None:
                totals.setdefault("held_out/sync", []).append(
                    float(self._sync(drawn, batch["sync_mel"]))
                )
                totals.setdefault("held_out/sync_of_true", []).append(
                    float(self._sync(true, batch["sync_mel"]))
                )
            if self._articulation is not None:
                heard = self._articulation(network.module, batch["mel"].flatten(0, 1))
                openings.append((heard[:, 0], batch["motion"].flatten(0, 1)[:, 0]))
            if self._recipe.reading.weight > 0:
                read = self._reader(drawn.flatten(0, 1))[:, 0]
                drawn_openings.append((read, batch["shape"].flatten(0, 1)[:, 0]))
        means = {name: float(np.mean(values)) for name, values in totals.items()}
        for name, pairs in (("heard", openings), ("drawn", drawn_openings)):
            if pairs:
                found, true = (torch.cat(rows) for rows in zip(*pairs, strict=True))
                means[f"held_out/opening_{name}"] = correlation(found, true)
        return means

    @torch.no_grad()
    def sheet(self) -> NDArray[np.uint8]:
        """Rows of reference | masked | generated | true, of held-out speakers."""
        batch = self._engine.move(self._held_out.batch(0))
        drawn = self._draw(self._mean.eval(), batch)
        masked = generator_input(batch["faces"], batch["reference"])[:, :3]
        masked = masked.unflatten(0, batch["faces"].shape[:2])
        rows = []
        for row in range(min(_SHEET_ROWS, len(drawn))):
            for frame in (0, 2, 4):
                tiles = [
                    batch["reference"][row].float() / 255,
                    masked[row, frame],
                    drawn[row, frame],
                    batch["faces"][row, frame].float() / 255,
                ]
                rows.append(torch.cat(tiles, dim=2))  # (3, R, 4R)
        sheet = torch.cat(
            [torch.cat(rows[column::3], dim=1) for column in range(3)], dim=2
        )  # (3, rows R, 12 R)
        pixels = (sheet.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return np.asarray(pixels, dtype=np.uint8)

    def export(self, folder: Path) -> None:
        """Write the running mean of the weights for use."""
        save_network(
            self._mean.module,
            folder / WEIGHTS_NAME,
            Metadata(
                kind="generator",
                architecture=self._recipe.network.architecture,
                config=dict(self._recipe.network.options),
                step=self.state.step,
                licence=self._recipe.data.licence,
                training_data=self._recipe.data.description,
            ),
        )


def _copy_speech_encoder(expert: nn.Module | None, generator: nn.Module) -> None:
    """Start the generator's hearing from the expert's, which has learnt what lips say."""
    if not isinstance(expert, CompactExpert) or not isinstance(generator, CompactGenerator):
        raise ConfigError("with_speech_of_expert needs a compact expert and a compact generator")
    try:
        generator.speech_encoder.load_state_dict(expert.speech_encoder.state_dict())
    except RuntimeError as err:
        raise ConfigError(
            "with_speech_of_expert needs speech_width of the generator to be embedding of the "
            "expert"
        ) from err


def generator_input(faces: Tensor, reference: Tensor) -> Tensor:
    """Put masked targets and references on top of each other.

    Args:
        faces: ``(B, T, 3, R, R)`` uint8.
        reference: ``(B, 3, R, R)`` uint8, one for all frames of a window.

    Returns:
        ``(B*T, 6, R, R)`` float32 in [0, 1]: the target with its lower half set to zero, then the
        reference.
    """
    masked = faces.float() / 255
    masked[..., faces.shape[-2] // 2 :, :] = 0
    references = (reference.float() / 255)[:, None].expand_as(masked)
    return torch.cat([masked, references], dim=2).flatten(0, 1)
