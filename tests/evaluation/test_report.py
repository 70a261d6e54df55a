import base64
import json
import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import EvaluationError, MissingExtraError
from lipwright.evaluation.report import (
    baseline_faults,
    read_report,
    to_html,
    to_markdown,
    write_report,
)
from lipwright.evaluation.results import Better, ClipResult, Failure, Metric, Report, Version

CORRELATION = Metric(
    name="correlation",
    title="Opening, correlation",
    better="higher",
    orders=("static", "shifted", "other"),
    definition="Pearson's correlation with the true opening (Pearson 1895).",
)
AMPLITUDE = Metric(
    name="amplitude",
    title="Amplitude",
    better="near one",
    mean="median",
    digits=2,
    definition="Its deviation over that of the true one.",
)
SCORES: dict[Version, float] = {"true": 1.0, "static": 0.0, "shifted": 0.1, "other": -0.2}


def clip(name: str, correlation: float, *, group: str = "", sheet: str = "") -> ClipResult:
    scores: dict[Version, dict[str, float]] = {
        version: {"correlation": value, "amplitude": 1.0} for version, value in SCORES.items()
    }
    return ClipResult(
        name=name,
        group=group,
        num_frames=75,
        scores={"drawn": {"correlation": correlation, "amplitude": 0.5}, **scores},
        curves={"true": (0.0, 0.1, 0.3), "drawn": (0.1, 0.1, 0.2)},
        sheet=sheet,
        seconds={"render": 1.5, "measure": 2.0},
    )


def report(*clips: ClipResult, **fields: object) -> Report:
    whole = Report(
        title="Trial",
        protocol={"rate": "25 frames a second", "crop": "2.4 times"},
        metrics=(CORRELATION, AMPLITUDE),
        clips=clips or (clip("a", 0.7), clip("b", 0.2), clip("c", 0.5)),
        failures=(Failure(name="d", reason="no face in d.mp4"),),
        sets={"frechet": 0.25},
    )
    return replace(whole, **fields)  # type: ignore[arg-type]


def with_scores(better: Better, **scores: float) -> Report:
    """One clip, one metric that every baseline must be ordered by."""
    metric = replace(CORRELATION, better=better, title="Distance", name="d")
    by_version = {version: {"d": value} for version, value in scores.items()}
    only = ClipResult(name="a", group="", num_frames=9, scores=by_version)  # type: ignore[arg-type]
    return report(only, metrics=(metric,))


