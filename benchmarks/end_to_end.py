"""Measure a whole job against merely encoding its frames again, on this machine.

    python benchmarks/end_to_end.py FACE SPEECH
    python benchmarks/end_to_end.py FACE SPEECH --model MINE.onnx --weights MINE.safetensors

Both are run in turn, several times; the medians and their ratio are printed as a row of a table.
With the weights, the same generator alone is timed too, in torch and 32 bit floating point, as the
released code runs it.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch

from lipwright import sync
from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.inference.backend import BATCH_SIZE
from lipwright.media import VideoWriter, probe, read_frames
from lipwright.models.build import load_network, resolution_of

ROUNDS = 5


def main() -> None:
    """Print the row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("face", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    jobs, encodes, generators = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mp4"
        for _ in range(ROUNDS):
            started = time.perf_counter()
            result = sync(arguments.face, arguments.speech, out, model=arguments.model)
            jobs.append(time.perf_counter() - started)
            started = time.perf_counter()
            encode_again(out, Path(folder) / "again.mp4")
            encodes.append(time.perf_counter() - started)
            if arguments.weights is not None:
                generators.append(time_in_torch(arguments.weights, result.num_synced))
    job, encode = statistics.median(jobs), statistics.median(encodes)
    info = probe(arguments.face)
    seconds = float(result.duration)
    print("| source | video | job | frames a second | decode + encode | job / codec |")
    print("|---|---|---|---|---|---|")
    print(
        f"| {info.width}x{info.height} | {seconds:.1f} s | {job:.2f} s | "
        f"{result.num_frames / job:.0f} | {encode:.2f} s | {job / encode:.1f} |"
    )
    if generators:
        print(
            f"\nthe generator alone, in torch fp32: {statistics.median(generators):.2f} s for "
            f"{result.num_synced} faces"
        )
    print(f"\nmedian of {ROUNDS}, {os.cpu_count()} cores, {platform.machine()}")


def time_in_torch(weights: Path, num_faces: int) -> float:
    """Seconds that torch takes to draw so many faces, eight at a time."""
    network, meta = load_network(weights, kind="generator")
    size = resolution_of(meta.config)
    mel, faces = torch.rand(BATCH_SIZE, 1, 80, 16), torch.rand(BATCH_SIZE, 6, size, size)
    started = time.perf_counter()
    with torch.inference_mode():
        for first in range(0, num_faces, BATCH_SIZE):
            count = min(BATCH_SIZE, num_faces - first)
            network(mel[:count], faces[:count])
    return time.perf_counter() - started


def encode_again(source: Path, out: Path) -> None:
    """Decode a video and encode it with the settings that a job uses."""
    info = probe(source)
    with VideoWriter(
        out, width=info.width, height=info.height, fps=info.fps, speech=source
    ) as writer:
        for frame in read_frames(source):
            writer.write(frame.pixels, frame.time)


if __name__ == "__main__":
    main()
