"""``lipwright join``: put the two parts of an articulated generator together."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lipwright.conversion.join import join_generator
from lipwright.errors import ConfigError


def join_command(
    hearing: Path, *drawings: Path, out: Annotated[Path, Parameter(name=["--out", "-o"])]
) -> None:
    """Put the two parts of a generator together.

    Parameters
    ----------
    hearing:
        Weights that lipwright train hearing wrote.
    drawings:
        Weights that lipwright train drawing wrote; of several runs that began alike, the mean.
    out:
        Weights of the generator to write: a .safetensors file.
    """
    if not drawings:
        raise ConfigError("give the weights of a part that draws, too")
    meta = join_generator(hearing, drawings, out)
    print(f"{out}: faces of {meta.config['resolution']} px, {meta.config['columns']} mel columns")
