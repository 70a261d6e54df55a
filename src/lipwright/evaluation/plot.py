"""Lay out a plot of the mouth's opening over time, in the pixels of an SVG picture."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

WIDTH, HEIGHT = 1000, 190  # pixels of the picture
LEFT, RIGHT, TOP, BOTTOM = 48, 990, 10, 164  # of what the axes enclose
_FPS = 25
_LEAST_OPENING = 0.02  # the axis reaches at least so far, or noise would look like speech
_STEPS_OF_TIME = (0.5, 1, 2, 5, 10, 30, 60)  # seconds
_STEPS_OF_OPENING = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A line of the grid."""

    at: float
    """Pixels from the picture's left or upper edge."""
    text: str
    """What stands beside it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One video's."""

    name: str
    """Of the video: ``true`` or ``drawn``."""
    stretches: tuple[str, ...]
    """Points of a polyline each; the curve has gaps where nothing was measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """What is drawn, and where."""

    times: tuple[Tick, ...]
    openings: tuple[Tick, ...]
    curves: tuple[Curve, ...]


def opening_plot(curves: Mapping[str, tuple[float, ...]]) -> Plot | None:
    """Lay out the openings of a clip.

    Args:
        curves: Name -> opening in each frame, at 25 frames a second; NaN where it is not known.

    Returns:
        The plot; None if no opening is known.
    """
    known = [value for values in curves.values() for value in values if math.isfinite(value)]
    if not known:
        return None
    seconds = max(len(values) for values in curves.values()) / _FPS
    highest = max(_LEAST_OPENING, *known)

    def across(time: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * time / seconds, 1)

    def down(opening: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * opening / highest, 1)

    return Plot(
        times=tuple(
            Tick(at=across(time), text=f"{time:g} s")
            for time in _round_numbers(seconds, _STEPS_OF_TIME, at_most=10)
        ),
        openings=tuple(
            Tick(at=down(opening), text=f"{opening:.2f}")
            for opening in _round_numbers(highest, _STEPS_OF_OPENING, at_most=4.5)
        ),
        curves=tuple(
            Curve(
                name=name,
                stretches=tuple(
                    " ".join(f"{across(index / _FPS)},{down(value)}" for index, value in stretch)
                    for stretch in _stretches(values)
                ),
            )
            for name, values in curves.items()
        ),
    )


def _round_numbers(end: float, steps: tuple[float, ...], *, at_most: float) -> list[float]:
    """Multiples of the smallest step of which not too many lie between 0 and the end."""
    step = next((step for step in steps if end / step <= at_most), end)
    return [index * step for index in range(math.floor(end / step + 1e-9) + 1)]


def _stretches(values: tuple[float, ...]) -> Iterator[list[tuple[int, float]]]:
    for is_known, run in groupby(enumerate(values), key=lambda item: math.isfinite(item[1])):
        if is_known:
            yield list(run)