class Page(HTMLParser):
    """What a page holds; elements that are not closed in order are errors."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(" ".join(data.split()))

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and wanted.items() <= attributes.items()
        ]


def page_of(whole: Report, folder: Path = Path("nowhere")) -> Page:
    return Page(to_html(whole, folder))


# --- json


def test_report_reads_back_exactly_as_it_was_written(tmp_path: Path) -> None:
    whole = report(set_metrics=(replace(AMPLITUDE, name="frechet"),))
    write_report(whole, tmp_path)
    assert read_report(tmp_path / "report.json") == whole


@given(value=st.floats(allow_nan=False, allow_infinity=False), text=st.text(max_size=20))
def test_any_number_and_any_text_survive(
    value: float, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = text.encode("utf-8", "ignore").decode()
    folder = tmp_path_factory.mktemp("report")
    whole = report(clip("a", value, group=text), title=text, sets={text: value})
    write_report(whole, folder)
    assert read_report(folder / "report.json") == whole


def test_numbers_that_are_not_finite_are_null_and_read_back_as_nan(tmp_path: Path) -> None:
    odd = replace(clip("a", math.nan), curves={"drawn": (0.1, math.nan, math.inf)})
    write_report(report(odd, sets={"frechet": math.inf}), tmp_path)
    record = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert record["clips"][0]["scores"]["drawn"]["correlation"] is None
    assert record["clips"][0]["curves"]["drawn"] == [0.1, None, None]
    assert record["sets"] == {"frechet": None}
    again = read_report(tmp_path / "report.json")
    assert math.isnan(again.clips[0].scores["drawn"]["correlation"])
    assert again.clips[0].curves["drawn"][0] == 0.1
    assert all(math.isnan(value) for value in again.clips[0].curves["drawn"][1:])
    assert math.isnan(again.sets["frechet"])


def test_what_is_read_and_written_again_is_the_same_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    write_report(report(clip("a", math.nan), clip("ü", 0.1)), tmp_path)
    write_report(read_report(tmp_path / "report.json"), tmp_path / "again")
    for name in ("report.json", "report.md", "report.html"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_protocol_keeps_its_order(tmp_path: Path) -> None:
    write_report(report(), tmp_path)
    assert list(read_report(tmp_path / "report.json").protocol) == ["rate", "crop"]


def test_missing_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"none\.json.*name a report\.json"):
        read_report(tmp_path / "none.json")


def test_other_version_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text('{"format": "lipwright-report-9"}')
    with pytest.raises(EvaluationError, match=r"report-9.*'lipwright-report-1' is needed"):
        read_report(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{", "["),
        ('"title"', '"heading"'),
        ('"protocol": {', '"protocol": [], "x": {'),
        ('"static": {', '"statisch": {'),
        ('"render": 1.5', '"render": "1.5"'),
        ('"render": 1.5', '"render": true'),
        ('"better": "higher"', '"better": "redder"'),
        ('"digits"', '"figures"'),
        ('"num_frames": 75,', ""),
        ('"curves": {', '"curves": {"drawn": 3}, "x": {'),
        ('"reason"', '"why"'),
    ],
)
def test_damaged_report_is_refused_with_its_name(tmp_path: Path, old: str, new: str) -> None:
    write_report(report(), tmp_path)
    path = tmp_path / "report.json"
    damaged = path.read_text().replace(old, new, 1)
    assert damaged != path.read_text()
    path.write_text(damaged)
    with pytest.raises(EvaluationError, match=r"cannot read the report .*report\.json"):
        read_report(path)


def test_report_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"\xff\xd8\x00")
    with pytest.raises(EvaluationError, match=r"cannot read the report .*report\.json"):
        read_report(path)


# --- baselines


@pytest.mark.parametrize(
    ("better", "true", "worse", "as_good"),
    [
        ("higher", 0.9, 0.5, 0.95),
        ("lower", 6.5, 8.0, 6.0),
        ("near one", 0.9, 1.3, 1.05),
        ("near zero", 0.2, -0.5, -0.1),
    ],
)
def test_baseline_as_good_as_the_true_video_is_told(
    better: Better, true: float, worse: float, as_good: float
) -> None:
    assert baseline_faults(with_scores(better, true=true, static=worse, shifted=worse)) == []
    for value in (as_good, true):
        faults = baseline_faults(with_scores(better, true=true, static=worse, shifted=value))
        assert faults == [
            f"Distance: the shifted baseline ({value:.3f}) is not worse than the true video "
            f"({true:.3f})"
        ]


def test_each_wrong_baseline_has_a_sentence() -> None:
    faults = baseline_faults(with_scores("higher", true=0.5, static=0.6, shifted=0.1, other=0.7))
    assert [re.findall(r"the (\w+) baseline", fault) for fault in faults] == [["static"], ["other"]]


def test_only_demanded_baselines_count() -> None:
    whole = report(metrics=(replace(CORRELATION, orders=("static",)),))
    raised = tuple(
        replace(c, scores={**c.scores, "shifted": {"correlation": 2.0}}) for c in whole.clips
    )
    assert baseline_faults(replace(whole, clips=raised)) == []


def test_metric_without_a_value_of_the_true_video_is_perfect_there() -> None:
    assert baseline_faults(with_scores("higher", static=0.99)) == []
    assert "(1.000)" in baseline_faults(with_scores("higher", static=1.0))[0]
    assert "(0.000)" in baseline_faults(with_scores("lower", static=0.0))[0]


def test_page_and_markdown_mark_each_metric_by_its_baselines(tmp_path: Path) -> None:
    unordered = replace(AMPLITUDE, orders=("static",))
    unseen = replace(CORRELATION, name="unseen", title="Unseen")
    whole = report(metrics=(CORRELATION, unordered, replace(AMPLITUDE, name="x"), unseen))
    rows = [line for line in to_markdown(whole).splitlines() if line.startswith("| ")]
    assert rows[0] == "| metric | drawn | true | static | shifted | other | baselines in order |"
    marks = [row.rstrip(" |").rpartition("| ")[2] for row in rows[1:5]]
    assert marks == ["✓", "✗ static", "-", "not measured"]
    page = page_of(whole, tmp_path)
    assert [page.text.count(mark) for mark in ("✓", "✗ static", "not measured")] == [1, 1, 1]
    assert len(page.all("td", **{"class": "static wrong"})) == 1
    assert any("Do not trust these metrics" in text for text in page.text)


def test_report_without_baselines_does_not_claim_that_they_are_in_order() -> None:
    alone = replace(clip("a", 0.5), scores={"drawn": {"correlation": 0.5}})
    assert "Every metric orders" in to_markdown(report())
    for text in (to_markdown(report(alone)), to_html(report(alone), Path("nowhere"))):
        assert "Every metric orders" not in text
        assert "No baseline was measured" in text


def test_unmeasured_scores_do_not_spoil_means_or_order() -> None:
    whole = report(clip("a", 0.8), clip("b", math.nan), clip("c", 0.2))
    assert whole.summary(CORRELATION, "drawn") == pytest.approx(0.5)
    assert [c.name for c in whole.worst_first(CORRELATION)] == ["c", "a"]


@pytest.mark.parametrize(
    ("better", "order"),
    [("higher", "bca"), ("lower", "acb"), ("near one", "abc"), ("near zero", "acb")],
)
def test_worst_clip_comes_first_whichever_way_is_better(better: Better, order: str) -> None:
    whole = report(clip("a", 1.9), clip("b", 0.2), clip("c", 0.9))
    metric = replace(CORRELATION, better=better)
    assert "".join(c.name for c in whole.worst_first(metric)) == order


# --- markdown


def test_markdown_tells_summary_protocol_and_failures() -> None:
    text = to_markdown(report())
    assert "| Opening, correlation ↑ | 0.467 | 1.000 | 0.000 | 0.100 | -0.200 | ✓ |" in text
    assert "| frechet | 0.2500 |" in text
    assert "- rate: 25 frames a second" in text
    assert "- d: no face in d.mp4" in text
    assert "by group" not in text


def test_markdown_and_page_tell_means_by_group() -> None:
    whole = report(clip("a", 0.75, group="s1"), clip("b", 0.25, group="s2"), clip("c", 0.5))
    text = to_markdown(whole)
    assert "| drawn, by group | (none) | s1 | s2 |" in text
    assert "| Opening, correlation | 0.500 | 0.750 | 0.250 |" in text
    page = page_of(whole)
    assert {"(none) (1)", "s1 (1)", "s2 (1)"} <= set(page.text)


def test_markdown_names_the_ten_worst_clips_in_order() -> None:
    clips = [clip(f"clip{i:02}", i / 100) for i in (5, 3, 11, 0, 8, 1, 9, 2, 10, 4, 7, 6)]
    text = to_markdown(report(*clips))
    assert re.findall(r"- (clip\d+): (\S+)", text) == [
        (f"clip{i:02}", f"{i / 100:.3f}") for i in range(10)
    ]


def test_text_cannot_break_the_tables() -> None:
    whole = report(
        clip("a", 0.5, group="x|y"),
        metrics=(replace(CORRELATION, title="One | two\nthree"),),
        failures=(Failure(name="d", reason="first\n\n# second <b>"),),
    )
    lines = to_markdown(whole).splitlines()
    assert any(line.startswith("| One \\| two three ↑ |") for line in lines)
    assert "| drawn, by group | x\\|y |" in lines
    assert "- d: first # second &lt;b>" in lines


def test_sets_with_a_metric_are_told_by_title_and_definition() -> None:
    known = replace(
        AMPLITUDE, name="frechet", title="Frechet distance", better="lower", definition="FID-like."
    )
    whole = report(sets={"frechet": 0.256, "unknown": math.nan}, set_metrics=(known,))
    assert "| Frechet distance ↓ | 0.26 |\n| unknown | - |" in to_markdown(whole)
    text = to_html(whole, Path("nowhere"))
    assert "<td>Frechet distance ↓</td><td>0.26</td>" in text
    assert "FID-like." in text


# --- the page


def test_page_needs_nothing_outside_itself(astronaut: NDArray[np.uint8], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), astronaut)
    text = to_html(report(clip("a", 0.5, sheet="a.png")), tmp_path)
    page = Page(text)
    assert page.all("script") == []
    assert page.all("link") == []
    assert "url(" not in text
    assert "@import" not in text
    identities = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "href", "data", "poster", "xlink:href"):
            value = attributes.get(name, "#clips")
            is_inside = value.startswith("#") and value[1:] in identities
            assert is_inside or value.startswith("data:image/"), (tag, name, value[:80])


def test_page_follows_the_colour_scheme_and_fits_a_phone() -> None:
    text = to_html(report(), Path("nowhere"))
    assert "@media (prefers-color-scheme: dark)" in text
    assert Page(text).all("meta", name="viewport", content="width=device-width, initial-scale=1")


def test_page_shows_clips_worst_first_and_unmeasured_ones_last() -> None:
    whole = report(clip("good", 0.9), clip("unknown", math.nan), clip("bad", 0.1))
    text = to_html(whole, Path("nowhere"))
    assert re.findall(r"<h3>(\w+)", text) == ["bad", "good", "unknown"]


def test_page_tells_definitions_protocol_and_failures() -> None:
    page = page_of(report())
    for text in ("rate", "25 frames a second", "d", "Trial"):
        assert text in page.text
    whole = " ".join(page.text)
    assert "Pearson's correlation with the true opening (Pearson 1895)." in whole
    assert "no face in d.mp4" in whole


def test_text_of_others_is_not_taken_for_markup() -> None:
    bad = "<script>alert('x')</script>\"&amp;"
    whole = report(
        clip(bad, 0.5, group=bad),
        title=bad,
        protocol={bad: bad},
        failures=(Failure(name=bad, reason=bad),),
        sets={bad: 1.0},
        metrics=(replace(CORRELATION, title=bad, definition=bad),),
    )
    text = to_html(whole, Path("nowhere"))
    assert "<script" not in text
    assert Page(text).text.count(bad) >= 4


@pytest.mark.parametrize(("suffix", "kind"), [(".png", "png"), (".jpg", "jpeg")])
def test_page_holds_the_contact_sheet(
    tmp_path: Path, astronaut: NDArray[np.uint8], suffix: str, kind: str
) -> None:
    (tmp_path / "sheets").mkdir()
    sheet = tmp_path / "sheets" / f"a{suffix}"
    cv2.imwrite(str(sheet), astronaut)
    page = page_of(report(clip("a", 0.5, sheet=f"sheets/a{suffix}")), tmp_path)
    (image,) = page.all("img")
    head, _, packed = image["src"].partition(",")
    assert head == f"data:image/{kind};base64"
    assert base64.b64decode(packed) == sheet.read_bytes()
    assert image["loading"] == "lazy"


def test_missing_contact_sheet_leaves_the_picture_out(tmp_path: Path) -> None:
    page = page_of(report(clip("a", 0.5, sheet="sheets/none.jpg"), clip("b", 0.5)), tmp_path)
    assert page.all("img") == []
    assert len(page.all("svg", **{"class": "plot"})) == 2


def test_unreadable_contact_sheet_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")

    def refuse(_: Path) -> bytes:
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(EvaluationError, match=r"contact sheet .*a\.jpg: not yours"):
        to_html(report(clip("a", 0.5, sheet="a.jpg")), tmp_path)


def test_sixty_clips_of_twenty_seconds_make_a_page_below_15_megabytes(
    tmp_path: Path, astronaut: NDArray[np.uint8]
) -> None:
    tile = cv2.resize(astronaut[:256, 100:356], (128, 128), interpolation=cv2.INTER_AREA)
    sheet = cv2.cvtColor(np.tile(tile, (2, 10, 1)), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(tmp_path / "a.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])
    openings = tuple(np.random.default_rng(0).random(500).tolist())
    long = replace(clip("a", 0.5, sheet="a.jpg"), curves={"true": openings, "drawn": openings})
    page = write_report(report(*(replace(long, name=f"{i}") for i in range(60))), tmp_path)
    assert page.stat().st_size < 15e6


@pytest.mark.parametrize(
    ("whole", "num_plots"),
    [
        (report(metrics=()), 3),
        (replace(report(), clips=()), 0),
        (Report(title="", protocol={}, metrics=(), clips=()), 0),
        (report(replace(clip("a", 0.5), curves={"drawn": (0.1,)}, scores={}, num_frames=1)), 1),
        (report(replace(clip("a", 0.5), curves={"true": (), "drawn": (math.nan,)})), 0),
    ],
    ids=["no metrics", "no clips", "nothing", "no scores", "no openings"],
)
def test_report_of_little_is_still_a_report(whole: Report, num_plots: int, tmp_path: Path) -> None:
    page = write_report(whole, tmp_path)
    assert len(Page(page.read_text(encoding="utf-8")).all("svg", **{"class": "plot"})) == num_plots


# --- files


def test_report_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "nowhere").write_text("a file, no folder")
    with pytest.raises(EvaluationError, match=r"cannot write .*nowhere.*check the folder"):
        write_report(report(), tmp_path / "nowhere")


def test_failed_write_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "report.md").mkdir()
    with pytest.raises(EvaluationError, match=r"cannot write .*report\.md"):
        write_report(report(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_without_jinja_the_numbers_are_still_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"lipwright\[evaluate\]"):
        write_report(report(), tmp_path)
    assert read_report(tmp_path / "report.json") == report()
