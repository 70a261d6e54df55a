"""Measure how long a live session takes from sound to picture, on one core of this machine.

    python benchmarks/live.py
    python benchmarks/live.py --model MINE.onnx --face idle.mp4

The demo's speech is fed in blocks of 20 ms, each when a microphone would have it: blocks wait in a
queue while the session works. For every frame that was drawn, the time is taken from when the last
block that it needed was there, which is drawing and queueing, and from when the sound of the middle
of the frame was there, which is what somebody notices who watches the face speak.
"""

import argparse
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from math import ceil
from pathlib import Path

import av
import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_MODEL, model_path
from lipwright.inference import EngineChoice, open_generator
from lipwright.inference.live import BLOCK, LiveConfig, LiveFrame, LiveSession
from lipwright.inference.live_face import IdleFace, prepare_face
from lipwright.inference.machine import this_machine
from lipwright.media import SPEECH_RATE, read_speech

SPEECH = Path(__file__).parents[1] / "demo" / "speech.flac"
BINS = 12  # rows of a histogram
BAR = 50  # characters of its longest


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One way through the speech."""

    from_block: list[float]
    """Milliseconds per frame, from the arrival of the last block that it needed."""
    from_middle: list[float]
    """From the arrival of the sound of its own middle."""
    num_skipped: int
    latency: Fraction
    num_made_up: int


def main() -> None:
    """Print medians, histograms and what was measured on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--face", type=Path, help="a picture or clip; a photo by default")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16", "int8"], default="auto")
    parser.add_argument("--latency", type=float, default=200, help="ms that may be waited for")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    core = use_one_core()
    path = Path(arguments.model)
    backend, engine = open_generator(
        path if path.is_file() else model_path(arguments.model),
        precision=arguments.precision,
        num_threads=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        face = prepare_face(arguments.face or photo(Path(folder)), backend)
    config = LiveConfig(max_latency=Fraction(str(arguments.latency)) / 1000)
    speech = read_speech(SPEECH)
    measured = []
    for _ in range(arguments.rounds):
        session = LiveSession(face, backend, config=config, clock=time.monotonic_ns)
        measured.append(speak(session, speech, face.fps))
    report(measured, face, engine, model=str(arguments.model))
    print(f"one core ({core}), load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def use_one_core() -> str:
    """Keep this process, and what it starts, on one core where the system can."""
    cv2.setNumThreads(1)
    if not hasattr(os, "sched_setaffinity"):
        return "one thread: this system pins nothing"
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"number {core}"


def photo(folder: Path) -> Path:
    """A photo in the public domain, as a file."""
    from skimage import data  # noqa: PLC0415 - only where no face is given

    path = folder / "astronaut.png"
    cv2.imwrite(str(path), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR))
    return path


def speak(session: LiveSession, speech: NDArray[np.float32], fps: Fraction) -> Measured:
    """Feed the speech in real time."""
    size = int(BLOCK * SPEECH_RATE)
    blocks = [speech[first : first + size] for first in range(0, speech.size, size)]
    start = time.monotonic()
    frames: list[tuple[float, LiveFrame]] = []
    for number, block in enumerate(blocks, start=1):
        time.sleep(max(0.0, start + number * float(BLOCK) - time.monotonic()))
        ready = session.push(block)
        out = time.monotonic() - start
        frames += [(out, frame) for frame in ready]
    return Measured(
        from_block=[1000 * (out - arrival(frame.heard)) for out, frame in frames],
        from_middle=[1000 * (out - arrival(frame.time + 1 / (2 * fps))) for out, frame in frames],
        num_skipped=session.num_skipped,
        latency=session.latency,
        num_made_up=session.num_made_up,
    )


def arrival(position: Fraction) -> float:
    """When the block that holds the sound up to a position was there, in seconds."""
    return float(ceil(position / BLOCK) * BLOCK)


def report(rounds: list[Measured], face: IdleFace, engine: EngineChoice, *, model: str) -> None:
    """Print the table, the histograms and the circumstances."""
    display = face.frames[0].frame.display
    blocks = [value for measured in rounds for value in measured.from_block]
    middles = [value for measured in rounds for value in measured.from_middle]
    num_skipped = sum(measured.num_skipped for measured in rounds)
    print("| from | median | p95 | max |")
    print("|---|---|---|---|")
    for name, values in (("last block needed", blocks), ("middle of the frame", middles)):
        median, high = np.percentile(values, [50, 95])
        print(f"| {name} | {median:.1f} ms | {high:.1f} ms | {max(values):.1f} ms |")
    print(f"\n{len(blocks)} frames drawn, {num_skipped} dropped, {len(rounds)} rounds")
    print(
        f"algorithmic latency {float(1000 * rounds[0].latency):.1f} ms, "
        f"{rounds[0].num_made_up} columns made up"
    )
    for name, values in (("last block needed", blocks), ("middle of the frame", middles)):
        print(f"\nms from the {name}")
        histogram(values)
    print(f"\n{model}: {engine}")
    print(f"{display.width}x{display.height} at {float(face.fps):g} frames a second")
    print(f"{this_machine().cpu}, {platform.system()}, Python {platform.python_version()}")
    print(
        f"lipwright {version('lipwright')}, OpenVINO {ov.get_version()}, PyAV {av.__version__}, "
        f"numpy {np.__version__}, OpenCV {cv2.__version__}"
    )


def histogram(values: list[float]) -> None:
    """Print one, of text; what lies beyond the 99th percentile is in the last row."""
    low, high = np.percentile(values, [0, 99])
    counts, edges = np.histogram(np.minimum(values, high), bins=BINS, range=(low, high + 1e-9))
    for count, edge in zip(counts, edges[:-1], strict=True):
        print(f"{edge:7.1f} {count:5d} {'#' * round(BAR * count / counts.max())}")


if __name__ == "__main__":
    main()
