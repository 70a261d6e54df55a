import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, serving

from lipwright.checkpoints import (
    DEFAULT_EXPERT,
    DEFAULT_LANDMARKS,
    DEFAULT_MODEL,
    TINY_MODEL,
    ModelEntry,
    available_models,
    model_path,
    pull_model,
    read_onnx_metadata,
    register_model,
    registry,
    require_free_name,
)
from lipwright.errors import CheckpointError, ConfigError, DownloadError, LicenceError

CONTENT = b"weights as they were shipped"
SHIPPED = [DEFAULT_MODEL, TINY_MODEL, DEFAULT_EXPERT, DEFAULT_LANDMARKS]
FAR = b"weights from far away"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of Lipwright."""
    monkeypatch.setenv("LIPWRIGHT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with one model in it, known by the name ``small``."""
    entry = ModelEntry(
        name="small",
        kind="generator",
        resolution=96,
        licence="Apache-2.0",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        source="shipped",
        path=tmp_path / "small.onnx",
    )
    monkeypatch.setattr(registry, "_MODELS", {"small": entry})
    (tmp_path / "small.onnx").write_bytes(CONTENT)
    return tmp_path / "small.onnx"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        yield server


def describe(
    url: str, *, to: Path, name: str = "far", content: bytes = FAR, licence: str = "MIT"
) -> Path:
    """Write a catalogue of one model."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(
        f'[models.{name}]\nurls = ["{url}"]\nresolution = 256\nlicence = "{licence}"\n'
        f'size = {len(content)}\nsha256 = "{hashlib.sha256(content).hexdigest()}"\n'
    )
    return to


def register(path: Path, *, name: str = "mine", content: bytes = b"drawn by me") -> ModelEntry:
    path.write_bytes(content)
    return register_model(
        path, name=name, kind="generator", resolution=96, licence="MIT", origin="mine.pth"
    )


def by_name() -> dict[str, ModelEntry]:
    return {entry.name: entry for entry in available_models()}


def test_defaults_are_known_models_of_their_kind() -> None:
    assert [entry.name for entry in available_models()] == SHIPPED
    assert by_name()[DEFAULT_MODEL].kind == "generator"
    assert by_name()[DEFAULT_EXPERT].kind == "expert"


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_model_is_whole_and_says_what_the_table_says(name: str) -> None:
    entry = by_name()[name]
    metadata = read_onnx_metadata(model_path(name))
    assert metadata["kind"] == entry.kind
    assert metadata["licence"] == entry.licence
    assert metadata["resolution"] == str(entry.resolution)
    assert entry.source == "shipped"
    assert entry.is_on_disk
    assert entry.file == f"{name}.onnx"
    assert entry.num_bytes == entry.path.stat().st_size


def test_known_name_is_a_verified_file(shipped: Path) -> None:
    assert model_path("small") == shipped


@pytest.mark.parametrize("content", [CONTENT + b"!", CONTENT[:-1], b"", b"something else"])
def test_damaged_shipped_file_is_refused_by_its_sha256(shipped: Path, content: bytes) -> None:
    shipped.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is damaged \(SHA-256 .*install .* again") as caught:
        model_path("small")
    assert str(shipped) in str(caught.value)
    assert hashlib.sha256(CONTENT).hexdigest()[:12] in str(caught.value)


def test_missing_shipped_file_is_refused_with_the_way_out(shipped: Path) -> None:
    shipped.unlink()
    with pytest.raises(CheckpointError, match=r"small\.onnx is missing: install lipwright again"):
        model_path("small")
    assert by_name()["small"].num_bytes is None


@pytest.mark.parametrize("name", ["lipwright-97", "smal", ""])
def test_unknown_name_lists_the_known_ones(name: str, home: Path, tmp_path: Path) -> None:
    register(tmp_path / "x.onnx")
    describe("https://example.org/far.pth", to=home / "models.toml")
    with pytest.raises(CheckpointError, match=f"unknown model '{name}'") as caught:
        model_path(name)
    assert f"known: {', '.join([*SHIPPED, 'mine', 'far'])};" in str(caught.value)


def test_path_of_a_file_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"any")
    assert model_path(str(path)) == path
    monkeypatch.chdir(tmp_path)
    assert model_path("mine.onnx") == Path("mine.onnx")


@pytest.mark.parametrize("name", ["gone.onnx", "gone.pth", "folder/gone", "/gone.onnx"])
def test_missing_path_is_refused_as_a_path(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"no such model file: '{name}'"):
        model_path(name)


def test_shipped_models_and_paths_need_no_catalogue_that_can_be_read(
    shipped: Path, home: Path
) -> None:
    home.mkdir()
    (home / "models.toml").write_text("[models")
    assert model_path("small") == shipped
    assert model_path(str(shipped)) == shipped
    with pytest.raises(ConfigError, match="cannot read the catalogue"):
        model_path("other")


def test_a_registered_model_is_found_by_its_name(home: Path, tmp_path: Path) -> None:
    entry = register(tmp_path / "x.onnx")
    assert entry.path == home / "models" / "mine.onnx"
    assert model_path("mine") == entry.path
    assert entry.path.read_bytes() == b"drawn by me"
    assert (tmp_path / "x.onnx").exists()
    assert by_name()["mine"] == entry
    assert (entry.source, entry.origin, entry.size) == ("converted", "mine.pth", 11)
    assert json.loads((home / "models" / "mine.json").read_text()) == {
        "file": "mine.onnx",
        "sha256": hashlib.sha256(b"drawn by me").hexdigest(),
        "size": 11,
        "kind": "generator",
        "resolution": 96,
        "licence": "MIT",
        "source": "converted",
        "from": "mine.pth",
    }
    assert len(list((home / "models").iterdir())) == 2


def test_a_model_that_lies_in_its_place_is_registered_there(home: Path) -> None:
    (home / "models").mkdir(parents=True)
    assert register(home / "models" / "mine.onnx").path.read_bytes() == b"drawn by me"
    assert model_path("mine") == home / "models" / "mine.onnx"


def test_registering_again_replaces_a_converted_model(tmp_path: Path) -> None:
    register(tmp_path / "x.onnx")
    register(tmp_path / "x.onnx", content=b"drawn better")
    assert model_path("mine").read_bytes() == b"drawn better"


def test_a_name_that_is_taken_or_none_is_not_registered(
    home: Path, tmp_path: Path, server: FileServer
) -> None:
    describe(server.put("/far.pth", FAR), to=home / "models.toml")
    pull_model("far")
    for name, message in (
        (DEFAULT_MODEL, "taken by a shipped model"),
        ("far", "taken by a remote model"),
        ("../mine", "letters, digits"),
    ):
        with pytest.raises(ConfigError, match=message):
            require_free_name(name)
        with pytest.raises(ConfigError, match=message):
            register(tmp_path / "x.onnx", name=name)
    with pytest.raises(CheckpointError, match="no such model file"):
        register_model(
            tmp_path / "gone", name="m", kind="expert", resolution=96, licence="MIT", origin=""
        )


def test_a_converted_model_that_was_damaged_is_refused(home: Path, tmp_path: Path) -> None:
    register(tmp_path / "x.onnx").path.write_bytes(b"drawn by mx")
    with pytest.raises(CheckpointError, match=r"mine.onnx is damaged .*convert it again; if you"):
        model_path("mine")


def test_a_model_put_there_by_hand_is_read_once_and_written_down(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = model_path(DEFAULT_MODEL)
    (home / "models").mkdir(parents=True)
    (home / "models" / "by.hand.onnx").write_bytes(real.read_bytes())
    entry = by_name()["by.hand"]
    assert (entry.kind, entry.resolution, entry.licence) == ("generator", 160, "Apache-2.0")
    assert entry.source == "converted"
    monkeypatch.setattr(registry, "read_onnx_metadata", None)
    assert by_name()["by.hand"] == entry
    assert model_path("by.hand") == entry.path


@pytest.mark.parametrize("content", [b"", b"not a network"])
def test_a_file_that_is_no_model_is_left_out_with_a_warning(
    content: bytes, home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    register(tmp_path / "x.onnx")
    (home / "models" / "junk.onnx").write_bytes(content)
    assert list(by_name()) == [*SHIPPED, "mine"]
    assert "left out: " in caplog.text
    assert "junk.onnx" in caplog.text
    with pytest.raises(CheckpointError, match=r"junk\.onnx"):
        model_path("junk")


@pytest.mark.parametrize(
    "change",
    ["{", "[]", "null", '{"file": "mine.onnx"}', {"file": "../x.onnx"}, {"source": "bought"},
     {"size": "many"}],
)  # fmt: skip
def test_a_damaged_side_file_is_named(
    change: str | dict[str, str], home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    register(tmp_path / "x.onnx")
    side = home / "models" / "mine.json"
    record = json.loads(side.read_text())
    side.write_text(change if isinstance(change, str) else json.dumps(record | change))
    with pytest.raises(CheckpointError, match=r"mine\.json is damaged: .*remove it"):
        model_path("mine")
    assert list(by_name()) == SHIPPED
    assert "mine.json is damaged" in caplog.text


def test_a_model_that_was_removed_by_hand_is_gone(tmp_path: Path) -> None:
    register(tmp_path / "x.onnx").path.unlink()
    assert list(by_name()) == SHIPPED
    with pytest.raises(CheckpointError, match=r"unknown model 'mine'; known: (?!.*mine).*;"):
        model_path("mine")


def test_a_remote_model_is_listed_and_says_how_to_fetch_it(home: Path) -> None:
    describe("https://example.org/weights.pth", to=home / "models.toml")
    entry = by_name()["far"]
    assert not entry.is_on_disk
    assert (entry.source, entry.origin, entry.resolution) == ("remote", "example.org", 256)
    assert entry.num_bytes == len(FAR)
    with pytest.raises(CheckpointError, match=r"far is not on disk; fetch it: lipwright models pu"):
        model_path("far")
    assert not (home / "models").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".onnx"])
def test_a_pulled_model_is_kept_as_it_is_and_found(
    suffix: str, home: Path, server: FileServer
) -> None:
    describe(server.put(f"/weights{suffix}", FAR), to=home / "models.toml")
    entry = pull_model("far")
    assert entry.path == home / "models" / f"far{suffix}"
    assert model_path("far") == entry.path
    assert entry.path.read_bytes() == FAR
    assert by_name()["far"] == entry
    assert entry.source == "remote"
    pull_model("far")
    assert len(server.asked) == 1


def test_a_model_pulled_from_a_given_catalogue_is_found_without_it(
    tmp_path: Path, server: FileServer
) -> None:
    path = describe(server.put("/weights.pth", FAR), to=tmp_path / "theirs.toml")
    entry = pull_model("far", catalogue=path)
    assert model_path("far") == entry.path
    assert by_name()["far"] == entry
    with pytest.raises(ConfigError, match="no catalogue describes 'far'"):
        pull_model("far")


def test_the_licence_is_asked_once_and_before_anything_is_fetched(
    home: Path, server: FileServer
) -> None:
    url = server.put("/weights.pth", FAR)
    describe(url, to=home / "models.toml", licence="research-only")
    with pytest.raises(LicenceError, match="--accept-licence research-only"):
        pull_model("far")
    assert server.asked == []
    pull_model("far", accept_licence="research-only")
    model_path("far").unlink()
    pull_model("far")
    assert len(server.asked) == 2


def test_the_licence_in_the_catalogue_counts(home: Path, server: FileServer) -> None:
    url = server.put("/weights.pth", FAR)
    describe(url, to=home / "models.toml")
    pull_model("far")
    describe(url, to=home / "models.toml", licence="research-only")
    assert by_name()["far"].licence == "research-only"


def test_a_pulled_model_that_was_damaged_is_fetched_again(home: Path, server: FileServer) -> None:
    describe(server.put("/weights.pth", FAR), to=home / "models.toml")
    pull_model("far").path.write_bytes(b"?")
    with pytest.raises(CheckpointError, match=r"damaged .*fetch it again: lipwright models pull"):
        model_path("far")
    assert pull_model("far").path.read_bytes() == FAR
    assert model_path("far").read_bytes() == FAR


@pytest.mark.parametrize(
    ("suffix", "message"), [(".pth", "is damaged .*expected"), (".onnx", "is missing")]
)
def test_a_catalogue_that_now_means_another_file_is_followed(
    suffix: str, message: str, home: Path, server: FileServer
) -> None:
    describe(server.put("/weights.pth", FAR), to=home / "models.toml")
    pull_model("far")
    url = server.put(f"/better{suffix}", b"better weights")
    describe(url, to=home / "models.toml", content=b"better weights")
    with pytest.raises(CheckpointError, match=f"{message}.*: lipwright models pull far"):
        model_path("far")
    pull_model("far")
    assert model_path("far").read_bytes() == b"better weights"


@pytest.mark.parametrize("suffix", [".pth", ".onnx"])
def test_a_file_put_there_by_hand_for_want_of_a_network_is_checked_by_pull(
    suffix: str, home: Path
) -> None:
    # Port 9 of this machine: nobody listens.
    describe(f"http://127.0.0.1:9/weights{suffix}", to=home / "models.toml")
    with pytest.raises(DownloadError, match=f"put it at .*far{suffix}, and run this again"):
        pull_model("far")
    path = home / "models" / f"far{suffix}"
    path.write_bytes(FAR)
    with pytest.raises(CheckpointError, match="still to be checked: lipwright models pull far"):
        model_path("far")
    assert pull_model("far").path == path
    assert model_path("far") == path


def test_a_remote_model_never_takes_the_place_of_another(
    home: Path, tmp_path: Path, server: FileServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.put("/weights.onnx", FAR)
    describe(url, to=home / "models.toml", name=DEFAULT_MODEL)
    with pytest.raises(ConfigError, match="comes with Lipwright"):
        pull_model(DEFAULT_MODEL)
    assert by_name()[DEFAULT_MODEL].source == "shipped"
    (home / "models").mkdir()
    (home / "models" / f"{DEFAULT_MODEL}.onnx").write_bytes(FAR)
    assert by_name()[DEFAULT_MODEL].source == "shipped"
    assert "is hidden by the shipped model" in caplog.text
    mine = register(tmp_path / "x.onnx")
    describe(url, to=home / "models.toml", name="mine")
    with pytest.raises(ConfigError, match="mine is a converted model"):
        pull_model("mine")
    assert by_name()["mine"] == mine
    assert model_path("mine").read_bytes() == b"drawn by me"
    assert server.asked == []
    assert "remote model mine is hidden by the converted one" in caplog.text
