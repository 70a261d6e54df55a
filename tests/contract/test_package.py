"""The package as a stranger gets it."""

import multiprocessing
import os
import re
import sys
import tomllib
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

import lipwright
from lipwright.errors import MissingExtraError, require

REPOSITORY = Path(__file__).parents[2]


class _NoTorch(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".", maxsplit=1)[0] in {"torch", "accelerate", "onnx", "tensorboard"}:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def _sync_without_torch(face: Path, speech: Path, out: Path) -> tuple[int, str]:
    sys.meta_path.insert(0, _NoTorch())
    from lipwright import sync  # noqa: PLC0415 - only now is torch out of reach

    num_frames = sync(face, speech, out).num_frames
    try:
        import lipwright.models  # noqa: F401, PLC0415
    except MissingExtraError as err:
        return num_frames, str(err)
    return num_frames, ""


def test_the_core_runs_without_torch_and_training_says_what_to_install(
    astronaut_file: Path, demo_speech: Path, tmp_path: Path
) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        num_frames, message = pool.apply(
            _sync_without_torch, (astronaut_file, demo_speech, tmp_path / "out.mp4")
        )
    assert num_frames > 100
    assert "pip install 'lipwright[train]'" in message


def test_a_missing_extra_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'lipwright\[ui\]'"):
        require("there_is_no_such_library", extra="ui")


def test_the_front_door_is_what_it_says() -> None:
    for name in lipwright.__all__:
        assert getattr(lipwright, name).__doc__


def test_constraints_pin_every_dependency() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += extra
    names = {re.split(r"[<>=!~ ]", requirement)[0].lower() for requirement in wanted}
    lines = (REPOSITORY / "constraints.txt").read_text().lower().splitlines()
    pinned = {line.split("==")[0] for line in lines if "==" in line}
    assert names <= pinned


def test_no_shipped_file_is_too_large() -> None:
    sizes = {entry.file: entry.path.stat().st_size for entry in lipwright.available_models()}
    assert sizes["lipwright-160.onnx"] <= 20e6
    assert (REPOSITORY / "demo" / "speech.flac").stat().st_size <= 200e3


def _opened_quietly(home: Path) -> list[str]:
    os.environ["HOME"] = str(home)
    from lipwright.inference import LipSync  # noqa: PLC0415 - with this home

    LipSync()
    return [str(path) for path in home.rglob("*")]


def test_a_use_leaves_nothing_in_the_home_that_tells_of_it(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_opened_quietly, (tmp_path,)) == []
