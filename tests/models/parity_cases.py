"""The networks under test, with golden weights, seeded inputs and every engine that runs them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from golden_weights import Arrays, even, golden_weights
from numpy.typing import NDArray
from plain_reference import DISCRIMINATOR, EXPERT, GENERATORS, Parts, draw, embed, judge, shapes
from torch import nn

from lipwright.checkpoints import Metadata, read_onnx
from lipwright.checkpoints.weights import Kind
from lipwright.conversion.export import export_onnx
from lipwright.conversion.quantise import Quantised, quantise
from lipwright.inference import OpenVinoGenerator
from lipwright.inference.backend import Precision
from lipwright.models.build import Options, build_network, save_network

BATCH = 5  # rows at a time: enough to be quick, few enough for the memory of 288 px
HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16"}
Outputs = tuple[NDArray[np.floating], ...]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network."""

    name: str
    kind: Kind
    architecture: str
    options: Options = field(default_factory=dict)
    resolution: int = 96
    tables: Parts | None = None
    """Of the plain reference; None for Lipwright's own networks, which have none."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a network is given."""

    mel: NDArray[np.float32]
    """``(B, 1, 80, 16)`` in [-4, 4]."""
    pixels: NDArray[np.uint8]
    """``(B, C, H, W)``: 6 channels for a generator, 15 for an expert, 3 for a discriminator."""
    faces: NDArray[np.float32]
    """The same in [0, 1]; a generator's target without its lower half."""


CASES = {
    case.name: case
    for case in (
        Case(
            name="generator 96",
            kind="generator",
            architecture="wav2lip",
            tables=GENERATORS["96"],
        ),
        Case(
            name="generator 256",
            kind="generator",
            architecture="wav2lip",
            options={"resolution": 256},
            resolution=256,
            tables=GENERATORS["256"],
        ),
        Case(
            name="generator 288",
            kind="generator",
            architecture="wav2lip",
            options={"resolution": 288},
            resolution=288,
            tables=GENERATORS["288"],
        ),
        Case(
            name="generator compressed",
            kind="generator",
            architecture="wav2lip",
            options={"layout": "compressed"},
            tables=GENERATORS["compressed"],
        ),
        Case(name="expert", kind="expert", architecture="wav2lip", tables=EXPERT),
        Case(
            name="discriminator",
            kind="discriminator",
            architecture="wav2lip",
            tables=DISCRIMINATOR,
        ),
        Case(name="compact generator", kind="generator", architecture="compact"),
        Case(name="compact expert", kind="expert", architecture="compact"),
    )
}


def weights_of(case: Case) -> Arrays:
    """Golden weights, under the names and shapes of the reference's tables where it has them."""
    if case.tables is not None:
        return golden_weights(shapes(case.tables))
    state = _fresh(case).state_dict()
    return golden_weights({name: tuple(tensor.shape) for name, tensor in state.items()})


def network_of(case: Case, weights: Arrays) -> nn.Module:
    """Lipwright's network with these weights, all of them and no others, in evaluation mode."""
    network = _fresh(case)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return network.eval()


