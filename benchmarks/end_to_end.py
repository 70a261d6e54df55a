"""Measure a whole job against merely encoding its frames again, on this machine.

    python benchmarks/end_to_end.py FACE SPEECH

Both are run in turn, several times; the medians and their ratio are printed as a row of a table.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from lipwright import sync
from lipwright.media import VideoWriter, probe, read_frames

ROUNDS = 5


def main() -> None:
    """Print the row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("face", type=Path)
    parser.add_argument("speech", type=Path)
    arguments = parser.parse_args()
    jobs, encodes = [], []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mp4"
        for _ in range(ROUNDS):
            started = time.perf_counter()
            result = sync(arguments.face, arguments.speech, out)
            jobs.append(time.perf_counter() - started)
            started = time.perf_counter()
            encode_again(out, Path(folder) / "again.mp4")
            encodes.append(time.perf_counter() - started)
    job, encode = statistics.median(jobs), statistics.median(encodes)
    info = probe(arguments.face)
    seconds = float(result.duration)
    print("| source | video | job | frames a second | decode + encode | job / codec |")
    print("|---|---|---|---|---|---|")
    print(
        f"| {info.width}x{info.height} | {seconds:.1f} s | {job:.2f} s | "
        f"{result.num_frames / job:.0f} | {encode:.2f} s | {job / encode:.1f} |"
    )
    print(f"\nmedian of {ROUNDS}, {os.cpu_count()} cores, {platform.machine()}")


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
