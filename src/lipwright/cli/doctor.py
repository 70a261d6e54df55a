"""``lipwright doctor``: what this machine has, what will be used of it, and how fast that is."""

import json
import statistics
import time
import wave
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, get_args

import cv2
import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from lipwright.checkpoints import DEFAULT_LANDMARKS, DEFAULT_MODEL, model_path
from lipwright.composite import paste_native
from lipwright.errors import ConfigError, LipwrightError
from lipwright.faces import Mtcnn
from lipwright.faces.follow import LOOK_EVERY
from lipwright.faces.landmarks import Landmarker
from lipwright.faces.points import NUM_LANDMARKS
from lipwright.inference.backend import BATCH_SIZE, GeneratorBackend, Precision, to_pixels
from lipwright.inference.engines import (
    TITLES,
    EngineChoice,
    EngineStatus,
    engine_statuses,
    open_generator,
)
from lipwright.inference.machine import Machine, this_machine
from lipwright.inference.model import runnable_model
from lipwright.inference.openvino_backend import cpu_capabilities
from lipwright.inference.sight import NativeEyes
from lipwright.media import (
    NativeFrame,
    NativeWriter,
    encodable,
    native_still,
    read_native,
    rgb_region,
)

FPS = 25
WIDTH, HEIGHT = 1280, 720
_FACE_SIZE = 300  # pixels of the face in the frame that is measured
_CLIP_FRAMES = 25
_MIN_ROUNDS = 3
# Room for what the parts leave out: time stamps, the mel, copies between the steps.
_MARGIN = 0.85
# Of the detector's speed on a picture without a face, what is left with one: a portrait at 720p.
_WITH_FACE = 0.7
_BUSY = 0.9  # of a core: below, others are at work


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Frames a second of each step by itself, at 720p with one face."""

    generator: dict[str, float]
    """By engine and precision, for example ``cpu bf16``."""
    detector: float
    """Pictures looked at; a job looks at every sixth."""
    paste: float
    """Finding the landmarks, cutting the face out and putting the drawn one back."""
    decode: float
    encode: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """All that is found."""

    machine: Machine
    engines: tuple[EngineStatus, ...]
    model: str
    choice: EngineChoice
    left_out: dict[str, str]
    """Precision -> why it cannot be used."""
    core_share: float
    """Of one core, how much this process was given; clearly below 1 if others are busy."""
    rates: Rates
    job: float
    """Frames a second to be expected of a whole job."""

    @property
    def is_real_time(self) -> bool:
        """Whether 25 frames a second of 720p can be expected."""
        return self.job >= FPS


def doctor_command(
    *,
    model: str = DEFAULT_MODEL,
    seconds: float = 20.0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Say what this machine has, what will be used of it, and how fast that is.

    Parameters
    ----------
    model:
        Name of a model (see: lipwright models), or path of a file.
    seconds:
        How long to measure, about.
    as_json:
        Print everything as JSON, for programs.
    """
    if not seconds > 0:
        raise ConfigError(f"seconds must be above 0, got {seconds}")
    with Console(stderr=True).status(f"measuring for about {seconds:.0f} s"):
        found = diagnose(model, seconds=seconds)
    if as_json:
        record = {**asdict(found), "is_real_time": found.is_real_time}
        print(json.dumps(record, indent=2))
    else:
        _show(found)


def diagnose(model: str, *, seconds: float) -> Diagnosis:
    """Look at this machine and measure every step of a job on it.

    Args:
        model: Name or path.
        seconds: How long to measure, about; opening the model in each precision comes on top.

    Returns:
        What was found.

    Raises:
        CheckpointError: If the model is unknown or damaged.
    """
    path = runnable_model(model)
    backend, choice = open_generator(path, whole=False)
    backends = {f"{choice.device} {choice.precision}": backend}
    left_out: dict[str, str] = {}
    for precision in get_args(Precision):
        if f"cpu {precision}" not in backends:
            try:
                other, _ = open_generator(path, device="cpu", precision=precision, whole=False)
                backends[f"cpu {precision}"] = other
            except LipwrightError as err:
                left_out[precision] = str(err)
    core_share = _core_share()
    rates = _measured(backends, seconds)
    drawn = rates.generator[f"{choice.device} {choice.precision}"]
    per_frame = 1 / drawn + 1 / (LOOK_EVERY * rates.detector) + 1 / rates.paste + 1 / rates.encode
    return Diagnosis(
        machine=this_machine(capabilities=cpu_capabilities()),
        engines=tuple(engine_statuses()),
        model=model,
        choice=choice,
        left_out=left_out,
        core_share=core_share,
        rates=rates,
        job=round(_MARGIN / (per_frame + 1 / rates.decode), 1),
    )


