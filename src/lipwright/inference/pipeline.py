"""The front door: from a face and a speech to a video, by one of two flows."""

import logging
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from lipwright.checkpoints import (
    DEFAULT_LANDMARKS,
    DEFAULT_MODEL,
    model_path,
    read_metadata,
    require_licence,
)
from lipwright.errors import CheckpointError, MediaError
from lipwright.faces import Mtcnn
from lipwright.faces.landmarks import Landmarker
from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.engines import open_generator
from lipwright.inference.job import Job, Outcome, Progress, SyncOptions, SyncResult
from lipwright.inference.model import licence_of, runnable_model
from lipwright.inference.released_flow import plan_released_job
from lipwright.inference.sight import NativeEyes
from lipwright.inference.streaming import Tally, stream_job
from lipwright.media import (
    SPEECH_RATE,
    NativeWriter,
    VideoWriter,
    probe,
    read_speech,
    require_writable,
)
from lipwright.speech import MEL_RATE, WINDOW_LENGTH, Mel, mel_spectrogram

log = logging.getLogger(__name__)


def sync(
    face: str | Path,
    speech: str | Path,
    out: str | Path,
    *,
    model: str | Path = DEFAULT_MODEL,
    options: SyncOptions | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SyncResult:
    """Render a video of a face saying a speech.

    The video is as long as the speech. A longer source is cut; a shorter one is continued by
    playing its last two seconds (less where they would not fit into memory) to and fro. Frames
    without a face are passed through.

    Args:
        face: A video or a picture that shows the face.
        speech: A recording or a video whose sound is the speech; its sound goes into the result.
        out: The video to write: .mp4, .mkv or .mov. An existing one is replaced once the new one
            is whole.
        model: Name of a model, or path of an ``.onnx`` file or of a checkpoint, which is converted.
        options: How; see :class:`SyncOptions`.
        on_progress: Called after every frame rendered.

    Returns:
        What was made.

    Raises:
        MediaError: If an input cannot be read or used, or the output cannot be written.
        NoFaceError: If no frame shows a face.
        CheckpointError: If the model is unknown or damaged.
        LicenceError: If the model's licence was not accepted.
        ConfigError: If a setting is out of range, or a device or precision is not there.
        MissingExtraError: If the device that is asked for needs a library that is not installed.
    """
    started = time.monotonic()
    face, speech, out = Path(face), Path(speech), Path(out)
    options = options or SyncOptions()
    _require_apart(out, face, speech)
    require_writable(out)
    file = _file_for(model, options)
    job = Job(
        face=face, info=probe(face), options=options, report=on_progress or (lambda _progress: None)
    )
    mel, duration = _hear(speech)
    is_released = options.mode == "released"
    is_plain = is_released and options.precision == "auto"
    backend, engine = open_generator(
        file, device=options.device, precision="fp32" if is_plain else options.precision
    )
    log.info("%s runs in %s", model, engine)
    _require_licence(model, backend.licence, accept=options.accept_licence)
    render = _render_released if is_released else _render
    outcome = render(job, _Speech(speech, mel, duration), out, backend)
    seconds = time.monotonic() - started
    log.info("wrote %s: %d frames in %.1f s", out, outcome.num_frames, seconds)
    return SyncResult(
        path=out,
        num_frames=outcome.num_frames,
        num_synced=outcome.num_synced,
        passed_through=outcome.passed_through,
        duration=outcome.duration,
        seconds=seconds,
        model=str(model),
        engine=engine,
    )


@dataclass(frozen=True, slots=True)
class _Speech:
    path: Path
    mel: Mel
    duration: Fraction


def _render(job: Job, speech: _Speech, out: Path, backend: GeneratorBackend) -> Outcome:
    """Render in the default way: frames flow through, in their own pixel format."""
    eyes = NativeEyes(
        Mtcnn(min_face=job.options.min_face),
        Landmarker(model_path(DEFAULT_LANDMARKS)),
        min_face=job.options.min_face,
    )
    tally, total = Tally(job.fps), round(speech.duration * job.fps)
    with (
        closing(stream_job(job, speech.mel, speech.duration, eyes=eyes, backend=backend)) as frames,
        NativeWriter(out, fps=job.fps, speech=speech.path) as writer,
    ):
        for drawn in frames:
            writer.write(drawn.frame)
            tally.add(drawn.frame.time, is_synced=drawn.is_synced)
            job.report(Progress(stage="render", done=tally.num_frames, total=total))
    return tally.outcome()


def _render_released(job: Job, speech: _Speech, out: Path, backend: GeneratorBackend) -> Outcome:
    """Render as the released system does: the face is tracked first, then drawn."""
    frames, outcome = plan_released_job(
        job,
        speech.mel,
        speech.duration,
        detector=Mtcnn(min_face=job.options.min_face),
        backend=backend,
    )
    with VideoWriter(
        out, width=job.info.width, height=job.info.height, fps=job.fps, speech=speech.path
    ) as writer:
        for done, (at, pixels) in enumerate(frames, start=1):
            writer.write(pixels, at)
            job.report(Progress(stage="render", done=done, total=outcome.num_frames))
    return outcome


def _file_for(model: str | Path, options: SyncOptions) -> Path:
    """The file to open: Lipwright's own weights for torch's devices, else a graph."""
    if options.device in ("cuda", "mps") and Path(model).suffix.lower() == ".safetensors":
        path = model_path(str(model))
        with suppress(CheckpointError):  # somebody else's weights: they are converted
            if read_metadata(path).kind == "generator":
                return path
    return runnable_model(model)


def _require_licence(model: str | Path, found: str, *, accept: str | None) -> None:
    licence = licence_of(model, found)
    if licence == "unknown" and accept is None:
        log.warning("%s does not say its licence; make sure that your use is within it", model)
        return
    require_licence(str(model), licence, accept=accept)


def _require_apart(out: Path, *inputs: Path) -> None:
    for path in inputs:
        try:
            is_same = out.exists() and path.exists() and out.samefile(path)
        except OSError as err:
            raise MediaError(f"cannot look at '{path}' or '{out}': {err.strerror}") from err
        if is_same:
            raise MediaError(f"the output '{out}' is also an input; give it another name")


def _hear(path: Path) -> tuple[Mel, Fraction]:
    """Mel and exact duration in seconds of a speech."""
    samples = read_speech(path)
    shortest = Fraction(WINDOW_LENGTH, MEL_RATE)
    duration = Fraction(len(samples), SPEECH_RATE)
    if duration < shortest:
        raise MediaError(
            f"'{path}' has {float(duration):.3f} s of sound; at least {float(shortest)} s are "
            f"needed"
        )
    return mel_spectrogram(samples), duration
