"""A report as files: JSON for programs, Markdown for a README, one HTML page for people."""

import base64
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lipwright.errors import EvaluationError, require
from lipwright.evaluation.results import (
    VERSIONS,
    ClipResult,
    Failure,
    Metric,
    Report,
    Version,
)

FORMAT = "lipwright-report-1"
_TEMPLATE = Path(__file__).with_name("report.html.j2")
_ARROWS = {"higher": "↑", "lower": "↓", "near one": "→ 1", "near zero": "→ 0"}
_PLOT = {"width": 1000, "height": 190, "left": 48, "right": 990, "top": 24, "bottom": 168}
_FPS = 25
_WORST = 10  # clips in the Markdown report


def write_report(report: Report, folder: Path) -> Path:
    """Write ``report.json``, ``report.md`` and ``report.html``, which holds its pictures.

    Args:
        report: What was found.
        folder: Where; contact sheets are looked for in it.

    Returns:
        The page.

    Raises:
        EvaluationError: If the folder cannot be written.
        MissingExtraError: If jinja2 is not installed.
    """
    page = folder / "report.html"
    _write(folder / "report.json", _to_json(report))
    _write(folder / "report.md", to_markdown(report))
    _write(page, to_html(report, folder))
    return page


def read_report(path: Path) -> Report:
    """Read a ``report.json`` back.

    Raises:
        EvaluationError: If the file is missing, damaged or something else.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise EvaluationError(f"{path} is no report of this version: {record['format']!r}")
        metrics = tuple(
            Metric(**(row | {"orders": tuple(row["orders"])})) for row in record["metrics"]
        )
        clips = tuple(
            ClipResult(**(row | {"curves": {k: tuple(v) for k, v in row["curves"].items()}}))
            for row in record["clips"]
        )
        return Report(
            title=record["title"],
            protocol=record["protocol"],
            metrics=metrics,
            clips=clips,
            failures=tuple(Failure(**row) for row in record["failures"]),
            sets={name: math.nan if v is None else v for name, v in record["sets"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise EvaluationError(f"cannot read the report {path}: {err!r}") from err


def _to_json(report: Report) -> str:
    record = {"format": FORMAT, **_finite(asdict(report))}  # type: ignore[dict-item]
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: object) -> object:
    """The same with null for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def baseline_faults(report: Report) -> list[str]:
    """Metrics that do not order the baselines as they must, in sentences.

    Args:
        report: What was found.

    Returns:
        A sentence for each metric and baseline that comes out as good as the true video, or
        better; empty where all is well.
    """
    return [
        f"{metric.title}: the {version} baseline ({_text(metric, baseline)}) is not worse than the "
        f"true video ({_text(metric, _true(report, metric))})"
        for metric in report.metrics
        for version in metric.orders
        if math.isfinite(baseline := report.summary(metric, version))
        and not badness(metric, baseline) > badness(metric, _true(report, metric))
    ]


def badness(metric: Metric, value: float) -> float:
    """A number that is larger the worse a value is; what cannot be measured is not worse."""
    if math.isnan(value):
        return -math.inf
    return {
        "higher": -value,
        "lower": value,
        "near one": abs(value - 1),
        "near zero": abs(value),
    }[metric.better]


# What is compared with the true video is perfect where it is that video itself.
_PERFECT = {"higher": 1.0, "lower": 0.0, "near one": 1.0, "near zero": 0.0}


def _true(report: Report, metric: Metric) -> float:
    value = report.summary(metric, "true")
    return _PERFECT[metric.better] if math.isnan(value) else value


def _text(metric: Metric, value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.{metric.digits}f}"


def _versions(report: Report) -> list[Version]:
    return [v for v in VERSIONS if any(clip.scores.get(v) for clip in report.clips)]


def _groups(report: Report) -> list[str]:
    groups = sorted({clip.group for clip in report.clips})
    return groups if len(groups) > 1 else []


def to_markdown(report: Report) -> str:
    """A report as Markdown: summary, groups, worst clips, protocol, failures."""
    versions = _versions(report)
    lines = [f"# {report.title}", "", f"{len(report.clips)} clips measured.", ""]
    lines += [f"| metric | {' | '.join(versions)} |", "|---" * (len(versions) + 1) + "|"]
    for metric in report.metrics:
        cells = [_text(metric, report.summary(metric, version)) for version in versions]
        lines.append(f"| {metric.title} {_ARROWS[metric.better]} | {' | '.join(cells)} |")
    faults = baseline_faults(report)
    lines += ["", *(f"- **broken or too weak here:** {fault}" for fault in faults)]
    if not faults:
        lines.append("Every metric orders its baselines as it must.")
    if report.sets:
        lines += ["", "| all clips together | |", "|---|---|"]
        lines += [f"| {name} | {value:.4f} |" for name, value in report.sets.items()]
    if groups := _groups(report):
        lines += ["", f"| drawn, by group | {' | '.join(g or '(none)' for g in groups)} |"]
        lines.append("|---" * (len(groups) + 1) + "|")
        for metric in report.metrics:
            cells = [_text(metric, report.summary(metric, "drawn", group=g)) for g in groups]
            lines.append(f"| {metric.title} | {' | '.join(cells)} |")
    if report.metrics:
        first = report.metrics[0]
        lines += ["", f"Worst clips by {first.title.lower()}:", ""]
        lines += [
            f"- {clip.name}: {_text(first, clip.scores['drawn'][first.name])}"
            for clip in report.worst_first(first)[:_WORST]
        ]
    lines += ["", "## Protocol", "", *(f"- {k}: {v}" for k, v in report.protocol.items())]
    if report.failures:
        lines += ["", "## Not measured", "", *(f"- {f.name}: {f.reason}" for f in report.failures)]
    return "\n".join(lines) + "\n"


