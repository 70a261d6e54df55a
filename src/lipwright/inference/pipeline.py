"""The front door: from a face and a speech to a video, by one of two flows.

``sync`` is one job; ``lipsync.py`` keeps the networks from job to job. Both call ``run_job``.
``resume.py`` and ``preview.py`` do something else with a job that is ``opened`` here.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.errors import ConfigError, MediaError
from lipwright.faces.follow import KnowingEyes
from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.casting import Voice, at_hand, sound_of, utterance_of
from lipwright.inference.engines import EngineChoice
from lipwright.inference.job import Job, Outcome, Progress, SyncOptions, SyncResult
from lipwright.inference.networks import Models
from lipwright.inference.people import whom_to_follow
from lipwright.inference.released_flow import plan_released_job
from lipwright.inference.streaming import Role, stream_job
from lipwright.inference.tally import Tally
from lipwright.inference.trackcache import TrackCache
from lipwright.media import (
    Encoding,
    Extras,
    FrameWriter,
    NativeFrame,
    Pipe,
    SegmentWriter,
    SoundTrack,
    VideoWriter,
    is_still_picture,
    local_file,
    open_writer,
    probe,
    read_sound,
    require_output,
)
from lipwright.media.mix import Layer

log = logging.getLogger(__name__)

STANDARD_OUTPUT = "-"


def sync(
    face: str | Path,
    speech: str | Path | Sequence[Voice],
    out: str | Path,
    *,
    model: str | Path = DEFAULT_MODEL,
    options: SyncOptions | None = None,
    encoding: Encoding | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SyncResult:
    """Render a video of a face saying a speech.

    By default the video is as long as the speech: a longer source is cut, a shorter one continued
    by playing its last two seconds (less where they would not fit into memory) to and fro, and
    frames without a face are passed through; the options say otherwise.

    Args:
        face: A video or a picture that shows the face: a file, an address, ``-`` for standard
            input, or pictures (a folder, or a pattern such as ``frames/%05d.png``).
        speech: A recording or a video whose sound is the speech, likewise; or a voice for each of
            several people.
        out: What to write: .mp4, .mkv, .mov, .webm, .gif, pictures (a pattern, or a name without
            suffix for a folder), or ``-`` for standard output. An existing file is replaced once
            the new one is whole.
        model: Name of a model, or path of an ``.onnx`` file or of a checkpoint, which is converted.
        options: How; see :class:`SyncOptions`.
        encoding: How pictures are encoded; see :class:`Encoding`.
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
    return run_job(
        models, face, speech, out, options=options, encoding=encoding, on_progress=on_progress
    )


def run_job(
    models: Models,
    face: str | Path,
    speech: str | Path | Sequence[Voice],
    out: str | Path,
    *,
    options: SyncOptions,
    encoding: Encoding | None,
    on_progress: Callable[[Progress], None] | None,
) -> SyncResult:
    """Render one job; what can be refused without the networks is refused before they are loaded.

    Args:
        models: Draw and see; they say device, precision and licence, the options do not.
        face: Other arguments, result and errors as of :func:`sync`.
        speech: See there.
        out: See there.
        options: See there.
        encoding: See there.
        on_progress: See there.
    """
    started = time.monotonic()
    place = Pipe(sys.stdout.buffer) if str(out) == STANDARD_OUTPUT else Path(out)
    require_apart(place, face, speech, options)
    require_output(place)
    with opened(models, face, speech, options=options, on_progress=on_progress) as at_work:
        if options.mode == "released":
            outcome = _render_released(at_work, place)
        else:
            outcome = _render(at_work, place, encoding=encoding)
        return result_of(at_work, outcome, Path(out), seconds=time.monotonic() - started)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedJob:
    """A job whose inputs are at hand and whose generator is loaded."""

    job: Job
    """What is rendered and how."""
    play: "Play"
    """What is said, and when."""
    models: Models
    """See."""
    backend: GeneratorBackend
    """Draws."""
    engine: EngineChoice
    """What that runs in."""


