"""The one training loop: step, log, evaluate, sample, save."""

import json
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lipwright.errors import TrainingError
from lipwright.training.recipe import OptimizerConfig, RunConfig, to_record
from lipwright.training.runlog import RunLog
from lipwright.training.state import TrainState
from lipwright.training.windows import Batch

log = logging.getLogger(__name__)

STATE_NAME = "state.safetensors"
BEST_FOLDER = "best"
SCORE = "held_out/score"
"""Of an evaluation, if it has one: the higher, the better the weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run is."""

    step: int
    """Steps taken."""
    steps: int
    """Steps in all."""
    terms: dict[str, float]
    """What was last measured."""


class Trainer(Protocol):
    """What the loop needs of an expert's or a generator's training."""

    state: TrainState

    def step(self, batch: Batch) -> dict[str, float]:
        """Learn from one batch; the terms of the loss by name."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Measure on the held-out speakers."""
        ...

    def sheet(self) -> NDArray[np.uint8] | None:
        """A picture of what the network does, ``(H, W, 3)`` uint8 RGB, if it draws any."""
        ...

    def export(self, folder: Path) -> None:
        """Write the weights for use."""
        ...


def train(
    trainer: Trainer,
    batches: Callable[[int, int], Iterable[Batch]],
    *,
    run: RunConfig,
    folder: Path,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """Train to the end of the run, or go on where an earlier call stopped.

    Args:
        trainer: Knows the networks and the losses.
        batches: Gives the batches from one step up to another.
        run: How long, and what is written when.
        folder: The run folder; made if need be.
        on_progress: Called whenever something was measured.

    Returns:
        The last evaluation.

    Raises:
        TrainingError: If a term of the loss is not finite; says which, and at which step. The
            last checkpoint is kept.
    """
    make_run_folder(folder)
    state, checkpoint = trainer.state, folder / STATE_NAME
    if checkpoint.exists():
        state.load(checkpoint)
        log.info("resumed from step %d", state.step)
    if state.step >= run.steps:  # finished before; perhaps it was stopped before it could export
        trainer.export(folder)
        return trainer.evaluate()
    record = RunLog(folder, first_step=state.step)
    started, first = time.monotonic(), state.step
    evaluation: dict[str, float] = {}
    try:
        for batch in batches(state.step, run.steps):
            terms = trainer.step(batch)
            _require_finite(terms, state.step, checkpoint)
            state.step += 1
            is_last = state.step == run.steps
            if state.step % run.log_every == 0 or is_last:
                speed = (state.step - first) / (time.monotonic() - started)
                record.scalars(state.step, {**terms, "speed/steps_per_second": speed})
            if state.step % run.evaluate_every == 0 or is_last:
                evaluation = trainer.evaluate()
                record.scalars(state.step, evaluation)
                if (sheet := trainer.sheet()) is not None:
                    record.sheet(state.step, sheet)
                _keep_best(trainer, folder, evaluation)
            if state.step % run.save_every == 0 or is_last:
                state.save(checkpoint)
                trainer.export(folder)
            if on_progress is not None:
                on_progress(
                    Progress(step=state.step, steps=run.steps, terms={**terms, **evaluation})
                )
    finally:
        record.close()
    return evaluation


def _keep_best(trainer: Trainer, folder: Path, evaluation: dict[str, float]) -> None:
    """Keep the weights for use that did best on the held-out speakers, if the trainer scores."""
    if SCORE not in evaluation:
        return
    note = folder / BEST_FOLDER / "best.json"
    if note.exists():
        best = json.loads(note.read_text(encoding="utf-8"))
        if best[SCORE] >= evaluation[SCORE]:
            return
    make_run_folder(note.parent)
    trainer.export(note.parent)
    temporary = note.with_name(".best.json.part")
    text = json.dumps({"step": trainer.state.step, **evaluation}, indent=2)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(note)


def make_run_folder(folder: Path, recipe: object | None = None) -> None:
    """Make a run folder, and write down in it what is run.

    Args:
        folder: Where; its parents are made too.
        recipe: The run, for ``recipe.json``; the newest one stands there.

    Raises:
        TrainingError: If it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if recipe is not None:
            temporary = folder / ".recipe.json.part"
            temporary.write_text(json.dumps(to_record(recipe), indent=2), encoding="utf-8")
            temporary.replace(folder / "recipe.json")
    except OSError as err:
        raise TrainingError(f"cannot write to the run folder {folder}: {err.strerror}") from err


def _require_finite(terms: dict[str, float], step: int, checkpoint: Path) -> None:
    for name, value in terms.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"{name} became {value} at step {step}; the last checkpoint, {checkpoint}, is "
                f"kept: lower the learning rate or look at that batch"
            )


def set_learning_rate(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig, *, step: int, steps: int
) -> float:
    """Set the rate of a step: constant, or half a cosine down to the final rate.

    Args:
        optimizer: Whose rate.
        config: First and final rate.
        step: Steps taken so far.
        steps: Steps in all.

    Returns:
        The rate.
    """
    rate = config.learning_rate
    if config.final_learning_rate is not None:
        share = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
        rate = config.final_learning_rate + share * (rate - config.final_learning_rate)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate
