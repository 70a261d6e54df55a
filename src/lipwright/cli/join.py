"""``lipwright join``: put the two parts of an articulated generator together."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lipwright.conversion.join import join_generator


def join_command(
    hearing: Path, drawing: Path, *, out: Annotated[Path, Parameter(name=["--out", "-o"])]
) -> None:
    """Put the two parts of a generator together.

    Parameters
    ----------
    hearing:
        Weights that lipwright train hearing wrote.
    drawing:
        Weights that lipwright train drawing wrote.
    out:
        Weights of the generator to write: a .safetensors file.
    """
    meta = join_generator(hearing, drawing, out)
    print(f"{out}: faces of {meta.config['resolution']} px, {meta.config['columns']} mel columns")
