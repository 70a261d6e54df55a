"""Run a generator in OpenVINO on the CPU; keep what was compiled, and compare precisions.

Compiling takes longer than drawing a second of video, and most of that is saved by OpenVINO's own
cache. It never removes anything, so each network gets a folder, and the folders that were not used
for longest go when all together grow too large.

A generator that moves pixels has to find the landmarks of its reference. Whoever knows them already
draws with the graph but for that part: see :func:`told_landmarks`.

A reduced precision is compared with fp32 before it is trusted: see ``inference.parity``. Of a
generator that moves pixels, bf16 spares what computes places: see :func:`with_places_in_full`.
"""

import logging
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.passes import ConstantFolding, Manager

from lipwright.checkpoints import openvino_core, read_onnx
from lipwright.errors import CheckpointError
from lipwright.faces import CropRule
from lipwright.inference.backend import (
    LANDMARKS,
    Precision,
    Shape,
    finish_faces,
    graph_record,
    network_inputs,
    prepare_faces,
)
from lipwright.inference.graphs import name_of, named_apart
from lipwright.inference.lower_half import draws_lower_half
from lipwright.inference.sized_graph import SizedGraph
from lipwright.speech import Alignment

log = logging.getLogger(__name__)

MAX_COMPILED_BYTES = 512 * 2**20  # of all compiled networks that are kept: some 30 of 96 px
# Of the arithmetic where nothing is quantised: an int8 graph carries its int8 within itself.
_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoGenerator:
    """Runs an exported generator in OpenVINO on the CPU."""

    def __init__(
        self,
        path: Path,
        *,
        precision: Precision = "fp32",
        num_threads: int | None = None,
        cache: Path | None = None,
        whole: bool = True,
    ) -> None:
        """Load the network, and begin to compile it in a thread of its own.

        Args:
            path: ONNX file, or .xml in int8, with inputs ``mel`` and ``faces``, as Lipwright
                exports them.
            precision: Of the arithmetic; ``bf16`` pays only on CPUs that have it. What is int8 in
                a graph stays int8.
            num_threads: Threads to use; all by default.
            cache: Folder to keep the compiled network in, see :func:`compiled_folder`; compiled
                anew each time by default.
            whole: Whether the upper half of the picture is drawn, too; see :func:`sized_graph`.

        Raises:
            CheckpointError: If the file is damaged or holds something else.
        """
        model, metadata = read_onnx(path)
        if precision == "int8" and metadata.get("precision") != "int8":
            raise CheckpointError(
                f"{path} is not in int8; make one: lipwright export --precision int8"
            )
        record = graph_record(metadata, graph_ports(model), path)
        self.resolution: int = record.resolution
        """Height and width of a face in pixels."""
        self.alignment: Alignment = record.alignment
        """Which stretch of speech it draws a frame from."""
        self.columns: int = record.columns
        """Mel columns of that stretch."""
        self.crop: CropRule = record.crop
        """Which box around a face it looks at."""
        self.licence: str = record.licence
        """Of its weights."""
        self.with_amplitude: bool = record.with_amplitude
        """Whether it can be told how far the mouth moves."""
        self._record = record
        self._model, self._told = model, told_landmarks(model)
        self._compiled = partial(
            sized_graph, precision=precision, num_threads=num_threads, cache=cache, whole=whole
        )
        self._networks: dict[bool, Future[SizedGraph]] = {}
        self._network(is_told=self._told is not None)  # mostly they are known

    def draw(
        self,
        targets: NDArray[np.uint8],
        references: NDArray[np.uint8],
        windows: NDArray[np.float32],
        amplitudes: NDArray[np.float32] | None = None,
        landmarks: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Draw faces that say the speech; see :class:`GeneratorBackend`."""
        faces = prepare_faces(targets, references, is_bgr=self._record.is_bgr)
        if self._told is None:
            landmarks = None
        network = self._network(is_told=landmarks is not None).result()
        batches = network_inputs(self._record, faces, windows, amplitudes, landmarks)
        drawn = np.concatenate([network(batch) for batch in batches])
        return finish_faces(drawn, is_bgr=self._record.is_bgr)

    def _network(self, *, is_told: bool) -> Future[SizedGraph]:
        """What draws, with or without the part that looks for landmarks, compiled meanwhile."""
        if is_told not in self._networks:
            model = self._told if is_told and self._told is not None else self._model
            thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lipwright-compile")
            self._networks[is_told] = thread.submit(self._compiled, model)
            thread.shutdown(wait=False)
        return self._networks[is_told]


def told_landmarks(model: ov.Model) -> ov.Model | None:
    """A generator that takes the landmarks of its reference, in place of looking for them.

    Args:
        model: As :func:`~lipwright.checkpoints.read_onnx` gives it; stays as it is.

    Returns:
        A copy with an input ``landmarks``, ``(B, P, 2)``; None if the graph does not name any.
    """
    if LANDMARKS not in graph_ports(model):
        return None
    graph = model.clone()
    found = graph.output(LANDMARKS).get_node()  # the Result
    source = found.input_value(0)
    told = ops.parameter(source.get_partial_shape(), ov.Type.f32, name=LANDMARKS)
    told.output(0).set_names({LANDMARKS})
    for port in source.get_target_inputs():
        port.replace_source_output(told.output(0))
    drawn = graph.output("drawn").get_node()
    return ov.Model([drawn], [*graph.get_parameters(), told], graph.get_friendly_name())


def sized_graph(
    model: ov.Model,
    precision: Precision,
    *,
    num_threads: int | None = None,
    cache: Path | None = None,
    whole: bool = True,
) -> SizedGraph:
    """A generator for the CPU, compiled for the batches that come.

    Args:
        model: See :func:`compile_graph`.
        precision: See there.
        num_threads: See there.
        cache: See there.
        whole: Whether the upper half of the picture is drawn, too, or taken from the target; see
            :func:`~lipwright.inference.lower_half.draws_lower_half`.
    """

    def compiled(sized: ov.Model) -> ov.CompiledModel:
        drawing = sized if whole else draws_lower_half(sized)
        return compile_graph(drawing, precision, num_threads=num_threads, cache=cache)

    return SizedGraph(model, compiled, output="drawn")


def compile_graph(
    model: ov.Model,
    precision: Precision,
    *,
    num_threads: int | None = None,
    cache: Path | None = None,
) -> ov.CompiledModel:
    """Compile a graph for the CPU.

    Args:
        model: As :func:`~lipwright.checkpoints.read_onnx` gives it.
        precision: Of the arithmetic.
        num_threads: Threads to use; all by default.
        cache: Folder that holds the compiled network, or will.

    Returns:
        The network, ready to run.
    """
    hint = _HINTS[precision]
    if precision == "bf16" and any(op.get_type_name() == "GridSample" for op in model.get_ops()):
        model, hint = with_places_in_full(model), "f32"  # where no type says otherwise
    options: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": hint}
    if num_threads is not None:
        options["INFERENCE_NUM_THREADS"] = num_threads
    if cache is not None:
        options["CACHE_DIR"] = str(cache)
    return openvino_core().compile_model(model, "CPU", options)


def with_places_in_full(model: ov.Model) -> ov.Model:
    """Have a generator that moves pixels compute in bf16, but places in fp32.

    A place in a picture needs more than the 8 bits of bf16: half a pixel of 160 is lost at its
    right edge, and squared distances lose it many times over. So whatever the drawn picture is
    computed from without a convolution of both inputs stays fp32: landmarks, motion, the field
    between them and what is sampled with it.

    The types stand in the graph. OpenVINO's mark for layers that shall stay fp32
    (``DisablePrecisionConversion``) is lost where its passes replace a layer by another.

    Args:
        model: In fp32; stays as it is.

    Returns:
        A copy, to be compiled with the hint ``f32``: what has a type keeps it.
    """
    graph, passes = model.clone(), Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(graph)
    order = named_apart(graph)
    reduced = {name_of(op) for op in order if _is_float(op)} - _in_full(order)
    casts: dict[tuple[str, int, bool], ov.Output] = {}
    for op in order:
        is_reduced = name_of(op) in reduced
        for port in op.inputs():
            source = port.get_source_output()
            was_reduced = name_of(source.get_node()) in reduced
            if is_reduced == was_reduced or source.get_element_type() != ov.Type.f32:
                continue
            if op.get_type_name() == "Interpolate" and port.get_index():  # scales
                continue
            key = (name_of(source.get_node()), source.get_index(), is_reduced)
            if key not in casts:
                casts[key] = ops.convert(source, "bf16" if is_reduced else "f32").output(0)
            port.replace_source_output(casts[key])
    graph.validate_nodes_and_infer_types()
    passes.run_passes(graph)
    return graph


def graph_ports(model: ov.Model) -> dict[str, Shape]:
    """Name of each input and output of a graph -> its shape."""
    return {
        name: tuple(
            int(length.get_length()) if length.is_static else None for length in port.partial_shape
        )
        for port in (*model.inputs, *model.outputs)
        if port.partial_shape.rank.is_static
        for name in port.names
    }


def openvino_version() -> str:
    """Version of OpenVINO with its build, on which results and compiled networks depend."""
    return str(ov.get_version())


def cpu_capabilities() -> tuple[str, ...]:
    """Arithmetic that OpenVINO has code for on this CPU, such as ``FP32``, ``BF16``, ``INT8``."""
    return tuple(openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def compiled_folder(parent: Path, key: str, *, max_bytes: int = MAX_COMPILED_BYTES) -> Path | None:
    """The folder in which one compiled network is kept; makes room for it.

    Args:
        parent: Folder of all of them.
        key: Of everything that the compiled network depends on; a file name.
        max_bytes: Of all of them together. Those used longest ago are removed beyond it, never
            the one that is asked for.

    Returns:
        The folder, which exists; None where it cannot be made.
    """
    folder = parent / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)  # used now
    except OSError as err:
        log.info("compiled networks are not kept: %s", err)
        return None
    _make_room(parent, folder, max_bytes)
    return folder


def _sources(op: ov.Node) -> list[ov.Node]:
    """What an op is computed from, but constants."""
    nodes = [value.get_node() for value in op.input_values()]
    return [node for node in nodes if node.get_type_name() != "Constant"]


def _is_float(op: ov.Node) -> bool:
    is_port = op.get_type_name() in ("Constant", "Parameter", "Result")
    return not is_port and op.get_output_element_type(0) == ov.Type.f32


def _in_full(order: Sequence[ov.Node]) -> set[str]:
    """Names of the ops that compute places, of all ops in order of computation."""
    inputs: dict[str, frozenset[str]] = {}  # of the network, that each op depends on
    for op in order:
        own = {name_of(op)} if op.get_type_name() == "Parameter" else set()
        inputs[name_of(op)] = frozenset(own).union(*(inputs[name_of(s)] for s in _sources(op)))
    full: set[str] = set()
    todo = [op for op in order if op.get_type_name() == "Result"]
    while todo:
        op = todo.pop()
        is_joint = len(inputs[name_of(op)]) > 1
        if name_of(op) in full or (op.get_type_name() == "Convolution" and is_joint):
            continue
        full.add(name_of(op))
        todo.extend(_sources(op))
    for op in order:  # what else is computed from these alone, such as the code of the motion
        sources = {name_of(source) for source in _sources(op)}
        if sources and sources <= full and op.get_type_name() != "Convolution":
            full.add(name_of(op))
    return full


def _make_room(parent: Path, keep: Path, max_bytes: int) -> None:
    """Remove what was used longest ago; another process may be removing the same."""
    kept: list[tuple[float, int, Path]] = []
    for folder in parent.iterdir():
        with suppress(OSError):
            num_bytes = sum(file.stat().st_size for file in folder.iterdir())
            kept.append((folder.stat().st_mtime, num_bytes, folder))
    total = sum(num_bytes for _, num_bytes, _ in kept)
    for _, num_bytes, folder in sorted(kept):
        if total <= max_bytes:
            return
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
            total -= num_bytes
