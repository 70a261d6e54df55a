"""A job that is killed in the middle goes on where it ended, and makes what it would have made."""

import json
import logging
import signal
import subprocess  # noqa: TID251 - nothing survives a kill but what is outside the process
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.cli import main
from lipwright.errors import ConfigError, MediaError, NoFaceError
from lipwright.inference import Progress, SyncOptions, SyncResult, resume, sync
from lipwright.inference.resume import STATE, sync_resumably, work_folder
from lipwright.media import Encoding, NativeFrame, NativeWriter, read_native, read_speech

RATE = 16_000
PATIENCE = 180  # seconds until a test gives up
# Segments of a second, so that a few seconds of video have several.
CHILD = """
import sys
from lipwright.inference import SyncOptions, resume
resume.SEGMENT_SECONDS = 1
face, speech, out, extend = sys.argv[1:]
resume.sync_resumably(
    face, speech, out,
    options=SyncOptions(extend=extend, keep_sound=True),
    on_progress=lambda progress: print(progress.done, flush=True),
)
"""
KILLED_AT = 85  # frames, in the fourth second


def write_video(
    path: Path, frames: Sequence[NDArray[np.uint8]], sound: NDArray[np.float32] | None = None
) -> Path:
    """A video of 25 frames per second whose first picture stands at 1.5 s of its clock."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "14", "preset": "ultrafast"}
        voice = None if sound is None else container.add_stream("aac", rate=RATE, layout="mono")
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        if voice is not None and sound is not None:
            frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            frame.sample_rate = RATE
            container.mux(voice.encode(frame))
            container.mux(voice.encode(None))
    return path


@pytest.fixture(scope="module")
def face(astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a face that drifts over the picture and back, with a sound of its own."""
    frames = [
        np.ascontiguousarray(astronaut[:256, 70 + abs(25 - k % 50) : 326 + abs(25 - k % 50)])
        for k in range(75)
    ]
    hum = 0.1 * np.sin(np.arange(3 * RATE) * 0.1).astype(np.float32)
    return write_video(tmp_path_factory.mktemp("face") / "face.mp4", frames, hum)


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "SEGMENT_SECONDS", 1)


