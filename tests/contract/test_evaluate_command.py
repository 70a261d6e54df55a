"""``lipwright evaluate``, as a person types it: with SyncNet v2 that was converted before."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from command import run
from numpy.typing import NDArray

from lipwright.media import VideoWriter
from lipwright.models.syncnet_v2 import SyncNetV2


@pytest.fixture
def clips(astronaut: NDArray[np.uint8], demo_speech: Path, tmp_path: Path) -> Path:
    """A folder with a talking head of sorts, whose mouth gets dark and light."""
    folder = tmp_path / "clips" / "anna"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    with VideoWriter(
        folder / "hello.mp4",
        width=240,
        height=240,
        fps=Fraction(25),
        speech=demo_speech,
        preset="ultrafast",
    ) as writer:
        for index in range(42):
            pixels = astronaut[5:245, 100:340].copy()
            pixels[136 : 140 + int(rng.integers(12)), 110:138] = 40
            writer.write(pixels, Fraction(index, 25))
    return folder.parent


@pytest.fixture
def syncnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint as its authors publish it, with random weights."""
    monkeypatch.setenv("LIPWRIGHT_HOME", str(tmp_path / "home"))
    path = tmp_path / "syncnet_v2.model"
    with torch.random.fork_rng():
        torch.manual_seed(5)
        torch.save(SyncNetV2().state_dict(), path)
    return path


def test_help_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "evaluate" in capsys.readouterr().out
    assert run("evaluate", "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    for word in (
        *("PAIRS", "--to", "--model", "--rendered", "--expert", "--landmarks", "--syncnet"),
        *("--lpips", "--identity", "--inception", "--accept-licence", "--max-seconds", "--seed"),
        *("--title", "--workers", "lipwright evaluate clips --to report", "truth", "motion"),
    ):
        assert word in told, word


def test_a_folder_of_clips_becomes_a_report(
    clips: Path, syncnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("convert", syncnet) == 0
    told = capsys.readouterr().out
    assert "use it: lipwright evaluate PAIRS --to REPORT --syncnet syncnet_v2" in told
    assert run("models") == 0
    rows = capsys.readouterr().out.splitlines()
    (row,) = (line for line in rows if line.startswith("syncnet_v2"))
    assert "judge" in row

    (clips / "broken.mp4").write_bytes(b"not a video at all")
    report = tmp_path / "report"
    words = ("--syncnet", "syncnet_v2", "--title", "Of Anna", "--workers", "1")
    assert run("evaluate", clips, "--to", report, *words) == 0
    told = capsys.readouterr().out
    assert "# Of Anna" in told
    assert "LSE-D, SyncNet v2" in told
    assert "## Protocol" not in told
    assert "not measured: broken: " in told
    assert f"report: {report / 'report.html'}" in " ".join(told.split())
    record = json.loads((report / "report.json").read_text(encoding="utf-8"))
    (clip,) = record["clips"]
    assert clip["name"] == "anna_hello"
    assert {"drawn", "true", "static", "shifted"} <= clip["scores"].keys()
    assert {"opening_correlation", "syncnet_lse_d", "ssim"} <= clip["scores"]["drawn"].keys()
    assert "syncnet_v2.onnx, SHA-256" in record["protocol"]["SyncNet v2"]
    for name in ("report.md", "videos/anna_hello.mp4", "sheets/anna_hello.jpg"):
        assert (report / name).is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "none.tsv", "--to", "r"], "cannot read the table of pairs 'none.tsv'"),
        (["evaluate", "empty", "--to", "r"], "no pairs in 'empty'"),
        (["evaluate", "empty", "--to", "r", "--max-seconds", "0"], "max_seconds must be at least"),
    ],
)
def test_what_fails_is_said_in_one_line_and_leaves_with_one(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert run(*words) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("words", [["evaluate"], ["evaluate", "clips", "--to", "r", "--seed", "x"]])
def test_wrong_use_leaves_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    assert capsys.readouterr().err
