"""From weights to an ONNX file that the torch-free runtime reads, or to the released layout."""

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from lipwright.checkpoints import Metadata, openvino_core, read_metadata
from lipwright.errors import CheckpointError, ConfigError, require
from lipwright.models.articulated import ArticulatedGenerator
from lipwright.models.blocks import ModulatedResidual
from lipwright.models.build import load_network, resolution_of
from lipwright.models.compact import CompactGenerator
from lipwright.models.motion_expert import MotionExpert
from lipwright.speech import NUM_MELS, SILENCE, WINDOW_LENGTH
from lipwright.speech.mfcc import CEPSTRA_LENGTH, NUM_CEPSTRA

require("onnxscript", extra="train")

OPSET = 18
# Of any output value, between torch and the exported graph; where the largest is above 1, of that.
TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ports:
    """What a graph takes and gives."""

    kind: str
    """What the runtime knows it as."""
    inputs: tuple[str, ...] = ("mel", "faces")
    outputs: tuple[str, ...]
    speech: tuple[int, ...] = (1, NUM_MELS, WINDOW_LENGTH)
    """Shape of one speech, the first of two inputs."""
    faces: Callable[[int], tuple[int, ...]]
    """Shape of one input of faces, from their resolution."""
    loudest: float = 4.0
    """Speech is from -loudest to loudest."""
    brightest: float = 1.0
    """Faces are from 0 to brightest."""
    with_halves: bool = False
    """Whether large weights are stored as float16; they are computed with as float32."""
    tolerance: float = TOLERANCE
    """Of any output value, between torch and the exported graph."""


