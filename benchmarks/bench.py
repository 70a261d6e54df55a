"""The tables of speed that README shows, measured on this machine: `make bench`.

    python benchmarks/bench.py                       # engines, whole jobs against the codec, stages
    python benchmarks/bench.py --check               # and fail if a ratio has grown by a quarter
    python benchmarks/bench.py --only memory         # 1 and 10 minutes of 1080p: takes long
    python benchmarks/bench.py --model MINE.onnx

A job is compared with merely transcoding its source: decode, x264 at the same settings, AAC, by the
same library and threads. Both run in turn, several times, and the median of their ratios counts:
times depend on the machine and on what else it does, ratios hardly.
"""

import argparse
import json
import os
import statistics
import subprocess  # noqa: TID251 - a job is measured in a process of its own, as users run it
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scenes import FPS, write_scene, write_speech

import lipwright
from lipwright.checkpoints import DEFAULT_LANDMARKS, DEFAULT_MODEL, model_path
from lipwright.checkpoints.home import home
from lipwright.errors import LipwrightError
from lipwright.faces import Mtcnn
from lipwright.faces.follow import Followed, follow_face
from lipwright.faces.landmarks import Landmarker
from lipwright.faces.points import NUM_LANDMARKS
from lipwright.inference.backend import BATCH_SIZE, GeneratorBackend, Precision
from lipwright.inference.engines import open_generator
from lipwright.inference.joining import Joiner
from lipwright.inference.machine import this_machine
from lipwright.inference.model import runnable_model
from lipwright.inference.openvino_backend import cpu_capabilities
from lipwright.inference.reference import (
    FaceView,
    Reference,
    ReferenceKeeper,
    face_view,
    landmarks_of,
    middle,
)
from lipwright.inference.sight import NativeEyes
from lipwright.media import NativeFrame, NativeWriter, read_native

SPEECH = Path(__file__).parents[1] / "demo" / "speech.flac"
BASELINE = Path(__file__).parent / "baseline.json"
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
SECONDS = 30
MINUTES = (1.0, 10.0)
ROUNDS = 5
NUM_STAGED = 96  # frames that each stage is measured on
WORSE = 1.25  # a ratio that grew by more than this fails the check
TABLES = ("engines", "jobs", "stages", "starts", "memory")
Table = list[list[str]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--only", choices=TABLES, action="append")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--minutes", type=float, nargs="+", default=MINUTES)  # of 'memory'
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--keep", action="store_true", help="write the ratios as the new baseline")
    parser.add_argument("--job", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        run_job(*arguments.job)
        return
    wanted = arguments.only or [table for table in TABLES if table != "memory"]
    ratios: dict[str, float] = {}
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "engines" in wanted:
            show("Faces a second", engines(arguments.model))
        if "jobs" in wanted:
            table, ratios = jobs(folder, arguments.model, arguments.seconds, arguments.rounds)
            show("Whole jobs against the codec", table)
        if "stages" in wanted:
            show("Where the time goes, ms a frame", stages(folder, arguments.model))
        if "starts" in wanted:
            show("Starts, seconds", starts(folder, arguments.model))
        if "memory" in wanted:
            show("Memory, 1080p", memory(folder, arguments.model, arguments.minutes))
    if arguments.keep:
        BASELINE.write_text(json.dumps(ratios, indent=2) + "\n", encoding="utf-8")
    if arguments.check:
        check(ratios)


def print_machine() -> None:
    """Say what is measured on, and of what."""
    machine = this_machine(capabilities=cpu_capabilities())
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    ).stdout.strip()
    print(
        f"{machine.cpu}, {machine.cores} cores, {', '.join(machine.instructions)}; Python "
        f"{sys.version.split()[0]}, OpenVINO {version('openvino')}, PyAV {version('av')}; "
        f"lipwright {version('lipwright')} at {commit or 'no commit'}"
    )


def show(title: str, table: Table) -> None:
    """Print a table in Markdown."""
    print(f"\n**{title}**\n")
    for index, row in enumerate(table):
        print("| " + " | ".join(row) + " |")
        if index == 0:
            print("|" + "---|" * len(row))


def engines(model: str) -> Table:
    """Faces a second of one model in each engine and precision that is there."""
    path = runnable_model(model)
    table: Table = [["engine", "precision", "one at a time", "a job's four", "sixteen"]]
    for precision in get_args(Precision):
        try:
            backend, choice = open_generator(path, device="cpu", precision=precision, whole=False)
        except LipwrightError as err:
            print(f"{precision}: {err}", file=sys.stderr)
            continue
        rng, rates = np.random.default_rng(0), []
        for batch in (1, BATCH_SIZE, 4 * BATCH_SIZE):
            shape = (batch, backend.resolution, backend.resolution, 3)
            faces = rng.integers(0, 256, shape, dtype=np.uint8)
            mel = rng.uniform(-4, 4, (batch, 1, 80, backend.columns)).astype(np.float32)
            points = rng.uniform(0.2, 0.8, (batch, NUM_LANDMARKS, 2)).astype(np.float32)
            draw = partial(backend.draw, faces, faces, mel, landmarks=points)
            rates.append(f"{batch / median_time(draw, rounds=15):.0f}")
        table.append([choice.engine, precision, *rates])
    return table


