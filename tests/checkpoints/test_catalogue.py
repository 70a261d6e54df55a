from pathlib import Path

import pytest

from lipwright.checkpoints import load_catalogue
from lipwright.checkpoints.catalogue import find_remote
from lipwright.errors import ConfigError

SHA256 = "ab" * 32
REVISION = "0123456789abcdef0123456789abcdef01234567"
FIELDS = {
    "urls": '["https://example.org/models/weights.pth", "https://mirror.example.org/w.pth"]',
    "sha256": f'"{SHA256}"',
    "licence": '"research-only"',
    "kind": '"generator"',
    "resolution": "96",
}
HUB = {
    "repository": '"owner/name"',
    "revision": f'"{REVISION}"',
    "file": '"sub folder/weights.safetensors"',
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPWRIGHT_HOME", str(tmp_path))
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


def write(path: Path, fields: dict[str, str], *, name: str = "far") -> Path:
    lines = [f"{key} = {value}" for key, value in fields.items() if value]
    path.write_text("\n".join([f'[models."{name}"]', *lines]), encoding="utf-8")
    return path


def test_a_model_is_read_as_it_is_described(tmp_path: Path) -> None:
    model = load_catalogue(write(tmp_path / "c.toml", FIELDS | {"size": "12"}))["far"]
    assert (model.name, model.kind, model.resolution, model.size) == ("far", "generator", 96, 12)
    assert (model.licence, model.sha256) == ("research-only", SHA256)
    assert model.urls == (
        "https://example.org/models/weights.pth",
        "https://mirror.example.org/w.pth",
    )
    assert model.file == "far.pth"


def test_the_example_in_the_module_is_one(tmp_path: Path) -> None:
    from lipwright.checkpoints import catalogue  # noqa: PLC0415

    assert catalogue.__doc__ is not None
    example = catalogue.__doc__.split("::\n")[1].replace('"..."', f'"{SHA256}"')
    (tmp_path / "c.toml").write_text("\n".join(line.strip() for line in example.splitlines()))
    assert load_catalogue(tmp_path / "c.toml")["some-name"].file == "some-name.safetensors"


def test_a_hub_model_is_fetched_at_its_commit_then_from_the_mirrors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "c.toml", FIELDS | HUB)
    at = f"/owner/name/resolve/{REVISION}/sub%20folder/weights.safetensors"
    model = load_catalogue(path)["far"]
    assert model.urls[0] == f"https://huggingface.co{at}"
    assert len(model.urls) == 3
    assert model.file == "far.safetensors"
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.org/")
    assert load_catalogue(path)["far"].urls[0] == f"https://hub.example.org{at}"
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example.org")
    with pytest.raises(ConfigError, match=r"must be https .*http://hub\.example\.org"):
        load_catalogue(path)


