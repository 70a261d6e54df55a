"""The offline flow: media -> track -> plan -> generator -> composite -> media, frame by frame."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_MODEL, model_path
from lipwright.composite import paste
from lipwright.errors import MediaError, NoFaceError
from lipwright.faces import FaceTrack, Mtcnn, crop_face, require_choice, track_face
from lipwright.inference.backend import GeneratorBackend, OpenVinoGenerator
from lipwright.inference.plan import TAIL_SECONDS, PlannedFrame, RenderPlan
from lipwright.inference.reference import ReferenceKeeper
from lipwright.media import (
    SPEECH_RATE,
    VideoInfo,
    VideoWriter,
    probe,
    read_frames,
    read_speech,
    require_writable,
)
from lipwright.speech import MEL_RATE, WINDOW_LENGTH, Mel, cut_windows, mel_spectrogram

log = logging.getLogger(__name__)

BATCH_SIZE = 8
DETECT_EVERY = 3  # frames
STILL_FPS = Fraction(25)  # of the output where the source has no rate worth keeping
SLOWEST_FPS = Fraction(15)
TAIL_BYTES = 256 * 2**20  # of frames kept to continue a video under a longer speech
Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a job is."""

    stage: Literal["track", "render"]
    """First the face is tracked through the whole source, then the output is rendered."""
    done: int
    """Frames done in this stage."""
    total: int | None
    """Frames in this stage, where it is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncResult:
    """What a job made."""

    path: Path
    """The video."""
    num_frames: int
    """Frames in it."""
    num_synced: int
    """Frames whose mouth was drawn anew; the others have no face and are passed through."""
    passed_through: tuple[tuple[Fraction, Fraction], ...]
    """Stretches without a face, from and to, in seconds."""
    duration: Fraction
    """Of the video, in seconds."""
    seconds: float
    """Wall clock time that the job took."""
    model: str
    """Which model drew."""


def sync(
    face: str | Path,
    speech: str | Path,
    out: str | Path,
    *,
    model: str = DEFAULT_MODEL,
    choice: str = "largest",
    min_face: float = 0.1,
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
        model: Name of a model, or path of an ``.onnx`` file.
        choice: Which face to follow when there are several: ``largest``, ``central``,
            ``leftmost`` or ``rightmost``.
        min_face: Height of the smallest face looked for, as a share of the picture's shorter side.
        on_progress: Called after every frame tracked and every frame rendered.

    Returns:
        What was made.

    Raises:
        MediaError: If an input cannot be read or used, or the output cannot be written.
        NoFaceError: If no frame shows a face.
        CheckpointError: If the model is unknown or damaged.
        ConfigError: If a setting is out of range.
    """
    started = time.monotonic()
    face, speech, out = Path(face), Path(speech), Path(out)
    _require_apart(out, face, speech)
    require_writable(out)
    weights = model_path(model)
    require_choice(choice)
    info = probe(face)
    detector = Mtcnn(min_face=min_face)
    mel, duration = _hear(speech)
    backend = OpenVinoGenerator(weights)
    report = on_progress or (lambda _progress: None)
    track, source_end = _track(
        face, info, detector, choice=choice, duration=duration, report=report
    )
    if not track.is_found.any():
        raise NoFaceError(
            f"no face in any of the {len(track.times)} frames looked at in '{face}'; faces "
            f"smaller than {min_face:.0%} of the picture are not looked for (--min-face)"
        )
    plan = RenderPlan(
        track=track,
        source_end=source_end,
        fps=_continuing_rate(info),
        duration=duration,
        tail=_tail(info, len(track.times)) if source_end < duration else 1,
    )
    total = plan.num_frames()
    with VideoWriter(
        out, width=info.width, height=info.height, fps=plan.fps, speech=speech
    ) as writer:
        for done, (planned, pixels) in enumerate(render(plan, face, mel, backend), start=1):
            writer.write(pixels, planned.time)
            report(Progress(stage="render", done=done, total=total))
    result = _result(plan, out, model=model, seconds=time.monotonic() - started)
    log.info("wrote %s: %d frames in %.1f s", out, result.num_frames, result.seconds)
    return result


def _require_apart(out: Path, *inputs: Path) -> None:
    for path in inputs:
        try:
            is_same = out.exists() and path.exists() and out.samefile(path)
        except OSError as err:
            raise MediaError(f"cannot look at '{path}' or '{out}': {err.strerror}") from err
        if is_same:
            raise MediaError(f"the output '{out}' is also an input; give it another name")