def median_time(work: Callable[[], object], *, rounds: int) -> float:
    """Median seconds of a piece of work; the first round is out."""
    work()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def jobs(folder: Path, model: str, seconds: float, rounds: int) -> tuple[Table, dict[str, float]]:
    """Whole jobs, each in a process of its own, in turn with transcoding."""
    table: Table = [["source", "job", "frames a second", "transcode", "job / transcode"]]
    ratios = {}
    for name, (width, height) in SIZES.items():
        scene = write_scene(folder / f"{name}.mp4", width=width, height=height, seconds=seconds)
        speech = write_speech(SPEECH, folder / "speech.wav", seconds=seconds)
        pairs = []
        for _ in range(rounds):
            pair = [
                in_process(kind, scene, speech, model).seconds for kind in ("sync", "transcode")
            ]
            pairs.append(pair)
        job, codec = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios[name] = statistics.median(a / b for a, b in pairs)
        speed = seconds * FPS / job
        row = [f"{name}, {seconds:.0f} s", f"{job:.1f} s", f"{speed:.0f}", f"{codec:.1f} s"]
        table.append([*row, f"{ratios[name]:.2f}"])
    return table, ratios


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A job that ran in a process of its own."""

    seconds: float
    """From its start to its end, without the interpreter's own start."""
    first: float
    """Seconds until the first frame was rendered."""
    megabytes: float
    """Peak of the process' memory."""
    curve: list[float]
    """Megabytes held when each minute of the video was rendered."""


def in_process(kind: str, scene: Path, speech: Path, model: str) -> Finished:
    """Run one job in a process of its own."""
    command = [sys.executable, __file__, "--job", kind, str(scene), str(speech), model]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    record = json.loads(done.stdout.splitlines()[-1])
    return Finished(**record)


def run_job(kind: str, scene: str, speech: str, model: str) -> None:
    """What a process of its own does: print seconds and memory as JSON."""
    started = time.perf_counter()
    first: float | None = None
    curve: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mp4"
        if kind == "transcode":
            with NativeWriter(out, fps=Fraction(FPS), speech=Path(speech)) as writer:
                for frame in read_native(Path(scene)):
                    writer.write(frame)
        else:

            def note(progress: lipwright.Progress) -> None:
                nonlocal first
                first = first or time.perf_counter()
                if progress.done % (60 * FPS) == 0:
                    curve.append(megabytes("VmRSS"))

            if kind == "first":  # of a user on this video: it writes down where the face is
                model = str(runnable_model(model))
                (Path(folder) / "cache").symlink_to(home() / "cache")
                os.environ["LIPWRIGHT_HOME"] = folder
            options = lipwright.SyncOptions(use_cache=kind == "first")
            lipwright.sync(scene, speech, out, model=model, options=options, on_progress=note)
    seconds = time.perf_counter() - started
    finished = Finished(
        seconds=seconds,
        first=(first or started) - started,
        megabytes=megabytes("VmHWM"),
        curve=curve,
    )
    print(json.dumps(asdict(finished)))


