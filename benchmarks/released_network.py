"""Write weights of the released architecture (3.97 GMAC a face) to measure a job with.

    python benchmarks/released_network.py mine.safetensors
    lipwright export mine.safetensors -o mine.onnx
    lipwright export mine.safetensors -o mine.int8.xml --precision int8 --calibrate CORPUS
    python benchmarks/bench.py --only jobs --model mine.onnx

The weights are the golden ones of the tests, synthetic: what they draw is no face, but as much
work as what a trained network draws. With ``mine.int8.xml`` beside it, ``mine.onnx`` runs in int8
where the CPU is made for that.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "models"))  # golden weights live there

from parity_cases import CASES, network_of, weights_of

from lipwright.checkpoints import Metadata
from lipwright.models.build import save_network


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    case = CASES["generator 96"]
    meta = Metadata(kind=case.kind, architecture=case.architecture, licence="Apache-2.0")
    save_network(network_of(case, weights_of(case)), arguments.out, meta)
    print(arguments.out)


if __name__ == "__main__":
    main()
