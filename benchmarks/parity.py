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
from pathlib import Path

os.environ.setdefault("NNCF_CI", "1")  # or nncf reports its use to its makers, outside pytest
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "models"))  # the reference lives there

import numpy as np
import openvino as ov
import torch
from parity_cases import (
    CASES,
    HINTS,
    Inputs,
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

from lipwright.checkpoints import model_path, openvino_core, read_onnx
from lipwright.conversion.quantise import Quantised, quantise
from lipwright.corpus.calibration import GeneratorInputs
from lipwright.models.build import load_network

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
    calibration, checks = GeneratorInputs(corpus, resolution=96).calibration_and_checks()
    graph = read_onnx(model_path("lipwright-160"))[0]
    made = quantise(graph, calibration, checks=checks)
    networks = {name: one_thread(graph, hint) for name, hint in HINTS.items()}
    networks["int8"] = one_thread(made.model, "f32")
    torch.set_num_threads(1)
    case = CASES["compact generator"]
    held_out = GeneratorInputs(corpus, "val", resolution=96)
    for count in (20, 1000):
        rows = held_out.draw(count, rng=np.random.default_rng(count))
        inputs = Inputs(mel=rows["mel"], faces=rows["faces"], pixels=np.empty(0, dtype=np.uint8))
        double = load_network(WEIGHTS, kind="generator")[0].double()
        reference = by_torch(case, double, inputs)
        found = [by_torch(case, load_network(WEIGHTS, kind="generator")[0], inputs)]
        found += [by_graph(network, inputs) for network in networks.values()]
        cells = [f"{largest_difference(outputs, reference):.1e}" for outputs in found]
        print(f"| shipped generator, {count} held-out inputs | {' | '.join(cells)} |", flush=True)
    print(f"int8 on {len(checks['mel'])} check inputs: {made.difference:.1e};{in_words(made)}")
    batch = {name: rows[:BATCH] for name, rows in checks.items()}
    times = {name: [] for name in networks}
    for _ in range(NUM_ROUNDS):
        for name, network in networks.items():
            start = time.process_time()
            network(batch)
            times[name].append(time.process_time() - start)
    median = {name: float(np.median(values)) for name, values in times.items()}
    for name, seconds in median.items():
        print(
            f"{name}: {1e3 * seconds / BATCH:.2f} ms a face, {median['fp32'] / seconds:.2f} times "
            f"as fast as fp32 (batches of {BATCH}, one thread)"
        )


def one_thread(model: ov.Model, hint: str) -> ov.CompiledModel:
    """Compiled for one thread of the CPU."""
    options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1}
    return openvino_core().compile_model(model, "CPU", options)


def in_words(made: Quantised) -> str:
    """What of a network is int8."""
    return f" int8: {made.int8_share:.0%} of multiply-adds, {len(made.in_full)} layers in fp32"


if __name__ == "__main__":
    main()