def megabytes(what: str) -> float:
    """Of this process' memory, now or at its peak; getrusage begins with the parent's peak."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition(f"{what}:")[2].split()[0]) / 1024


def stages(folder: Path, model: str) -> Table:
    """Cost of each stage by itself, one after the other over the same frames.

    CPU time is that of all threads of the process, so it does not depend on what else the machine
    does as much as the clock's does; stages run side by side in a job.
    """
    backend, _ = open_generator(runnable_model(model), whole=False)
    landmarker = Landmarker(model_path(DEFAULT_LANDMARKS), num_threads=1)
    eyes, columns = NativeEyes(Mtcnn(num_threads=1), landmarker, min_face=0.1), []
    for name, (width, height) in SIZES.items():
        scene = write_scene(folder / f"stages-{name}.mp4", width=width, height=height, seconds=6)
        columns.append(stage_costs(scene, folder / "stages-out.mp4", eyes, backend))
    header = ["stage"]
    for name in SIZES:
        header += [f"{name}, ms", f"{name}, ms of CPU"]
    rows = [
        [stage, *(f"{value:.2f}" for costs in columns for value in costs[stage])]
        for stage in columns[0]
    ]
    sums = [sum(values) for costs in columns for values in zip(*costs.values(), strict=True)]
    return [header, *rows, ["sum", *(f"{value:.2f}" for value in sums)]]


def stage_costs(
    scene: Path, out: Path, eyes: NativeEyes, backend: GeneratorBackend
) -> dict[str, tuple[float, float]]:
    """Milliseconds a frame by the clock, and of CPU, of each stage."""
    frames = list(islice(read_native(scene), NUM_STAGED))

    def follow() -> list[Followed[NativeFrame]]:
        return list(follow_face(((frame, frame.time) for frame in frames), eyes))

    kept = [(k.frame, k.face) for k in follow() if k.face is not None]

    def look() -> list[tuple[FaceView, Reference]]:
        keeper = ReferenceKeeper(backend.resolution)
        views = [face_view(frame, face, resolution=backend.resolution) for frame, face in kept]
        return [(view, keeper.reference_for(view)) for view in views]

    seen = look()
    targets = np.stack([middle(view.picture, backend.resolution) for view, _ in seen])
    references = [reference for _, reference in seen]
    pictures = np.stack([reference.picture for reference in references])
    landmarks = landmarks_of(references)
    assert landmarks is not None, "the faces were followed by their landmarks"  # noqa: S101
    mel = np.random.default_rng(0).uniform(-4, 4, (len(kept), 1, 80, backend.columns))

    def draw() -> NDArray[np.float32]:
        starts = range(0, len(kept), BATCH_SIZE)
        batches = [slice(start, start + BATCH_SIZE) for start in starts]
        windows = mel.astype(np.float32)
        return np.concatenate(
            [
                backend.draw(targets[at], pictures[at], windows[at], landmarks=landmarks[at])
                for at in batches
            ]
        )

    drawn = draw()

    def join() -> list[NativeFrame]:
        joiner = Joiner()
        return [
            joiner.join(frame, view, face=face, drawn=picture, reference=reference.picture)[0]
            for (frame, face), (view, reference), picture in zip(kept, seen, drawn, strict=True)
        ]

    joined = join()

    def encode() -> None:
        with NativeWriter(out, fps=Fraction(FPS), speech=None) as writer:
            for frame in joined:
                writer.write(frame)

    work: dict[str, Callable[[], object]] = {
        "decode": lambda: sum(1 for _ in islice(read_native(scene), NUM_STAGED)),
        "follow": follow,
        "look and lay the reference": look,
        "draw": draw,
        "join": join,
        "encode": encode,
    }
    return {stage: costs_of(one, count=len(kept)) for stage, one in work.items()}


def costs_of(work: Callable[[], object], *, count: int) -> tuple[float, float]:
    """Median milliseconds by the clock, and of CPU, for each of so many; the first round is out."""
    work()
    rounds = []
    for _ in range(ROUNDS):
        before = time.perf_counter(), time.process_time()
        work()
        rounds.append((time.perf_counter() - before[0], time.process_time() - before[1]))
    wall, cpu = (1000 * statistics.median(column) / count for column in zip(*rounds, strict=True))
    return wall, cpu


def starts(folder: Path, model: str) -> Table:
    """How long it takes to begin."""
    width, height = SIZES["720p"]
    scene = write_scene(folder / "start.mp4", width=width, height=height, seconds=4)
    speech = write_speech(SPEECH, folder / "start.wav", seconds=4)
    firsts = [in_process("sync", scene, speech, model).first for _ in range(4)]
    rows = [["first frame rendered (median of 3, caches warm)", statistics.median(firsts[1:])]]
    for what, command in (
        ("lipwright --help", [str(Path(sys.executable).parent / "lipwright"), "--help"]),
        ("import lipwright", [sys.executable, "-c", "import lipwright"]),
        ("python alone", [sys.executable, "-c", "pass"]),
    ):
        run = lambda c=command: subprocess.run(c, capture_output=True, check=True)  # noqa: E731, S603
        rows.append([what, median_time(run, rounds=5)])
    return [["", "s"], *[[str(what), f"{value:.2f}"] for what, value in rows]]


def memory(folder: Path, model: str, lengths: Sequence[float]) -> Table:
    """Peak memory and time a frame, of a short and a long job."""
    width, height = SIZES["1080p"]
    table: Table = [["source", "peak RSS, MB", "ms a frame", "MB held after each minute"]]
    for minutes in lengths:
        seconds = 60 * minutes
        scene = write_scene(folder / f"{minutes}.mp4", width=width, height=height, seconds=seconds)
        speech = write_speech(SPEECH, folder / f"{minutes}.wav", seconds=seconds)
        found = in_process("first", scene, speech, model)
        per_frame = 1000 * found.seconds / (seconds * FPS)
        held = " ".join(f"{value:.0f}" for value in found.curve)
        table.append([f"{minutes:g} min", f"{found.megabytes:.0f}", f"{per_frame:.1f}", held])
        scene.unlink()
    return table


def check(ratios: dict[str, float]) -> None:
    """Compare ratios with those that were kept; leave with 1 if one has grown."""
    before = json.loads(BASELINE.read_text(encoding="utf-8"))
    grown = {
        name: (before[name], ratio)
        for name, ratio in ratios.items()
        if name in before and ratio > WORSE * before[name]
    }
    for name, (old, new) in grown.items():
        print(f"{name}: job / transcode was {old:.2f}, is {new:.2f}", file=sys.stderr)
    if grown:
        sys.exit(1)
    print(f"\nno ratio has grown by more than {WORSE - 1:.0%} ({BASELINE.name})")


if __name__ == "__main__":
    main()
