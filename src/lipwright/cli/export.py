"""``lipwright export``: turn trained weights into a model that sync can use."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lipwright.checkpoints import read_metadata
from lipwright.conversion.export import export_onnx, export_released
from lipwright.conversion.quantise import export_int8
from lipwright.corpus.calibration import GeneratorInputs
from lipwright.errors import ConfigError
from lipwright.models.build import resolution_of
from lipwright.speech import WINDOW_LENGTH

Format = Literal["onnx", "released"]
Precision = Literal["fp32", "int8"]


def export_command(
    weights: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    format: Format = "onnx",  # noqa: A002 - the flag is called so
    speech_gain: float = 1.0,
    precision: Precision = "fp32",
    calibrate: Path | None = None,
) -> None:
    """Turn trained weights into a model that sync can use.

    Parameters
    ----------
    weights:
        What training wrote.
    out:
        File to write: .onnx, .xml (with .bin beside it) in int8, or .pth in the released layout.
    format:
        onnx for lipwright sync; released for the released Wav2Lip code, which can load weights of
        the released architecture only.
    speech_gain:
        How much further than trained speech moves the mouth of an articulated or a compact
        generator.
    precision:
        int8 is faster on CPUs that have VNNI or AMX; it is refused where it would change the
        picture by more than five steps of 255.
    calibrate:
        Corpus that lipwright prepare wrote, whose train split shows what a generator's values are
        like: for int8.
    """
    if (precision == "int8") != (calibrate is not None) or (calibrate and format == "released"):
        raise ConfigError(
            "--precision int8 and --calibrate CORPUS_FOLDER (what lipwright prepare wrote) need "
            "each other, and the format onnx"
        )
    if calibrate is not None:
        _export_int8(weights, out, corpus=calibrate, speech_gain=speech_gain)
    elif format == "released":
        meta = export_released(weights, out)
        print(f"{out}: {meta.kind} in the released layout, colours in BGR")
        if meta.kind == "generator" and meta.alignment == "centred":
            print(
                "its windows of speech are centred on the frame; the released code shows it speech "
                "75 ms later: delay the sound by that much, or expect early lips"
            )
    else:
        difference = export_onnx(weights, out, speech_gain=speech_gain)
        print(f"{out}: agrees with torch to {difference:.1e}")


def _export_int8(weights: Path, out: Path, *, corpus: Path, speech_gain: float) -> None:
    meta = read_metadata(weights)
    if meta.kind != "generator":
        raise ConfigError(f"{weights} holds a {meta.kind}; only generators are exported in int8")
    inputs = GeneratorInputs(
        corpus,
        resolution=resolution_of(meta.config),
        alignment=meta.alignment,
        columns=int(meta.config.get("columns", WINDOW_LENGTH)),
        is_bgr=meta.channel_order == "bgr",
    )
    calibration, checks = inputs.calibration_and_checks()
    done = export_int8(
        weights, out, calibration=calibration, checks=checks, speech_gain=speech_gain
    )
    print(f"{out}: within {done.difference:.1e} of fp32 on {len(checks['mel'])} inputs")
    print(
        f"int8: {done.int8_share:.0%} of the multiply-adds; {len(done.in_full)} layers stay fp32: "
        f"{', '.join(done.in_full)}"
    )
