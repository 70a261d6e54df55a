"""``lipwright models``: list the models that can be used, and fetch those that lie elsewhere."""

from pathlib import Path
from textwrap import wrap

from cyclopts import App
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from lipwright.checkpoints import available_models, pull_model

_WIDE = 72  # columns of a terminal from which on only licence and origin are ever folded
_NAME_WIDTH = 20  # letters of a name on one line

models_app = App(name="models", help="List the models that can be used, or fetch one.")


@models_app.default
def models_command() -> None:
    """List the models that can be used."""
    console = Console()
    entries = available_models()
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("name", "kind", "px", "MB", "licence", "from", "disk"):
        is_whole = console.width >= _WIDE and heading not in ("licence", "from")
        is_number = heading in ("px", "MB")
        table.add_column(
            heading,
            overflow="fold",
            no_wrap=is_whole,
            justify="right" if is_number else "left",
        )
    for entry in entries:
        table.add_row(
            "\n".join(wrap(entry.name, _NAME_WIDTH)),
            entry.kind,
            str(entry.resolution),
            _megabytes(entry.num_bytes),
            entry.licence,
            entry.origin or entry.source,
            "yes" if entry.is_on_disk else "no",
        )
    console.print(table)
    if not all(entry.is_on_disk for entry in entries):
        console.print("fetch one: lipwright models pull NAME", highlight=False)


@models_app.command(name="pull")
def pull_command(
    name: str, *, accept_licence: str | None = None, catalogue: Path | None = None
) -> None:
    """Fetch a model; goes on where an earlier try stopped, and checks what came.

    Parameters
    ----------
    name:
        Name of the model in the catalogue.
    accept_licence:
        Say that your use is within this licence of the model, for example research-only; asked
        once, for licences that do not permit every use.
    catalogue:
        TOML file that describes the model; by default models.toml in Lipwright's home.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:

        def show(done: int, total: int | None) -> None:
            if not bar.tasks:  # now, so that the speed is of what comes, not of what was there
                bar.add_task(name, completed=done, total=total)
            bar.update(bar.task_ids[0], completed=done, total=total)

        entry = pull_model(
            name, accept_licence=accept_licence, catalogue=catalogue, on_progress=show
        )
    print(f"{entry.path}: {_megabytes(entry.num_bytes)} MB, {entry.licence}, SHA-256 as expected")


def _megabytes(num_bytes: int | None) -> str:
    return "?" if num_bytes is None else f"{num_bytes / 1e6:.1f}"
