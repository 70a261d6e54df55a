"""Train the lip-sync expert: which speech do these lips say?"""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lipwright.checkpoints import Metadata
from lipwright.corpus import load_clips
from lipwright.models.build import build_network, resolution_of, save_network
from lipwright.models.motion_expert import MotionExpert
from lipwright.training.engine import Engine
from lipwright.training.loop import set_learning_rate
from lipwright.training.losses import in_clip_contrastive_loss, sync_loss
from lipwright.training.motion_windows import MotionWindows
from lipwright.training.recipe import ExpertRecipe
from lipwright.training.state import TrainState
from lipwright.training.windows import Batch, ExpertWindows, WindowConfig

WEIGHTS_NAME = "expert.safetensors"
_EVALUATION_SEED = 977
_TEMPO = 0.06  # largest change of tempo for the expert on landmarks, as a logarithm


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
        self._engine = Engine(recipe.run)
        torch.manual_seed(recipe.data.seed)
        expert = build_network("expert", recipe.network.architecture, options)
        network = _OnStretches(expert) if isinstance(expert, MotionExpert) else expert
        self._expert = expert
        optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=recipe.optimizer.learning_rate,
            betas=recipe.optimizer.betas,
            weight_decay=recipe.optimizer.weight_decay,
        )
        self._network, self._optimizer = self._engine.prepare(network, optimizer)
        self.windows = self._windows(is_training=True)
        self._held_out = self._windows(is_training=False)
        self.state = TrainState(
            networks={"expert": self._expert},
            optimizers={"expert": self._optimizer},
            identity={
                "kind": "expert",
                "network": [recipe.network.architecture, options],
                "seed": recipe.data.seed,
            },
        )

    def _windows(self, *, is_training: bool) -> ExpertWindows | MotionWindows:
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
        per_clip = self._recipe.windows_per_clip
        name: Literal["train", "val"] = "train" if is_training else "val"
        if not isinstance(self._expert, MotionExpert):
            return ExpertWindows(load_clips(data.corpus, name), config, windows_per_clip=per_clip)
        return MotionWindows(
            # Puppets move and speak as their drivers do: to landmarks they are nothing new.
            load_clips(data.corpus, name, with_puppets=False),
            config,
            frames=self._expert.config.frames,
            windows_per_clip=per_clip,
            tempo=_TEMPO if config.with_speech_changes else 0.0,
        )

    def step(self, batch: Batch) -> dict[str, float]:
        """Learn from one batch of :class:`ExpertWindows` or :class:`MotionWindows`."""
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
        if self._recipe.objective == "contrastive":
            return self._contrastive(*self._embedded(batch))
        faces = batch["faces"].float() / 255
        # Half in sync, half from another time of the same clip, alternating from step to step.
        in_sync = (torch.arange(len(faces), device=faces.device) + step) % 2  # (B,)
        mel = torch.where(in_sync.bool()[:, None, None, None], batch["mel"], batch["other_mel"])
        speech, lips = self._network(mel, faces)
        return sync_loss(speech, lips, in_sync.float())

    def _embedded(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Speech and lips of all windows, each ``(B, E)``; those of a clip follow each other."""
        seen = batch["motion"] if "motion" in batch else batch["faces"].float() / 255
        speech, lips = self._network(batch["mel"], seen)
        return speech.flatten(0, -2), lips.flatten(0, -2)

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
        self._network.eval()
        true, other, losses = [], [], []
        for index in range(self._recipe.run.evaluate_batches):
            batch = self._engine.move(self._held_out.batch(index))
            speech, lips = self._embedded(batch)
            true.append((speech * lips).sum(dim=1))
            other.append(self._off_sync(batch, speech, lips))
            losses.append(float(self._contrastive(speech, lips)))
        in_sync, off_sync = torch.cat(true).float(), torch.cat(other).float()
        return {
            "held_out/forced_choice": float((in_sync[:, None] > off_sync).float().mean()),
            "held_out/pair_accuracy": pair_accuracy(in_sync, off_sync.flatten()),
            "held_out/cosine_in_sync": float(in_sync.mean()),
            "held_out/cosine_off_sync": float(off_sync.mean()),
            "held_out/contrastive": float(np.mean(losses)),
        }

    def _off_sync(self, batch: Batch, speech: Tensor, lips: Tensor) -> Tensor:
        """``(B, O)`` cosines of lips with speech of other times of their clip."""
        if "other_mel" in batch:
            other, _ = self._network(batch["other_mel"], batch["faces"].float() / 255)
            cosines: Tensor = (other * lips).sum(dim=1, keepdim=True)
            return cosines
        per_clip = self._recipe.windows_per_clip
        of_clips = speech.view(-1, per_clip, speech.shape[1])
        table = lips.view_as(of_clips) @ of_clips.mT  # (clips, K, K)
        is_own = torch.eye(per_clip, dtype=torch.bool, device=lips.device).expand_as(table)
        return table[~is_own].view(-1, per_clip - 1)  # (B, K - 1)

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


class _OnStretches(nn.Module):
    """An expert on landmarks as it is trained, so that ``forward`` is what precision wraps."""

    def __init__(self, expert: MotionExpert) -> None:
        super().__init__()
        self.expert = expert

    def forward(self, mel: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`MotionExpert.pairs`."""
        return self.expert.pairs(mel, motion)


def pair_accuracy(in_sync: Tensor, off_sync: Tensor) -> float:
    """Share of pairs on the right side of the best single threshold on the cosine.

    Args:
        in_sync: ``(P,)`` cosines of pairs that belong together.
        off_sync: ``(Q,)`` cosines of pairs that do not.

    Returns:
        The mean of both kinds' shares, so that each kind weighs half; 0.5 is chance.
    """
    candidates = torch.cat([in_sync, off_sync])
    # At a threshold t a pair in sync is right from t on, another one below it.
    num_missed = torch.searchsorted(in_sync.sort().values, candidates)
    num_refused = torch.searchsorted(off_sync.sort().values, candidates)
    right = 1 - num_missed / len(in_sync) + num_refused / len(off_sync)
    return float(right.max()) / 2