def inputs_of(case: Case, count: int, *, purpose: str = "inputs") -> Inputs:
    """Seeded by the case's name and what they are for."""
    name = f"{purpose} of {case.name}"
    size = case.resolution
    shape = {"generator": (6, size, size), "expert": (15, size // 2, size)}.get(
        case.kind, (3, size, size)
    )
    mel = even(f"{name}: mel", (count, 1, 80, 16), -4, 4).astype(np.float32)
    pixels = even(f"{name}: pixels", (count, *shape), 0, 256).astype(np.uint8)
    faces = pixels.astype(np.float32)
    if case.kind == "generator":
        faces[:, :3, size // 2 :] = 0
    return Inputs(mel=mel, pixels=pixels, faces=faces / np.float32(255))


def by_reference(case: Case, weights: Arrays, inputs: Inputs) -> Outputs:
    """What the plain float64 tables give; for Lipwright's own, the network itself in float64."""
    if case.tables is None:
        return by_torch(case, network_of(case, weights).double(), inputs)
    if case.kind == "generator":
        return (draw(case.tables, weights, inputs.mel, inputs.faces),)
    if case.kind == "expert":
        return embed(weights, inputs.mel, inputs.faces)
    return (judge(weights, inputs.faces[:, :, None]),)


def by_torch(case: Case, network: nn.Module, inputs: Inputs) -> Outputs:
    """Torch, in the precision of the network's weights."""
    kind = next(network.parameters()).dtype
    mel, faces = (torch.from_numpy(rows).to(kind) for rows in (inputs.mel, inputs.faces))
    rows = []
    with torch.no_grad():
        for start in range(0, len(mel), BATCH):
            part = slice(start, start + BATCH)
            if case.kind == "discriminator":
                rows.append((network(faces[part, :, None]),))
            else:
                drawn = network(mel[part], faces[part])
                rows.append(drawn if isinstance(drawn, tuple) else (drawn,))
    return tuple(torch.cat(column).numpy() for column in zip(*rows, strict=True))


def exported(case: Case, weights: Arrays, folder: Path) -> Path:
    """The ONNX file that Lipwright makes of a weights file."""
    stem = case.name.replace(" ", "_")
    path, out = folder / f"{stem}.safetensors", folder / f"{stem}.onnx"
    meta = Metadata(kind=case.kind, architecture=case.architecture, config=case.options)
    save_network(network_of(case, weights), path, meta)
    export_onnx(path, out)
    return out


def by_openvino(case: Case, path: Path, inputs: Inputs, precision: Precision) -> Outputs:
    """OpenVINO: a generator as the pipeline runs it, an expert compiled here."""
    if case.kind != "generator":
        return by_graph(compiled(read_onnx(path)[0], HINTS[precision]), inputs)
    generator = OpenVinoGenerator(path, precision=precision)
    targets, references = (
        rows.transpose(0, 2, 3, 1) for rows in np.split(inputs.pixels, 2, axis=1)
    )
    rows = [
        generator.draw(targets[part], references[part], inputs.mel[part])
        for part in (slice(start, start + BATCH) for start in range(0, len(targets), BATCH))
    ]
    return (np.concatenate(rows).transpose(0, 3, 1, 2),)


def quantised(case: Case, path: Path, *, num_calibration: int, num_checks: int) -> Quantised:
    """The exported graph in int8, made and checked on other inputs of the same distribution."""
    sample = inputs_of(case, num_calibration, purpose="calibration")
    checks = inputs_of(case, num_checks, purpose="checks")
    return quantise(
        read_onnx(path)[0],
        {"mel": sample.mel, "faces": sample.faces},
        checks={"mel": checks.mel, "faces": checks.faces},
    )


def compiled(model: ov.Model, hint: str) -> ov.CompiledModel:
    """For the CPU, with arithmetic of this precision where nothing is quantised."""
    return ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})


def by_graph(network: ov.CompiledModel, inputs: Inputs) -> Outputs:
    """A compiled graph."""
    rows = []
    for start in range(0, len(inputs.mel), BATCH):
        part = slice(start, start + BATCH)
        results = network({"mel": inputs.mel[part], "faces": inputs.faces[part]})
        rows.append([results[port].copy() for port in network.outputs])
    return tuple(np.concatenate(column) for column in zip(*rows, strict=True))


def largest_difference(found: Outputs, expected: Outputs) -> float:
    """Of any value of any output; NaN if one is not a number."""
    differences = [
        np.abs(a.astype(np.float64) - b).max() for a, b in zip(found, expected, strict=True)
    ]
    return float(np.max(differences))


def _fresh(case: Case) -> nn.Module:
    return build_network(case.kind, case.architecture, case.options)
