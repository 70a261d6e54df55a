"""What ``lipwright sync --json`` tells programs."""

import json
from pathlib import Path

import pytest

from lipwright.cli.app import main


def test_json_tells_stretches_settings_and_paths(
    astronaut_file: Path, demo_speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    words = ["sync", str(astronaut_file), str(demo_speech), "-o", str(out), "--json"]
    main([*words, "--isolated-voice", str(demo_speech), "--crf", "30"])
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == str(out)
    assert told["num_synced"] == told["num_frames"] > 100
    assert [stretch["reason"] for stretch in told["stretches"]] == ["synced"]
    assert told["stretches"][0]["end"] == told["duration"]
    assert told["options"]["isolated_voice"] == str(demo_speech)
    assert told["encoding"]["crf"] == 30
    assert told["engine"]["precision"] in ("fp32", "bf16", "int8")
