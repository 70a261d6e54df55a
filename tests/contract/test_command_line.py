"""The command line: what it says, and with which exit code it leaves."""

from pathlib import Path

import pytest
from command import run

from lipwright.cli.app import app


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["sync", "convert", "prepare", "puppets", "train", "export", "models"]),
        ([], ["audit", "label"]),
        (["sync"], ["FACE", "SPEECH", "--out", "--model", "lipwright sync portrait.jpg"]),
        (["sync"], ["--mode", "released", "--accept-licence", "--face", "--min-face"]),
        (["sync"], ["--preview", "--resume", "--map", "--json"]),
        (["batch"], ["JOBS", "--jobs", "--retries", "--json", "[[job]]", "lipwright batch jobs."]),
        (["convert"], ["FILE", "--out", "--licence", "--alignment", "lipwright convert wav2lip"]),
        (["prepare"], ["--to", "--split", "--workers", "--landmarks", "ledger", "LRS2"]),
        (["prepare"], ["--audit", "lipwright audit wrote"]),
        (["audit"], ["FOLDERS", "--to", "--expert", "--min-confidence", "--max-offset"]),
        (["audit"], ["--workers", "off by a constant", "lipwright audit recordings --to"]),
        (["label"], ["FOLDERS", "--to", "--landmarks", "--split", "--corpus", "train.faces"]),
        (["label"], ["--frames-per-clip", "lipwright label recordings portraits --to faces"]),
        (["puppets"], ["PORTRAITS", "--to", "--landmarks", "--split", "--max-opening"]),
        (["train"], ["expert", "generator", "landmarks"]),
        (["train", "expert"], ["RECIPE", "--out", "--verbose"]),
        (["train", "generator"], ["RECIPE", "--out", "--verbose"]),
        (["train", "landmarks"], ["RECIPE", "--out", "--verbose"]),
        (["export"], ["WEIGHTS", "--out", "--format", "released"]),
        (["models"], ["List the models"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_says_what_a_command_takes(
    words: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    for text in expected:
        assert text in told


@pytest.mark.parametrize(
    "words",
    [
        ["sink"],
        ["sync", "face.mp4"],
        ["sync", "a.mp4", "b.wav", "-o", "c.mp4", "--colour", "red"],
        ["sync", "a.mp4", "b.wav", "-o", "c.mp4", "--min-face", "small"],
        ["sync", "--colour", "red", "a.mp4", "-o", "c.mp4"],
        ["sync", "a.mp4", "b.wav", "-o", "c.mp4", "--preview", "some"],
        ["batch"],
        ["batch", "jobs.toml", "--jobs", "many"],
        ["puppets", "portraits", "--to", "corpus"],
        ["label", "recordings", "--to", "faces"],
        ["audit", "recordings", "--max-offset", "few"],
        ["export", "w.safetensors"],
    ],
    ids=" ".join,
)
def test_wrong_use_leaves_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sync", "nobody.mp4", "b.wav", "-o", "c.mp4"], "no such file: 'nobody.mp4'"),
        (["sync", "a.mp4", "b.wav", "-o", "none/c.mp4"], "folder 'none' does not exist"),
        (["sync", "a.mp4", "b.wav", "-o", "c.avi"], "unknown kind of video '.avi'"),
        (["sync", "a.mp4", "b.wav", "-o", "c.mp4", "--model", "x"], "known: lipwright-160"),
        (["sync", "a.mp4", "b.wav", "-o", "c.mp4", "--preview", "3"], "use c.png"),
        (["sync", "a.mp4", "b.wav", "-o", "c.png", "--preview", "0"], "has 1 to 64 frames, got 0"),
        (["sync", "a.mp4", "b.wav", "-o", "c.gif", "--resume"], "unknown kind of video '.gif'"),
        (["sync", "a.mp4", "b.wav", "-o", "c", "--resume", "--preview", "3"], "leave out --resume"),
        (["batch", "none.toml"], "cannot read the jobs 'none.toml'"),
        (["prepare", "nowhere", "--to", "corpus"], "no such folder: 'nowhere'"),
        (
            ["puppets", "nowhere", "--to", "corpus", "--landmarks", "none.tflite"],
            "no such landmark network: 'none.tflite'",
        ),
        (["audit", "nowhere"], "no such folder: 'nowhere'"),
        (["audit"], "no folder was named"),
        (["audit", ".", "--workers", "0"], "num_workers must be at least 1, got 0"),
        (["prepare", ".", "--to", "c", "--audit", "none.json"], "cannot read the audit none.json"),
        (
            ["label", ".", "--to", "f", "--landmarks", "none.tflite", "--split", "none.toml"],
            "cannot read the split none.toml",
        ),
        (["train", "expert", "none.toml", "-o", "run"], "cannot read the recipe none.toml"),
        (["train", "landmarks", "none.toml", "-o", "run"], "cannot read the recipe none.toml"),
        (["export", "none.safetensors", "-o", "x.onnx"], "no such weights file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_fails_is_said_in_one_line_and_leaves_with_one(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lipwright.cli.models.available_models", interrupted)
    assert run("models") == 130
    assert "nothing half-written" in capsys.readouterr().err


def test_models_are_listed_with_licence_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    told = capsys.readouterr().out
    assert "lipwright-160" in told
    assert "Apache-2.0" in told
    assert "missing" not in told


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


def test_every_command_of_the_readme_is_one() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    commands = [
        line.split("#")[0].split()[1:]
        for line in readme.splitlines()
        if line.startswith("lipwright ")
    ]
    assert len(commands) >= 6
    for words in commands:
        app.parse_args(words, exit_on_error=False, print_error=False)


def test_the_shell_can_complete_commands_and_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    assert run("--install-completion") == 0
    (script,) = tmp_path.glob(".local/share/bash-completion/completions/lipwright")
    written = script.read_text(encoding="utf-8")
    assert all(word in written for word in ("sync", "--on-no-face", "pingpong", "batch"))
    assert not (tmp_path / ".bashrc").exists()