def to_html(report: Report, folder: Path) -> str:
    """A report as one page without anything outside it.

    Args:
        report: What was found.
        folder: Where contact sheets lie; a clip whose sheet is missing has no picture.

    Raises:
        MissingExtraError: If jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra="evaluate")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    first = report.metrics[0]
    ordered = report.worst_first(first)
    ordered += [clip for clip in report.clips if clip not in ordered]
    page: str = template.render(
        report=report,
        versions=_versions(report),
        rows=[_row(report, metric) for metric in report.metrics],
        faults=baseline_faults(report),
        sets=[(name, f"{value:.4f}") for name, value in report.sets.items()],
        groups=[_group(report, name) for name in _groups(report)],
        first_title=first.title.lower(),
        plot=_PLOT,
        clips=[_clip(report, clip, folder) for clip in ordered],
    )
    return page


def _row(report: Report, metric: Metric) -> dict[str, object]:
    true = _true(report, metric)
    cells = []
    for version in _versions(report):
        value = report.summary(metric, version)
        is_fault = version in metric.orders and math.isfinite(value)
        is_fault = is_fault and not badness(metric, value) > badness(metric, true)
        cells.append({"version": version, "text": _text(metric, value), "is_fault": is_fault})
    return {"title": metric.title, "arrow": _ARROWS[metric.better], "cells": cells}


def _group(report: Report, name: str) -> dict[str, object]:
    return {
        "name": name or "(none)",
        "count": sum(clip.group == name for clip in report.clips),
        "by_metric": {
            metric.name: _text(metric, report.summary(metric, "drawn", group=name))
            for metric in report.metrics
        },
    }


def _clip(report: Report, clip: ClipResult, folder: Path) -> dict[str, object]:
    drawn = clip.scores.get("drawn", {})
    sheet = folder / clip.sheet
    is_there = bool(clip.sheet) and sheet.is_file()
    return {
        "name": clip.name,
        "group": clip.group,
        "seconds": f"{clip.num_frames / _FPS:.1f}",
        "scores": [
            {"title": metric.title, "text": _text(metric, drawn[metric.name])}
            for metric in report.metrics
            if metric.name in drawn
        ],
        "plot": _plot(clip.curves),
        "sheet": base64.b64encode(sheet.read_bytes()).decode() if is_there else "",
    }


def _plot(curves: Mapping[str, tuple[float, ...]]) -> dict[str, object] | None:
    """Places of curves and ticks in the picture; None without curves."""
    if not curves:
        return None
    length = max(len(values) for values in curves.values())
    # Ticks at round numbers: up to six seconds between them, up to four openings.
    highest = max(0.02, *(max(values) for values in curves.values()))
    step_y = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1e9) if highest / s <= 4.5)
    seconds = length / _FPS
    step_x = next(s for s in (0.5, 1, 2, 5, 10, 30, 60, 1e9) if seconds / s <= 10)
    width, height = _PLOT["right"] - _PLOT["left"], _PLOT["bottom"] - _PLOT["top"]

    def across(time: float) -> float:
        return round(_PLOT["left"] + width * time / seconds, 1)

    def down(opening: float) -> float:
        return round(_PLOT["bottom"] - height * opening / highest, 1)

    return {
        "x_ticks": [
            {"at": across(time), "text": f"{time:g} s"} for time in np.arange(0, seconds, step_x)
        ],
        "y_ticks": [
            {"at": down(value), "text": f"{value:.2f}"}
            for value in np.arange(0, highest + 1e-9, step_y)
        ],
        "curves": [
            {
                "name": name,
                "points": " ".join(f"{across(i / _FPS)},{down(v)}" for i, v in enumerate(values)),
            }
            for name, values in curves.items()
        ],
    }


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as err:
        raise EvaluationError(f"cannot write {path}: {err}; check the folder") from err
    finally:
        with suppress(OSError):  # where it cannot be removed it was not made
            temporary.unlink(missing_ok=True)
