"""Train the part of an articulated generator that draws: from how a mouth stands to a picture.

It is given how lips and jaw truly stood, so there is one right picture and nothing to hedge.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lipwright.checkpoints import Metadata
from lipwright.corpus import load_clips
from lipwright.errors import ConfigError
from lipwright.faces import MOUTH_ROW
from lipwright.faces.points import shape_of_mouth
from lipwright.models.articulated import Drawing
from lipwright.models.build import build_network, load_network, resolution_of, save_network
from lipwright.models.landmarks import LandmarkNet
from lipwright.training.articulation import correlation
from lipwright.training.average import running_mean
from lipwright.training.distil import load_teacher, require_alike
from lipwright.training.drawing_windows import DrawingWindows
from lipwright.training.engine import Engine
from lipwright.training.generator import generator_input
from lipwright.training.loop import SCORE, set_learning_rate
from lipwright.training.losses import (
    flow_loss,
    gradient_penalty,
    hinge_loss,
    mouth_weights,
    reconstruction_loss,
    sharpness,
)
from lipwright.training.perception import Perception
from lipwright.training.recipe import (
    DataConfig,
    NetworkConfig,
    OptimizerConfig,
    RunConfig,
    Term,
    require_positive,
)
from lipwright.training.state import TrainState
from lipwright.training.windows import Batch, WindowConfig

WEIGHTS_NAME = "drawing.safetensors"
_EVALUATION_SEED = 977
_PENALTY_EVERY = 16  # steps, as lazy regularisation has it (Karras et al. 2020)
_SHEET_ROWS, _SHEET_COLUMNS = 8, 3
_MOUTH = (0.5, 0.9, 0.2, 0.8)  # top, bottom, left, right of mouth and chin, as shares of the side


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawingRecipe:
    """A run that trains the part that draws."""

    data: DataConfig
    """Where faces come from; a batch is ``batch_size`` single frames."""
    run: RunConfig
    """How long."""
    landmarks: Path
    """Weights of the landmark network: it finds the reference's mouth, and its layers say how
    alike two faces are."""
    start: Path | None = None
    """Weights of an earlier run to begin with; by default fresh ones."""
    teacher: Path | None = None
    """Weights of a larger generator to learn from as well."""
    distil: Term = field(default_factory=Term)
    """The teacher's term: how it draws the same people with the motion of others."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """What is trained."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Its."""
    discriminator: NetworkConfig = field(default_factory=NetworkConfig)
    """The patch discriminator."""
    discriminator_optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The patch discriminator's."""
    flow: Term = field(default_factory=Term)
    """The term of landmarks that should be moved to where they are."""
    perception: Term = field(default_factory=Term)
    """The term of differences in the landmark network's layers."""
    adversarial: Term = field(default_factory=Term)
    """The discriminator's term."""
    gradient_penalty: float = 1.0
    """Weight of R1, which keeps the discriminator smooth around true pictures."""
    mouth_factor: float = 6.0
    """Weight of the mouth's pixels in the reconstruction over that of the corners."""
    ema_decay: float = 0.999
    """Of the running mean of the weights, which is what is saved for use."""

    def __post_init__(self) -> None:
        require_positive(self, "mouth_factor")
        if self.teacher is None and self.distil.weight > 0:
            raise ConfigError('distil has weight but no teacher is given: teacher = "FILE"')
        if not self.gradient_penalty >= 0 or not 0 <= self.ema_decay < 1:
            raise ConfigError(
                f"gradient_penalty must be at least 0 and ema_decay from 0 to below 1, got "
                f"{self.gradient_penalty} and {self.ema_decay}"
            )