def _core_share() -> float:
    started, worked = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < 0.5:
        pass
    return round((time.process_time() - worked) / (time.perf_counter() - started), 2)


def _measured(backends: dict[str, GeneratorBackend], seconds: float) -> Rates:
    share = seconds / (len(backends) + 4)
    frame = _picture(HEIGHT, WIDTH)
    detector = Mtcnn(num_threads=1)  # as in jobs
    landmarker = Landmarker(model_path(DEFAULT_LANDMARKS), num_threads=1)
    eyes = NativeEyes(detector, landmarker, min_face=0.1)
    native = encodable(native_still(frame))
    x0, y0 = (WIDTH - _FACE_SIZE) / 2, (HEIGHT - _FACE_SIZE) / 2
    square = np.array([x0, y0, x0 + _FACE_SIZE, y0 + _FACE_SIZE], dtype=np.float32)
    size = next(iter(backends.values())).resolution

    def cut_and_paste() -> int:
        face = rgb_region(native, square, size=size)
        eyes.landmarks(native, square)
        paste_native(native, face, box=square)
        return 1

    def detect() -> int:
        eyes.detect(native)
        return 1

    generator = {name: _rate(_drawing(backend), share) for name, backend in backends.items()}
    decode, encode = _codec_rates(2 * share)
    return Rates(
        generator=generator,
        detector=round(_WITH_FACE * _rate(detect, share), 1),
        paste=_rate(cut_and_paste, share),
        decode=decode,
        encode=encode,
    )


def _drawing(backend: GeneratorBackend) -> Callable[[], int]:
    """Draws a batch each time as a job does, and says how many faces that is."""
    faces = np.stack([_picture(backend.resolution, backend.resolution)] * BATCH_SIZE)
    rng = np.random.default_rng(0)
    windows = rng.uniform(-4, 4, (BATCH_SIZE, 1, 80, backend.columns)).astype(np.float32)
    points = rng.uniform(0.2, 0.8, (BATCH_SIZE, NUM_LANDMARKS, 2)).astype(np.float32)

    def draw() -> int:
        to_pixels(backend.draw(faces, faces, windows, landmarks=points))
        return BATCH_SIZE

    return draw


def _rate(work: Callable[[], int], seconds: float) -> float:
    """Median of frames a second over a stretch of time; the first round, which compiles, is out."""
    work()
    rates: list[float] = []
    end = time.perf_counter() + seconds
    while len(rates) < _MIN_ROUNDS or time.perf_counter() < end:
        started = time.perf_counter()
        done = work()
        rates.append(done / (time.perf_counter() - started))
    return round(statistics.median(rates), 1)


