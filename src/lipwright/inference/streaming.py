"""The default flow: decode -> follow -> schedule -> generator -> composite, as frames come.

Frames stay in their own pixel format, and each stage works a few frames ahead of the next in a
thread of its own, so memory does not grow with the video and the first frame is out at once.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lipwright.composite import paste_native
from lipwright.errors import NoFaceError
from lipwright.faces.follow import Eyes, FollowConfig, Followed, follow_face
from lipwright.inference.ahead import run_ahead
from lipwright.inference.backend import GeneratorBackend
from lipwright.inference.job import Job, Outcome
from lipwright.inference.reference import FaceView, ReferenceKeeper, face_view, middle
from lipwright.inference.schedule import TAIL_SECONDS, Schedule, Shown, show
from lipwright.inference.trackcache import TrackCache, Wanted
from lipwright.media import NativeFrame, encodable, read_native
from lipwright.speech import Mel, aligned_starts, cut_windows

BATCH_SIZE = 8  # frames drawn at a time
FOLLOW_AHEAD = 8  # frames that wait between two stages
DRAWN_AHEAD = 8
TAIL_BYTES = 256 * 2**20  # of frames kept to continue a video under a longer speech
_CLAIM_MARGIN = Fraction(1)  # seconds by which a video must claim to be longer to need no tail
SourceFrame = Followed[NativeFrame]
_Batch = list[Shown[SourceFrame]]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A frame of the output."""

    frame: NativeFrame
    """As it is to be encoded, its time stamp that of the output."""
    is_synced: bool
    """Whether its mouth was drawn anew."""


class Tally:
    """Counts what was rendered, as it is rendered."""

    def __init__(self, fps: Fraction) -> None:
        """Start at nothing.

        Args:
            fps: Its inverse is how long the last frame is shown.
        """
        self._period = 1 / fps
        self._num_frames = self._num_synced = 0
        self._gaps: list[tuple[Fraction, Fraction]] = []
        self._is_open = False  # whether the last frame had no face
        self._last = Fraction(0)

    def add(self, time: Fraction, *, is_synced: bool) -> None:
        """Count one frame, in the order of time."""
        if self._is_open:
            self._gaps[-1] = (self._gaps[-1][0], time)
        if not is_synced and not self._is_open:
            self._gaps.append((time, time))
        self._is_open = not is_synced
        self._num_frames += 1
        self._num_synced += is_synced
        self._last = time

    @property
    def num_frames(self) -> int:
        """Frames so far."""
        return self._num_frames

    def outcome(self) -> Outcome:
        """What was rendered so far."""
        end = self._last + self._period if self._num_frames else Fraction(0)
        gaps = self._gaps
        if self._is_open:
            gaps = [*gaps[:-1], (gaps[-1][0], end)]
        return Outcome(
            num_frames=self._num_frames,
            num_synced=self._num_synced,
            passed_through=tuple(gaps),
            duration=end,
        )


def stream_job(
    job: Job,
    mel: Mel,
    duration: Fraction,
    *,
    eyes: Eyes[NativeFrame],
    backend: GeneratorBackend,
    tracks: TrackCache | None = None,
) -> Generator[Drawn, None, None]:
    """Render a job frame by frame.

    Args:
        job: What is rendered and how.
        mel: ``(80, num_columns)`` float32 of the speech.
        duration: Of the speech, in seconds.
        eyes: Find the face.
        backend: Draws.
        tracks: Known ones, which save looking; without them the face is always followed anew.

    Yields:
        The frames of the output, in order; closing it stops every stage.

    Raises:
        NoFaceError: If no frame shows a face, after the last frame.
        MediaError: If the source cannot be read to its end.
    """
    schedule = Schedule(fps=job.fps, duration=duration, tail=_tail(job, duration))
    config = FollowConfig(choice=job.options.face_choice, crop=backend.crop)
    shown = run_ahead(
        _shown(job, schedule, eyes, config=config, tracks=tracks),
        depth=FOLLOW_AHEAD,
        name="lipwright-follow",
    )
    painter = _Painter(mel, backend)
    drawn = run_ahead(painter.paint(shown), depth=DRAWN_AHEAD, name="lipwright-draw")
    num_frames = num_synced = 0
    try:
        for frame in drawn:
            num_frames += 1
            num_synced += frame.is_synced
            yield frame
    finally:
        drawn.close()
        shown.close()
    if not num_synced:
        raise NoFaceError(
            f"no face in any of the {num_frames} frames looked at in '{job.face}'; faces smaller "
            f"than {job.options.min_face:.0%} of the picture are not looked for (--min-face)"
        )


