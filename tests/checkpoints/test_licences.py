import tomllib
from pathlib import Path

import pytest

from lipwright.checkpoints import require_licence
from lipwright.checkpoints.licences import PERMISSIVE, accepted_licences, is_permissive
from lipwright.errors import ConfigError, LicenceError


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIPWRIGHT_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "settings.toml"


@pytest.mark.parametrize("licence", [*PERMISSIVE, "apache-2.0", "mit"])
def test_a_permissive_licence_passes_and_writes_nothing(licence: str, settings: Path) -> None:
    require_licence("x", licence)
    require_licence("x", licence, accept=licence)
    assert not settings.exists()


@pytest.mark.parametrize(
    "licence",
    ["research-only", "CC-BY-NC-4.0", "CC-BY-SA-4.0", "CC-BY-ND-4.0", "GPL-3.0-only", "unknown",
     "other", "", "openrail"],
)  # fmt: skip
def test_any_other_licence_has_to_be_accepted(licence: str, settings: Path) -> None:
    assert not is_permissive(licence)
    with pytest.raises(LicenceError, match=f"model x is licensed {licence}; .* say so once"):
        require_licence("x", licence)
    assert not settings.exists()


def test_what_to_say_and_where_is_said(settings: Path) -> None:
    with pytest.raises(LicenceError) as caught:
        require_licence("x", "research-only")
    assert "--accept-licence research-only" in str(caught.value)
    assert f'accepted_licences = ["research-only"] in {settings}' in str(caught.value)


def test_what_is_accepted_is_recorded_and_not_asked_again(settings: Path) -> None:
    require_licence("x", "research-only", accept="research-only")
    assert tomllib.loads(settings.read_text()) == {"accepted_licences": ["research-only"]}
    require_licence("x", "research-only")
    require_licence("another", "Research-Only")
    with pytest.raises(LicenceError):
        require_licence("x", "CC-BY-NC-4.0")
    require_licence("x", "CC-BY-NC-4.0", accept="cc-by-nc-4.0")
    assert accepted_licences() == ["research-only", "CC-BY-NC-4.0"]
    assert [path.name for path in settings.parent.iterdir()] == ["settings.toml"]


@pytest.mark.parametrize("licence", ["research-only", "MIT"])
def test_accepting_another_licence_is_an_error_that_says_so(licence: str, settings: Path) -> None:
    with pytest.raises(LicenceError, match=f"licensed {licence}, not CC-BY-NC-4.0"):
        require_licence("x", licence, accept="CC-BY-NC-4.0")
    assert not settings.exists()


def test_a_licence_accepted_by_hand_in_the_settings_counts(settings: Path) -> None:
    settings.parent.mkdir()
    settings.write_text('accepted_licences = ["research-only"]\n')
    require_licence("x", "research-only")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'accepted_licences = ["a"]\n'),
        ("# mine\n", 'accepted_licences = ["a"]\n# mine\n'),
        ("# mine\naccepted_licences = []  # none yet\n",
         '# mine\naccepted_licences = ["a"]  # none yet\n'),
        ('accepted_licences = [\n  "b]",  # ] here\n  \'c"\',\n]\n# end',
         'accepted_licences = ["b]", "c\\"", "a"]\n# end'),
        ('"accepted_licences"=["b"]', 'accepted_licences = ["b", "a"]'),
    ],
)  # fmt: skip
def test_recording_leaves_the_rest_of_the_settings_alone(
    before: str, after: str, settings: Path
) -> None:
    settings.parent.mkdir()
    settings.write_text(before)
    require_licence("x", "a", accept="a")
    assert settings.read_text() == after


@pytest.mark.parametrize("licence", ['say "yes"', "back\\slash", "tab\there", "é", "\U0001f600"])
def test_odd_names_come_back_as_they_were(licence: str, settings: Path) -> None:
    require_licence("x", licence, accept=licence)
    assert accepted_licences() == [licence]
    require_licence("x", licence)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accepted_licence = []", "unknown key 'accepted_licence'; did you mean 'accepted_lic"),
        ("colour = 1", "unknown key 'colour'; known: accepted_licences"),
        ('accepted_licences = "MIT"', "must be a list .* got 'MIT'"),
        ("accepted_licences = [1]", r"must be a list .* got \[1\]"),
        ("accepted_licences = [", "cannot read the settings"),
    ],
)
def test_settings_that_are_not_understood_are_refused(
    text: str, message: str, settings: Path
) -> None:
    settings.parent.mkdir()
    settings.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        require_licence("x", "research-only", accept="research-only")
    assert str(settings) in str(caught.value)
    assert settings.read_text() == text


def test_settings_that_cannot_be_written_are_said(settings: Path) -> None:
    settings.parent.write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match="cannot write the settings"):
        require_licence("x", "research-only", accept="research-only")
