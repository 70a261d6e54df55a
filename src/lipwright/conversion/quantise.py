"""Make a static int8 graph of a network, and hold it to a bound before anybody gets it."""

import io
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.passes import ConstantFolding, Manager

from lipwright.checkpoints import openvino_core, read_onnx
from lipwright.conversion.export import export_onnx
from lipwright.errors import CheckpointError, ConfigError, require

log = logging.getLogger(__name__)

BOUND = 2e-2  # of values in [0, 1]: five steps of a pixel's 255
# Share of the bound that the check rows may use up: the worst of rows to come lies further out.
MARGIN = 0.7
_BATCH = 8  # rows at a time
_CONVOLUTIONS = (
    "Convolution",
    "ConvolutionBackpropData",
    "GroupConvolution",
    "GroupConvolutionBackpropData",
)
# Matrix products stay fp32: they are a hundredth of the work, but a moment of speech that goes
# beyond the calibrated range there moves the whole picture (by 0.08, on held-out speech).
# What has no weights is cheap too, and NNCF gives all that meets in a sum or a concatenation one
# scale, so that colours lose their last bits to features six times as large. And of
# places, 8 bits would leave whole pixels.
_IN_FULL = (
    "MatMul",
    "Add",
    "AvgPool",
    "Concat",
    "Divide",
    "Interpolate",
    "Maximum",
    "Minimum",
    "Multiply",
    "Power",
    "ReduceL2",
    "ReduceSum",
    "Subtract",
)
# Between a quantiser and the convolution that it is for.
_REARRANGING = ("Reshape", "Slice", "Split", "Squeeze", "StridedSlice", "Transpose", "Unsqueeze")
Rows = Mapping[str, NDArray[np.float32]]
Outputs = list[NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantised:
    """A network in int8, as far as the bound lets it be."""

    model: ov.Model
    """Not yet compiled."""
    difference: float
    """Largest one from fp32 over all outputs of the check rows."""
    in_full: tuple[str, ...]
    """Names of the convolutions and matrix products that are fp32."""
    int8_share: float
    """Share of the multiply-adds that is done in int8."""


def quantise(
    model: ov.Model, calibration: Rows, *, checks: Rows, bound: float = BOUND
) -> Quantised:
    """Quantise a network's convolutions, as many as a bound permits.

    All are quantised at first. If that is too far from fp32, those that lose most for
    their work stay fp32: how much each one loses by itself is measured once, and bisection finds
    how many have to stay.

    Args:
        model: The network in fp32, of any batch size; stays as it is.
        calibration: Name of each input -> ``(N, ...)`` float32: typical rows, from which the
            ranges of the activations are taken. Many: what goes beyond a range is cut off.
        checks: The same of other people, on which the difference from fp32 is measured.
        bound: Largest difference that is permitted to any output value. The check rows have to
            stay within ``MARGIN`` of it, so that rows to come stay within it.

    Returns:
        The int8 network and what it is worth.

    Raises:
        CheckpointError: If not a single convolution can be int8 within the bound.
        ConfigError: If there are no rows.
        MissingExtraError: If NNCF is not installed.
    """
    for name, rows in (*calibration.items(), *checks.items()):
        if not len(rows):
            raise ConfigError(f"int8 needs rows to calibrate on and others to check; {name} has 0")
    graph = _folded(model)
    test = _Test(rows=checks, expected=_outputs(graph, checks))
    whole = _in_int8(graph, calibration)
    first = _measured(whole, test)
    if first.difference <= MARGIN * bound:
        return first
    log.info("int8 of all convolutions is off by %.1e; ranking them", first.difference)
    ranking = _ranked(whole, graph, test=test)
    best, last = None, first
    too_few, enough = 0, len(ranking)  # in fp32; if all are, nothing is int8
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        last = _measured(_spared(whole, graph, in_full=ranking[:middle]), test)
        log.info(
            "%d of %d convolutions in fp32: off by %.1e", middle, len(ranking), last.difference
        )
        if last.difference <= MARGIN * bound:
            enough, best = middle, last
        else:
            too_few = middle
    if best is None:
        raise CheckpointError(
            f"int8 is off by {first.difference:.1e} with all {len(ranking)} convolutions, and by "
            f"{last.difference:.1e} with one alone; at most {MARGIN * bound:.1e} is permitted on "
            f"the check rows: use the fp32 network, which also runs in bf16"
        )
    return best


def export_int8(
    weights: Path, out: Path, *, calibration: Rows, checks: Rows, speech_gain: float = 1.0
) -> Quantised:
    """Export a network in int8, as OpenVINO's own format: ONNX is not written by OpenVINO.

    Args:
        weights: What training wrote.
        out: File to write, its name ends in ``.xml``; the weights go beside it, into ``.bin``.
        calibration: See :func:`quantise`.
        checks: See :func:`quantise`.
        speech_gain: See ``export_onnx``.

    Returns:
        What was written.

    Raises:
        CheckpointError: As ``export_onnx`` and :func:`quantise` do, and if ``out`` cannot be
            written.
        ConfigError: If the gain is not positive, or there are no rows.
        MissingExtraError: If NNCF is not installed.
    """
    if out.suffix != ".xml" or not out.parent.is_dir():
        raise CheckpointError(
            f"cannot write {str(out)!r}: the name of an int8 network must end in .xml, and its "
            f"folder exist"
        )
    _nncf()  # before the long work
    try:
        with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            exported = Path(folder) / "exported.onnx"
            export_onnx(weights, exported, speech_gain=speech_gain)
            model, metadata = read_onnx(exported)
            calibration, checks = (_with_amplitude(r, model) for r in (calibration, checks))
            done = quantise(model, calibration, checks=checks)
            done.model.set_rt_info({**metadata, "precision": "int8"}, "framework")
            written = Path(folder) / out.name
            ov.save_model(done.model, written, compress_to_fp16=False)
            for suffix in (".bin", ".xml"):
                written.with_suffix(suffix).replace(out.with_suffix(suffix))
    except OSError as err:
        raise CheckpointError(f"cannot write {out}: {err}") from err
    return done


@dataclass(frozen=True, kw_only=True, slots=True)
class _Test:
    """Rows, and what the network makes of them in fp32."""

    rows: Rows
    expected: Outputs


def _with_amplitude(rows: Rows, model: ov.Model) -> Rows:
    """Rows for a network that may have to be told how far the mouth moves: as far as by itself."""
    if all("amplitude" not in port.names for port in model.inputs):
        return rows
    return {**rows, "amplitude": np.ones(len(rows["faces"]), dtype=np.float32)}


def _folded(model: ov.Model) -> ov.Model:
    """A copy whose constants are computed, or NNCF would not take its biases for biases."""
    graph, passes = model.clone(), Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(graph)
    return graph


def _ranked(whole: ov.Model, graph: ov.Model, *, test: _Test) -> list[str]:
    """Names of the convolutions, from the one that loses most for its work when it alone is int8.

    Errors of layers add up as squares, so a small layer pays to be spared before a large one. On
    all rows: what lies beyond a layer's range is rare, and one such row decides.
    """
    work = {op.get_friendly_name(): _multiply_adds(op) for op in _layers(whole) if _is_int8(op)}
    layers = list(work)
    losses = {
        layer: _measured(
            _spared(whole, graph, in_full=[other for other in layers if other != layer]), test
        ).difference
        for layer in layers
    }
    return sorted(layers, key=lambda layer: losses[layer] ** 2 / work[layer], reverse=True)


def _in_int8(graph: ov.Model, calibration: Rows) -> ov.Model:
    """A copy with all convolutions quantised."""
    nncf = _nncf()
    level = logging.getLogger("nncf").level
    nncf.set_log_level(logging.ERROR)
    batches = list(_batches(calibration))
    try:
        with redirect_stdout(io.StringIO()):  # it draws bars, whatever its level
            model: ov.Model = nncf.quantize(
                graph.clone(),
                nncf.Dataset(batches),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(batches),
                ignored_scope=nncf.IgnoredScope(types=list(_IN_FULL), validate=False),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    # By default ranges end at the mean of the samples' largest values: peaks are
                    # cut off.
                    activations_range_estimator_params=_min_to_max(),
                    # It takes maps for even up to their edges; on maps of 3x3 its errors triple
                    # the total.
                    disable_bias_correction=True,
                ),
            )
    finally:
        nncf.set_log_level(level)
    return model


