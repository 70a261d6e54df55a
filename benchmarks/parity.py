"""Print how far each network is from the plain float64 reference, on each engine.

    python benchmarks/parity.py
    python benchmarks/parity.py --corpus PREPARED

Largest difference of any output value over 20 seeded random inputs (2 at 256 and 288 px), with the
golden weights of the tests. Given a corpus that ``lipwright prepare`` wrote: of the shipped
generator, trained weights, over 20 inputs (and 1000) of the held-out clips, with int8 made from the
train split; and the speed of each precision on one thread.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path

os.environ.setdefault("NNCF_CI", "1")  # or nncf reports its use to its makers, outside pytest
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "models"))  # the reference lives there

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from parity_cases import (
    CASES,
    by_graph,
    by_openvino,
    by_reference,
    by_torch,
    exported,
    inputs_of,
    largest_difference,
    network_of,
    quantised,
    weights_of,
)
from torch import nn

from lipwright.checkpoints import DEFAULT_MODEL, model_path, openvino_core, read_onnx
from lipwright.conversion.export import amplify_speech
from lipwright.conversion.quantise import Quantised, quantise
from lipwright.corpus.calibration import GeneratorInputs
from lipwright.inference.backend import graph_record
from lipwright.inference.openvino_backend import compile_graph, graph_ports
from lipwright.models.build import load_network

Rows = dict[str, NDArray[np.float32]]
WEIGHTS = Path(__file__).parents[1] / "weights" / "generator.safetensors"
BATCH, NUM_ROUNDS = 8, 40


def main() -> None:
    """Print a row per network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", type=Path, help="only the trained generator, on this")
    arguments = parser.parse_args()
    print("| network | torch fp32 | OpenVINO fp32 | OpenVINO bf16 | OpenVINO int8 |")
    print("|---|---|---|---|---|")
    if arguments.corpus:
        trained(arguments.corpus)
    else:
        synthetic()


def synthetic() -> None:
    """Networks of golden weights."""
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES.values():
            is_large = case.resolution > 96
            weights, inputs = weights_of(case), inputs_of(case, 2 if is_large else 20)
            reference = by_reference(case, weights, inputs)
            found = [by_torch(case, network_of(case, weights), inputs)]
            note = ""
            if case.kind != "discriminator":  # nothing runs it, so it is not exported
                graph = exported(case, weights, Path(folder))
                calibration, checks = (16, 8) if is_large else (64, 40)
                made = quantised(case, graph, num_calibration=calibration, num_checks=checks)
                found += [
                    by_openvino(case, graph, inputs, "fp32"),
                    by_openvino(case, graph, inputs, "bf16"),
                    by_graph(one_thread(made.model, "f32"), inputs),
                ]
                note = in_words(made)
            cells = [f"{largest_difference(outputs, reference):.0e}" for outputs in found]
            cells += ["-"] * (4 - len(cells))
            print(f"| {case.name} | {' | '.join(cells)} |{note}", flush=True)


def trained(corpus: Path) -> None:
    """The shipped generator: two rows, and how fast each precision is."""
    path = model_path(DEFAULT_MODEL)
    graph, metadata = read_onnx(path)
    record = graph_record(metadata, graph_ports(graph), path)
    inputs = partial(GeneratorInputs, corpus, resolution=record.resolution, columns=record.columns)
    calibration, checks = map(as_it_moves, inputs().calibration_and_checks())
    made = quantise(graph, calibration, checks=checks)
    networks = {name: compile_graph(graph, name, num_threads=1) for name in ("fp32", "bf16")} | {
        "int8": compile_graph(made.model, "int8", num_threads=1)
    }
    torch.set_num_threads(1)
    network = load_network(WEIGHTS, kind="generator")[0]
    amplify_speech(network, float(metadata["speech_gain"]))
    for count in (20, 1000):
        rows = as_it_moves(inputs("val").draw(count, rng=np.random.default_rng(count)))
        expected = by_network(deepcopy(network).double(), rows)
        found = [by_network(network, rows)]
        found += [by_compiled(compiled, rows) for compiled in networks.values()]
        cells = [f"{np.abs(drawn - expected).max():.1e}" for drawn in found]
        print(f"| shipped generator, {count} held-out inputs | {' | '.join(cells)} |", flush=True)
    print(f"int8 on {len(checks['mel'])} check inputs: {made.difference:.1e};{in_words(made)}")
    batch = {name: rows[:BATCH] for name, rows in checks.items()}
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(NUM_ROUNDS):
        for name, compiled in networks.items():
            start = time.process_time()
            compiled(batch)
            times[name].append(time.process_time() - start)
    median = {name: float(np.median(values)) for name, values in times.items()}
    for name, seconds in median.items():
        print(
            f"{name}: {1e3 * seconds / BATCH:.2f} ms a face, {median['fp32'] / seconds:.2f} times "
            f"as fast as fp32 (batches of {BATCH}, one thread)"
        )


def as_it_moves(rows: Rows) -> Rows:
    """Rows for a generator that is told how far the mouth moves: as far as by itself."""
    return {**rows, "amplitude": np.ones(len(rows["faces"]), dtype=np.float32)}


def by_network(network: nn.Module, rows: Rows) -> NDArray[np.float64]:
    """What torch draws, in the precision of the weights."""
    kind = next(network.parameters()).dtype
    with torch.no_grad():
        drawn = [
            network(*(torch.from_numpy(batch[name]).to(kind) for name in ("mel", "faces")))
            for batch in batches_of(rows)
        ]
    return torch.cat(drawn).double().numpy()


def by_compiled(network: ov.CompiledModel, rows: Rows) -> NDArray[np.float64]:
    """What OpenVINO draws."""
    return np.concatenate([network(batch)["drawn"].astype(float) for batch in batches_of(rows)])


def batches_of(rows: Rows) -> Iterator[Rows]:
    """Rows, some at a time."""
    for start in range(0, len(rows["faces"]), BATCH):
        yield {name: array[start : start + BATCH] for name, array in rows.items()}


def one_thread(model: ov.Model, hint: str) -> ov.CompiledModel:
    """Compiled for one thread of the CPU."""
    options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1}
    return openvino_core().compile_model(model, "CPU", options)


def in_words(made: Quantised) -> str:
    """What of a network is int8."""
    return f" int8: {made.int8_share:.0%} of multiply-adds, {len(made.in_full)} layers in fp32"


if __name__ == "__main__":
    main()
