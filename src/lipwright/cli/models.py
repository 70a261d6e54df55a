"""``lipwright models``: list the models that can be used."""

from rich.console import Console
from rich.table import Table

from lipwright.checkpoints import available_models


def models_command() -> None:
    """List the models that can be used."""
    table = Table("name", "kind", "licence", "size", "file")
    for entry in available_models():
        is_there = entry.path.is_file()
        size = f"{entry.path.stat().st_size / 1e6:.1f} MB" if is_there else "missing"
        table.add_row(entry.name, entry.kind, entry.licence, size, entry.file)
    Console().print(table)
