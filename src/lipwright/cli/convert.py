"""``lipwright convert``: bring a checkpoint of the Wav2Lip family into Lipwright's form."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lipwright.checkpoints import (
    models_folder,
    read_onnx_metadata,
    register_model,
    require_free_name,
)
from lipwright.conversion.convert import RESEARCH_ONLY, convert
from lipwright.models.build import resolution_of
from lipwright.speech import Alignment

_USES = {
    "generator": "lipwright sync FACE SPEECH -o OUT.mp4 --model",
    "expert": "lipwright evaluate PAIRS --to REPORT --expert",
    "judge": "lipwright evaluate PAIRS --to REPORT --syncnet",
}


def convert_command(
    file: Path,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    licence: str = RESEARCH_ONLY,
    alignment: Alignment = "trained",
) -> None:
    """Bring a checkpoint of the Wav2Lip family into Lipwright's form.

    Parameters
    ----------
    file:
        A checkpoint: pickle (.pth, old or zip format), TorchScript archive (.pt), safetensors or
        ONNX.
    out:
        Where to write, without suffix. By default, the models folder, so that the model can be
        asked for by the file's name.
    licence:
        Of the weights. Those that the authors of Wav2Lip released are for research only.
    alignment:
        Which speech a frame is drawn from: trained (as the released code trains), released (as
        it renders: 40 ms later) or centred.
    """
    stem = out or models_folder() / file.stem
    if out is None:
        require_free_name(file.stem)
        stem.parent.mkdir(parents=True, exist_ok=True)
    done = convert(file, stem, licence=licence, alignment=alignment)
    print(f"{file}: {done.title}, from a {done.form}; licence {licence}")
    for path in (done.weights, done.onnx):
        if path is not None:
            print(f"wrote {path}")
    if done.difference is not None:
        print(f"the graph agrees with the weights to {done.difference:.1e}")
    if out is None and done.onnx is not None:
        kind = read_onnx_metadata(done.onnx)["kind"]
        entry = register_model(
            done.onnx,
            name=file.stem,
            kind=kind,
            resolution=resolution_of(done.metadata.config),
            licence=licence,
            origin=file.name,
        )
        print(f"use it: {_USES[kind]} {entry.name}")
