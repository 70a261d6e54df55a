"""Measure experts on the held-out clips of a corpus: pairs in sync and not, and offsets.

python benchmarks/experts.py --corpus CORPUS [--expert FILE.onnx]
"""

import argparse
from pathlib import Path

import numpy as np

from lipwright.checkpoints import DEFAULT_EXPERT, model_path
from lipwright.corpus import load_clips
from lipwright.corpus.offset import open_meter
from lipwright.evaluation.expert import expert_accuracy


def main() -> None:
    """Print what an expert reaches on recorded clips alone, and with puppets."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--expert", default=DEFAULT_EXPERT)
    arguments = parser.parse_args()
    expert = open_meter(model_path(arguments.expert))
    print("| clips | pairs told right | nearer of two | sound moved by: offset within a frame |")
    print("|---|---|---|---|")
    for name, with_puppets in (("recorded", False), ("with puppets", True)):
        clips = load_clips(arguments.corpus, "val", with_puppets=with_puppets)
        found = expert_accuracy(clips, expert, rng=np.random.default_rng(0))
        offsets = ", ".join(
            f"{move:+d}: {share:.0%}" for move, share in found.offset_by_move.items()
        )
        print(
            f"| {name} ({len(clips)}) | {found.pairs.accuracy:.3f} | "
            f"{found.pairs.forced_choice:.3f} | {offsets} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