def _codec_rates(seconds: float) -> tuple[float, float]:
    """Frames a second of decoding and of encoding a clip with sound, as a job does."""
    wide = _picture(HEIGHT, WIDTH + 4 * _CLIP_FRAMES)
    frames = [
        _native(wide[:, 4 * i : 4 * i + WIDTH], Fraction(i, FPS)) for i in range(_CLIP_FRAMES)
    ]
    with TemporaryDirectory() as folder:
        clip, speech = Path(folder) / "clip.mp4", Path(folder) / "speech.wav"
        with wave.open(str(speech), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(16_000)
            sound.writeframes(bytes(2 * 16_000 * _CLIP_FRAMES // FPS))

        def encode() -> int:
            with NativeWriter(clip, fps=Fraction(FPS), speech=speech) as writer:
                for frame in frames:
                    writer.write(frame)
            return _CLIP_FRAMES

        def decode() -> int:
            return sum(1 for _ in read_native(clip))

        encoded = _rate(encode, seconds / 2)
        return _rate(decode, seconds / 2), encoded


def _native(pixels: NDArray[np.uint8], time: Fraction) -> NativeFrame:
    return encodable(native_still(np.ascontiguousarray(pixels))).at(time)


def _picture(height: int, width: int) -> NDArray[np.uint8]:
    """``(H, W, 3)`` uint8 RGB: light, texture and a little noise, the same every time."""
    rng = np.random.default_rng(720)
    picture = np.full((height, width, 3), 120.0)
    for cells, strength in ((4, 40.0), (40, 15.0)):
        coarse = rng.standard_normal((cells, cells, 3))
        picture += strength * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    picture += 2 * rng.standard_normal(picture.shape)
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)


def _show(found: Diagnosis) -> None:
    console = Console(highlight=False)
    machine = found.machine
    console.print("[bold]This machine[/bold]")
    cores = f"{machine.cores} core{'s' if machine.cores > 1 else ''} to use"
    console.print(f"  {machine.cpu}, {cores}, {_gigabytes(machine)}", markup=False)
    console.print(f"  instructions: {', '.join(machine.instructions) or 'none that matter here'}")
    console.print("\n[bold]Engines[/bold]")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 1))
    for heading in ("engine", "device", "ready", "what it runs, or how to get it"):
        table.add_column(heading, overflow="fold")
    for status in found.engines:
        ready = "yes" if status.is_ready else "no"
        # Square brackets name extras in what is to be typed; they are no markup.
        note = status.note.replace("[", r"\[")
        table.add_row(TITLES[status.engine], status.device, ready, note)
    console.print(table)
    console.print(f"\n[bold]Used for {found.model}[/bold]")
    console.print(f"  {found.choice}", markup=False)
    for reason in found.left_out.values():
        console.print(f"  {reason}", markup=False)
    _show_rates(console, found)
    _show_verdict(console, found)


def _gigabytes(machine: Machine) -> str:
    if machine.memory is None:
        return "memory unknown"
    free = "" if machine.memory_free is None else f", {machine.memory_free / 2**30:.1f} free"
    return f"{machine.memory / 2**30:.1f} GB of memory{free}"


def _show_rates(console: Console, found: Diagnosis) -> None:
    rates = found.rates
    if found.core_share < _BUSY:
        console.print(
            f"\nOther programs keep this machine busy: one core gave {found.core_share:.0%} of its "
            f"time. Alone it is faster than what follows."
        )
    console.print("\n[bold]Frames a second, each step by itself at 720p[/bold]")
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 2))
    table.add_column()
    table.add_column(justify="right")
    used = f"{found.choice.device} {found.choice.precision}"
    for name, rate in rates.generator.items():
        mark = ", used" if name == used else ""
        table.add_row(f"draw the face ({name}{mark})", f"{rate:.0f}")
    table.add_row(f"find the face (in every {LOOK_EVERY}th frame)", f"{rates.detector:.0f}")
    table.add_row("cut out and paste", f"{rates.paste:.0f}")
    table.add_row("decode", f"{rates.decode:.0f}")
    table.add_row("encode", f"{rates.encode:.0f}")
    console.print(table)


def _show_verdict(console: Console, found: Diagnosis) -> None:
    console.print("\n[bold]To be expected at 720p[/bold]")
    console.print(
        f"  files: about {found.job:.0f} frames a second, {FPS / found.job:.1f} s for a second of "
        f"video at {FPS}"
    )
    if found.is_real_time:
        console.print(f"  real time: yes, {found.job:.0f} of the {FPS} frames a second needed")
        return
    console.print(f"  real time: no, {found.job:.0f} of the {FPS} frames a second needed")
    rates = found.rates
    costs = {
        "drawing the face": 1 / rates.generator[f"{found.choice.device} {found.choice.precision}"],
        "finding the face": 1 / (LOOK_EVERY * rates.detector),
        "pasting": 1 / rates.paste,
        "decoding and encoding": 1 / rates.decode + 1 / rates.encode,
    }
    slowest = max(costs, key=lambda step: costs[step])
    console.print(f"  most of the time goes into {slowest}")
