"""The offline flow on real faces, voices and files, and on all that can be wrong with them."""

import os
import stat
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import lipwright
from lipwright.errors import CheckpointError, ConfigError, LipwrightError, MediaError, NoFaceError
from lipwright.faces import Mtcnn, crop_box
from lipwright.inference import Progress, SyncOptions
from lipwright.media import read_frames, read_speech

RATE = 16_000


def write_sound(path: Path, samples: NDArray[np.float32]) -> Path:
    """A float WAV, 16 kHz mono; keeps NaN as it is."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=RATE, layout="mono")
        if samples.size:
            frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
            frame.sample_rate = RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_video(path: Path, frames: list[NDArray[np.uint8]], *, fps: int = 25) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "10", "preset": "ultrafast"}
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def speech(demo_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.2 s of the demo's speech."""
    folder = tmp_path_factory.mktemp("speech")
    return write_sound(folder / "a word.wav", read_speech(demo_speech)[: RATE * 6 // 5])


@pytest.fixture(scope="module")
def talking(astronaut_file: Path, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("talking") / "out.mp4"
    lipwright.sync(astronaut_file, speech, out)
    return out


def test_a_still_speaks_for_as_long_as_the_speech(talking: Path) -> None:
    frames = list(read_frames(talking))
    assert len(frames) == 30
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(30)]
    assert abs(len(read_speech(talking)) / RATE - 1.2) <= 1 / 25


def motion(video: Path) -> NDArray[np.float64]:
    """How much each pixel changes over time, in levels of 255."""
    frames = np.stack([frame.pixels for frame in read_frames(video)]).astype(float)
    return np.asarray(frames.std(axis=0).mean(axis=2))


@pytest.fixture(scope="module")
def lower_face(astronaut: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Rows and columns of the part of the picture that the generator draws."""
    x0, y0, x1, y1 = crop_box(Mtcnn().detect(astronaut)[0].landmarks).round().astype(int)
    return slice((y0 + y1) // 2, y1), slice(x0, x1)


def test_the_mouth_moves_and_nothing_else_does(
    talking: Path, lower_face: tuple[slice, slice]
) -> None:
    moved = motion(talking)
    mouth = moved[lower_face].max()
    rows, columns = lower_face
    moved[rows.start - 8 : rows.stop + 8, columns.start - 8 : columns.stop + 8] = 0
    assert mouth > 5
    assert mouth > 10 * np.percentile(moved, 99)  # what the codec does elsewhere


def test_the_result_and_the_progress_tell_what_was_done(
    astronaut_file: Path, speech: Path, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    result = lipwright.sync(
        str(astronaut_file), str(speech), str(tmp_path / "o.mkv"), on_progress=seen.append
    )
    assert (result.num_frames, result.num_synced, result.passed_through) == (30, 30, ())
    assert result.duration == Fraction(6, 5)
    assert result.path == tmp_path / "o.mkv"
    assert result.path.exists()
    assert seen[0] == Progress(stage="render", done=1, total=30)
    assert seen[-1] == Progress(stage="render", done=30, total=30)


def test_a_short_video_goes_on_under_a_longer_speech_without_a_jump(
    astronaut: NDArray[np.uint8], speech: Path, tmp_path: Path
) -> None:
    frames = [np.ascontiguousarray(astronaut[:300, 60 + 2 * i : 360 + 2 * i]) for i in range(12)]
    face = write_video(tmp_path / "a face.mp4", frames)
    out = tmp_path / "out.mp4"
    result = lipwright.sync(face, speech, out)
    assert result.num_frames == 30
    pictures = [frame.pixels.astype(float) for frame in read_frames(out)]
    # The background moves by two pixels from frame to frame, in either direction: no jump is
    # larger than the usual step.
    steps = [np.abs(b - a)[:40].mean() for a, b in pairwise(pictures)]
    assert max(steps) < 2 * np.median(steps)


def test_frames_without_a_face_are_passed_through_and_counted(
    astronaut: NDArray[np.uint8], demo_speech: Path, tmp_path: Path
) -> None:
    face = np.ascontiguousarray(astronaut[:300, 60:360])
    wall = np.full_like(face, 90)
    speech = write_sound(tmp_path / "s.wav", read_speech(demo_speech)[: RATE * 2])
    video = write_video(tmp_path / "v.mp4", [face] * 15 + [wall] * 20 + [face] * 15)
    result = lipwright.sync(video, speech, tmp_path / "out.mp4")
    assert result.num_frames == 50
    assert len(result.passed_through) == 1
    start, end, reason = result.passed_through[0]
    assert reason == "no face"
    # The face is looked for in every third frame: up to two more are passed through at each end.
    assert Fraction(13, 25) <= start <= Fraction(15, 25)
    assert Fraction(35, 25) <= end <= Fraction(37, 25)
    assert (end - start) * 25 == result.num_frames - result.num_synced


@pytest.mark.parametrize("level", [0.0, np.nan], ids=["zeros", "nan"])
def test_silence_gives_a_mouth_at_rest(
    astronaut_file: Path,
    tmp_path: Path,
    level: float,
    talking: Path,
    lower_face: tuple[slice, slice],
) -> None:
    silence = write_sound(tmp_path / "s.wav", np.full(RATE, level, dtype=np.float32))
    lipwright.sync(astronaut_file, silence, tmp_path / "out.mp4")
    at_rest = motion(tmp_path / "out.mp4")[lower_face].max()
    assert at_rest < 0.2 * motion(talking)[lower_face].max()


def test_the_same_job_gives_the_same_pixels(
    astronaut_file: Path, speech: Path, talking: Path, tmp_path: Path
) -> None:
    lipwright.sync(astronaut_file, speech, tmp_path / "again.mp4")
    for a, b in zip(read_frames(talking), read_frames(tmp_path / "again.mp4"), strict=True):
        assert np.array_equal(a.pixels, b.pixels)


# What can be wrong. Each leaves the folder as it was.


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "out"
    folder.mkdir()
    yield folder / "out.mp4"
    folder.chmod(stat.S_IRWXU)
    assert list(folder.iterdir()) == []


def test_a_missing_face_file_is_said(speech: Path, out: Path) -> None:
    with pytest.raises(MediaError, match=r"no such file: '.*nobody\.mp4'"):
        lipwright.sync(out.parent.parent / "nobody.mp4", speech, out)


def test_a_missing_speech_file_is_said(astronaut_file: Path, out: Path) -> None:
    with pytest.raises(MediaError, match=r"no such file: '.*nothing\.wav'"):
        lipwright.sync(astronaut_file, out.parent.parent / "nothing.wav", out)


def test_a_file_that_is_no_media_is_said(speech: Path, out: Path) -> None:
    text = out.parent.parent / "text.mp4"
    text.write_text("not a video")
    with pytest.raises(MediaError, match=r"text\.mp4"):
        lipwright.sync(text, speech, out)


def test_a_video_without_a_picture_is_said(speech: Path, out: Path) -> None:
    with pytest.raises(MediaError, match="picture"):
        lipwright.sync(speech, speech, out)


def test_a_speech_without_sound_is_said(
    astronaut: NDArray[np.uint8], astronaut_file: Path, out: Path
) -> None:
    mute = write_video(out.parent.parent / "mute.mp4", [astronaut[:128, :128]] * 5)
    with pytest.raises(MediaError, match="no sound"):
        lipwright.sync(astronaut_file, mute, out)


@pytest.mark.parametrize("num_samples", [0, 1, 3199])
def test_a_speech_shorter_than_a_window_is_said(
    astronaut_file: Path, out: Path, num_samples: int
) -> None:
    short = write_sound(out.parent.parent / "s.wav", np.zeros(num_samples, dtype=np.float32))
    with pytest.raises(MediaError, match=r"s\.wav"):
        lipwright.sync(astronaut_file, short, out)


def test_a_picture_without_a_face_is_said(speech: Path, out: Path) -> None:
    wall = out.parent.parent / "wall.png"
    cv2.imwrite(str(wall), np.full((200, 200, 3), 120, dtype=np.uint8))
    with pytest.raises(
        NoFaceError, match=r"no face in any of the 30 frames.*wall\.png.*--min-face"
    ):
        lipwright.sync(wall, speech, out)


def test_a_missing_output_folder_is_said(astronaut_file: Path, speech: Path, out: Path) -> None:
    with pytest.raises(MediaError, match="does not exist; create it first"):
        lipwright.sync(astronaut_file, speech, out.parent / "deeper" / "out.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_that_may_not_be_written_to_is_said(
    astronaut_file: Path, speech: Path, out: Path
) -> None:
    out.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(MediaError, match="may not be written to"):
        lipwright.sync(astronaut_file, speech, out)


def test_an_output_that_is_an_input_is_refused(
    astronaut_file: Path, speech: Path, talking: Path, out: Path
) -> None:
    before = talking.read_bytes()
    with pytest.raises(MediaError, match="is also an input"):
        lipwright.sync(astronaut_file, talking, talking)
    with pytest.raises(MediaError, match="is also an input"):
        lipwright.sync(talking, speech, talking.parent / "." / "out.mp4")
    assert talking.read_bytes() == before


def test_an_unknown_model_lists_the_known_ones(
    astronaut_file: Path, speech: Path, out: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"unknown model 'wav2lop'; known: lipwright-160"):
        lipwright.sync(astronaut_file, speech, out, model="wav2lop")


def test_truncated_and_foreign_models_are_refused(
    astronaut_file: Path, speech: Path, out: Path
) -> None:
    shipped = next(e for e in lipwright.available_models() if e.kind == "generator").path
    half = out.parent.parent / "half.onnx"
    half.write_bytes(shipped.read_bytes()[:1_000_000])
    with pytest.raises(CheckpointError, match=r"half\.onnx \(1000000 bytes\) is not a whole"):
        lipwright.sync(astronaut_file, speech, out, model=str(half))
    expert = next(e for e in lipwright.available_models() if e.kind == "expert").path
    with pytest.raises(CheckpointError, match="holds a expert, a generator is needed"):
        lipwright.sync(astronaut_file, speech, out, model=str(expert))


def test_unknown_choices_and_sizes_are_refused(
    astronaut_file: Path, speech: Path, out: Path
) -> None:
    with pytest.raises(ConfigError, match="unknown face choice 'prettiest'; one of: largest"):
        lipwright.sync(astronaut_file, speech, out, options=SyncOptions(face="prettiest"))
    with pytest.raises(ConfigError, match="min_face"):
        lipwright.sync(astronaut_file, speech, out, options=SyncOptions(min_face=0.0))


@pytest.mark.parametrize("what", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interruption_leaves_nothing_half_written(
    astronaut_file: Path,
    speech: Path,
    out: Path,
    what: BaseException,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    muxed = []
    original = av.container.OutputContainer.mux

    def interrupted(progress: Progress) -> None:
        if progress.stage == "render" and progress.done == 17:
            muxed.append(list(out.parent.iterdir()))
            raise what

    with pytest.raises((KeyboardInterrupt, LipwrightError, OSError)):
        lipwright.sync(astronaut_file, speech, out, on_progress=interrupted)
    assert muxed  # something was being written
    assert muxed[0]
    assert original is av.container.OutputContainer.mux


def test_an_older_result_survives_a_failed_job(
    astronaut_file: Path, speech: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"what was here before")

    def stop(progress: Progress) -> None:
        if progress.stage == "render":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lipwright.sync(astronaut_file, speech, out, on_progress=stop)
    assert out.read_bytes() == b"what was here before"
    assert list(tmp_path.iterdir()) == [out]
