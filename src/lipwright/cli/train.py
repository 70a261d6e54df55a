"""``lipwright train``: train an expert or a generator from a recipe."""

import logging
from pathlib import Path
from typing import Annotated, Protocol

from cyclopts import App, Parameter

from lipwright.cli.progress import bars
from lipwright.training.drawing import DrawingRecipe, DrawingTrainer
from lipwright.training.expert import ExpertTrainer
from lipwright.training.generator import GeneratorTrainer
from lipwright.training.hearing import HearingRecipe, HearingTrainer
from lipwright.training.landmarks import LandmarkRecipe, LandmarkTrainer
from lipwright.training.loop import Progress, Trainer, make_run_folder, train
from lipwright.training.recipe import (
    ExpertRecipe,
    GeneratorRecipe,
    RunConfig,
    load_recipe,
)
from lipwright.training.windows import WindowSource, load_batches


class _WithWindows(Trainer, Protocol):
    """A trainer that says where its batches come from."""

    @property
    def windows(self) -> WindowSource:
        """Makes the batches."""
        ...


train_app = App(
    name="train", help="Train an expert, a generator or a part of one, or a landmark network."
)

Out = Annotated[Path, Parameter(name=["--out", "-o"])]


@train_app.command(name="expert")
def expert_command(recipe: Path, *, out: Out, verbose: bool = False) -> None:
    """Train a lip-sync expert; goes on where an earlier run in the same folder stopped.

    Parameters
    ----------
    recipe:
        TOML file; see the folder recipes.
    out:
        Run folder: checkpoint, weights, metrics, curves for TensorBoard.
    verbose:
        Print every measurement.
    """
    loaded = load_recipe(recipe, ExpertRecipe)
    make_run_folder(out, loaded)
    _run(
        ExpertTrainer(loaded), run=loaded.run, workers=loaded.data.workers, out=out, verbose=verbose
    )


@train_app.command(name="generator")
def generator_command(recipe: Path, *, out: Out, verbose: bool = False) -> None:
    """Train a generator; goes on where an earlier run in the same folder stopped.

    Parameters
    ----------
    recipe:
        TOML file; see the folder recipes.
    out:
        Run folder: checkpoint, weights, metrics, curves for TensorBoard, sheets.
    verbose:
        Print every measurement.
    """
    loaded = load_recipe(recipe, GeneratorRecipe)
    make_run_folder(out, loaded)
    _run(
        GeneratorTrainer(loaded),
        run=loaded.run,
        workers=loaded.data.workers,
        out=out,
        verbose=verbose,
    )


@train_app.command(name="hearing")
def hearing_command(recipe: Path, *, out: Out, verbose: bool = False) -> None:
    """Train the part of a generator that hears; goes on where an earlier run stopped.

    Parameters
    ----------
    recipe:
        TOML file; see the folder recipes.
    out:
        Run folder: checkpoint, weights, metrics, curves for TensorBoard.
    verbose:
        Print every measurement.
    """
    loaded = load_recipe(recipe, HearingRecipe)
    make_run_folder(out, loaded)
    _run(
        HearingTrainer(loaded),
        run=loaded.run,
        workers=loaded.data.workers,
        out=out,
        verbose=verbose,
    )


@train_app.command(name="drawing")
def drawing_command(recipe: Path, *, out: Out, verbose: bool = False) -> None:
    """Train the part of a generator that draws; goes on where an earlier run stopped.

    Parameters
    ----------
    recipe:
        TOML file; see the folder recipes.
    out:
        Run folder: checkpoint, weights, metrics, curves for TensorBoard, sheets.
    verbose:
        Print every measurement.
    """
    loaded = load_recipe(recipe, DrawingRecipe)
    make_run_folder(out, loaded)
    _run(
        DrawingTrainer(loaded),
        run=loaded.run,
        workers=loaded.data.workers,
        out=out,
        verbose=verbose,
    )


@train_app.command(name="landmarks")
def landmarks_command(recipe: Path, *, out: Out, verbose: bool = False) -> None:
    """Train a landmark network; goes on where an earlier run in the same folder stopped.

    Parameters
    ----------
    recipe:
        TOML file; see the folder recipes.
    out:
        Run folder: checkpoint, weights, metrics, curves for TensorBoard, sheets.
    verbose:
        Print every measurement.
    """
    loaded = load_recipe(recipe, LandmarkRecipe)
    make_run_folder(out, loaded)
    _run(LandmarkTrainer(loaded), run=loaded.run, workers=loaded.workers, out=out, verbose=verbose)


def _run(
    trainer: _WithWindows,
    *,
    run: RunConfig,
    workers: int,
    out: Path,
    verbose: bool,
) -> None:
    if verbose:
        logging.getLogger("lipwright").setLevel(logging.INFO)
    with bars() as advance:

        def show(progress: Progress) -> None:
            advance("training", progress.step, progress.steps)

        evaluation = train(
            trainer,
            lambda first, end: load_batches(
                trainer.windows, first=first, end=end, num_workers=workers
            ),
            run=run,
            folder=out,
            on_progress=show,
        )
    for name, value in evaluation.items():
        print(f"{name}: {value:.4f}")
    print(f"run folder: {out}")
