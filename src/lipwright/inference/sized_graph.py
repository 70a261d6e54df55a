"""Run an OpenVINO graph at the batch sizes that it was compiled for, whatever comes.

A graph whose shapes are all known runs a quarter faster than one that takes any batch, and draws
the same. Compiling it once more, for one row, takes as long as drawing some twenty and memory, too:
worth it where few come at a time from the beginning, as live, but not for the end of a video.
"""

from collections.abc import Callable, Mapping

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lipwright.inference.backend import BATCH_SIZE

Inputs = Mapping[str, NDArray[np.float32]]
"""Name of each input of a graph -> its rows."""


class SizedGraph:
    """A graph that draws, compiled for `BATCH_SIZE` rows and, if that is needed, for one."""

    def __init__(
        self, model: ov.Model, compiled: Callable[[ov.Model], ov.CompiledModel], *, output: str
    ) -> None:
        """Compile the graph for `BATCH_SIZE` rows, or for one where it takes no more.

        Args:
            model: Stays as it is.
            compiled: Compiles a graph.
            output: Name of the output that is wanted.
        """
        self._model, self._compile, self._output = model, compiled, output
        self._networks: dict[int, ov.CompiledModel] = {}
        self._is_single = any(port.partial_shape[0].is_static for port in model.inputs)
        self._come_in_batches = False
        self._network(1 if self._is_single else BATCH_SIZE)

    def __call__(self, inputs: Inputs) -> NDArray[np.float32]:
        """Draw.

        Args:
            inputs: Of equal numbers of rows, one at least.

        Returns:
            As many rows.
        """
        num = len(next(iter(inputs.values())))
        self._come_in_batches |= num >= BATCH_SIZE
        size = BATCH_SIZE if self._come_in_batches and not self._is_single else 1
        drawn, start = [], 0
        while start < num:
            rows = {name: _filled(array[start:], size) for name, array in inputs.items()}
            result = self._network(size)(rows, share_inputs=True)[self._output]
            drawn.append(result[: num - start])
            start += size
        return np.asarray(drawn[0] if len(drawn) == 1 else np.concatenate(drawn))

    def _network(self, size: int) -> ov.CompiledModel:
        """The graph for so many rows; compiled when it is first asked for."""
        if size not in self._networks:
            model = self._model
            if not self._is_single:
                model = model.clone()
                model.reshape({port: _with_rows(port.partial_shape, size) for port in model.inputs})
            self._networks[size] = self._compile(model)
        return self._networks[size]


def _filled(array: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The first rows, the last one repeated if there are too few."""
    missing = size - len(array)
    if missing > 0:
        array = np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
    return array[:size]


def _with_rows(shape: ov.PartialShape, size: int) -> ov.PartialShape:
    return ov.PartialShape([size, *list(shape)[1:]])
