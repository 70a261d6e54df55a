"""What goes in and out by way of ``-``."""

import subprocess  # noqa: TID251 - standard streams are those of a process
import sys
from pathlib import Path

import av

from lipwright.media import probe


def test_a_face_comes_by_standard_input_and_the_video_goes_by_standard_output(
    astronaut_file: Path, demo_speech: Path, tmp_path: Path
) -> None:
    out = tmp_path / "piped.mp4"
    words = [sys.executable, "-m", "lipwright", "sync", "-", str(demo_speech), "-o", "-"]
    with astronaut_file.open("rb") as face, out.open("wb") as video:
        done = subprocess.run(  # noqa: S603 - this very program
            words, stdin=face, stdout=video, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 0, done.stderr
    assert b"frames synced" in done.stderr  # for standard output is the video's
    assert probe(out).width == 512
    with av.open(str(out)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
