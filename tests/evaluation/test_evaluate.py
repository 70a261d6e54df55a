"""An evaluation from end to end: pairs of small talking faces, with the networks that ship."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from talking_makers import NUM_FRAMES, openings, write_speech, write_talking

from lipwright.checkpoints import DEFAULT_EXPERT, DEFAULT_LANDMARKS, DEFAULT_MODEL
from lipwright.errors import CheckpointError, ConfigError, EvaluationError
from lipwright.evaluation.evaluate import EvaluationConfig, evaluate
from lipwright.evaluation.pairs import Pair
from lipwright.evaluation.report import read_report, to_markdown, write_report
from lipwright.evaluation.results import VERSIONS, ClipResult, Report

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def clips(astronaut: Picture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two talking people, and one whose face is out of the picture; do not write to it."""
    folder = tmp_path_factory.mktemp("clips")
    for name, seed in (("anna", 1), ("ben", 2)):
        curve = openings(seed)
        speech = write_speech(folder / f"{name}.wav", curve, seed=seed)
        face = astronaut if name == "anna" else (0.8 * astronaut).astype(np.uint8)
        write_talking(folder / f"{name}.mp4", face, curve, speech=speech)
    write_talking(folder / "nobody.mp4", np.roll(astronaut, -200, axis=0), openings(3))
    return folder


