"""Count what becomes of the frames of a job, as they are rendered."""

from collections.abc import Sequence
from fractions import Fraction

from lipwright.inference.job import Outcome, Reason, Stretch


class Tally:
    """Counts frames, and joins those that share a fate to stretches."""

    def __init__(self, fps: Fraction) -> None:
        """Start at nothing.

        Args:
            fps: Its inverse is how long the last frame is shown.
        """
        self._period = 1 / fps
        self._num_frames = self._num_synced = 0
        self._starts: list[tuple[Fraction, Reason]] = []
        self._last = Fraction(0)

    def add(self, time: Fraction, reason: Reason) -> None:
        """Count one frame, in the order of time."""
        if not self._starts or self._starts[-1][1] != reason:
            self._starts.append((time, reason))
        self._num_frames += 1
        self._num_synced += reason == "synced"
        self._last = time

    @property
    def num_frames(self) -> int:
        """Frames so far."""
        return self._num_frames

    @property
    def num_synced(self) -> int:
        """Frames so far whose mouth was drawn anew."""
        return self._num_synced

    def outcome(self) -> Outcome:
        """What was rendered so far."""
        end = self._last + self._period if self._num_frames else Fraction(0)
        return Outcome(
            num_frames=self._num_frames,
            num_synced=self._num_synced,
            stretches=stretches_of(self._starts, end),
            duration=end,
        )


def stretches_of(begun: Sequence[tuple[Fraction, Reason]], end: Fraction) -> tuple[Stretch, ...]:
    """Stretches that follow each other without a gap.

    Args:
        begun: When each one begins, in seconds, and its frames' fate.
        end: Of the last one, in seconds.
    """
    ends = [start for start, _ in begun[1:]] + [end]
    return tuple(
        Stretch(start, until, reason) for (start, reason), until in zip(begun, ends, strict=True)
    )
