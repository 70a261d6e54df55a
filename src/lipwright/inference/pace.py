"""Compare the time line of live speech with real time: what is owed, and what comes too late."""

from collections.abc import Callable
from fractions import Fraction

from lipwright.errors import ConfigError

# Seconds of nothing but late frames after which it is the sound that is late, not the drawing.
_RESIGNED = Fraction(1)
Clock = Callable[[], int]
"""Nanoseconds since anything, such as ``time.monotonic_ns``."""


class Pace:
    """Compares a session's time line with real time."""

    def __init__(self, clock: Clock | None, *, slack: Fraction, block: Fraction) -> None:
        """Start with the first sound.

        Args:
            clock: Nanoseconds; None if time does not matter: then nothing is ever late.
            slack: Seconds by which sound and frames may be late.
            block: Seconds of sound in a block as a rule.
        """
        self._clock, self._slack, self._block = clock, slack, block
        self._zero: Fraction | None = None  # on the clock, where the time line begins
        self._arrived = Fraction(0)  # likewise, when the newest block came
        self._late_since: Fraction | None = None
        self._is_pausing = False

    def arrive(self, heard: Fraction, length: Fraction) -> None:
        """A block has come.

        Args:
            heard: Seconds of sound before it.
            length: Of itself; what is longer than a block should be comes ahead of its time.
        """
        if self._clock is None:
            return
        self._arrived = self._now()
        self._is_pausing = False
        if self._zero is None:
            self._zero = self._arrived - heard - min(length, self._block)

    def owed(self, heard: Fraction) -> Fraction:
        """Seconds of sound that are missing at this moment; 0 as long as they may still come.

        Raises:
            ConfigError: If there is no clock.
        """
        if self._clock is None:
            raise ConfigError(
                "without a clock nobody knows how long a pause is; begin the session with "
                "clock=time.monotonic_ns, or push silence"
            )
        self._arrived = self._now()
        if self._zero is None:
            self._zero = self._arrived - heard
            self._is_pausing = True  # nobody has spoken yet
        owed = self._arrived - self._zero - heard
        is_due = owed > 0 and (self._is_pausing or owed > self._slack)
        return owed if is_due else Fraction(0)

    def begin_pause(self) -> bool:
        """Whether a pause begins now, rather than going on."""
        begins = not self._is_pausing
        self._is_pausing = True
        return begins

    def is_late(self, needed: Fraction) -> bool:
        """Whether a frame is too late to be drawn.

        Args:
            needed: Seconds of sound that it waited for.
        """
        if self._clock is None or self._zero is None:
            return False
        now = self._now()
        if now - self._zero - needed <= self._slack:
            self._late_since = None
            return False
        self._late_since = now if self._late_since is None else self._late_since
        if now - self._late_since <= _RESIGNED:
            return True
        self._zero, self._late_since = now - needed - self._block, None
        return False

    def since_arrival(self) -> Fraction | None:
        """Seconds since the newest block came, by the clock."""
        return None if self._clock is None else self._now() - self._arrived

    def _now(self) -> Fraction:
        assert self._clock is not None, "asked for only with a clock"  # noqa: S101
        return Fraction(self._clock(), 10**9)
