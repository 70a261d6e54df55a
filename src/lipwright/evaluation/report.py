"""A report as files: JSON for programs, Markdown for a README, one HTML page for people."""

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lipwright.checkpoints import written_whole
from lipwright.errors import EvaluationError, require
from lipwright.evaluation import plot
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
_FPS = 25
_WORST = 10  # clips in the Markdown report
_PICTURES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}


def write_report(report: Report, folder: Path) -> Path:
    """Write ``report.json``, ``report.md`` and ``report.html``, which holds its pictures.

    Args:
        report: What was found.
        folder: Where; contact sheets are looked for in it.

    Returns:
        The page.

    Raises:
        EvaluationError: If the folder cannot be written, or a contact sheet not be read.
        MissingExtraError: If jinja2 is not installed; the other two files are then there.
    """
    page = folder / "report.html"
    _write(folder / "report.json", _to_json(report))
    _write(folder / "report.md", to_markdown(report))
    _write(page, to_html(report, folder))
    return page


def read_report(path: Path) -> Report:
    """Read a ``report.json`` back.

    Returns:
        What was written, but NaN for numbers that were not finite.

    Raises:
        EvaluationError: If the file is missing, damaged or something else.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise EvaluationError(
                f"{path} is no report of this version: its format is {record['format']!r}, "
                f"{FORMAT!r} is needed; evaluate again"
            )
        return Report(
            title=record["title"],
            protocol=dict(record["protocol"].items()),
            metrics=tuple(_metric(row) for row in record["metrics"]),
            clips=tuple(_clip_result(row) for row in record["clips"]),
            failures=tuple(Failure(**row) for row in record["failures"]),
            sets=_numbers(record["sets"]),
            set_metrics=tuple(_metric(row) for row in record.get("set_metrics", ())),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise EvaluationError(
            f"cannot read the report {path} ({err!r}); name a report.json that evaluate wrote"
        ) from err


def _metric(row: dict[str, Any]) -> Metric:
    metric = Metric(**(row | {"orders": tuple(row["orders"])}))
    if metric.better not in _ARROWS or not set(metric.orders) <= set(VERSIONS):
        raise ValueError(f"metric {metric.name!r} is {metric.better!r}, orders {metric.orders}")
    return metric


def _clip_result(row: dict[str, Any]) -> ClipResult:
    if unknown := sorted(set(row["scores"]) - set(VERSIONS)):
        raise ValueError(f"clip {row['name']!r} has scores of {unknown[0]!r}")
    fields = {
        "scores": {version: _numbers(scores) for version, scores in row["scores"].items()},
        "curves": {name: tuple(map(_number, values)) for name, values in row["curves"].items()},
        "seconds": _numbers(row["seconds"]),
    }
    return ClipResult(**(row | fields))


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {name: _number(value) for name, value in row.items()}


def _number(value: object) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


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

    A metric that compares with the true video need not be measured of that video itself: it is
    then held to be perfect there.

    Args:
        report: What was found.

    Returns:
        A sentence for each metric and baseline that comes out as good as the true video, or
        better; empty where all is well, or no baseline was measured.
    """
    return [
        f"{metric.title}: the {version} baseline ({_text(metric, report.summary(metric, version))})"
        f" is not worse than the true video ({_text(metric, _true(report, metric))})"
        for metric in report.metrics
        for version in _misordered(report, metric)
    ]


def _checked(report: Report, metric: Metric) -> list[Version]:
    """Baselines that the metric must order and that were measured."""
    return [v for v in metric.orders if math.isfinite(report.summary(metric, v))]


def _misordered(report: Report, metric: Metric) -> list[Version]:
    best = metric.badness(_true(report, metric))
    return [
        version
        for version in _checked(report, metric)
        if not metric.badness(report.summary(metric, version)) > best
    ]


# What is compared with the true video is perfect where it is that video itself.
_PERFECT = {"higher": 1.0, "lower": 0.0, "near one": 1.0, "near zero": 0.0}


def _true(report: Report, metric: Metric) -> float:
    value = report.summary(metric, "true")
    return _PERFECT[metric.better] if math.isnan(value) else value


def _verdict(report: Report, metric: Metric) -> str:
    """Whether the metric orders its baselines."""
    if not _checked(report, metric):
        return "not measured" if metric.orders else "-"
    wrong = _misordered(report, metric)
    return f"✗ {', '.join(wrong)}" if wrong else "✓"


def _verdict_on_all(report: Report) -> str:
    if not any(_checked(report, metric) for metric in report.metrics):
        return "No baseline was measured, so nothing says whether the metrics tell good from bad."
    if baseline_faults(report):
        return "Do not trust these metrics here: they do not order the baselines as they must."
    return (
        "Every metric orders its baselines as it must: the true video is better than a mouth that "
        "does not move, the same video late, or other speech."
    )


def _text(metric: Metric, value: float) -> str:
    if math.isnan(value):
        return "-"
    text = f"{value:.{metric.digits}f}"
    return text[1:] if text.startswith("-") and float(text) == 0 else text