@contextmanager
def opened(
    models: Models,
    face: str | Path,
    speech: str | Path | Sequence[Voice],
    *,
    options: SyncOptions,
    on_progress: Callable[[Progress], None] | None,
) -> Iterator[OpenedJob]:
    """Have a job's inputs at hand for the time of a block.

    Args:
        models: Draw and see.
        face: Other arguments and errors as of :func:`sync`.
        speech: See there.
        options: See there.
        on_progress: See there.
    """
    voices = _voices(speech, options)
    with ExitStack() as held:
        face = held.enter_context(local_file(face))
        voices = held.enter_context(at_hand(voices))
        models.find()
        job = Job(
            face=face,
            info=probe(face),
            options=options,
            report=on_progress or (lambda _progress: None),
        )
        play = Play(job, voices)
        held.callback(play.close)
        backend, engine = models.generator(options.mode)
        if options.mode != "released":
            _require_amplitude(models, backend, options)
        yield OpenedJob(job=job, play=play, models=models, backend=backend, engine=engine)


def result_of(at_work: OpenedJob, outcome: Outcome, out: Path, *, seconds: float) -> SyncResult:
    """What a job made.

    Args:
        at_work: The job.
        outcome: What was rendered.
        out: Where it is.
        seconds: That it took.
    """
    log.info("wrote %s: %d frames in %.1f s", out, outcome.num_frames, seconds)
    return SyncResult(
        path=out,
        num_frames=outcome.num_frames,
        num_synced=outcome.num_synced,
        synced=tuple(s for s in outcome.stretches if s.reason == "synced"),
        passed_through=tuple(s for s in outcome.stretches if s.reason != "synced"),
        duration=outcome.duration,
        seconds=seconds,
        model=at_work.models.name,
        engine=at_work.engine,
    )


def roles_of(at_work: OpenedJob, eyes: KnowingEyes[NativeFrame]) -> list[Role]:
    """Who says what; whoever is chosen by sight is looked for in the beginning of the video.

    Args:
        at_work: The job.
        eyes: See, and tell people apart.
    """
    choices = [voice.choice for voice in at_work.play.voices]
    who = whom_to_follow(at_work.job.face, choices, eyes)
    return [Role(*pair) for pair in zip(who, at_work.play.utterances, strict=True)]


class Play:
    """What is said in a job, and when."""

    def __init__(self, job: Job, voices: Sequence[Voice]) -> None:
        options = job.options
        first = Fraction(0) if job.segment is None else job.segment[0]
        shift = first + Fraction(options.speech_offset).limit_denominator(10**6)
        self._job = job
        self.voices = tuple(voices)
        self.starts = tuple(
            shift + Fraction(voice.offset).limit_denominator(10**6) for voice in voices
        )
        self.utterances = tuple(
            utterance_of(
                voice,
                start=start,
                amplitude=options.amplitude,
                rests_in_pauses=options.rest_in_pauses,
            )
            for voice, start in zip(self.voices, self.starts, strict=True)
        )

    @property
    def end(self) -> Fraction:
        """When the last speech ends, in seconds of the output."""
        return max(utterance.end for utterance in self.utterances)

    def close(self) -> None:
        """Let go of the speeches' files."""
        for utterance in self.utterances:
            utterance.heard.close()

    def sound(self) -> SoundTrack:
        """What is heard."""
        job, under, until = self._job, None, None
        if job.segment is not None and job.info.has_sound:
            under, until = Layer(track=read_sound(job.face), muted=job.segment), job.segment[1]
        return sound_of(list(zip(self.voices, self.starts, strict=True)), under=under, until=until)


def _render(at_work: OpenedJob, out: Path | Pipe, *, encoding: Encoding | None) -> Outcome:
    """Render in the default way: frames flow through, in their own pixel format."""
    job, play = at_work.job, at_work.play
    tally, total = Tally(job.fps), job.num_frames(play.end)
    with at_work.models.eyes(job.options.min_face) as eyes:
        roles = roles_of(at_work, eyes)
        with (
            closing(
                stream_job(
                    job,
                    roles,
                    eyes=eyes,
                    backend=at_work.backend,
                    tracks=tracks_of(at_work),
                    restorer=at_work.models.restorer(job.options.restore),
                )
            ) as frames,
            _writer(job, play, out, encoding=encoding) as writer,
        ):
            for drawn in frames:
                writer.write(drawn.frame)
                tally.add(drawn.frame.time, drawn.reason)
                job.report(Progress(stage="render", done=tally.num_frames, total=total))
    return tally.outcome()


