"""``lipwright export``: turn trained weights into a model that sync can use."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lipwright.training.export import export_onnx


def export_command(
    weights: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    speech_gain: float = 1.0,
) -> None:
    """Turn trained weights into a model that sync can use.

    Parameters
    ----------
    weights:
        What training wrote.
    out:
        ONNX file to write.
    speech_gain:
        How much further than trained speech moves the mouth of a compact generator.
    """
    difference = export_onnx(weights, out, speech_gain=speech_gain)
    print(f"{out}: agrees with torch to {difference:.1e}")
