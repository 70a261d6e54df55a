"""The bar that is drawn while something long runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars


class Advance(Protocol):
    """Moves the bar."""

    def __call__(self, label: str, done: int, total: int | None) -> None:
        """Show ``done`` of ``total`` under a label; a new label starts a new bar."""
        ...


@contextmanager
def bars() -> Iterator[Advance]:
    """Draw bars on standard error while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as shown:
        tasks: dict[str, object] = {}

        def advance(label: str, done: int, total: int | None) -> None:
            if label not in tasks:
                tasks[label] = shown.add_task(label, total=total)
            task = next(task for task in shown.tasks if task.id == tasks[label])
            shown.update(task.id, completed=done, total=total)

        yield advance
