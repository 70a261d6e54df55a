"""``lipwright cache`` from its words to its exit code."""

from pathlib import Path

import pytest
from command import run

FILES = {
    "tracks/a.npz": 3_000_000,
    "tracks/b.npz": 1_000_000,
    "tracks/c.known": 64,
    "cache/compiled/key/network.blob": 2_000_000,
    "cache/parity/key.json": 20,
    "converted/model.onnx": 5_000_000,
    "models/pulled.onnx": 1000,
    "settings.toml": 10,
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("LIPWRIGHT_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")
    return home


def fill(home: Path) -> None:
    for name, num_bytes in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(bytes(num_bytes))


def left(home: Path) -> set[str]:
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}


def test_the_table_says_what_is_kept_how_much_and_where(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    assert run("cache") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines if line.strip()}
    for name, number, megabytes, folder in [
        ("tracks", "2", "4.0", "tracks"),
        ("compiled", "1", "2.0", "cache/compiled"),
        ("verdicts", "1", "0.0", "cache/parity"),
        ("converted", "1", "5.0", "converted"),
    ]:
        assert rows[name].split()[-3:-1] == [number, megabytes]
        assert rows[name].split()[-1] == str(home / folder)
    assert "lipwright cache clear NAME" in lines[-1]


def test_a_home_that_is_not_there_yet_is_empty(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("cache") == 0
    assert capsys.readouterr().out.count("0.0") == 4
    assert run("cache", "clear") == 0
    assert not home.exists()


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (["tracks"], {"tracks"}),
        (["compiled"], {"cache/compiled"}),
        (["verdicts"], {"cache/parity"}),
        (["converted"], {"converted"}),
        (["all"], {"tracks", "cache/compiled", "cache/parity"}),
        ([], {"tracks", "cache/compiled", "cache/parity"}),
    ],
)
def test_clearing_removes_what_is_named_and_nothing_else(
    home: Path, words: list[str], gone: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(home)
    assert run("cache", "clear", *words) == 0
    assert left(home) == {name for name in FILES if not name.startswith(tuple(gone))}
    assert capsys.readouterr().out.count("removed") == len(gone)


def test_an_unknown_name_is_wrong_use_and_removes_nothing(home: Path) -> None:
    fill(home)
    assert run("cache", "clear", "models") == 2
    assert left(home) == set(FILES)


def test_the_help_says_what_can_be_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cache", "--help") == 0
    assert "clear" in capsys.readouterr().out
    assert run("sync", "--help") == 0
    assert "--no-cache" in capsys.readouterr().out
