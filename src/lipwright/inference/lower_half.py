"""Have a generator draw the lower half of its picture only, where the mouth is.

A mouth is joined with its frame from the middle of the crop downwards, but networks of the released
architecture draw the whole crop: a quarter of their arithmetic goes into rows that nobody looks at.
The last layers of such a decoder are convolutions, and a row of what one gives depends on few rows
of what it takes. So it is known which rows of each layer the lower half depends on, and the rows
above them are cut off where a map has just been enlarged. What is drawn below the middle stays the
same to the last bit in fp32.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from lipwright.inference.graphs import name_of, named_apart

_ROWS = 2  # dimension of a map ``(B, C, H, W)``
_LAST = np.iinfo(np.int64).max
# Layers that give as many rows as they take, each from its own alone; convolutions apart.
_ROW_BY_ROW = (
    "Add",
    "Clamp",
    "Concat",
    "Convert",
    "Divide",
    "FakeQuantize",
    "Multiply",
    "PRelu",
    "Relu",
    "Sigmoid",
    "Subtract",
)


@dataclass(frozen=True, slots=True)
class _Map:
    """What stands for a layer's output whose upper rows are cut off."""

    output: ov.Output
    begin: int
    """Which row of the layer's own output is the first."""


def draws_lower_half(model: ov.Model) -> ov.Model:
    """A generator that does not compute what only the upper half of its picture depends on.

    Args:
        model: With an input ``faces`` ``(B, 6, R, R)`` and an output ``drawn`` ``(B, 3, R, R)``,
            all shapes known; stays as it is.

    Returns:
        A copy whose picture is the target's in the upper half, the same as before in the lower.
        The copy is as good as the model itself where that ends in layers that this module does not
        know, or draws the lower half only by itself.
    """
    graph = model.clone()
    _tell_shapes(graph)
    order = named_apart(graph)
    result = graph.output("drawn").get_node()
    half = int(result.get_input_shape(0)[_ROWS]) // 2
    last = name_of(result.input_value(0).get_node())
    cut = _without_upper_rows(order, _first_rows(order, {name_of(result): half}))
    if last not in cut:
        return graph
    target = ops.slice(
        graph.input("faces"), _constant(0, 0), _constant(3, half), _constant(1, 1), _constant(1, 2)
    )
    lower = _from_row(cut[last].output, half - cut[last].begin)
    result.input(0).replace_source_output(ops.concat([target.output(0), lower], _ROWS).output(0))
    graph.validate_nodes_and_infer_types()
    return graph


def _tell_shapes(graph: ov.Model) -> None:
    """Put what is known in place of what asks for the shape of a map.

    Folding all constants would do that, too, and turn the weights of int8 into fp32.
    """
    for op in graph.get_ordered_ops():
        if op.get_type_name() == "ShapeOf" and op.input_value(0).get_partial_shape().is_static:
            shape = _constant(*op.get_input_shape(0))
            if op.get_output_element_type(0) != ov.Type.i64:
                shape = ops.convert(shape, op.get_output_element_type(0).get_type_name())
            for port in op.output(0).get_target_inputs():
                port.replace_source_output(shape.output(0))


def _first_rows(order: Sequence[ov.Node], wanted: dict[str, int]) -> dict[str, int]:
    """Name of each layer -> the first row of its output that anything depends on.

    Args:
        order: All layers, each after what it is computed from.
        wanted: The same of results that are not wanted whole.
    """
    first = dict(wanted)
    for op in reversed(order):
        row = first.setdefault(name_of(op), 0)
        is_plain = op.get_type_name() == "Result"
        cut = {port.get_index() for port in op.inputs()} if is_plain else _ports_of_rows(op)
        for port in op.inputs():
            source = name_of(port.get_source_output().get_node())
            depends = _source_row(op, row) if port.get_index() in cut else 0
            first[source] = min(first.get(source, depends), depends)
    return first


def _without_upper_rows(order: Sequence[ov.Node], first: dict[str, int]) -> dict[str, _Map]:
    """Cut off rows in place.

    A convolution pads what was cut as if the picture began there, so its uppermost rows are wrong;
    they are rows on which nothing depends, and are cut off when the map is next enlarged.

    Args:
        order: All layers, each after what it is computed from.
        first: See :func:`_first_rows`.

    Returns:
        Name of each layer of which rows are missing -> what is left.
    """
    maps: dict[str, _Map] = {}
    for op in order:
        row, ports = first[name_of(op)], _ports_of_rows(op)
        if not row or not ports:
            continue
        sources = {port: op.input_value(port) for port in ports}
        known = {port: maps.get(name_of(value.get_node())) for port, value in sources.items()}
        begin = max((one.begin for one in known.values() if one), default=_source_row(op, row))
        for port, value in sources.items():
            source = known[port] or _Map(value, 0)
            kept = _from_row(source.output, begin - source.begin)
            op.input(port).replace_source_output(kept)
        maps[name_of(op)] = _Map(op.output(0), begin)
        if _enlarges(op):
            too_many = row - _stride(op) * begin
            maps[name_of(op)] = _Map(_from_row(op.output(0), too_many), row)
    return maps


def _ports_of_rows(op: ov.Node) -> set[int]:
    """Inputs whose rows are those that the output is computed from, row by row; none if unknown."""
    if op.get_output_size() != 1 or not _height(op.output(0)):
        return set()
    kind = op.get_type_name()
    if kind in ("Convolution", "ConvolutionBackpropData"):
        is_dense = all(step == 1 for step in op.get_attributes()["dilations"])
        is_same = _height(op.output(0)) == _height(op.input_value(0)) and _stride(op) == 1
        return {0} if is_dense and (is_same or _enlarges(op)) else set()
    if kind not in _ROW_BY_ROW or (kind == "Concat" and op.get_attributes()["axis"] != 1):
        return set()
    height = _height(op.output(0))
    return {port.get_index() for port in op.inputs() if _height(port.get_source_output()) == height}


def _source_row(op: ov.Node, row: int) -> int:
    """First row of its inputs that the rows of a layer's output from some row on depend on."""
    if op.get_type_name() == "Convolution":
        return max(0, row - int(op.get_attributes()["pads_begin"][0]))
    if not _enlarges(op):
        return row
    # Row r is a sum over rows i and taps k of the kernel with r = stride i + k - padding.
    reach = (
        int(op.input_value(1).get_shape()[_ROWS]) - 1 - int(op.get_attributes()["pads_begin"][0])
    )
    return max(0, min(-((reach - row) // _stride(op)), row // _stride(op)))


def _enlarges(op: ov.Node) -> bool:
    """Whether a layer is a transposed convolution, whose output's size follows from its input's."""
    return bool(op.get_type_name() == "ConvolutionBackpropData" and op.get_input_size() == 2)


def _stride(op: ov.Node) -> int:
    return int(op.get_attributes()["strides"][0])


def _height(value: ov.Output) -> int:
    """Of a map; 0 if it is none or the height is not known."""
    shape = value.get_partial_shape()
    is_map = shape.rank.is_static and len(shape) == 4 and shape[_ROWS].is_static
    return int(shape[_ROWS].get_length()) if is_map else 0


def _from_row(value: ov.Output, row: int) -> ov.Output:
    if row == 0:
        return value
    rows = _constant(row), _constant(_LAST), _constant(1), _constant(_ROWS)
    return ops.slice(value, *rows).output(0)


def _constant(*values: int) -> ov.Node:
    return ops.constant(np.array(values, dtype=np.int64))