class DrawingTrainer:
    """Holds the drawing network and its discriminator, and takes their steps."""

    def __init__(self, recipe: DrawingRecipe) -> None:
        """Build the networks and open the corpus.

        Args:
            recipe: The run.
        """
        self._recipe = recipe
        self._resolution = resolution_of(recipe.network.options)
        self._engine = Engine(recipe.run)
        torch.manual_seed(recipe.data.seed)
        drawing = build_network("drawing", recipe.network.architecture, recipe.network.options)
        judge = build_network(
            "discriminator", recipe.discriminator.architecture, recipe.discriminator.options
        )
        landmarks, _ = load_network(recipe.landmarks, kind="landmarks")
        cast(Drawing, drawing).landmarks.load_state_dict(landmarks.state_dict())
        if recipe.start is not None:
            _begin_with(recipe.start, drawing)
        self._teacher = None if recipe.teacher is None else self._load_teacher(recipe.teacher)
        self._perception = Perception(cast(LandmarkNet, landmarks))
        self._engine.place(self._perception)
        self._drawing, self._optimizer = self._engine.prepare(
            drawing, _adam(drawing, recipe.optimizer)
        )
        self._judge, self._judge_optimizer = self._engine.prepare(
            judge, _adam(judge, recipe.discriminator_optimizer)
        )
        self._mean = running_mean(self._engine.unwrap(self._drawing), recipe.ema_decay)
        weights = mouth_weights(self._resolution, mouth_row=MOUTH_ROW, factor=recipe.mouth_factor)
        self._weights = self._engine.move({"pixels": weights})["pixels"]
        self.windows = self._windows("train", is_training=True)
        self._held_out = self._windows("val", is_training=False)
        self.state = TrainState(
            networks={
                "drawing": self._engine.unwrap(self._drawing),
                "mean": self._mean,
                "discriminator": self._engine.unwrap(self._judge),
            },
            optimizers={"drawing": self._optimizer, "discriminator": self._judge_optimizer},
            identity={
                "kind": "drawing",
                "network": [recipe.network.architecture, dict(recipe.network.options)],
                "discriminator": [
                    recipe.discriminator.architecture,
                    dict(recipe.discriminator.options),
                ],
                "seed": recipe.data.seed,
            },
        )

    def _load_teacher(self, path: Path) -> Drawing:
        teacher = load_teacher(path).drawing
        require_alike(path, "resolution", teacher.config.resolution, self._resolution)
        self._engine.place(teacher)
        return teacher

    def _windows(self, split: str, *, is_training: bool) -> DrawingWindows:
        data = self._recipe.data
        config = WindowConfig(
            resolution=self._resolution,
            batch_size=data.batch_size,
            seed=data.seed if is_training else _EVALUATION_SEED,
            with_picture_changes=data.with_picture_changes and is_training,
            speaker_balance=data.speaker_balance if is_training else 1.0,
            puppet_share=data.puppet_share,
        )
        return DrawingWindows(load_clips(data.corpus, "train" if is_training else "val"), config)

    def step(self, batch: Batch) -> dict[str, float]:
        """Learn from one batch of :class:`DrawingWindows`."""
        recipe, step = self._recipe, self.state.step
        self._drawing.train()
        rate = set_learning_rate(
            self._optimizer, recipe.optimizer, step=step, steps=recipe.run.steps
        )
        batch = self._engine.move(batch)
        true = batch["faces"].float() / 255  # (B, 3, R, R)
        drawn, flow = self._draw(self._drawing, batch)
        l1 = reconstruction_loss(drawn, true, self._weights)
        terms = {"drawing/l1": l1}
        loss = l1
        if weight := recipe.flow.at(step):
            terms["drawing/flow"] = flow_loss(flow, batch["points"], batch["reference_points"])
            loss = loss + weight * terms["drawing/flow"]
        if weight := recipe.perception.at(step):
            terms["drawing/perception"] = self._perception(drawn, true)
            loss = loss + weight * terms["drawing/perception"]
        if weight := recipe.adversarial.at(step):
            self._judge.requires_grad_(False)
            terms["drawing/adversarial"] = -self._judge(_around_mouth(drawn)).mean()
            self._judge.requires_grad_(True)
            loss = loss + weight * terms["drawing/adversarial"]
        if self._teacher is not None and (weight := recipe.distil.at(step)):
            terms["drawing/distil"] = self._distilled(self._teacher, batch)
            loss = loss + weight * terms["drawing/distil"]
        found = {name: float(term.detach()) for name, term in terms.items()}
        found["drawing/learning_rate"] = rate
        found["drawing/gradient_norm"] = self._engine.minimise(
            loss, self._drawing, self._optimizer, clip_norm=recipe.optimizer.clip_norm
        )
        self._mean.update_parameters(self._engine.unwrap(self._drawing))
        if recipe.adversarial.at(step):
            found |= self._step_judge(_around_mouth(drawn.detach()), _around_mouth(true))
        return found

    def _distilled(self, teacher: Drawing, batch: Batch) -> Tensor:
        """How far the network is from its teacher on motion for which there is no true picture."""
        others = {**batch, "articulation": batch["articulation"].roll(1, dims=0)}
        with torch.no_grad():
            taught, _ = self._draw(teacher, others)
        drawn, _ = self._draw(self._drawing, others)
        loss = reconstruction_loss(drawn, taught, self._weights)
        alike: Tensor = self._perception(drawn, taught)
        return loss + self._recipe.perception.weight * alike

    def _step_judge(self, drawn: Tensor, true: Tensor) -> dict[str, float]:
        recipe, step = self._recipe, self.state.step
        set_learning_rate(
            self._judge_optimizer, recipe.discriminator_optimizer, step=step, steps=recipe.run.steps
        )
        with_penalty = recipe.gradient_penalty > 0 and step % _PENALTY_EVERY == 0
        true = true.detach().requires_grad_(with_penalty)
        judged_true = self._judge(true)
        loss = hinge_loss(judged_true, self._judge(drawn))
        terms = {"discriminator/hinge": float(loss.detach())}
        if with_penalty:
            penalty = gradient_penalty(judged_true, true)
            terms["discriminator/gradient_penalty"] = float(penalty.detach())
            loss = loss + _PENALTY_EVERY * recipe.gradient_penalty / 2 * penalty
        self._engine.minimise(
            loss,
            self._judge,
            self._judge_optimizer,
            clip_norm=recipe.discriminator_optimizer.clip_norm,
        )
        return terms

    def _draw(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Faces of a batch ``(B, 3, R, R)`` in [0, 1], and where their pixels were taken from."""
        faces = generator_input(batch["faces"][:, None], batch["reference"])
        drawing = cast(Drawing, self._engine.unwrap(network))
        return drawing.with_flow(batch["articulation"], faces)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """On held-out people, by the running mean of the weights."""
        self._mean.eval()
        totals: dict[str, list[float]] = {}
        seen: list[Tensor] = []
        meant: list[Tensor] = []
        for index in range(self._recipe.run.evaluate_batches):
            batch = self._engine.move(self._held_out.batch(index))
            true = batch["faces"].float() / 255
            drawn, _ = self._draw(self._mean.module, batch)
            l1 = reconstruction_loss(drawn, true, self._weights)
            totals.setdefault("held_out/l1", []).append(float(l1))
            totals.setdefault("held_out/perception", []).append(
                float(self._perception(drawn, true))
            )
            totals.setdefault("held_out/sharpness", []).append(
                float(sharpness(drawn, true, self._weights))
            )
            seen.append(self._perception.points(drawn).cpu())
            meant.append(self._perception.points(true).cpu())
        means = {name: float(np.mean(values)) for name, values in totals.items()}
        shapes = [shape_of_mouth(torch.cat(points).numpy()) for points in (seen, meant)]
        for column, name in ((0, "opening"), (1, "width")):
            found, true_shape = (torch.from_numpy(shape[:, column]) for shape in shapes)
            means[f"held_out/{name}"] = correlation(found, true_shape)
        means[SCORE] = -means["held_out/perception"]
        return means

    @torch.no_grad()
    def sheet(self) -> NDArray[np.uint8]:
        """Rows of reference | drawn | true, of held-out people."""
        batch = self._engine.move(self._held_out.batch(0))
        drawn, _ = self._draw(self._mean.eval().module, batch)
        rows = torch.cat([batch["reference"] / 255, drawn, batch["faces"] / 255], dim=3)
        rows = rows[: _SHEET_ROWS * _SHEET_COLUMNS]  # (N, 3, R, 3R)
        count = len(rows) // _SHEET_COLUMNS * _SHEET_COLUMNS or len(rows)
        columns = rows[:count].chunk(min(_SHEET_COLUMNS, count))
        sheet = torch.cat([torch.cat(list(column), dim=1) for column in columns], dim=2)
        pixels = (sheet.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(pixels)

    def export(self, folder: Path) -> None:
        """Write the weights: their running mean."""
        save_network(
            self._mean.module,
            folder / WEIGHTS_NAME,
            Metadata(
                kind="drawing",
                architecture=self._recipe.network.architecture,
                config=dict(self._recipe.network.options),
                step=self.state.step,
                licence=self._recipe.data.licence,
                training_data=self._recipe.data.description,
            ),
        )


def _begin_with(path: Path, drawing: nn.Module) -> None:
    earlier, meta = load_network(path, kind="drawing")
    try:
        drawing.load_state_dict(earlier.state_dict())
    except RuntimeError as err:
        raise ConfigError(
            f"{path} holds a network of the dimensions {dict(meta.config)}; the recipe must ask "
            f"for the same"
        ) from err


def _around_mouth(faces: Tensor) -> Tensor:
    """What the discriminator sees: elsewhere drawn pixels are the reference's own, and true.

    ``(B, 3, R, R)`` -> ``(B, 3, 0.4 R, 0.6 R)``.
    """
    top, bottom, left, right = (round(share * faces.shape[-1]) for share in _MOUTH)
    return faces[:, :, top:bottom, left:right]


def _adam(network: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=config.betas)
