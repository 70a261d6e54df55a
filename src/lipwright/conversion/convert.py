"""From the files that people own to ours: recognised, described, and ready for the runtime."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import openvino as ov

from lipwright.checkpoints import Metadata, openvino_core, read_onnx, write_weights
from lipwright.checkpoints.containers import Container, read_container
from lipwright.conversion.export import TOLERANCE, export_onnx, write_metadata
from lipwright.conversion.recognise import KnownNetwork, recognise
from lipwright.errors import CheckpointError
from lipwright.speech import NUM_MELS, WINDOW_LENGTH, Alignment

RESEARCH_ONLY = "research-only"
# What the known forks call the speech and the faces in their ONNX files.
_SPEECH_NAMES = ("mel", "mel_spectrogram", "source", "audio", "audio_sequences")
_FACES_NAMES = ("faces", "video_frames", "target", "face_sequences")


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """What a conversion found and wrote."""

    title: str
    """Which network, in words."""
    form: str
    """Which container it was in."""
    metadata: Metadata
    """What the written files say of themselves."""
    weights: Path | None
    """The safetensors file; none for ONNX input, whose weights have lost their names."""
    onnx: Path | None
    """The ONNX file; none for a discriminator, which nothing runs."""
    difference: float | None
    """Largest difference between the network and the written graph on random inputs."""


def convert(
    source: Path,
    out: Path,
    *,
    licence: str = RESEARCH_ONLY,
    alignment: Alignment = "trained",
) -> Conversion:
    """Convert a checkpoint; nothing in it is executed.

    Args:
        source: A pickle (old or zip format), a TorchScript archive, safetensors, or ONNX.
        out: Where to: ``out`` with the suffixes ``.safetensors`` and ``.onnx``.
        licence: Of the weights; those that the paper's authors released are for research only.
        alignment: Which stretch of speech a frame is drawn from, see ``speech.aligned_starts``.

    Returns:
        What was found and written.

    Raises:
        CheckpointError: If the file is damaged, tries to run something, or holds another network.
    """
    weights, graph = (out.with_name(out.name + suffix) for suffix in (".safetensors", ".onnx"))
    if not out.parent.is_dir():
        raise CheckpointError(f"cannot write {str(graph)!r}: its folder is missing")
    if any(path.exists() and path.samefile(source) for path in (weights, graph)):
        raise CheckpointError(f"{source} would be overwritten; give --out another name")
    if source.suffix.lower() == ".onnx":
        return _convert_onnx(source, graph, licence=licence, alignment=alignment)
    container = read_container(source)
    try:
        known, tensors = recognise(container.tensors)
    except CheckpointError as err:
        raise CheckpointError(f"{source} ({container.form}) holds {err}") from err
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"{source} is not usable: {name!r} holds NaN or infinite values")
    meta = _describe(known, container, source, licence=licence, alignment=alignment)
    write_weights(weights, tensors, meta)
    is_run = known.kind in ("generator", "expert")
    return Conversion(
        title=known.title,
        form=container.form,
        metadata=meta,
        weights=weights,
        onnx=graph if is_run else None,
        difference=export_onnx(weights, graph) if is_run else None,
    )


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        CheckpointError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise CheckpointError(f"cannot read {str(path)!r}: {err.strerror}") from err


def _describe(
    known: KnownNetwork,
    container: Container,
    source: Path,
    *,
    licence: str,
    alignment: Alignment,
) -> Metadata:
    return Metadata(
        kind=known.kind,
        architecture=known.architecture,
        config=known.options,
        step=container.step or 0,
        licence=licence,
        training_data="not stated in the file",
        channel_order="bgr",
        alignment=alignment,
        crop="released",
        mel=known.front_end,
        notes={
            "converted_from": source.name,
            "container": container.form,
            "sha256": sha256(source),
        },
    )


def _convert_onnx(source: Path, graph: Path, *, licence: str, alignment: Alignment) -> Conversion:
    model, _ = read_onnx(source)
    speech, faces, drawn, resolution = _ports(model, source)
    program = onnx.load(source)
    _rename(program, {speech: "mel", faces: "faces", drawn: "drawn"})
    meta = Metadata(
        kind="generator",
        architecture="onnx",
        config={"resolution": resolution},
        licence=licence,
        training_data="not stated in the file",
        channel_order="bgr",
        alignment=alignment,
        crop="released",
        notes={"converted_from": source.name, "container": "ONNX", "sha256": sha256(source)},
    )
    write_metadata(program, meta, resolution=resolution)
    temporary = graph.with_name(f".{graph.name}.part")
    try:
        onnx.save(program, temporary)
        difference = _difference(model, temporary, (speech, faces, drawn), resolution)
        temporary.replace(graph)
    except OSError as err:
        raise CheckpointError(f"cannot write {graph}: {err}") from err
    finally:
        temporary.unlink(missing_ok=True)
    return Conversion(
        title=f"ONNX generator, {resolution} px ({speech}, {faces})",
        form="ONNX",
        metadata=meta,
        weights=None,
        onnx=graph,
        difference=difference,
    )


def _difference(
    source: ov.Model, renamed: Path, names: tuple[str, str, str], resolution: int
) -> float:
    """Largest difference between a graph and its renamed copy, on one random input."""
    rng = np.random.default_rng(0)
    mel = rng.uniform(-4, 4, (1, 1, NUM_MELS, WINDOW_LENGTH)).astype(np.float32)
    faces = rng.random((1, 6, resolution, resolution), dtype=np.float32)
    drawn = []
    for model, (a, b, c) in ((source, names), (read_onnx(renamed)[0], ("mel", "faces", "drawn"))):
        network = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        drawn.append(network({a: mel, b: faces})[c])
    difference = float(np.abs(drawn[0] - drawn[1]).max())
    if not difference <= TOLERANCE:
        raise CheckpointError(
            f"the graph draws something else under Lipwright's names (difference "
            f"{difference:.2e}): it uses one of them inside; export it again with other names"
        )
    return difference


def _ports(model: ov.Model, source: Path) -> tuple[str, str, str, int]:
    """Names of the speech, the faces and what is drawn, and the faces' size."""
    shapes = {port.get_any_name(): port.partial_shape for port in model.inputs}
    speech = [n for n, s in shapes.items() if _fits(s, (None, 1, NUM_MELS, WINDOW_LENGTH))]
    faces = [n for n, s in shapes.items() if _fits(s, (None, 6, None, None))]
    if len(model.inputs) != 2 or len(speech) != 1 or len(faces) != 1:
        described = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise CheckpointError(
            f"{source} is not a Wav2Lip generator: it takes {described or 'nothing'}; expected "
            f"speech (B, 1, {NUM_MELS}, {WINDOW_LENGTH}) and faces (B, 6, R, R), as the known "
            f"forks export them ({', '.join(_SPEECH_NAMES)}; {', '.join(_FACES_NAMES)})"
        )
    height, width = shapes[faces[0]][2], shapes[faces[0]][3]
    if height.is_dynamic or height != width:
        raise CheckpointError(
            f"{source} takes faces of any size ({shapes[faces[0]]}); export it for one square size"
        )
    resolution = int(height.get_length())
    for port in model.outputs:
        if _fits(port.partial_shape, (None, 3, resolution, resolution)):
            return speech[0], faces[0], port.get_any_name(), resolution
    raise CheckpointError(f"{source} draws no faces of {resolution} px; it is another network")


def _fits(shape: ov.PartialShape, wanted: tuple[int | None, ...]) -> bool:
    if shape.rank.is_dynamic or len(shape) != len(wanted):
        return False
    return all(
        w is None or (d.is_static and d.get_length() == w)
        for d, w in zip(shape, wanted, strict=True)
    )


def _rename(program: onnx.ModelProto, names: dict[str, str]) -> None:
    """Give values of a graph other names, wherever they are used."""
    graph = program.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
