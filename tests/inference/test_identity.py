"""The key of a job is another whenever anything that decides on its result is."""

from dataclasses import replace
from pathlib import Path

import pytest

from lipwright.errors import MediaError
from lipwright.inference import SyncOptions, Voice
from lipwright.inference.identity import job_key
from lipwright.media import Encoding


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    held = {name: tmp_path / name for name in ("face", "speech", "model")}
    for name, path in held.items():
        path.write_bytes(name.encode())
    return held


def key(
    files: dict[str, Path],
    *,
    options: SyncOptions | None = None,
    encoding: Encoding | None = None,
    voice: Voice | None = None,
) -> str:
    return job_key(
        files["face"],
        [voice or Voice(speech=files["speech"])],
        options=options or SyncOptions(),
        encoding=encoding or Encoding(),
        model=files["model"],
    )


@pytest.mark.parametrize("name", ["face", "speech", "model"])
def test_every_byte_of_every_file_counts(name: str, files: dict[str, Path]) -> None:
    before = key(files)
    files[name].write_bytes(b"something else")
    assert key(files) != before


def test_settings_count(files: dict[str, Path]) -> None:
    voice = Voice(speech=files["speech"])
    keys = {
        key(files),
        key(files, options=SyncOptions(amplitude=0.9)),
        key(files, options=SyncOptions(face="central")),
        key(files, encoding=Encoding(crf=19)),
        key(files, voice=replace(voice, offset=0.1)),
        key(files, voice=replace(voice, face="index:1")),
    }
    assert len(keys) == 6


def test_what_only_changes_the_way_to_the_result_does_not_count(files: dict[str, Path]) -> None:
    options = SyncOptions(use_cache=False, accept_licence="research-only")
    assert key(files) == key(files, options=options)


def test_names_do_not_count(files: dict[str, Path], tmp_path: Path) -> None:
    before = key(files)
    moved = tmp_path / "under another name.mp4"
    files["face"].rename(moved)
    assert key({**files, "face": moved}) == before


def test_a_file_that_is_not_there_is_named(files: dict[str, Path]) -> None:
    files["speech"].unlink()
    with pytest.raises(MediaError, match="speech"):
        key(files)
