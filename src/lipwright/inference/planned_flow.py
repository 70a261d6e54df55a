"""The default flow: track -> plan -> generator -> composite, frame by frame, in flat memory."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from lipwright.composite import paste
from lipwright.errors import MediaError, NoFaceError
from lipwright.faces import CropRule, FaceDetector, FaceTrack, crop_face, track_face
from lipwright.inference.backend import GeneratorBackend, to_pixels
from lipwright.inference.job import Job, Outcome, Picture, Progress, Rendered
from lipwright.inference.plan import TAIL_SECONDS, PlannedFrame, RenderPlan
from lipwright.inference.reference import ReferenceKeeper
from lipwright.media import VideoInfo, read_frames
from lipwright.speech import Mel, cut_windows

BATCH_SIZE = 8
DETECT_EVERY = 3  # frames
TAIL_BYTES = 256 * 2**20  # of frames kept to continue a video under a longer speech


def plan_job(
    job: Job, mel: Mel, duration: Fraction, *, detector: FaceDetector, backend: GeneratorBackend
) -> Rendered:
    """Track the face through the source, and plan what makes each frame of the output.

    Args:
        job: What is rendered and how.
        mel: ``(80, num_columns)`` float32 of the speech.
        duration: Of the speech, in seconds.
        detector: Finds faces.
        backend: Draws.

    Returns:
        The frames, drawn as they are asked for, and what is known of the result.

    Raises:
        NoFaceError: If no frame shows a face.
    """
    track, source_end = _track(job, detector, crop=backend.crop, duration=duration)
    if not track.is_found.any():
        raise NoFaceError(
            f"no face in any of the {len(track.times)} frames looked at in '{job.face}'; faces "
            f"smaller than {job.options.min_face:.0%} of the picture are not looked for "
            f"(--min-face)"
        )
    plan = RenderPlan(
        track=track,
        source_end=source_end,
        fps=job.fps,
        duration=duration,
        tail=_tail(job.info, len(track.times)) if source_end < duration else 1,
        alignment=backend.alignment,
    )
    frames = ((planned.time, pixels) for planned, pixels in render(plan, job.face, mel, backend))
    return frames, _outcome(plan)


def _track(
    job: Job, detector: FaceDetector, *, crop: CropRule, duration: Fraction
) -> tuple[FaceTrack, Fraction]:
    """Follow the face through as much of the source as will be shown; and when that ends."""
    end = Fraction(0)
    total = job.info.num_frames
    if total is not None and not job.info.is_still:
        total = min(total, round(duration * job.info.fps))

    def frames() -> Iterator[tuple[Picture, Fraction]]:
        nonlocal end
        for index, frame in enumerate(read_frames(job.face)):
            if frame.time >= duration:
                end = frame.time
                return
            end = frame.time + 1 / job.fps
            yield frame.pixels, frame.time
            job.report(Progress(stage="track", done=index + 1, total=total))

    track = track_face(
        frames(), detector, choice=job.options.face_choice, every=DETECT_EVERY, crop=crop
    )
    return track, end


def _tail(info: VideoInfo, num_frames: int) -> int:
    """Frames of the source's end that are kept: two seconds, or what fits into memory."""
    that_fit = TAIL_BYTES // (info.width * info.height * 3)
    return max(1, min(round(TAIL_SECONDS * info.fps), that_fit, num_frames))


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
        drawn = iter(to_pixels(backend.draw(crops, references, cut_windows(mel, starts))))
    for planned, pixels in frames:
        if planned.box is None:
            yield planned, pixels
        else:
            yield planned, paste(pixels, next(drawn), planned.box)


def _outcome(plan: RenderPlan) -> Outcome:
    frames = list(plan.frames())
    ends = [frame.time for frame in frames[1:]] + [frames[-1].time + 1 / plan.fps]
    gaps: list[tuple[Fraction, Fraction]] = []
    for frame, end in zip(frames, ends, strict=True):
        if frame.box is None:
            if gaps and gaps[-1][1] == frame.time:
                gaps[-1] = (gaps[-1][0], end)
            else:
                gaps.append((frame.time, end))
    return Outcome(
        num_frames=len(frames),
        num_synced=sum(frame.box is not None for frame in frames),
        passed_through=tuple(gaps),
        duration=ends[-1],
    )