def _sets(report: Report) -> list[tuple[str, str]]:
    """Title and value of each metric of all clips together."""
    known = {metric.name: metric for metric in report.set_metrics}
    return [
        (f"{known[name].title} {_ARROWS[known[name].better]}", _text(known[name], value))
        if name in known
        else (name, "-" if math.isnan(value) else f"{value:.4f}")
        for name, value in report.sets.items()
    ]


def _versions(report: Report) -> list[Version]:
    return [v for v in VERSIONS if any(clip.scores.get(v) for clip in report.clips)]


def _groups(report: Report) -> list[str]:
    groups = sorted({clip.group for clip in report.clips})
    return groups if groups != [""] else []


def to_markdown(report: Report) -> str:
    """A report as Markdown: summary, groups, worst clips, protocol, failures."""
    versions = _versions(report)
    lines = [f"# {_line(report.title)}", "", f"{len(report.clips)} clips measured.", ""]
    summary = [
        [
            f"{metric.title} {_ARROWS[metric.better]}",
            *(_text(metric, report.summary(metric, version)) for version in versions),
            _verdict(report, metric),
        ]
        for metric in report.metrics
    ]
    lines += [*_table(["metric", *versions, "baselines in order"], summary), ""]
    lines.append(_verdict_on_all(report))
    if faults := baseline_faults(report):
        lines += ["", *(f"- {_line(fault)}" for fault in faults)]
    if report.sets:
        lines += ["", *_table(["all clips together", ""], _sets(report))]
    if groups := _groups(report):
        rows = [
            [
                metric.title,
                *(_text(metric, report.summary(metric, "drawn", group=g)) for g in groups),
            ]
            for metric in report.metrics
        ]
        lines += ["", *_table(["drawn, by group", *(g or "(none)" for g in groups)], rows)]
    for first in report.metrics[:1]:
        lines += ["", f"Worst clips, by {first.title}:", ""]
        lines += [
            f"- {_line(clip.name)}: {_text(first, clip.scores['drawn'][first.name])}"
            for clip in report.worst_first(first)[:_WORST]
        ]
    lines += ["", "## Protocol", "", *(f"- {k}: {_line(v)}" for k, v in report.protocol.items())]
    if report.failures:
        lines += ["", "## Not measured", ""]
        lines += [f"- {_line(f.name)}: {_line(f.reason)}" for f in report.failures]
    return "\n".join(lines) + "\n"


def _table(header: list[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(_line(cell) for cell in header)} |",
        f"|---{'|---:' * (len(header) - 1)}|",
        *(f"| {' | '.join(_line(cell) for cell in row)} |" for row in rows),
    ]


def _line(text: str) -> str:
    """Text that neither ends a line nor a cell, and is no tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def to_html(report: Report, folder: Path) -> str:
    """A report as one page without anything outside it.

    Args:
        report: What was found.
        folder: Where contact sheets lie; a clip whose sheet is missing has no picture.

    Raises:
        EvaluationError: If a contact sheet is there and cannot be read.
        MissingExtraError: If jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra="evaluate")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    ordered = report.worst_first(report.metrics[0]) if report.metrics else []
    names = {clip.name for clip in ordered}
    ordered += [clip for clip in report.clips if clip.name not in names]
    page: str = template.render(
        report=report,
        versions=_versions(report),
        rows=[_row(report, metric) for metric in report.metrics],
        verdict=_verdict_on_all(report),
        faults=baseline_faults(report),
        sets=_sets(report),
        groups=[_group(report, name) for name in _groups(report)],
        frame=plot,
        clips=[_clip(report, clip, folder) for clip in ordered],
    )
    return page


def _row(report: Report, metric: Metric) -> dict[str, object]:
    wrong = _misordered(report, metric)
    return {
        "name": metric.name,
        "title": metric.title,
        "arrow": _ARROWS[metric.better],
        "verdict": _verdict(report, metric),
        "mood": "wrong" if wrong else "right" if _checked(report, metric) else "soft",
        "cells": [
            {
                "version": version,
                "text": _text(metric, report.summary(metric, version)),
                "is_wrong": version in wrong,
            }
            for version in _versions(report)
        ],
    }


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
    return {
        "name": clip.name,
        "group": clip.group,
        "seconds": f"{clip.num_frames / _FPS:.1f}",
        "scores": [
            {"title": metric.title, "text": _text(metric, drawn[metric.name])}
            for metric in report.metrics
            if metric.name in drawn
        ],
        "plot": plot.opening_plot(clip.curves),
        "sheet": _sheet(folder / clip.sheet) if clip.sheet else "",
    }


def _sheet(path: Path) -> str:
    """A contact sheet as a data URL; empty if there is none."""
    if not path.is_file():
        return ""
    try:
        packed = base64.b64encode(path.read_bytes()).decode()
    except OSError as err:
        raise EvaluationError(f"cannot read the contact sheet {path}: {err}") from err
    return f"data:image/{_PICTURES.get(path.suffix.lower(), 'png')};base64,{packed}"


def _write(path: Path, text: str) -> None:
    try:
        with written_whole(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as err:
        raise EvaluationError(f"cannot write {path}: {err}; check the folder") from err
