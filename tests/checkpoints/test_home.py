from pathlib import Path

import pytest

from lipwright.checkpoints.home import (
    catalogue_path,
    home,
    models_folder,
    settings_path,
    written_whole,
)
from lipwright.errors import ConfigError


@pytest.fixture(autouse=True)
def _nothing_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIPWRIGHT_HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_home_is_what_was_chosen_else_of_the_desktop_else_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home() == tmp_path / ".local" / "share" / "lipwright"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert home() == Path("/data/lipwright")
    monkeypatch.setenv("LIPWRIGHT_HOME", "~/mine")
    assert home() == tmp_path / "mine"


@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_a_relative_data_home_is_ignored(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", value)
    assert home() == tmp_path / ".local" / "share" / "lipwright"


def test_asking_where_things_are_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIPWRIGHT_HOME", str(tmp_path / "new"))
    places = [models_folder(), catalogue_path(), settings_path()]
    assert [place.relative_to(home()) for place in places] == [
        Path("models"),
        Path("models.toml"),
        Path("settings.toml"),
    ]
    assert not home().exists()


def test_no_home_is_said_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPWRIGHT_HOME", "~there-is-no-such-user/x")
    with pytest.raises(ConfigError, match=r"no home folder.*set LIPWRIGHT_HOME"):
        home()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with written_whole(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()

    def fail() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("sec")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]