def _continuing_rate(info: VideoInfo) -> Fraction:
    return info.fps if info.fps >= SLOWEST_FPS else STILL_FPS


def _tail(info: VideoInfo, num_frames: int) -> int:
    """Frames of the source's end that are kept: two seconds, or what fits into memory."""
    that_fit = TAIL_BYTES // (info.width * info.height * 3)
    return max(1, min(round(TAIL_SECONDS * info.fps), that_fit, num_frames))


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


def _track(
    path: Path,
    info: VideoInfo,
    detector: Mtcnn,
    *,
    choice: str,
    duration: Fraction,
    report: Callable[[Progress], None],
) -> tuple[FaceTrack, Fraction]:
    """Follow the face through as much of the source as will be shown; and when that ends."""
    end = Fraction(0)
    total = info.num_frames
    if total is not None and not info.is_still:
        total = min(total, round(duration * info.fps))

    def frames() -> Iterator[tuple[Picture, Fraction]]:
        nonlocal end
        for index, frame in enumerate(read_frames(path)):
            if frame.time >= duration:
                end = frame.time
                return
            end = frame.time + 1 / _continuing_rate(info)
            yield frame.pixels, frame.time
            report(Progress(stage="track", done=index + 1, total=total))

    track = track_face(frames(), detector, choice=choice, every=DETECT_EVERY)
    return track, end


def render(
    plan: RenderPlan, face: Path, mel: Mel, backend: GeneratorBackend
) -> Iterator[tuple[PlannedFrame, Picture]]:
    """Carry out a plan with bounded memory.

    Args:
        plan: What makes each frame.
        face: The source that the plan was made for.
        mel: ``(80, num_columns)`` float32 of the speech.
        backend: Draws the faces.

    Yields:
        Each planned frame with its ``(H, W, 3)`` uint8 RGB pixels, in order.
    """
    keeper = ReferenceKeeper()
    waiting: list[tuple[PlannedFrame, Picture]] = []
    for planned, pixels in _sources(plan, face):
        waiting.append((planned, pixels))
        if len(waiting) == BATCH_SIZE:
            yield from _drawn(waiting, mel, backend, keeper)
            waiting = []
    yield from _drawn(waiting, mel, backend, keeper)


def _sources(plan: RenderPlan, face: Path) -> Iterator[tuple[PlannedFrame, Picture]]:
    """Each planned frame with the frame of the source that it shows."""
    reader = read_frames(face)
    kept: deque[Picture] = deque(maxlen=plan.tail)  # the last frames read
    num_read = 0
    for planned in plan.frames():
        while num_read <= planned.source:
            frame = next(reader, None)
            if frame is None:
                raise MediaError(
                    f"'{face}' changed while it was being read: it has {num_read} frames now, "
                    f"{len(plan.track.times)} before"
                )
            kept.append(frame.pixels)
            num_read += 1
        yield planned, kept[planned.source - num_read]


def _drawn(
    frames: list[tuple[PlannedFrame, Picture]],
    mel: Mel,
    backend: GeneratorBackend,
    keeper: ReferenceKeeper,
) -> Iterator[tuple[PlannedFrame, Picture]]:
    """Draw the mouths of one batch."""
    with_face = [
        (planned, crop_face(pixels, planned.box, size=backend.resolution))
        for planned, pixels in frames
        if planned.box is not None
    ]
    drawn: Iterator[Picture] = iter(())
    if with_face:
        crops = np.stack([crop for _, crop in with_face])
        starts = np.array([planned.window_start for planned, _ in with_face])
        references = np.stack([keeper.reference_for(crop) for crop in crops])
        drawn = iter(backend.draw(crops, references, cut_windows(mel, starts)))
    for planned, pixels in frames:
        if planned.box is None:
            yield planned, pixels
        else:
            yield planned, paste(pixels, next(drawn), planned.box)


def _result(plan: RenderPlan, out: Path, *, model: str, seconds: float) -> SyncResult:
    frames = list(plan.frames())
    ends = [frame.time for frame in frames[1:]] + [frames[-1].time + 1 / plan.fps]
    gaps: list[tuple[Fraction, Fraction]] = []
    for frame, end in zip(frames, ends, strict=True):
        if frame.box is None:
            if gaps and gaps[-1][1] == frame.time:
                gaps[-1] = (gaps[-1][0], end)
            else:
                gaps.append((frame.time, end))
    return SyncResult(
        path=out,
        num_frames=len(frames),
        num_synced=sum(frame.box is not None for frame in frames),
        passed_through=tuple(gaps),
        duration=ends[-1],
        seconds=seconds,
        model=model,
    )