@pytest.mark.parametrize("revision", ["main", "v1.0", REVISION[:12], REVISION.upper(), ""])
def test_a_revision_that_may_move_is_refused_with_the_reason(revision: str, tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", FIELDS | HUB | {"revision": f'"{revision}"'})
    with pytest.raises(ConfigError, match=f"must be a commit .*, got '{revision}': what a branch"):
        load_catalogue(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"license": '"MIT"'}, "unknown key 'license'; did you mean 'licence'?"),
        ({"colour": "1"}, "unknown key 'colour'; known: urls, repository"),
        ({"sha256": f'"{SHA256[:-1]}"'}, f"64 hexadecimal digits, got '{SHA256[:-1]}'"),
        ({"sha256": f'"{"zz" * 32}"'}, "64 hexadecimal digits, got 'zz"),
        ({"sha256": "12"}, "sha256 must be a text in quotes, got 12"),
        ({"sha256": ""}, "sha256 is missing"),
        ({"licence": ""}, "licence is missing"),
        ({"licence": '"for me"'}, "licence must be an SPDX name .*, got 'for me'"),
        (
            {"kind": '"discriminator"'},
            "kind must be generator, expert, landmarks or judge, got 'discriminator'",
        ),
        ({"resolution": ""}, "resolution is missing"),
        ({"resolution": "0"}, "resolution must be at least 1, got 0"),
        ({"resolution": '"96"'}, "resolution must be a whole number, got '96'"),
        ({"resolution": "true"}, "resolution must be a whole number, got True"),
        ({"size": "-1"}, "size must be at least 1 byte, got -1"),
        ({"urls": ""}, "there must be a URL or a repository"),
        ({"urls": "[]"}, "there must be a URL or a repository"),
        ({"urls": '"https://example.org/x.pth"'}, "urls must be a list"),
        ({"urls": "[1]"}, "urls must be a text in quotes, got 1"),
        ({"urls": '["http://example.org/x.pth"]'}, "must be https .*'http://example.org/x.pth'"),
        ({"urls": '["ftp://example.org/x.pth"]'}, "must be https"),
        ({"urls": '["file:///etc/x.pth"]'}, "must name a host"),
        ({"urls": '["http://127.0.0.1@example.org/x.pth"]'}, "no user or password"),
        ({"urls": '["https://example.org/a b.pth"]'}, "not a URL: 'https://example.org/a b.pth'"),
        ({"urls": '["https://example.org:port/x.pth"]'}, "not a URL"),
        ({"urls": '["https://example.org/get?id=3"]'}, "file must end in one of .onnx"),
        ({"urls": '["https://example.org/x.py"]'}, "file must end in one of .*got 'far.py'"),
        ({"revision": f'"{REVISION}"'}, "no repository is given"),
        (HUB | {"repository": '"name"'}, "repository must be OWNER/NAME, got 'name'"),
        (HUB | {"repository": '"../name"'}, "repository must be OWNER/NAME"),
        (HUB | {"file": '"../x.pth"'}, "a path within the repository, got '../x.pth'"),
        (HUB | {"file": '"/x.pth"'}, "a path within the repository, got '/x.pth'"),
        (HUB | {"file": ""}, "file is missing"),
    ],
)
def test_what_is_wrong_is_said_with_the_file_the_model_and_the_value(
    changes: dict[str, str], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "c.toml", FIELDS | changes)
    with pytest.raises(ConfigError, match=message) as caught:
        load_catalogue(path)
    assert str(caught.value).startswith(f"{path}: model 'far': ")


def test_a_url_that_does_not_tell_the_kind_of_file_can_be_helped(tmp_path: Path) -> None:
    fields = FIELDS | {"urls": '["https://example.org/get?id=3"]', "file": '"weights.PTH"'}
    assert load_catalogue(write(tmp_path / "c.toml", fields))["far"].file == "far.pth"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/x.pth", "http://localhost/x.pth", "http://[::1]:1/x.pth"]
)
def test_http_of_this_machine_is_allowed(url: str, tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", FIELDS | {"urls": f'["{url}"]'})
    assert load_catalogue(path)["far"].urls == (url,)


@pytest.mark.parametrize("name", ["../far", "a/b", ".hidden", "-x", "", "a b", "é", "far.onnx"])
def test_a_name_that_could_be_a_path_is_refused(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", FIELDS, name=name)
    with pytest.raises(ConfigError, match="letters, digits and") as caught:
        load_catalogue(path)
    assert f"got {name!r}" in str(caught.value)


@pytest.mark.parametrize("name", ["far", "Far_2.1-gan", "9"])
def test_a_name_of_letters_digits_and_marks_is_fine(name: str, tmp_path: Path) -> None:
    assert list(load_catalogue(write(tmp_path / "c.toml", FIELDS, name=name))) == [name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model.x]", "unknown key 'model'; did you mean 'models'?"),
        ("models = 1", "models must be a table, got 1"),
        ("[models]\nx = 1", "x must be a table, got 1"),
        ("[models", "cannot read the catalogue"),
    ],
)
def test_a_file_of_another_form_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_catalogue(tmp_path / "c.toml")
    assert str(tmp_path / "c.toml") in str(caught.value)


def test_the_users_own_catalogue_need_not_exist_but_a_given_one_must(tmp_path: Path) -> None:
    assert load_catalogue() == {}
    with pytest.raises(ConfigError, match="cannot read the catalogue"):
        load_catalogue(tmp_path / "none.toml")
    write(tmp_path / "models.toml", FIELDS)
    assert list(load_catalogue()) == ["far"]


def test_a_model_that_no_catalogue_knows_is_said_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no catalogue describes 'fat': write .*models\.toml"):
        find_remote("fat")
    write(tmp_path / "models.toml", FIELDS)
    with pytest.raises(ConfigError, match="no model 'fat'; did you mean 'far'"):
        find_remote("fat")
    with pytest.raises(ConfigError, match="no model 'other'; known: far"):
        find_remote("other")
    assert find_remote("far").name == "far"
