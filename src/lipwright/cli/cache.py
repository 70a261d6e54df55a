"""``lipwright cache``: what is kept to make the next job faster, and how to clear it."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich import box
from rich.console import Console
from rich.table import Table

from lipwright.checkpoints.home import home

Clearable = Literal["tracks", "compiled", "verdicts", "converted", "all"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelf:
    """Things of a kind that are kept."""

    title: str
    """What they are."""
    place: str
    """Their folder in Lipwright's home."""
    pattern: str
    """Of the names of the things in it."""
    is_for_all: bool = True
    """Whether ``all`` clears it: what takes no more than a moment to make again."""


SHELVES: dict[str, Shelf] = {
    "tracks": Shelf(title="where faces are in videos", place="tracks", pattern="*.npz"),
    "compiled": Shelf(title="compiled networks", place="cache/compiled", pattern="*"),
    "verdicts": Shelf(title="verdicts on precision", place="cache/parity", pattern="*.json"),
    "converted": Shelf(
        title="converted models", place="converted", pattern="*.onnx", is_for_all=False
    ),
}

cache_app = App(name="cache", help="Show what is kept to make the next job faster, or clear it.")


@cache_app.default
def cache_command() -> None:
    """Show what is kept, how much it is, and where."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("name", "what", "number", "MB", "folder"):
        is_number = heading in ("number", "MB")
        table.add_column(
            heading,
            overflow="fold",
            no_wrap=heading not in ("what", "folder"),
            justify="right" if is_number else "left",
        )
    for name, shelf in SHELVES.items():
        folder = home() / shelf.place
        table.add_row(name, shelf.title, *_amounts(folder, shelf.pattern), str(folder))
    console = Console()
    console.print(table)
    console.print("clear it: lipwright cache clear NAME", highlight=False)


@cache_app.command(name="clear")
def clear_command(what: Annotated[Clearable, Parameter(show_default=True)] = "all") -> None:
    """Remove what is kept; it is made again when it is needed.

    Parameters
    ----------
    what:
        What to remove. Converted models take long to make again and are no part of all: they go
        only by their name. Models that were pulled are never removed.
    """
    for name, shelf in SHELVES.items():
        if what == name or (what == "all" and shelf.is_for_all):
            folder = home() / shelf.place
            number, megabytes = _amounts(folder, shelf.pattern)
            shutil.rmtree(folder, ignore_errors=True)  # a job may be writing or removing in it
            print(f"{name}: {number} removed, {megabytes} MB")


def _amounts(folder: Path, pattern: str) -> tuple[str, str]:
    """How many things are in a folder, and how many megabytes all its files have."""
    number = sum(1 for _ in folder.glob(pattern)) if folder.is_dir() else 0
    return str(number), f"{sum(_sizes(folder)) / 1e6:.1f}"


def _sizes(folder: Path) -> Iterator[int]:
    for file in folder.rglob("*"):
        with suppress(OSError):  # a job may have removed it
            if file.is_file():
                yield file.stat().st_size