def _shown(
    job: Job,
    schedule: Schedule,
    eyes: Eyes[NativeFrame],
    *,
    config: FollowConfig,
    tracks: TrackCache | None,
) -> Iterator[Shown[SourceFrame]]:
    # A still is brought to the encoder's format once, not each time that it is shown.
    frames = (
        (encodable(frame) if frame.is_still else frame, frame.time)
        for frame in read_native(job.face)
    )
    if tracks is None:
        followed = follow_face(frames, eyes, config)
        yield from show(followed, schedule, time_of=lambda source: source.time)
        return
    wanted = Wanted(
        source=job.face, min_face=job.options.min_face, config=config, until=schedule.duration
    )
    with closing(tracks.follow(frames, eyes, wanted)) as known:  # what is new is kept at the end
        yield from show(known, schedule, time_of=lambda source: source.time)


def _tail(job: Job, duration: Fraction) -> int:
    """Frames of the source's end that are kept: two seconds, or what fits into memory."""
    claimed = job.info.duration
    if claimed is not None and claimed > duration + _CLAIM_MARGIN:
        return 1
    that_fit = TAIL_BYTES // (job.info.width * job.info.height * 3)
    return max(1, min(round(TAIL_SECONDS * job.info.fps), that_fit))


class _Painter:
    """Draws the mouths of frames, some at a time."""

    def __init__(self, mel: Mel, backend: GeneratorBackend) -> None:
        self._mel, self._backend = mel, backend
        self._keeper = ReferenceKeeper(backend.resolution)
        self._shot = 0

    def paint(self, shown: Iterator[Shown[SourceFrame]]) -> Iterator[Drawn]:
        """Draw frames in order."""
        while batch := list(islice(shown, BATCH_SIZE)):
            yield from self._painted(batch)

    def _painted(self, batch: _Batch) -> Iterator[Drawn]:
        size = self._backend.resolution
        with_face = [
            (shown, face_view(shown.source.frame, shown.source.face, resolution=size))
            for shown in batch
            if shown.source.face is not None
        ]
        drawn: Iterator[NDArray[np.float32]] = iter(())
        if with_face:
            drawn = iter(self._draw(with_face))
        for shown in batch:
            frame, face = shown.source.frame.at(shown.time), shown.source.face
            if face is None:
                yield Drawn(frame, is_synced=False)
            else:
                yield Drawn(paste_native(frame, next(drawn), box=face.box), is_synced=True)

    def _draw(self, faces: list[tuple[Shown[SourceFrame], FaceView]]) -> NDArray[np.float32]:
        """``(B, R, R, 3)`` in [0, 1]."""
        backend = self._backend
        references = []
        for index, (shown, view) in enumerate(faces):
            if shown.source.shot != self._shot:
                self._keeper.forget()
                self._shot = shown.source.shot
            same_shot = [v for s, v in faces[index:] if s.source.shot == self._shot]
            self._keeper.offer(same_shot)
            references.append(self._keeper.reference_for(view))
        targets = [middle(view.picture, backend.resolution) for _, view in faces]
        times = [shown.time for shown, _ in faces]
        starts = aligned_starts(times, backend.alignment, columns=backend.columns)
        windows = cut_windows(self._mel, starts, length=backend.columns)
        return backend.draw(np.stack(targets), np.stack(references), windows)
