"""``lipwright export``: turn trained weights into a model that sync can use."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lipwright.conversion.export import export_onnx, export_released

Format = Literal["onnx", "released"]


def export_command(
    weights: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    format: Format = "onnx",  # noqa: A002 - the flag is called so
    speech_gain: float = 1.0,
) -> None:
    """Turn trained weights into a model that sync can use.

    Parameters
    ----------
    weights:
        What training wrote.
    out:
        File to write: .onnx, or .pth in the released layout.
    format:
        onnx for lipwright sync; released for the released Wav2Lip code, which can load weights of
        the released architecture only.
    speech_gain:
        How much further than trained speech moves the mouth of a compact generator.
    """
    if format == "released":
        meta = export_released(weights, out)
        print(f"{out}: {meta.kind} in the released layout, colours in BGR")
        if meta.kind == "generator" and meta.alignment == "centred":
            print(
                "its windows of speech are centred on the frame; the released code shows it speech "
                "75 ms later: delay the sound by that much, or expect early lips"
            )
        return
    difference = export_onnx(weights, out, speech_gain=speech_gain)
    print(f"{out}: agrees with torch to {difference:.1e}")
