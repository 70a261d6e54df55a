"""The front door: from a face and a speech to a video, by one of two flows.

``sync`` is one job; ``lipsync.py`` keeps the networks from job to job. Both call ``run_job``.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Lock

from lipwright.checkpoints import (
    DEFAULT_LANDMARKS,
    DEFAULT_MODEL,
    model_path,
    read_metadata,
    read_onnx_metadata,
    require_licence,
    sha256_of,
)
from lipwright.errors import CheckpointError, ConfigError, MediaError
from lipwright.faces import Mtcnn
from lipwright.faces.landmarks import Landmarker
from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.engines import EngineChoice, PrecisionChoice, open_generator
from lipwright.inference.job import Job, Mode, Outcome, Progress, SyncOptions, SyncResult
from lipwright.inference.lending import EyesOnDemand, Pool, TakingTurns
from lipwright.inference.model import licence_of, runnable_model
from lipwright.inference.released_flow import plan_released_job
from lipwright.inference.sight import NativeEyes
from lipwright.inference.streaming import Tally, stream_job
from lipwright.inference.trackcache import TrackCache, tracks_folder
from lipwright.media import (
    SPEECH_RATE,
    NativeWriter,
    VideoWriter,
    is_still_picture,
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
    options = options or SyncOptions()
    models = Models(model, options)
    return run_job(models, face, speech, out, options=options, on_progress=on_progress)


class Models:
    """The networks of jobs that one model draws: loaded when first needed, then kept.

    May be used from several threads: drawing is done in turns, and each job has eyes of its own.
    """

    def __init__(self, model: str | Path, options: SyncOptions) -> None:
        """Load nothing yet.

        Args:
            model: Name or path.
            options: Say device, precision and accepted licence; what else they say does not count.
        """
        self.name = str(model)
        """Which model draws."""
        self.options = options
        """As given."""
        self._loading = Lock()
        self._file: Path | None = None
        self._generators: dict[PrecisionChoice, tuple[GeneratorBackend, EngineChoice]] = {}
        self._detectors: Pool[float, Mtcnn] = Pool(lambda min_face: Mtcnn(min_face=min_face))
        self._landmarkers = Pool(Landmarker)
        self._tracks: TrackCache | None = None

    def find(self) -> Path:
        """The file of the generator; a foreign one is converted first.

        Raises:
            CheckpointError: If there is no such model, or it cannot be converted.
            MissingExtraError: If it needs to be converted and torch is not installed.
        """
        with self._loading:
            if self._file is None:
                self._file = _file_for(self.name, self.options)
            return self._file

    def generator(self, mode: Mode) -> tuple[GeneratorBackend, EngineChoice]:
        """The generator and what it runs in, once its licence is accepted.

        Args:
            mode: Of the job: a released one is drawn in fp32 if no precision is asked for.

        Raises:
            LicenceError: If the licence was not accepted.
            CheckpointError: If the file is damaged or holds something else.
            ConfigError: If the device or precision is not there.
            MissingExtraError: If the engine that is asked for is not installed.
        """
        options = self.options
        is_plain = mode == "released" and options.precision == "auto"
        precision: PrecisionChoice = "fp32" if is_plain else options.precision
        file = self.find()
        with self._loading:
            if precision not in self._generators:
                _require_licence(self.name, file, accept=options.accept_licence)
                backend, engine = open_generator(file, device=options.device, precision=precision)
                log.info("%s runs in %s", self.name, engine)
                self._generators[precision] = TakingTurns(backend), engine
            return self._generators[precision]

    def warm(self, min_face: float) -> None:
        """Load what sees faces, so that no job waits for it.

        Args:
            min_face: See :class:`SyncOptions`.
        """
        with (
            self._detectors.lent(min_face),
            self._landmarkers.lent(model_path(DEFAULT_LANDMARKS)),
        ):
            return

    @contextmanager
    def detector(self, min_face: float) -> Iterator[Mtcnn]:
        """A detector for the time of one job.

        Args:
            min_face: See :class:`SyncOptions`.

        Raises:
            ConfigError: If ``min_face`` is out of range.
        """
        with self._detectors.lent(min_face) as detector:
            yield detector

    @contextmanager
    def eyes(self, min_face: float) -> Iterator[EyesOnDemand]:
        """Eyes for the time of one job; networks are taken when something is first looked at.

        Args:
            min_face: See :class:`SyncOptions`.
        """
        with ExitStack() as lent:

            def opened() -> NativeEyes:
                detector = lent.enter_context(self._detectors.lent(min_face))
                landmarks = self._landmarkers.lent(model_path(DEFAULT_LANDMARKS))
                return NativeEyes(detector, lent.enter_context(landmarks), min_face=min_face)

            yield EyesOnDemand(opened)

    def tracks(self) -> TrackCache | None:
        """The tracks that these networks made; None where there is no home to keep them in."""
        with self._loading:
            if self._tracks is None:
                with suppress(ConfigError):
                    landmarks = sha256_of(model_path(DEFAULT_LANDMARKS))
                    self._tracks = TrackCache(tracks_folder(), landmarks=landmarks)
            return self._tracks


def run_job(
    models: Models,
    face: str | Path,
    speech: str | Path,
    out: str | Path,
    *,
    options: SyncOptions,
    on_progress: Callable[[Progress], None] | None,
) -> SyncResult:
    """Render one job; what can be refused without the networks is refused before they are loaded.

    Args:
        models: Draw and see; they say device, precision and licence, the options do not.
        face: Other arguments, result and errors as of :func:`sync`.
        speech: See there.
        out: See there.
        options: See there.
        on_progress: See there.
    """
    started = time.monotonic()
    face, speech, out = Path(face), Path(speech), Path(out)
    _require_apart(out, face, speech)
    require_writable(out)
    models.find()
    job = Job(
        face=face, info=probe(face), options=options, report=on_progress or (lambda _progress: None)
    )
    heard = _Speech(speech, *_hear(speech))
    backend, engine = models.generator(options.mode)
    render = _render_released if options.mode == "released" else _render
    outcome = render(job, heard, out, models=models, backend=backend)
    seconds = time.monotonic() - started
    log.info("wrote %s: %d frames in %.1f s", out, outcome.num_frames, seconds)
    return SyncResult(
        path=out,
        num_frames=outcome.num_frames,
        num_synced=outcome.num_synced,
        passed_through=outcome.passed_through,
        duration=outcome.duration,
        seconds=seconds,
        model=models.name,
        engine=engine,
    )


@dataclass(frozen=True, slots=True)
class _Speech:
    path: Path
    mel: Mel
    duration: Fraction


def _render(
    job: Job, speech: _Speech, out: Path, *, models: Models, backend: GeneratorBackend
) -> Outcome:
    """Render in the default way: frames flow through, in their own pixel format."""
    tally, total = Tally(job.fps), round(speech.duration * job.fps)
    # One look at a still costs less than reading what was seen of it.
    is_kept = job.options.use_cache and not is_still_picture(job.face)
    tracks = models.tracks() if is_kept else None
    with (
        models.eyes(job.options.min_face) as eyes,
        closing(
            stream_job(job, speech.mel, speech.duration, eyes=eyes, backend=backend, tracks=tracks)
        ) as frames,
        NativeWriter(out, fps=job.fps, speech=speech.path) as writer,
    ):
        for drawn in frames:
            writer.write(drawn.frame)
            tally.add(drawn.frame.time, is_synced=drawn.is_synced)
            job.report(Progress(stage="render", done=tally.num_frames, total=total))
    return tally.outcome()


def _render_released(
    job: Job, speech: _Speech, out: Path, *, models: Models, backend: GeneratorBackend
) -> Outcome:
    """Render as the released system does: the face is tracked first, then drawn."""
    with models.detector(job.options.min_face) as detector:
        frames, outcome = plan_released_job(
            job, speech.mel, speech.duration, detector=detector, backend=backend
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


def _licence_in(file: Path) -> str:
    """What a file says of its licence, read without loading the network."""
    if file.suffix.lower() == ".safetensors":
        return read_metadata(file).licence
    return read_onnx_metadata(file).get("licence", "unknown")


def _require_licence(model: str, file: Path, *, accept: str | None) -> None:
    licence = licence_of(model, "") or _licence_in(file)
    if licence == "unknown" and accept is None:
        log.warning("%s does not say its licence; make sure that your use is within it", model)
        return
    require_licence(model, licence, accept=accept)


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
