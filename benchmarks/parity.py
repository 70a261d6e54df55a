"""Print how far each network is from the plain float64 reference, on each engine.

    python benchmarks/parity.py

Largest difference of any output value over 20 seeded random inputs (2 at 256 and 288 px), with the
golden weights of the tests.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("NNCF_CI", "1")  # or nncf reports its use to its makers, outside pytest
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "models"))  # the reference lives there

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


def main() -> None:
    """Print a row per network."""
    print("| network | torch fp32 | OpenVINO fp32 | OpenVINO bf16 | OpenVINO int8 |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES.values():
            is_large = case.resolution > 96
            weights, inputs = weights_of(case), inputs_of(case, 2 if is_large else 20)
            reference = by_reference(case, weights, inputs)
            found = [by_torch(case, network_of(case, weights), inputs)]
            if case.kind != "discriminator":  # nothing runs it, so it is not exported
                graph = exported(case, weights, Path(folder))
                found += [
                    by_openvino(case, graph, inputs, "fp32"),
                    by_openvino(case, graph, inputs, "bf16"),
                    by_graph(quantised(case, graph, num_samples=20), inputs),
                ]
            cells = [f"{largest_difference(outputs, reference):.0e}" for outputs in found]
            cells += ["-"] * (4 - len(cells))
            print(f"| {case.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
