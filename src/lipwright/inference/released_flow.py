"""The released system's flow: a box in every frame, windows by index, a hard paste.

Memory stays flat: where the released code keeps the video, this reads it again.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError, NoFaceError
from lipwright.faces import FaceDetector
from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.job import Job, Outcome, Picture, Progress, Rendered, Stretch
from lipwright.inference.released import (
    cut_face,
    padded_box,
    paste_hard,
    released_pixels,
    released_source,
    released_windows,
    smooth_in_place,
)
from lipwright.media import read_frames
from lipwright.speech import WINDOW_LENGTH, Mel

BATCH_SIZE = 8


def plan_released_job(
    job: Job, mel: Mel, *, detector: FaceDetector, backend: GeneratorBackend
) -> Rendered:
    """Plan a job in the released way; arguments as of `render_released`.

    Returns:
        The frames, and what will have been rendered.

    Raises:
        ConfigError: If the generator hears windows of another length than the released one.
    """
    if backend.columns != WINDOW_LENGTH:
        raise ConfigError(
            f"the released way cuts windows of {WINDOW_LENGTH} mel columns, the model hears "
            f"{backend.columns}: use a model of the released architecture, or leave out "
            f"--mode released"
        )
    num_frames = len(released_windows(mel, float(job.fps)))
    frames = render_released(
        job.face,
        mel,
        job.fps,
        detector=detector,
        backend=backend,
        on_frame=lambda done, total: job.report(Progress(stage="track", done=done, total=total)),
    )
    outcome = Outcome(
        num_frames=num_frames,
        num_synced=num_frames,
        stretches=(Stretch(Fraction(0), num_frames / job.fps, "synced"),),
        duration=num_frames / job.fps,
    )
    return frames, outcome


def render_released(
    face: Path,
    mel: Mel,
    fps: Fraction,
    *,
    detector: FaceDetector,
    backend: GeneratorBackend,
    on_frame: Callable[[int, int], None],
) -> Iterator[tuple[Fraction, Picture]]:
    """Render as the released inference does.

    Args:
        face: Video or picture.
        mel: ``(80, num_columns)`` float32 of the speech.
        fps: Rate at which the video is shown, whatever its time stamps say.
        detector: Finds faces; the best one of each frame is taken.
        backend: Draws.
        on_frame: Called with frames looked at and frames to look at.

    Yields:
        Time stamp in seconds and ``(H, W, 3)`` uint8 RGB pixels of each frame.

    Raises:
        NoFaceError: If a frame shows no face; the released system gives up too.
    """
    windows = released_windows(mel, float(fps))
    boxes = _boxes(face, len(windows), detector, on_frame)
    sources = _looped(face, len(boxes))
    for first in range(0, len(windows), BATCH_SIZE):
        batch = range(first, min(first + BATCH_SIZE, len(windows)))
        frames = list(islice(sources, len(batch)))
        chosen = [boxes[released_source(index, len(boxes))] for index in batch]
        faces = np.stack(
            [
                cut_face(frame, box, backend.resolution)
                for frame, box in zip(frames, chosen, strict=True)
            ]
        )
        drawn = released_pixels(backend.draw(faces, faces, windows[batch.start : batch.stop]))
        for index, frame, pixels, box in zip(batch, frames, drawn, chosen, strict=True):
            yield index / fps, paste_hard(frame, pixels, box)


def _boxes(
    face: Path, num: int, detector: FaceDetector, on_frame: Callable[[int, int], None]
) -> NDArray[np.int64]:
    boxes = []
    for index, frame in enumerate(islice(read_frames(face), num)):
        detections = detector.detect(frame.pixels)
        if not detections:
            raise NoFaceError(
                f"no face in frame {index} of '{face}'; the released way needs one in every frame: "
                f"cut the video, or render the default way"
            )
        height, width = frame.pixels.shape[:2]
        boxes.append(padded_box(detections[0].box, width=width, height=height))
        on_frame(index + 1, num)
    return smooth_in_place(np.array(boxes, dtype=np.int64))


def _looped(face: Path, num: int) -> Iterator[Picture]:
    """The first frames of a video, over and over."""
    while True:
        for frame in islice(read_frames(face), num):
            yield frame.pixels