def _spared(whole: ov.Model, graph: ov.Model, *, in_full: Sequence[str]) -> ov.Model:
    """A copy of a quantised network with some convolutions as they were before.

    Ranges are measured in fp32, so they are the same whatever else is int8; calibrating again for
    each choice of layers would take minutes each.
    """
    model, names = whole.clone(), set(in_full)
    weights = {op.get_friendly_name(): op.input_value(1).get_node() for op in _layers(graph)}
    for layer in _layers(model):
        if layer.get_friendly_name() not in names:
            continue
        original = ops.constant(weights[layer.get_friendly_name()].data)
        layer.input(1).replace_source_output(original.output(0))
        quantiser = _quantiser(layer)
        if quantiser is None:
            continue
        is_next = layer.input_value(0).get_node().get_type_name() == "FakeQuantize"
        ports = [layer.input(0)] if is_next else list(quantiser.output(0).get_target_inputs())
        for port in ports:
            port.replace_source_output(quantiser.input_value(0))
    return model


def _measured(model: ov.Model, test: _Test) -> Quantised:
    found = _outputs(model, test.rows)
    pairs = zip(found, test.expected, strict=True)
    layers = _layers(model)
    in_int8 = sum(_multiply_adds(op) for op in layers if _is_int8(op))
    return Quantised(
        model=model,
        difference=float(np.max([np.abs(a - b).max() for a, b in pairs])),  # NaN if one is
        in_full=tuple(op.get_friendly_name() for op in layers if not _is_int8(op)),
        int8_share=in_int8 / sum(_multiply_adds(op) for op in layers),
    )


