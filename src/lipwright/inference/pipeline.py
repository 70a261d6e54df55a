"""The front door: from a face and a speech to a video, by one of two flows."""

import logging
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from lipwright.checkpoints import DEFAULT_MODEL, require_licence
from lipwright.errors import MediaError
from lipwright.faces import Mtcnn
from lipwright.inference.backend import OpenVinoGenerator
from lipwright.inference.job import Job, Progress, SyncOptions, SyncResult
from lipwright.inference.model import licence_of, runnable_model
from lipwright.inference.planned_flow import plan_job
from lipwright.inference.released_flow import plan_released_job
from lipwright.media import (
    SPEECH_RATE,
    VideoWriter,
    probe,
    read_speech,
    require_writable,
)
from lipwright.speech import MEL_RATE, WINDOW_LENGTH, Mel, mel_spectrogram

log = logging.getLogger(__name__)

FLOWS = {"lipwright": plan_job, "released": plan_released_job}


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
        on_progress: Called after every frame tracked and every frame rendered.

    Returns:
        What was made.

    Raises:
        MediaError: If an input cannot be read or used, or the output cannot be written.
        NoFaceError: If no frame shows a face.
        CheckpointError: If the model is unknown or damaged.
        LicenceError: If the model's licence was not accepted.
        ConfigError: If a setting is out of range.
    """
    started = time.monotonic()
    face, speech, out = Path(face), Path(speech), Path(out)
    options = options or SyncOptions()
    _require_apart(out, face, speech)
    require_writable(out)
    graph = runnable_model(model)
    job = Job(
        face=face, info=probe(face), options=options, report=on_progress or (lambda _progress: None)
    )
    detector = Mtcnn(min_face=options.min_face)
    mel, duration = _hear(speech)
    backend = OpenVinoGenerator(graph)
    _require_licence(model, backend.licence, accept=options.accept_licence)
    frames, outcome = FLOWS[options.mode](job, mel, duration, detector=detector, backend=backend)
    num_frames = 0
    with VideoWriter(
        out, width=job.info.width, height=job.info.height, fps=job.fps, speech=speech
    ) as writer:
        for at, pixels in frames:
            writer.write(pixels, at)
            num_frames += 1
            job.report(Progress(stage="render", done=num_frames, total=outcome.num_frames))
    seconds = time.monotonic() - started
    log.info("wrote %s: %d frames in %.1f s", out, num_frames, seconds)
    return SyncResult(
        path=out,
        num_frames=num_frames,
        num_synced=outcome.num_synced,
        passed_through=outcome.passed_through,
        duration=outcome.duration,
        seconds=seconds,
        model=str(model),
    )


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