# By architecture, else by kind.
_PORTS = {
    "generator": _Ports(kind="generator", outputs=("drawn",), faces=lambda r: (6, r, r)),
    # It moves pixels: on inputs of noise, a millionth of the side makes a difference of 1e-4.
    "articulated": _Ports(
        kind="generator",
        inputs=("mel", "faces", "amplitude"),
        outputs=("drawn", "landmarks"),
        faces=lambda r: (6, r, r),
        tolerance=1e-3,
    ),
    "expert": _Ports(kind="expert", outputs=("speech", "lips"), faces=lambda r: (15, r // 2, r)),
    # Its inputs are others than an expert's, so whoever looks for an expert must not take it.
    "syncnet-v2": _Ports(
        kind="judge",
        inputs=("mfcc", "faces"),
        outputs=("speech", "lips"),
        speech=(1, NUM_CEPSTRA, CEPSTRA_LENGTH),
        faces=lambda r: (3, 5, r, r),
        loudest=20.0,
        brightest=255.0,
    ),
    "motion": _Ports(  # its shapes are those of its config: see :func:`_of_window`
        kind="expert",
        inputs=("mel", "motion"),
        outputs=("speech", "lips"),
        faces=lambda _r: (),
        with_halves=True,
        tolerance=5e-3,
    ),
    "landmarks": _Ports(
        kind="landmarks",
        inputs=("faces",),
        outputs=("points", "pose"),
        faces=lambda r: (3, r, r),
        with_halves=True,
        tolerance=5e-4,  # of the picture's side: 0.06 pixels of 128
    ),
}


def export_onnx(weights: Path, out: Path, *, speech_gain: float = 1.0) -> float:
    """Export a network for use, and check that OpenVINO computes the same.

    Args:
        weights: What training wrote.
        out: ONNX file to write; its inputs are ``mel`` and ``faces``, of any batch size. Of a
            SyncNet v2 they are ``mfcc`` and ``faces``, and its kind is ``judge``; a landmark
            network takes ``faces`` alone.
        speech_gain: How much further than trained speech moves a compact generator's mouth away
            from rest; see :func:`amplify_speech`.

    Returns:
        The largest difference between torch and OpenVINO on random inputs of several batch sizes.

    Raises:
        CheckpointError: If the weights are damaged or of a network that is only used in training,
            the file cannot be written, or the exported graph computes something else.
        ConfigError: If the gain is not positive, or the network has none.
    """
    _require_place(out, ".onnx")
    kind = read_metadata(weights).kind
    if kind not in _PORTS:
        raise CheckpointError(f"{weights} holds a {kind}; it has no form for use")
    network, meta = load_network(weights, kind=kind)
    if speech_gain != 1.0:
        amplify_speech(network, speech_gain)
    ports, resolution = _ports(meta), resolution_of(meta.config)
    if isinstance(network, ArticulatedGenerator):
        network = _TellingLandmarks(network)
    if isinstance(network, MotionExpert):
        ports = _of_window(ports, network)
    program = _traced(network, ports, resolution)
    if ports.with_halves:
        _store_halves(program)
    write_metadata(program, meta, resolution=resolution, speech_gain=speech_gain)
    temporary = out.with_name(f".{out.name}.part")
    try:
        onnx.save(program, temporary)
        difference = _largest_difference(network, temporary, ports, resolution)
        if not difference <= ports.tolerance:
            raise CheckpointError(
                f"the exported graph of {weights} differs from torch by {difference:.2e}, more "
                f"than {ports.tolerance:.0e}; nothing was written"
            )
        temporary.replace(out)
    except OSError as err:
        raise CheckpointError(f"cannot write {out}: {err}") from err
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def write_metadata(
    program: onnx.ModelProto, meta: Metadata, *, resolution: int, speech_gain: float = 1.0
) -> None:
    """Write into an ONNX network what it is, in the form that the runtime reads.

    Args:
        program: The network; what it said of itself before is kept under other names.
        meta: What it is.
        resolution: Height and width of a face in pixels.
        speech_gain: See :func:`export_onnx`.
    """
    record = {
        "kind": _ports(meta).kind,
        "resolution": str(resolution),
        "channel_order": meta.channel_order,
        "alignment": meta.alignment,
        "crop": meta.crop,
        "licence": meta.licence,
        "training_data": meta.training_data,
        "mel": meta.mel,
        "step": str(meta.step),
        "speech_gain": str(speech_gain),
        "lipwright": json.dumps(asdict(meta)),
    }
    kept = {p.key: p.value for p in program.metadata_props if p.key not in record}
    onnx.helper.set_model_props(program, {**kept, **record})


def export_released(weights: Path, out: Path) -> Metadata:
    """Write a network of the released architecture as the released code reads it.

    The file is a pickle of tensors alone, ``{state_dict, optimizer, global_step, global_epoch}``.
    The released code thinks in BGR: where these weights think in RGB, the first layer's and the
    last one's channels are exchanged, so that the network computes the same.

    Args:
        weights: What training or the converter wrote.
        out: File to write; its name ends in ``.pth``.

    Returns:
        What the weights say of themselves.

    Raises:
        CheckpointError: If the weights are damaged or of another architecture, or the file cannot
            be written.
    """
    _require_place(out, ".pth")
    kind = read_metadata(weights).kind
    network, meta = load_network(weights, kind=kind)
    if meta.architecture != "wav2lip":
        raise CheckpointError(
            f"{weights} holds a {meta.architecture} {kind}, which the released code cannot build; "
            f'only architecture = "wav2lip" can be written in the released layout'
        )
    state = network.state_dict()
    if meta.channel_order == "rgb":
        exchange_colours(state)
    record = {"state_dict": state, "optimizer": None, "global_step": meta.step, "global_epoch": 0}
    temporary = out.with_name(f".{out.name}.part")
    try:
        torch.save(record, temporary)
        temporary.replace(out)
    except (OSError, RuntimeError) as err:  # torch's writer reports a full disk as the latter
        raise CheckpointError(f"cannot write {out}: {err}") from err
    finally:
        temporary.unlink(missing_ok=True)
    return meta


_COLOUR_INPUTS = (
    "face_encoder_blocks.0.0.conv_block.0.weight",  # generator and discriminator
    "face_encoder.0.conv_block.0.weight",  # expert
)
_COLOUR_OUTPUTS = ("output_block.1.weight", "output_block.1.bias")


def exchange_colours(state: dict[str, torch.Tensor]) -> None:
    """Turn weights of the released architecture from RGB to BGR, or back, in place.

    Args:
        state: Name -> tensor.
    """
    for name in _COLOUR_INPUTS:
        if name in state:  # (out, 3 N, k, k)
            state[name] = state[name].unflatten(1, (-1, 3)).flip(2).flatten(1, 2).contiguous()
    for name in _COLOUR_OUTPUTS:
        if name in state:  # (3, in, 1, 1) and (3,)
            state[name] = state[name].flip(0).contiguous()


@torch.no_grad()
def amplify_speech(network: nn.Module, gain: float) -> None:
    """Make speech move the mouth further from rest, in place and at no cost.

    A network trained on few people hedges on others: its mouths move the right way, not far
    enough. Where speech enters (a linear layer of its code c), c becomes c0 + gain (c - c0), with
    c0 the code of silence; so silence looks as before.

    Args:
        network: An articulated or a compact generator in evaluation mode.
        gain: 1 changes nothing.

    Raises:
        ConfigError: If the gain is not positive, or the network is another one.
    """
    if not gain > 0:
        raise ConfigError(f"speech_gain must be above 0, got {gain}")
    if isinstance(network, ArticulatedGenerator):  # nothing is a mouth at rest there
        last = network.hearing.last
        last.weight.mul_(gain)
        last.bias.mul_(gain)
        return
    if not isinstance(network, CompactGenerator):
        raise ConfigError("speech_gain is for articulated and compact generators only")
    silence = torch.full((1, 1, NUM_MELS, WINDOW_LENGTH), SILENCE)
    at_rest = torch.relu(network.speech_encoder(silence))[0]  # (S,)
    for module in network.modules():
        if isinstance(module, ModulatedResidual):
            module.film.bias.add_((1 - gain) * (module.film.weight @ at_rest))
            module.film.weight.mul_(gain)


class _TellingLandmarks(nn.Module):
    """So that whoever knows them can cut off the part of the graph that looks for them."""

    def __init__(self, generator: ArticulatedGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, mel: Tensor, faces: Tensor, amplitude: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`ArticulatedGenerator.with_landmarks`."""
        return self.generator.with_landmarks(mel, faces, amplitude)


def _require_place(out: Path, suffix: str) -> None:
    if out.suffix != suffix:
        raise CheckpointError(f"cannot write {str(out)!r}: its name must end in {suffix}")
    if out.is_dir() or not out.parent.is_dir():
        raise CheckpointError(
            f"cannot write {str(out)!r}: it is a folder, or its folder is missing"
        )


def _ports(meta: Metadata) -> _Ports:
    ports = _PORTS.get(meta.architecture, _PORTS[meta.kind])
    if "columns" in meta.config:
        ports = replace(ports, speech=(1, NUM_MELS, int(meta.config["columns"])))
    return ports


def _of_window(ports: _Ports, expert: MotionExpert) -> _Ports:
    """With the shapes of the window that an expert on landmarks looks at."""
    config = expert.config
    return replace(
        ports,
        speech=(1, NUM_MELS, config.columns),
        faces=lambda _r: (config.frames, config.motion),
    )


def _inputs(ports: _Ports, resolution: int, batch: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(batch)
    speech = torch.rand(batch, *ports.speech, generator=generator)
    faces = torch.rand(batch, *ports.faces(resolution), generator=generator) * ports.brightest
    sound = (2 * speech - 1) * ports.loudest
    given = {
        "mel": sound,
        "mfcc": sound,
        "amplitude": 1.5 * torch.rand(batch, generator=generator),
    }
    return tuple(given.get(name, faces) for name in ports.inputs)


def _traced(network: nn.Module, ports: _Ports, resolution: int) -> onnx.ModelProto:
    batch = torch.export.Dim("batch", min=1, max=1024)
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)  # it warns of torchvision, which is not used
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                _inputs(ports, resolution, 2),
                dynamo=True,
                verbose=False,
                input_names=list(ports.inputs),
                output_names=list(ports.outputs),
                dynamic_shapes=tuple({0: batch} for _ in ports.inputs),
                opset_version=OPSET,
            )
    finally:
        exporter.setLevel(level)
    if program is None:
        raise CheckpointError("torch exported nothing")
    return program.model_proto


_LARGE = 512  # values from which on a weight is stored as float16


def _store_halves(program: onnx.ModelProto) -> None:
    """Store large weights as float16, each behind a cast to float32."""
    graph = program.graph
    casts = []
    for weight in graph.initializer:
        array = onnx.numpy_helper.to_array(weight)
        if array.dtype != np.float32 or array.size < _LARGE:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
        to = onnx.TensorProto.FLOAT
        casts.append(onnx.helper.make_node("Cast", [weight.name], [name], to=to))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _largest_difference(network: nn.Module, path: Path, ports: _Ports, resolution: int) -> float:
    compiled = openvino_core().compile_model(
        openvino_core().read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    largest = 0.0
    for batch in (1, 3, 8):
        inputs = _inputs(ports, resolution, batch)
        with torch.no_grad():
            expected = network(*inputs)
        expected = expected if isinstance(expected, tuple) else (expected,)
        named = zip(ports.inputs, inputs, strict=True)
        results = compiled({name: tensor.numpy() for name, tensor in named})
        for name, tensor in zip(ports.outputs, expected, strict=True):
            difference = float(np.abs(results[name] - tensor.numpy()).max())
            largest = max(largest, difference / max(1.0, float(tensor.abs().max())))
    return largest
