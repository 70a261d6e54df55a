"""Train the lip-sync expert: which speech do these lips say?"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipwright.checkpoints import Metadata
from lipwright.corpus import load_clips
from lipwright.models.build import build_network, resolution_of, save_network
from lipwright.training.engine import Engine
from lipwright.training.loop import set_learning_rate
from lipwright.training.losses import in_clip_contrastive_loss, sync_loss
from lipwright.training.recipe import ExpertRecipe
from lipwright.training.state import TrainState
from lipwright.training.windows import Batch, ExpertWindows, MotionWindows, WindowConfig

WEIGHTS_NAME = "expert.safetensors"
_EVALUATION_SEED = 977


class ExpertTrainer:
    """Holds the expert and takes its steps."""

    def __init__(self, recipe: ExpertRecipe) -> None:
        """Build the networks and open the corpus.

        Args:
            recipe: The run.
        """
        self._recipe = recipe
        options = dict(recipe.network.options)
        if recipe.network.architecture == "compact":
            options["objective"] = recipe.objective
        self._options = options
        self._sees_motion = recipe.network.architecture == "motion"
        self._engine = Engine(recipe.run)
        torch.manual_seed(recipe.data.seed)
        network = build_network("expert", recipe.network.architecture, options)
        optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=recipe.optimizer.learning_rate,
            betas=recipe.optimizer.betas,
            weight_decay=recipe.optimizer.weight_decay,
        )
        self._network, self._optimizer = self._engine.prepare(network, optimizer)
        self.windows = self._windows("train", is_training=True)
        self._held_out = self._windows("val", is_training=False)
        self.state = TrainState(
            networks={"expert": self._engine.unwrap(self._network)},
            optimizers={"expert": self._optimizer},
            identity={
                "kind": "expert",
                "network": [recipe.network.architecture, options],
                "seed": recipe.data.seed,
            },
        )

    def _windows(self, split: str, *, is_training: bool) -> ExpertWindows | MotionWindows:
        data = self._recipe.data
        config = WindowConfig(
            resolution=resolution_of(self._options),
            batch_size=data.batch_size,
            seed=data.seed if is_training else _EVALUATION_SEED,
            with_speech_changes=data.with_speech_changes and is_training,
            with_picture_changes=data.with_picture_changes and is_training,
            speaker_balance=data.speaker_balance if is_training else 1.0,
            puppet_share=data.puppet_share,
        )
        clips = load_clips(
            data.corpus,
            "train" if split == "train" else "val",
            # Puppets move and speak as their drivers do: to landmarks they are nothing new.
            with_puppets=not self._sees_motion,
        )
        windows = MotionWindows if self._sees_motion else ExpertWindows
        return windows(clips, config, windows_per_clip=self._recipe.windows_per_clip)

    def _lips(self, batch: Batch) -> Tensor:
        """What the network sees of lips."""
        return batch["motion"] if self._sees_motion else batch["faces"].float() / 255

    def step(self, batch: Batch) -> dict[str, float]:
        """Learn from one batch of :class:`ExpertWindows`."""
        self._network.train()
        recipe = self._recipe
        rate = set_learning_rate(
            self._optimizer, recipe.optimizer, step=self.state.step, steps=recipe.run.steps
        )
        batch = self._engine.move(batch)
        loss = self._loss(batch, step=self.state.step)
        norm = self._engine.minimise(
            loss, self._network, self._optimizer, clip_norm=recipe.optimizer.clip_norm
        )
        return {
            f"expert/{recipe.objective}": float(loss.detach()),
            "expert/gradient_norm": norm,
            "expert/learning_rate": rate,
        }

    def _loss(self, batch: Batch, *, step: int) -> Tensor:
        faces = self._lips(batch)
        if self._recipe.objective == "contrastive":
            speech, lips = self._network(batch["mel"], faces)
            return self._contrastive(speech, lips)
        # Half in sync, half from another time of the same clip, alternating from step to step.
        in_sync = (torch.arange(len(faces), device=faces.device) + step) % 2  # (B,)
        mel = torch.where(in_sync.bool()[:, None, None, None], batch["mel"], batch["other_mel"])
        speech, lips = self._network(mel, faces)
        return sync_loss(speech, lips, in_sync.float())

    def _contrastive(self, speech: Tensor, lips: Tensor) -> Tensor:
        return in_clip_contrastive_loss(
            speech,
            lips,
            windows_per_clip=self._recipe.windows_per_clip,
            temperature=self._recipe.temperature,
        )

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """On held-out speakers: how often true speech beats other speech of the same clip."""
        network = self.state.networks["expert"].eval()
        true, other, losses = [], [], []
        for index in range(self._recipe.run.evaluate_batches):
            batch = self._engine.move(self._held_out.batch(index))
            faces = self._lips(batch)
            speech, lips = network(batch["mel"], faces)
            other_speech, _ = network(batch["other_mel"], faces)
            true.append((speech * lips).sum(dim=1))
            other.append((other_speech * lips).sum(dim=1))
            losses.append(float(self._contrastive(speech, lips)))
        in_sync, off_sync = torch.cat(true).float(), torch.cat(other).float()
        return {
            "held_out/forced_choice": float((in_sync > off_sync).float().mean()),
            "held_out/pair_accuracy": _pair_accuracy(in_sync, off_sync),
            "held_out/cosine_in_sync": float(in_sync.mean()),
            "held_out/cosine_off_sync": float(off_sync.mean()),
            "held_out/contrastive": float(np.mean(losses)),
        }

    def sheet(self) -> NDArray[np.uint8] | None:
        """An expert draws nothing."""
        return None

    def export(self, folder: Path) -> None:
        """Write the weights for use."""
        save_network(
            self.state.networks["expert"],
            folder / WEIGHTS_NAME,
            Metadata(
                kind="expert",
                architecture=self._recipe.network.architecture,
                config=self._options,
                step=self.state.step,
                licence=self._recipe.data.licence,
                training_data=self._recipe.data.description,
                notes={"temperature": str(self._recipe.temperature)},
            ),
        )


def _pair_accuracy(in_sync: Tensor, off_sync: Tensor) -> float:
    """Share of pairs on the right side of the best single threshold on the cosine."""
    candidates = torch.cat([in_sync, off_sync])
    right = (in_sync[None] >= candidates[:, None]).float().mean(dim=1) + (
        off_sync[None] < candidates[:, None]
    ).float().mean(dim=1)
    return float(right.max()) / 2
