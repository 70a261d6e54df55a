"""``lipwright convert`` and the way back, as a person types them."""

from pathlib import Path

import pytest
import torch
from command import run

from lipwright.models.wav2lip import Wav2LipConfig, Wav2LipGenerator


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIPWRIGHT_HOME", str(tmp_path / "home"))
    with torch.random.fork_rng():
        torch.manual_seed(4)
        network = Wav2LipGenerator(Wav2LipConfig(layout="compressed")).eval()
    path = tmp_path / "nota.pth"
    torch.save({"state_dict": network.state_dict(), "global_step": 3}, path)
    return path


def test_a_converted_model_stands_in_the_list_and_goes_back(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("convert", checkpoint) == 0
    told = capsys.readouterr().out
    assert "compressed Wav2Lip generator, 96 px (Nota), from a zip pickle" in told
    assert "licence research-only" in told
    assert "--model nota" in told
    assert run("models") == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("nota"))
    for cell in ("generator", "96", "research-only", "nota.pth", "yes"):
        assert cell in row
    weights = tmp_path / "home" / "models" / "nota.safetensors"
    assert run("export", weights, "-o", tmp_path / "back.pth", "--format", "released") == 0
    assert "released layout" in capsys.readouterr().out
    first = torch.load(checkpoint, weights_only=True)["state_dict"]  # noqa: TID251 - as they do
    back = torch.load(tmp_path / "back.pth", weights_only=True)  # noqa: TID251
    assert back["global_step"] == 3
    assert back["state_dict"].keys() == first.keys()
    assert all(torch.equal(back["state_dict"][name], first[name]) for name in first)


def test_a_name_that_is_taken_is_refused_before_anything_is_written(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = checkpoint.rename(tmp_path / "lipwright-160.pth")
    assert run("convert", taken) == 1
    assert "taken by a shipped model" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "home").exists()


def test_a_foreign_file_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "wav2lip.pth"
    page.write_text("<html>Sorry</html>")
    assert run("convert", page, "-o", tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "is a web page, not weights" in captured.err
