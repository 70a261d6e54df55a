"""``lipwright models`` from its words to its exit code, against a server of this machine."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from command import run

from lipwright.checkpoints import model_path

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LONG = "a-model-with-quite-a-long-name.v2-256"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Of a file that a server of this machine gives."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "weights.pth").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/weights.pth"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIPWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def describe(
    path: Path, url: str, *, name: str = "far", licence: str = "research-only", sha256: str = SHA256
) -> Path:
    with path.open("a") as file:
        file.write(
            f'[models."{name}"]\nurls = ["{url}"]\nsha256 = "{sha256}"\nlicence = "{licence}"\n'
            f"resolution = 256\n"
        )
    return path


def test_help_shows_the_table_and_how_to_fetch(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "--help") == 0
    assert "pull" in capsys.readouterr().out
    assert run("models", "pull", "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    for text in ("NAME", "--accept-licence", "--catalogue", "research-only"):
        assert text in told


@pytest.mark.parametrize("words", [["models", "pull"], ["models", "push"], ["models", "--px"]])
def test_wrong_use_leaves_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    assert capsys.readouterr().err


def test_a_model_is_pulled_once_its_licence_is_accepted(
    home: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    describe(home / "models.toml", url)
    assert run("models", "pull", "far") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "model far is licensed research-only; if your use is within that, say so" in told.err
    assert not (home / "models").exists()

    assert run("models", "pull", "far", "--accept-licence", "research-only") == 0
    told = capsys.readouterr()
    path = home / "models" / "far.pth"
    assert told.out == f"{path}: 0.3 MB, research-only, SHA-256 as expected\n"
    assert "far" in told.err
    assert path.read_bytes() == CONTENT
    assert model_path("far") == path
    assert (home / "settings.toml").read_text() == 'accepted_licences = ["research-only"]\n'

    path.unlink()
    assert run("models", "pull", "far") == 0
    assert path.exists()


def test_a_catalogue_can_be_given(tmp_path: Path, url: str) -> None:
    path = describe(tmp_path / "theirs.toml", url, licence="CC-BY-4.0")
    assert run("models", "pull", "far", "--catalogue", path) == 0
    assert model_path("far").read_bytes() == CONTENT


def test_a_pull_that_fails_says_what_to_do(
    home: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    describe(home / "models.toml", "http://127.0.0.1:9/w.pth", licence="MIT")
    describe(home / "models.toml", url, name="other", licence="MIT", sha256="0" * 64)
    for name, text in (
        ("far", "http://127.0.0.1:9/w.pth: no connection"),
        ("other", f"gave another file (SHA-256 {SHA256}, expected {'0' * 64})"),
        ("fat", "no model 'fat'; did you mean 'far'?"),
        ("lipwright-160", "comes with Lipwright"),
    ):
        assert run("models", "pull", name) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert text in told.err
        assert "Traceback" not in told.err
    assert not list((home / "models").glob("*"))


def test_the_table_has_the_shipped_and_the_remote_ones(
    home: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    describe(home / "models.toml", url, licence="MIT")
    assert run("models") == 0
    told = capsys.readouterr().out
    (row,) = [line.split() for line in told.splitlines() if line.startswith("far")]
    assert row == ["far", "generator", "256", "?", "MIT", "127.0.0.1", "no"]
    assert "fetch one: lipwright models pull NAME" in told
    assert run("models", "pull", "far") == 0
    capsys.readouterr()
    assert run("models") == 0
    told = capsys.readouterr().out
    (row,) = [line.split() for line in told.splitlines() if line.startswith("far")]
    assert row == ["far", "generator", "256", "0.3", "MIT", "127.0.0.1", "yes"]
    assert "fetch one" not in told


@pytest.mark.parametrize("columns", [80, 50])
def test_a_narrow_table_folds_and_loses_nothing(
    columns: int, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    describe(home / "models.toml", "https://some.host.example.org/w.pth", name=LONG)
    assert run("models") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= columns
    assert "…" not in "".join(lines)
    if columns == 80:
        for name in ("lipwright-160", "lipwright-expert", "lipwright-landmarks"):
            assert any(line.split()[:1] == [name] for line in lines)
    first = [line.split(" ")[0] for line in lines]  # no name has a space
    assert LONG in "".join(first)
