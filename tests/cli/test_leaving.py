"""Whatever stops a command, it leaves a whole video or none, nothing hidden, and one clear line."""

import logging
import os
import resource
import signal
import subprocess  # noqa: TID251 - what a signal leaves behind shows only from outside
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.cli import main
from lipwright.cli.leaving import Stopped, stoppable
from lipwright.media import probe, read_speech

RATE = 16_000
PATIENCE = 120  # seconds until a test gives up
BAR = "rendering "
HIDDEN = ".lipwright-*"


def write_sound(path: Path, samples: NDArray[np.float32]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_video(path: Path, face: NDArray[np.uint8], *, num_frames: int) -> Path:
    """A face that drifts through noise, so that what is written is large."""
    rng = np.random.default_rng(1)
    with av.open(str(path), "w", container_options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 300, 300, "yuv420p"
        stream.options = {"crf": "20", "preset": "ultrafast"}
        for index in range(num_frames):
            pixels = np.ascontiguousarray(face[:300, 60 + index % 60 : 360 + index % 60])
            pixels[:30] = rng.integers(0, 255, (30, 300, 3))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def face(astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a face."""
    folder = tmp_path_factory.mktemp("inputs")
    return write_video(folder / "face.mp4", astronaut, num_frames=100)


@pytest.fixture(scope="module")
def long_speech(demo_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than a minute of speech: no job on it is over before it is stopped."""
    samples = np.tile(read_speech(demo_speech), 12)
    return write_sound(tmp_path_factory.mktemp("speech") / "long.wav", samples)


@pytest.fixture(scope="module")
def short_speech(demo_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = read_speech(demo_speech)[: 3 * RATE]
    return write_sound(tmp_path_factory.mktemp("speech") / "short.wav", samples)


def begin(
    *words: str | Path, limit: int | None = None, stdout: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Start a command; ``limit`` is the size in bytes that a file may grow to."""

    def confine() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # heard, even below nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", "lipwright", *(str(word) for word in words)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=confine,  # noqa: PLW1509 - the parent has threads, but none holds a lock here
    )


def wait_for(process: subprocess.Popen[bytes], is_there: Callable[[], bool]) -> None:
    """Until something is there, or the process ends, which it should not."""
    while not is_there():
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"it ended early: {process.communicate()}")


def complaint(process: subprocess.Popen[bytes]) -> str:
    """What is left on standard error beside the bars: one line."""
    _, said = process.communicate(timeout=PATIENCE)
    lines = [line for line in said.decode().splitlines() if line and BAR not in line]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_in_the_middle_leaves_what_was_there_and_nothing_else(
    number: signal.Signals, code: int, face: Path, long_speech: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"of yesterday")
    process = begin("sync", face, long_speech, "-o", out)
    wait_for(process, lambda: any(file.stat().st_size for file in tmp_path.glob(HIDDEN)))
    process.send_signal(number)
    assert "interrupted" in complaint(process)
    assert process.returncode == code
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]
    assert out.read_bytes() == b"of yesterday"


def test_impatience_does_not_hurt(face: Path, long_speech: Path, tmp_path: Path) -> None:
    process = begin("sync", face, long_speech, "-o", tmp_path / "out.mp4")
    wait_for(process, lambda: bool(list(tmp_path.glob(HIDDEN))))
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
    assert "interrupted" in complaint(process)
    assert process.returncode in {130, 143}
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_ends_the_job(
    face: Path, long_speech: Path, tmp_path: Path
) -> None:
    process = begin("sync", face, long_speech, "-o", "-")
    assert process.stdout is not None
    assert process.stdout.read(1000)
    process.stdout.close()
    process.stdout = None
    assert "cannot write 'standard output'" in complaint(process)
    assert process.returncode == 1


def test_what_is_printed_may_find_no_reader(tmp_path: Path) -> None:
    ends = os.pipe()
    os.close(ends[0])
    process = begin("models", stdout=ends[1])
    os.close(ends[1])
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_what_is_printed_may_find_no_room() -> None:
    with Path("/dev/full").open("wb") as full:
        process = begin("models", stdout=full.fileno())
        assert "No space left" in complaint(process)
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("suffix", "limit"), [(".mp4", 100), (".mp4", 40_000), (".mkv", 40_000), (".gif", 40_000)]
)
def test_a_full_disk_leaves_nothing(
    suffix: str, limit: int, face: Path, short_speech: Path, tmp_path: Path
) -> None:
    # The limit on the size of files hits where a full disk does: in the middle of a write.
    process = begin(
        "sync", face, short_speech, "-o", tmp_path / f"out{suffix}", "--no-cache", limit=limit
    )
    assert "cannot write" in complaint(process)
    assert process.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_at_the_end_leaves_nothing(
    face: Path, short_speech: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.mp4"
    assert begin("sync", face, short_speech, "-o", whole).wait(PATIENCE) == 0
    folder = tmp_path / "full"
    folder.mkdir()
    limit = whole.stat().st_size - 500  # the index, which is written last, does not fit
    process = begin("sync", face, short_speech, "-o", folder / "out.mp4", limit=limit)
    assert "cannot write" in complaint(process)
    assert process.returncode == 1
    assert list(folder.iterdir()) == []


def test_a_source_that_ends_in_the_middle_is_an_error(
    face: Path, short_speech: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(face.read_bytes()[: face.stat().st_size // 2])
    process = begin("sync", cut, short_speech, "-o", tmp_path / "out.mp4")
    assert "is damaged after" in complaint(process)
    assert process.returncode == 1
    assert [file.name for file in tmp_path.iterdir()] == ["cut.mp4"]


def test_a_job_that_nobody_stops_makes_a_video(
    face: Path, short_speech: Path, tmp_path: Path
) -> None:
    process = begin("sync", face, short_speech, "-o", tmp_path / "out.mp4")
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert probe(tmp_path / "out.mp4").num_frames == 75
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_only_the_first_signal_is_raised_and_the_old_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stoppable():
        with pytest.raises(Stopped) as stopped:
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("words", [["models"]])
def test_a_warning_is_shown_once(
    words: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def noisy() -> list[object]:
        for name in ("a.mp4", "b.mp4", "a.mp4"):
            logging.getLogger("lipwright.media").warning("%s: cut short; get it whole", name)
        return []

    monkeypatch.setattr("lipwright.cli.models.available_models", noisy)
    for _ in range(2):  # once for each command
        main(list(words))
        assert capsys.readouterr().err.splitlines() == [
            "WARNING: a.mp4: cut short; get it whole",
            "WARNING: b.mp4: cut short; get it whole",
        ]
