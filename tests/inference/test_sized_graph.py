"""A graph for any batch is run at two sizes only, and gives what it gives for any batch."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from lipwright.checkpoints import openvino_core
from lipwright.inference.backend import BATCH_SIZE
from lipwright.inference.sized_graph import SizedGraph


def graph(rows: int) -> ov.Model:
    """Twice the input, and its mean over the row added."""
    given = ops.parameter([rows, 3], np.float32, name="given")
    given.output(0).get_tensor().set_names({"given"})
    result = ops.add(ops.multiply(given, np.float32(2)), ops.reduce_mean(given, [1], True))
    result.output(0).get_tensor().set_names({"drawn"})
    return ov.Model([result], [given], "doubles")


class Compiler:
    """Compiles, and notes for how many rows."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, model: ov.Model) -> ov.CompiledModel:
        self.sizes.append(model.inputs[0].partial_shape[0].get_length())
        return openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.mark.parametrize(
    "num", [1, 2, BATCH_SIZE - 1, BATCH_SIZE, BATCH_SIZE + 1, 3 * BATCH_SIZE - 1]
)
def test_any_number_of_rows_gives_what_each_row_gives_alone(num: int) -> None:
    given = np.random.default_rng(num).normal(size=(num, 3)).astype(np.float32)
    drawn = SizedGraph(graph(-1), Compiler(), output="drawn")({"given": given})
    assert drawn == pytest.approx(2 * given + given.mean(axis=1, keepdims=True), abs=1e-6)


def test_where_few_rows_come_from_the_beginning_each_is_drawn_alone() -> None:
    compiler = Compiler()
    network = SizedGraph(graph(-1), compiler, output="drawn")
    assert compiler.sizes == [BATCH_SIZE]
    network({"given": np.ones((1, 3), dtype=np.float32)})
    network({"given": np.ones((BATCH_SIZE - 1, 3), dtype=np.float32)})
    assert compiler.sizes == [BATCH_SIZE, 1]


def test_the_few_rows_of_an_end_are_filled_up() -> None:
    compiler = Compiler()
    network = SizedGraph(graph(-1), compiler, output="drawn")
    network({"given": np.ones((BATCH_SIZE, 3), dtype=np.float32)})
    end = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = 2 * end + end.mean(axis=1, keepdims=True)
    assert network({"given": end}) == pytest.approx(expected)
    assert compiler.sizes == [BATCH_SIZE]


def test_a_graph_that_takes_one_row_is_left_as_it_is() -> None:
    compiler = Compiler()
    network = SizedGraph(graph(1), compiler, output="drawn")
    given = np.arange(15, dtype=np.float32).reshape(5, 3)
    expected = 2 * given + given.mean(axis=1, keepdims=True)
    assert network({"given": given}) == pytest.approx(expected)
    assert compiler.sizes == [1]


def test_the_model_given_still_takes_any_number() -> None:
    model = graph(-1)
    SizedGraph(model, Compiler(), output="drawn")
    assert model.inputs[0].partial_shape[0].is_dynamic


def test_what_was_drawn_is_not_overwritten_by_the_next_call() -> None:
    network = SizedGraph(graph(-1), Compiler(), output="drawn")
    first = network({"given": np.ones((BATCH_SIZE, 3), dtype=np.float32)})
    kept = first.copy()
    network({"given": np.zeros((BATCH_SIZE, 3), dtype=np.float32)})
    assert np.array_equal(first, kept)