@pytest.fixture(scope="module")
def word(demo_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.4 s of speech, as a WAV."""
    path = tmp_path_factory.mktemp("speech") / "word.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        samples = read_speech(demo_speech)[None, : RATE * 12 // 5]
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def begin(face: Path, speech: Path, out: Path, extend: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", CHILD, *map(str, (face, speech, out)), extend]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this program


def shown(path: Path) -> list[NativeFrame]:
    return list(read_native(path))


def difference(a: NativeFrame, b: NativeFrame) -> float:
    """Mean, in levels of luma."""
    return float(np.abs(a.planes()[0].astype(int) - b.planes()[0]).mean())


@pytest.mark.parametrize(
    ("suffix", "extend"), [(".mp4", "pingpong"), (".mkv", "loop"), (".webm", "freeze")]
)
def test_a_kill_in_the_middle_costs_no_frame_and_nothing_that_was_finished(
    suffix: str, extend: str, face: Path, demo_speech: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    uninterrupted = begin(face, demo_speech, whole, extend)
    uninterrupted.communicate(timeout=PATIENCE)
    assert uninterrupted.returncode == 0

    killed = begin(face, demo_speech, out, extend)
    assert killed.stdout is not None
    for line in killed.stdout:
        if int(line) == KILLED_AT:
            killed.send_signal(signal.SIGKILL)
            break
    killed.communicate(timeout=PATIENCE)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    held = json.loads((work_folder(out) / STATE).read_text())
    num_kept = sum(segment["num_frames"] for segment in held["segments"])
    assert 25 <= num_kept < KILLED_AT
    finished = [
        frame
        for segment in held["segments"]
        for frame in shown(work_folder(out) / f"{segment['index']:06}{suffix}")
    ]

    resumed = begin(face, demo_speech, out, extend)
    done, _ = resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 0
    assert int(done.split()[0]) == num_kept + 1  # not one of the finished frames is drawn again
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([whole.name, out.name])

    expected, made = shown(whole), shown(out)
    assert [frame.time for frame in made] == [frame.time for frame in expected]
    for before, after in zip(finished, made, strict=False):
        np.testing.assert_array_equal(before.planes()[0], after.planes()[0])
    # Encoders do not give the same bytes each time, and a resumed job chooses its reference anew.
    apart = [difference(*pair) for pair in zip(expected, made, strict=True)]
    assert max(apart[:num_kept]) < 0.5
    assert max(apart) < 2.5
    for path in (whole, out):
        with av.open(str(path)) as container:
            assert [s.type for s in container.streams] == ["video", "audio", "audio"]
        heard = read_speech(path)
        assert abs(len(heard) / RATE - float(made[-1].time) - 1 / 25) < 0.03


@pytest.mark.usefixtures("short_segments")
def test_uninterrupted_it_makes_what_sync_makes(
    face: Path, demo_speech: Path, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    made = sync_resumably(face, demo_speech, tmp_path / "r.mp4", on_progress=seen.append)
    plain = sync(face, demo_speech, tmp_path / "s.mp4")
    for name in ("num_frames", "num_synced", "synced", "passed_through", "duration", "model"):
        assert getattr(made, name) == getattr(plain, name)
    assert [progress.done for progress in seen] == list(range(1, made.num_frames + 1))
    one, other = shown(tmp_path / "r.mp4"), shown(tmp_path / "s.mp4")
    assert [frame.time for frame in one] == [frame.time for frame in other]
    apart = [difference(*pair) for pair in zip(one, other, strict=True)]
    assert max(apart) < 3  # what an encoder makes of other key frames
    assert np.mean(apart) < 1.5
    with av.open(str(tmp_path / "r.mp4")) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
        keys = [p.pts * p.time_base for p in packets if p.is_keyframe]
    assert {Fraction(second) for second in range(6)} <= set(keys)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["r.mp4", "s.mp4"]


class Interrupted(Exception):  # noqa: N818 - stands for any
    """Stops a job in the middle."""


def stopped_at(num_frames: int) -> Callable[[Progress], None]:
    def stop(progress: Progress) -> None:
        if progress.done == num_frames:
            raise Interrupted

    return stop


def begin_and_stop(
    face: Path, speech: Path, out: Path, options: SyncOptions | None = None, at: int = 40
) -> None:
    with pytest.raises(Interrupted):
        sync_resumably(face, speech, out, options=options, on_progress=stopped_at(at))


def first_drawn(
    face: Path, speech: Path, out: Path, **more: SyncOptions | Encoding
) -> tuple[int, SyncResult]:
    """The first frame that is drawn again, and what is made."""
    seen: list[int] = []
    made = sync_resumably(face, speech, out, on_progress=lambda p: seen.append(p.done), **more)  # type: ignore[arg-type]
    return seen[0], made


@pytest.mark.usefixtures("short_segments")
def test_another_setting_or_input_begins_anew_and_says_so(
    face: Path,
    word: Path,
    astronaut: NDArray[np.uint8],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = write_video(
        tmp_path / "other.mp4", [np.ascontiguousarray(astronaut[:256, 70:326])] * 60
    )
    changes: list[tuple[Path, Path, dict[str, SyncOptions | Encoding]]] = [
        (face, word, {"options": SyncOptions(amplitude=0.5)}),
        (other, word, {}),
    ]
    for changed_face, changed_speech, more in changes:
        out = tmp_path / "out.mp4"
        begin_and_stop(face, word, out)
        caplog.clear()
        begun, _ = first_drawn(changed_face, changed_speech, out, **more)
        assert begun == 1
        assert "it is discarded and done anew" in caplog.text
    begin_and_stop(face, word, out)
    caplog.clear()
    begun, made = first_drawn(face, word, out, options=SyncOptions(use_cache=False))
    assert begun == 26  # what does not change the result does not count
    assert made.num_frames == 60
    assert "discarded" not in caplog.text


@pytest.mark.usefixtures("short_segments")
def test_a_source_under_another_name_is_the_same_source(
    face: Path, word: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    begin_and_stop(face, word, out)
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(face.read_bytes())
    assert first_drawn(moved, word, out)[0] == 26


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("damage", ["state", "segment", "missing", "stray"])
def test_damaged_work_is_done_anew(damage: str, face: Path, word: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    begin_and_stop(face, word, out)
    folder = work_folder(out)
    if damage == "state":
        (folder / STATE).write_text((folder / STATE).read_text()[:-9])
    elif damage == "segment":
        (folder / "000000.mp4").write_bytes(b"")
    elif damage == "missing":
        (folder / "000000.mp4").unlink()
    else:
        (folder / ".lipwright-0.mp4").write_bytes(b"left by a kill")
    begun, made = first_drawn(face, word, out)
    assert begun == (26 if damage == "stray" else 1)
    assert made.num_frames == len(shown(out)) == 60
    assert not folder.exists()


@pytest.mark.usefixtures("short_segments")
def test_a_job_that_was_stopped_while_joining_only_joins(
    face: Path, word: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.mp4"

    def fail(*_: object, **__: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(resume, "join_pieces", fail)
        with pytest.raises(Interrupted):
            sync_resumably(face, word, out)
    seen: list[Progress] = []
    made = sync_resumably(face, word, out, on_progress=seen.append)
    assert seen == []
    assert made.num_frames == len(shown(out)) == 60


@pytest.mark.usefixtures("short_segments")
def test_it_goes_on_in_the_middle_of_a_long_source(
    astronaut: NDArray[np.uint8], demo_speech: Path, tmp_path: Path
) -> None:
    frames = [np.ascontiguousarray(astronaut[:256, 70 + k % 25 : 326 + k % 25]) for k in range(200)]
    face = write_video(tmp_path / "face.mp4", frames)
    out = tmp_path / "out.mp4"
    begin_and_stop(face, demo_speech, out, at=140)
    begun, made = first_drawn(face, demo_speech, out)
    assert begun == 126
    assert made.num_synced == made.num_frames == 164  # the face is known where it goes on
    assert made.passed_through == ()


@pytest.mark.usefixtures("short_segments")
def test_what_is_told_of_frames_without_a_face_counts_all_runs(
    astronaut: NDArray[np.uint8], word: Path, tmp_path: Path
) -> None:
    face = np.ascontiguousarray(astronaut[:256, 70:326])
    wall = np.full_like(face, 90)
    video = write_video(tmp_path / "v.mp4", [face] * 20 + [wall] * 40)
    plain = sync(video, word, tmp_path / "plain.mp4")
    out = tmp_path / "out.mp4"
    begin_and_stop(video, word, out, at=55)
    made = sync_resumably(video, word, out)  # nothing but wall is left, and that is no error
    assert made.passed_through == plain.passed_through
    assert (made.num_synced, made.num_frames) == (plain.num_synced, plain.num_frames)


@pytest.mark.usefixtures("short_segments")
def test_a_job_without_any_face_leaves_nothing(word: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "wall.mp4", [np.full((128, 128, 3), 90, np.uint8)] * 60)
    with pytest.raises(NoFaceError):
        sync_resumably(video, word, tmp_path / "out.mp4")
    assert [file.name for file in tmp_path.iterdir()] == ["wall.mp4"]


def test_a_job_that_finished_nothing_leaves_nothing(
    face: Path, word: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begin_and_stop(face, word, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []
    assert "kept" not in caplog.text


@pytest.mark.usefixtures("short_segments")
def test_what_is_kept_is_told(
    face: Path, word: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out.mp4"
    begin_and_stop(face, word, out)
    assert f"25 frames are finished and kept in {work_folder(out)}" in caplog.text


@pytest.mark.usefixtures("short_segments")
def test_pictures_that_change_their_size_are_refused(
    face: Path, word: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Changing(NativeWriter):
        """Writes another codec from the second file on."""

        num_opened = 0

        def __init__(self, path: Path, **options: object) -> None:
            Changing.num_opened += 1
            if Changing.num_opened > 1:
                options["encoding"] = Encoding(codec="libx265")
            super().__init__(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(resume, "NativeWriter", Changing)
    with pytest.raises(MediaError, match="leave out --resume"):
        sync_resumably(face, word, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("options", "name", "error"),
    [
        (SyncOptions(segment="1-2"), "o.mp4", ConfigError),
        (SyncOptions(mode="released"), "o.mp4", ConfigError),
        (SyncOptions(), "o.gif", MediaError),
        (SyncOptions(), "%05d.png", MediaError),
    ],
)
def test_what_cannot_be_resumed_is_refused_at_once(
    options: SyncOptions,
    name: str,
    error: type[Exception],
    face: Path,
    word: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(error):
        sync_resumably(face, word, tmp_path / name, options=options)
    assert list(tmp_path.iterdir()) == []


def test_the_output_does_not_replace_an_input(face: Path, word: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.mp4"
    own.write_bytes(face.read_bytes())
    with pytest.raises(MediaError, match="is also an input"):
        sync_resumably(own, word, own)
    assert own.read_bytes() == face.read_bytes()


def test_the_flag_renders_in_segments(
    face: Path,
    word: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(resume, "SEGMENT_SECONDS", 1)
    out = tmp_path / "out.mp4"
    begin_and_stop(face, word, out)
    with caplog.at_level(logging.INFO, logger="lipwright.inference.resume"):
        main(["sync", str(face), str(word), "-o", str(out), "--resume"])
    assert "goes on at 1.00 s" in caplog.text
    assert "60 of 60 frames synced" in capsys.readouterr().out
    assert len(shown(out)) == 60
