"""Decide, before any pixel is touched, what makes each frame of the output: pure arithmetic."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.faces import FaceTrack
from lipwright.speech import Alignment, aligned_starts

TAIL_SECONDS = Fraction(2)  # of the video's end, played to and fro under a longer speech


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedFrame:
    """What makes one frame of the output."""

    time: Fraction
    """Its time stamp in seconds."""
    source: int
    """Which frame of the source it shows, counted from 0."""
    box: NDArray[np.float32] | None
    """``(4,)`` crop in the source frame; None where there is no face to change."""
    window_start: int
    """First mel column of its window of speech."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderPlan:
    """What makes each frame of the output, in order."""

    track: FaceTrack
    """The face in the source."""
    source_end: Fraction
    """When the last frame of the track is over, in seconds."""
    fps: Fraction
    """Rate at which a picture that stands still, and the end of the source, are continued."""
    duration: Fraction
    """Of the speech, in seconds: the output ends with it."""
    tail: int
    """Frames at the end of the source that are played to and fro under a longer speech."""
    alignment: Alignment = "centred"
    """Which stretch of speech each frame is drawn from."""

    def __post_init__(self) -> None:
        if not self.track.times:
            raise ConfigError("a plan needs a source of at least one frame")
        if self.tail < 1 or self.fps <= 0 or self.duration <= 0:
            raise ConfigError(
                f"a plan needs tail, fps and duration above 0, got {self.tail}, {self.fps} and "
                f"{self.duration}"
            )

    def num_frames(self) -> int:
        """Count the frames of the output; takes time in proportion to them."""
        return sum(1 for _ in self._schedule())

    def frames(self) -> Iterator[PlannedFrame]:
        """The frames in order; where the source is continued, it turns back without a jump."""
        for time, source in self._schedule():
            yield PlannedFrame(
                time=time,
                source=source,
                box=self.track.boxes[source] if self.track.is_found[source] else None,
                window_start=int(aligned_starts([time], self.alignment)[0]),
            )

    def _schedule(self) -> Iterator[tuple[Fraction, int]]:
        """Time stamp and source frame of each frame of the output."""
        ends = (*self.track.times[1:], self.source_end)
        last = 0
        for source, (start, end) in enumerate(zip(self.track.times, ends, strict=True)):
            if start >= self.duration:
                return
            last = source
            # The mouth goes on moving while the picture stands still.
            for time in _held(start, min(end, self.duration), period=1 / self.fps):
                yield time, source
        num_beyond = ceil((self.duration - self.source_end) * self.fps)
        for beyond in range(num_beyond):
            time = self.source_end + beyond / self.fps
            yield time, last - _to_and_fro(beyond + 1, self.tail)


def _held(start: Fraction, end: Fraction, *, period: Fraction) -> Iterator[Fraction]:
    """Time stamps of one frame of the source: one, or several if it is shown for long."""
    yield start
    if end - start <= 2 * period:
        return
    time = start + period
    while time + period / 2 < end:
        yield time
        time += period


def _to_and_fro(step: int, length: int) -> int:
    """Distance from the end after so many steps back and forth over ``length`` places."""
    if length == 1:
        return 0
    period = 2 * (length - 1)
    return min(step % period, period - step % period)
