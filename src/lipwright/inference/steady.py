"""Keep what is measured frame by frame from flickering."""

from fractions import Fraction
from math import exp
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

V = TypeVar("V", float, NDArray[np.float32])


class Steady(Generic[V]):
    """A value that follows what is measured, with a time constant, within a shot."""

    def __init__(self, seconds: float) -> None:
        """Know nothing yet.

        Args:
            seconds: After which it has come 63 hundredths of the way to a new value.
        """
        self._seconds = seconds
        self._value: V | None = None
        self._time = Fraction(0)

    @property
    def value(self) -> V | None:
        """The last one; None before the first."""
        return self._value

    def at(self, time: Fraction, measured: V) -> V:
        """Follow what was measured.

        Args:
            time: Time stamp in seconds; one that does not lie behind the last moves nothing.
            measured: A number, or an array of the shape that it always has.

        Returns:
            The steadied value; the measured one itself at first.
        """
        if self._value is None:
            self._value = measured
        else:
            passed = max(0.0, float(time - self._time))
            share = 1 - exp(-passed / self._seconds)
            self._value = self._value + (measured - self._value) * share
        self._time = time
        return self._value
