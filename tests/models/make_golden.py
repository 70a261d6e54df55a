"""Write the golden numbers anew: what each network makes of golden weights and one seeded input.

    python tests/models/make_golden.py --write

Only after a change that is meant to change what a network computes; say so in the commit.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from parity_cases import CASES, Case, by_torch, inputs_of, network_of, weights_of

FOLDER = Path(__file__).parent / "golden"
MAX_VALUES = 4096  # of an output; of larger ones every so many-th is kept


def golden_path(case: Case) -> Path:
    """Where a case's numbers lie."""
    return FOLDER / f"{case.name.replace(' ', '_')}.npz"


def golden_outputs(case: Case) -> dict[str, NDArray[np.float32]]:
    """Outputs of a network in torch, float32, flat, thinned by a stride that fits the size."""
    outputs = by_torch(case, network_of(case, weights_of(case)), inputs_of(case, 1))
    thinned = {}
    for number, output in enumerate(outputs):
        flat = output.reshape(-1)
        thinned[f"output{number}"] = flat[:: -(-flat.size // MAX_VALUES)].astype(np.float32)
    return thinned


def main() -> None:
    """Write every file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", action="store_true", help="replace what is there")
    arguments = parser.parse_args()
    if not arguments.write:
        parser.error("nothing was written; --write replaces the golden numbers")
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for case in CASES.values():
        np.savez_compressed(golden_path(case), **golden_outputs(case))


if __name__ == "__main__":
    main()
