"""The doctor tells people and programs what a machine can do."""

import json
import math
from pathlib import Path

import pytest

from lipwright.cli import main


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPWRIGHT_HOME", str(tmp_path))


def test_json_tells_programs_everything(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json", "--seconds", "0.5"])
    found = json.loads(capsys.readouterr().out)
    assert found["machine"]["cores"] >= 1
    assert {"openvino", "onnxruntime", "torch"} == {entry["engine"] for entry in found["engines"]}
    assert all(entry["note"] for entry in found["engines"])
    assert found["choice"]["engine"] in ("openvino", "onnxruntime")
    rates = found["rates"]
    assert "cpu fp32" in rates["generator"]
    measured = [*rates.pop("generator").values(), *rates.values(), found["job"]]
    assert all(rate > 0 and math.isfinite(rate) for rate in measured)
    assert found["is_real_time"] == (found["job"] >= 25)


def test_people_are_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--seconds", "0.5"])
    told = " ".join(capsys.readouterr().out.split())
    for text in ("This machine", "OpenVINO", "Used for lipwright", "draw the face", "real time: "):
        assert text in told
    assert "pip install" in told


def test_no_time_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["doctor", "--seconds", "0"])
    assert left.value.code == 1
    assert "seconds must be above 0, got 0" in capsys.readouterr().err