def tracks_of(at_work: OpenedJob) -> TrackCache | None:
    """The tracks that are kept, where a job uses them."""
    job = at_work.job
    # One look at a still costs less than reading what was seen of it.
    is_kept = job.options.use_cache and not is_still_picture(job.face) and job.segment is None
    return at_work.models.tracks() if is_kept else None


def extras_of(job: Job, play: Play) -> Extras | None:
    """What else of the source goes along; nothing of a still."""
    if job.info.is_still:
        return None
    until = job.length(play.end) if job.segment is None else None
    return Extras(source=job.face, with_sound=job.options.keep_sound, until=until)


def _writer(job: Job, play: Play, out: Path | Pipe, *, encoding: Encoding | None) -> FrameWriter:
    extras = extras_of(job, play)
    if job.segment is None:
        return open_writer(out, fps=job.fps, speech=play.sound(), encoding=encoding, extras=extras)
    if not isinstance(out, Path):
        raise ConfigError("a segment needs a file to write to, not standard output")
    start, end = job.segment
    return SegmentWriter(
        out,
        source=job.face,
        start=start,
        end=end,
        speech=play.sound(),
        encoding=encoding,
        extras=extras,
    )


def _render_released(at_work: OpenedJob, out: Path | Pipe) -> Outcome:
    """Render as the released system does: the face is tracked first, then drawn."""
    job, play = at_work.job, at_work.play
    if len(play.voices) != 1 or not isinstance(out, Path):
        raise ConfigError("--mode released renders one voice into a file")
    utterance = play.utterances[0]
    with at_work.models.detector(job.options.min_face) as detector:
        frames, outcome = plan_released_job(
            job, utterance.heard.whole(), detector=detector, backend=at_work.backend
        )
        with VideoWriter(
            out,
            width=job.info.width,
            height=job.info.height,
            fps=job.fps,
            speech=Path(play.voices[0].speech),
        ) as writer:
            for done, (at, pixels) in enumerate(frames, start=1):
                writer.write(pixels, at)
                job.report(Progress(stage="render", done=done, total=outcome.num_frames))
    return outcome


def _voices(speech: str | Path | Sequence[Voice], options: SyncOptions) -> tuple[Voice, ...]:
    if isinstance(speech, (str, Path)):
        voice = Voice(
            speech=speech,
            face=options.face,
            stream=options.speech_stream,
            isolated=options.isolated_voice,
        )
        return (voice,)
    if not speech:
        raise ConfigError("nobody says anything; give one voice at least")
    return tuple(speech)


def _require_amplitude(models: Models, backend: GeneratorBackend, options: SyncOptions) -> None:
    if options.amplitude != 1 and not backend.with_amplitude:
        raise ConfigError(
            f"amplitude is {options.amplitude}, but {models.name} cannot be told how far the mouth "
            f"moves; leave it out, or use the default model"
        )


def require_apart(
    out: Path | Pipe,
    face: str | Path,
    speech: str | Path | Sequence[Voice],
    options: SyncOptions,
) -> None:
    """Check that an output is none of the inputs.

    Raises:
        MediaError: If it is one, whatever it is called.
    """
    if isinstance(out, Pipe):
        return
    voices = _voices(speech, options)
    inputs = [face, *(v.speech for v in voices), *(v.isolated for v in voices), options.restore]
    for path in (Path(name) for name in inputs if name is not None):
        try:
            is_same = out.exists() and path.exists() and out.samefile(path)
        except OSError as err:
            raise MediaError(f"cannot look at '{path}' or '{out}': {err.strerror}") from err
        if is_same:
            raise MediaError(f"the output '{out}' is also an input; give it another name")