def _nncf() -> ModuleType:
    os.environ.setdefault("NNCF_CI", "1")  # or it reports its use to its makers
    return require("nncf", extra="train")


def _min_to_max() -> object:
    estimators = require("nncf.quantization.range_estimator", extra="train")
    parameters: object = estimators.RangeEstimatorParametersSet.MINMAX
    return parameters


def _batches(rows: Rows) -> Iterator[dict[str, NDArray[np.float32]]]:
    count = min(len(array) for array in rows.values())
    for start in range(0, count, _BATCH):
        yield {name: array[start : start + _BATCH] for name, array in rows.items()}


def _outputs(model: ov.Model, rows: Rows) -> Outputs:
    """Every output, of all rows, in fp32 where nothing is quantised."""
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    network = openvino_core().compile_model(model, "CPU", options)
    results = []
    for batch in _batches(rows):
        drawn = network(batch)
        results.append([drawn[port].copy() for port in network.outputs])
    return [np.concatenate(column) for column in zip(*results, strict=True)]


def _layers(model: ov.Model) -> list[ov.Node]:
    return [
        op for op in model.get_ordered_ops() if op.get_type_name() in (*_CONVOLUTIONS, "MatMul")
    ]


def _is_int8(layer: ov.Node) -> bool:
    """Whether its weights are stored so, and its input is quantised."""
    source = layer.input_value(1).get_node()
    while source.get_input_size():
        source = source.input_value(0).get_node()
    is_stored = source.get_type_name() == "Constant" and source.get_element_type() in (
        ov.Type.i8,
        ov.Type.u8,
    )
    return is_stored and _quantiser(layer) is not None


def _quantiser(layer: ov.Node) -> ov.Node | None:
    """Of its input."""
    source = layer.input_value(0).get_node()
    while source.get_type_name() in _REARRANGING:
        source = source.input_value(0).get_node()
    return source if source.get_type_name() == "FakeQuantize" else None


def _multiply_adds(layer: ov.Node) -> int:
    """Of one row."""
    kind = layer.get_type_name()
    weights = _lengths(layer.input_value(1))
    # Each value of the output is a sum over a window; transposed, each of the input is spread out.
    values = _lengths(layer.input_value(0) if kind.endswith("BackpropData") else layer.output(0))
    if kind == "MatMul":
        return math.prod(values[1:]) * math.prod(weights) // values[-1]
    leading = 2 if kind.startswith("Group") else 1  # groups and channels, or channels
    return math.prod(values[1:]) * math.prod(weights[leading:])


def _lengths(value: ov.Output) -> list[int]:
    """Of the dimensions; 0 where any length is taken, as of a batch."""
    shape = value.get_partial_shape()
    return [int(length.get_length()) if length.is_static else 0 for length in shape]