@pytest.fixture(scope="module")
def pairs(clips: Path, astronaut_file: Path) -> list[Pair]:
    anna, ben = (clips / f"{name}.mp4" for name in ("anna", "ben"))
    return [
        Pair(name="anna", face=anna, speech=anna, truth=anna, at=0.0, group="own"),
        Pair(name="nobody", face=clips / "nobody.mp4", speech=anna, group="own"),
        Pair(name="portrait", face=astronaut_file, speech=ben, motion=ben, group="foreign"),
        Pair(name="alone", face=anna, speech=clips / "ben.wav"),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation") / "made" / "report"


@pytest.fixture(scope="module")
def report(pairs: list[Pair], folder: Path) -> Report:
    told: list[tuple[int, int]] = []
    report = evaluate(
        pairs, folder, num_workers=1, on_progress=lambda done, total: told.append((done, total))
    )
    assert told == [(done, 4) for done in range(1, 5)]
    return report


def result_of(report: Report, name: str) -> ClipResult:
    return next(clip for clip in report.clips if clip.name == name)


def files_below(folder: Path) -> dict[str, int]:
    """Each file, and when it was written."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


def test_drawn_videos_stand_beside_the_baselines_of_the_true_ones(report: Report) -> None:
    assert [clip.name for clip in report.clips] == ["anna", "portrait", "alone"]
    anna = result_of(report, "anna")
    assert set(anna.scores) == set(VERSIONS)
    assert anna.num_frames == NUM_FRAMES
    for version in VERSIONS:
        assert "opening_correlation" in anna.scores[version]
    assert anna.scores["true"]["opening_correlation"] == pytest.approx(1)
    assert anna.scores["true"]["lip_distance"] == pytest.approx(0, abs=1e-6)
    assert anna.scores["static"]["opening_correlation"] == 0
    assert anna.scores["shifted"]["lag_within_1"] == 0
    assert {"ssim", "mouth_l1", "psnr", "seam_excess"} <= anna.scores["drawn"].keys()
    assert 0 < anna.scores["drawn"]["ssim"] < 1
    assert anna.seconds["render"] > 0
    assert anna.seconds["measure"] > 0
    assert len(anna.curves["true"]) == len(anna.curves["drawn"]) == NUM_FRAMES


def test_each_pair_has_what_can_be_measured_of_it(report: Report) -> None:
    portrait, alone = (result_of(report, name).scores for name in ("portrait", "alone"))
    assert {"true", "static", "shifted"} <= portrait.keys()
    assert "opening_correlation" in portrait["drawn"]
    assert not {"ssim", "psnr", "lip_distance"} & portrait["drawn"].keys()
    assert set(alone) == {"drawn"}
    assert "expert_lse_d" in alone["drawn"]
    assert "opening_correlation" not in alone["drawn"]


def test_nobody_says_something_else_by_saying_the_same(report: Report) -> None:
    # Of the bases, only those of anna and of the portrait, which follows ben, differ.
    for name in ("anna", "portrait"):
        other = result_of(report, name).scores["other"]
        assert other["opening_correlation"] < 0.99


def test_a_pair_without_a_face_is_told_and_does_not_stop_the_rest(report: Report) -> None:
    (failure,) = report.failures
    assert failure.name == "nobody"
    assert "no face" in failure.reason


def test_a_report_says_how_it_was_made(report: Report, folder: Path) -> None:
    assert report.title == "Evaluation of lipwright-160"
    for topic, name in (
        ("model", DEFAULT_MODEL),
        ("expert", DEFAULT_EXPERT),
        ("landmarks", DEFAULT_LANDMARKS),
    ):
        assert report.protocol[topic].startswith(f"{name}.onnx, SHA-256 ")
    assert "lipwright 0.1.0" in report.protocol["versions"]
    assert {"crop", "rate", "shifts", "baselines", "seed", "machine"} <= report.protocol.keys()
    measured = {name for clip in report.clips for scores in clip.scores.values() for name in scores}
    assert {metric.name for metric in report.metrics} == measured
    assert {metric.name for metric in report.set_metrics} == set(report.sets)
    assert report.sets["frechet_lips_drawn"] > 0
    for name in ("anna", "portrait", "alone"):
        assert (folder / "videos" / f"{name}.mp4").is_file()
        assert (folder / result_of(report, name).sheet).is_file()


def test_a_report_is_written_and_read_back(report: Report, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "sheets", tmp_path / "sheets")
    page = write_report(report, tmp_path)
    assert page.read_text(encoding="utf-8").count("data:image/jpeg") == 3
    assert to_markdown(read_report(tmp_path / "report.json")) == to_markdown(report)


def test_again_nothing_is_rendered_and_the_numbers_are_the_same(
    pairs: list[Pair], report: Report, folder: Path
) -> None:
    before = files_below(folder)
    assert len(before) == 3 * 3
    again = evaluate(pairs, folder, num_workers=1)
    assert files_below(folder) == before
    assert again == report


def test_another_pair_under_the_name_is_measured_and_what_was_rendered_is_not_rendered(
    pairs: list[Pair], report: Report, folder: Path, tmp_path: Path
) -> None:
    rendered = folder / "videos" / "anna.mp4"
    shutil.copytree(folder / "measured", tmp_path / "measured")  # of other pairs, by their keys
    own = replace(pairs[0], rendered=rendered, group="theirs")
    before = rendered.stat().st_mtime_ns
    found = evaluate([own], tmp_path, num_workers=1)
    assert rendered.stat().st_mtime_ns == before
    assert list((tmp_path / "videos").iterdir()) == []
    assert found.title == "Evaluation of rendered videos"
    assert found.protocol["model"] == "none: the videos were rendered before"
    clip, first = result_of(found, "anna"), result_of(report, "anna")
    assert clip.group == "theirs"
    assert clip.scores["drawn"] == first.scores["drawn"]
    assert clip.curves == first.curves
    assert "other" not in clip.scores, "there is no other pair"


def test_an_evaluation_in_which_all_fails_is_an_error(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("not a video")
    pair = Pair(name="broken", face=tmp_path / "broken.mp4", speech=clips / "anna.wav")
    with pytest.raises(EvaluationError, match=r"none of 1 pairs .*; the first: .*broken\.mp4"):
        evaluate([pair], tmp_path / "report", num_workers=1)


def test_pairs_are_needed_and_names_of_their_own(pairs: list[Pair], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pairs need names of their own, got none"):
        evaluate([], tmp_path)
    with pytest.raises(ConfigError, match=r"names of their own, got \['anna', 'anna'\]"):
        evaluate([pairs[0], replace(pairs[2], name="anna")], tmp_path)
    with pytest.raises(ConfigError, match="num_workers must be at least 1, got 0"):
        evaluate(pairs, tmp_path, num_workers=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "judge",
    [
        {"expert": "none.onnx"},
        {"syncnet": "none.onnx"},
        {"landmarks": Path("none.tflite")},
        {"lpips": Path("none.onnx")},
        {"identity": Path("none.onnx")},
        {"inception": Path("none.onnx")},
        {"model": "none.onnx"},
    ],
    ids=lambda judge: next(iter(judge)),
)
def test_what_is_missing_is_refused_before_anything_is_rendered(
    judge: dict[str, str | Path], pairs: list[Pair], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"none\.(onnx|tflite)"):
        evaluate(pairs, tmp_path / "report", config=EvaluationConfig(**judge))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (EvaluationConfig(model=DEFAULT_EXPERT), "holds a expert, a generator is needed"),
        (EvaluationConfig(expert=DEFAULT_MODEL), "holds a generator, an expert is needed"),
        (EvaluationConfig(syncnet=DEFAULT_EXPERT), "is no SyncNet v2"),
    ],
    ids=["generator", "expert", "SyncNet v2"],
)
def test_another_network_is_refused_before_anything_is_rendered(
    config: EvaluationConfig, words: str, pairs: list[Pair], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=words):
        evaluate(pairs, tmp_path / "report", config=config)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_missing_is_told_with_its_pair(pairs: list[Pair], tmp_path: Path) -> None:
    gone = replace(pairs[0], truth=tmp_path / "gone.mp4")
    with pytest.raises(ConfigError, match=r"anna: cannot read a file of the pair: .*gone\.mp4"):
        evaluate([gone], tmp_path / "report")


@pytest.mark.parametrize("seconds", [0.5, math.nan, math.inf])
def test_lengths_that_make_no_sense_are_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="max_seconds must be at least 1 and finite"):
        EvaluationConfig(max_seconds=seconds)


def test_a_seed_below_0_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"seed at least 0, got .* and -1"):
        EvaluationConfig(seed=-1)
