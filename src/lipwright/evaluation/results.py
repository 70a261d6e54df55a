"""What an evaluation found: the metrics by name, the scores of each clip, and of all."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Version = Literal["drawn", "true", "static", "shifted", "other"]
"""What is judged: the rendered video, or one of the baselines made of the true one."""
VERSIONS: tuple[Version, ...] = ("drawn", "true", "static", "shifted", "other")
Better = Literal["higher", "lower", "near one", "near zero"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A number that is measured of a clip, or of a set of clips."""

    name: str
    """As it stands in ``report.json``."""
    title: str
    """For people."""
    better: Better
    """Which way it gets better."""
    orders: tuple[Version, ...] = ()
    """Baselines that must come out worse than the true video; a metric that does not order them so
    is broken, or too weak for these clips."""
    mean: Literal["mean", "median"] = "mean"
    """How clips are put together."""
    digits: int = 3
    """Behind the point."""
    definition: str
    """What exactly is computed, in a sentence, with its source."""

    def badness(self, value: float) -> float:
        """How bad a value is: the larger, the worse; NaN stays NaN."""
        return {
            "higher": -value,
            "lower": value,
            "near one": abs(value - 1),
            "near zero": abs(value),
        }[self.better]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipResult:
    """What was measured of one pair."""

    name: str
    """The pair's."""
    group: str
    """The pair's, for means by group; empty if it has none."""
    num_frames: int
    """Frames that were compared."""
    scores: Mapping[Version, Mapping[str, float]]
    """Version -> name of a metric -> value; what cannot be measured is left out."""
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """``true`` and ``drawn``: opening of the mouth in each frame, at 25 frames a second."""
    sheet: str = ""
    """File name of the contact sheet beside the report, a JPEG."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall clock by stage: ``render`` and ``measure``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A pair that could not be rendered or measured."""

    name: str
    """The pair's."""
    reason: str
    """Why, in a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """An evaluation."""

    title: str
    """What was evaluated."""
    protocol: Mapping[str, str]
    """How, by topic, in the order in which it is shown: crop, rate, shifts, models with their
    SHA-256, versions, seed."""
    metrics: tuple[Metric, ...]
    """What was measured, in the order in which it is shown."""
    clips: tuple[ClipResult, ...]
    """In the order of the pairs."""
    failures: tuple[Failure, ...] = ()
    """Pairs without a result."""
    sets: Mapping[str, float] = field(default_factory=dict)
    """Metrics of all clips together, such as a Frechet distance, by name."""
    set_metrics: tuple[Metric, ...] = ()
    """What those are; one that is missing here is shown by its name alone."""

    def summary(self, metric: Metric, version: Version, *, group: str | None = None) -> float:
        """One number for all clips that have the metric; NaN if none has.

        Args:
            metric: Which.
            version: Of what.
            group: Only clips of this group.
        """
        values = [
            clip.scores[version][metric.name]
            for clip in self.clips
            if _has(clip, version, metric) and group in (None, clip.group)
        ]
        if not values:
            return float("nan")
        return float(np.median(values) if metric.mean == "median" else np.mean(values))

    def worst_first(self, metric: Metric) -> list[ClipResult]:
        """Clips that have the metric, the worst drawn one first."""
        having = [clip for clip in self.clips if _has(clip, "drawn", metric)]
        return sorted(having, key=lambda clip: -metric.badness(clip.scores["drawn"][metric.name]))


def _has(clip: ClipResult, version: Version, metric: Metric) -> bool:
    return not math.isnan(clip.scores.get(version, {}).get(metric.name, math.nan))
