"""Networks that are loaded once render as many jobs as are asked of them, side by side too."""

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from threading import Barrier

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import lipwright
from lipwright.checkpoints import model_path
from lipwright.errors import CheckpointError, ConfigError, LicenceError, MediaError
from lipwright.faces import Mtcnn
from lipwright.faces.landmarks import Landmarker
from lipwright.inference import LipSync, Progress, SyncOptions, networks, pipeline
from lipwright.media import NativeFrame, NativeWriter, SoundTrack, read_speech

RATE = 16_000
UNCACHED = SyncOptions(use_cache=False)


def write_sound(path: Path, samples: NDArray[np.float32]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_video(path: Path, frames: list[NDArray[np.uint8]], *, fps: Fraction) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "16", "preset": "ultrafast"}
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def speech(demo_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.2 s of the demo's speech."""
    folder = tmp_path_factory.mktemp("speech")
    return write_sound(folder / "word.wav", read_speech(demo_speech)[: RATE * 6 // 5])


@pytest.fixture(scope="module")
def videos(
    astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two videos, 1.4 s each: a face that drifts to the right, and one that drifts down."""
    folder = tmp_path_factory.mktemp("videos")
    right = [np.ascontiguousarray(astronaut[:300, 90 - i : 390 - i]) for i in range(42)]
    down = [np.ascontiguousarray(astronaut[42 - i : 342 - i, 60:360]) for i in range(42)]
    fps = Fraction(30000, 1001)
    return write_video(folder / "right.mp4", right, fps=fps), write_video(
        folder / "down.mp4", down, fps=fps
    )


@pytest.fixture(scope="module")
def lip_sync() -> LipSync:
    return LipSync()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes]]:
    """Name of each output -> its frames, as the encoder gets them.

    The encoder itself does not give the same bytes each time.
    """
    frames: dict[str, list[bytes]] = defaultdict(list)

    class Watched(NativeWriter):
        def __init__(self, path: Path, *, fps: Fraction, speech: SoundTrack, **_: object) -> None:
            super().__init__(path, fps=fps, speech=speech)
            self._name = path.name

        def write(self, frame: NativeFrame) -> None:
            planes = [np.ascontiguousarray(plane).tobytes() for plane in frame.planes()]
            frames[self._name].append(b"".join([str(frame.time).encode(), *planes]))
            super().write(frame)

    monkeypatch.setattr(pipeline, "open_writer", Watched)
    return frames


@pytest.fixture
def num_looks(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often detector and landmark network are called."""
    counts = {"detect": 0, "locate": 0}

    def counted(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object) -> object:
            counts[name] += 1
            return original(*args)

        return call

    monkeypatch.setattr(Mtcnn, "detect", counted("detect", Mtcnn.detect))
    monkeypatch.setattr(Landmarker, "locate", counted("locate", Landmarker.locate))
    return counts


def test_jobs_in_two_threads_give_the_bytes_that_each_gives_alone(
    lip_sync: LipSync,
    videos: tuple[Path, Path],
    speech: Path,
    tmp_path: Path,
    written: dict[str, list[bytes]],
) -> None:
    for number, face in enumerate(videos):
        lip_sync.sync(face, speech, tmp_path / f"alone{number}.mp4", options=UNCACHED)
    together = Barrier(2)

    def job(number: int) -> None:
        for turn in range(2):
            together.wait(60)
            out = tmp_path / f"beside{number}-{turn}.mp4"
            lip_sync.sync(videos[number], speech, out, options=UNCACHED)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(job, range(2)))
    assert written["alone0.mp4"] != written["alone1.mp4"]
    for number in range(2):
        assert len(written[f"alone{number}.mp4"]) == 36
        for turn in range(2):
            assert written[f"beside{number}-{turn}.mp4"] == written[f"alone{number}.mp4"]


def test_one_job_and_many_give_the_same(
    lip_sync: LipSync,
    videos: tuple[Path, Path],
    speech: Path,
    tmp_path: Path,
    written: dict[str, list[bytes]],
) -> None:
    one = lipwright.sync(videos[0], speech, tmp_path / "one.mp4", options=UNCACHED)
    many = lip_sync.sync(videos[0], speech, tmp_path / "many.mp4", options=UNCACHED)
    assert (one.num_frames, one.num_synced) == (many.num_frames, many.num_synced) == (36, 36)
    assert (many.model, many.engine) == (lip_sync.model, lip_sync.engine)
    assert written["one.mp4"] == written["many.mp4"]


def test_networks_are_loaded_once(
    lip_sync: LipSync,
    astronaut_file: Path,
    speech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("open_generator", "Mtcnn", "Landmarker"):
        monkeypatch.delattr(networks, name)
    for number in range(2):
        result = lip_sync.sync(astronaut_file, speech, tmp_path / f"{number}.mp4")
        assert result.num_synced == 30


def test_the_second_job_on_a_video_draws_the_same_without_looking(
    lip_sync: LipSync,
    videos: tuple[Path, Path],
    speech: Path,
    tmp_path: Path,
    num_looks: dict[str, int],
    written: dict[str, list[bytes]],
) -> None:
    lip_sync.sync(videos[1], speech, tmp_path / "first.mp4")
    assert num_looks["detect"] > 0
    assert num_looks["locate"] > 0
    num_looks.update(detect=0, locate=0)
    lip_sync.sync(videos[1], speech, tmp_path / "second.mp4")
    assert num_looks == {"detect": 0, "locate": 0}
    lip_sync.sync(videos[1], speech, tmp_path / "third.mp4", options=UNCACHED)
    assert num_looks["detect"] > 0
    assert written["first.mp4"] == written["second.mp4"] == written["third.mp4"]


def test_a_second_job_by_itself_does_not_even_load_what_looks(
    videos: tuple[Path, Path], speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lipwright.sync(videos[0], speech, tmp_path / "first.mp4")
    for name in ("Mtcnn", "Landmarker"):
        monkeypatch.setattr(networks, name, None)
    assert lipwright.sync(videos[0], speech, tmp_path / "second.mp4").num_synced == 36


def test_a_job_that_was_stopped_leaves_the_networks_usable(
    lip_sync: LipSync, astronaut_file: Path, speech: Path, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lip_sync.sync(astronaut_file, speech, tmp_path / "o.mp4", on_progress=stop)
    assert lip_sync.sync(astronaut_file, speech, tmp_path / "o.mp4").num_synced == 30


def test_what_is_wrong_with_a_job_is_said_before_networks_are_loaded(
    astronaut_file: Path, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(networks, "open_generator")
    out = tmp_path / "out.mp4"
    with pytest.raises(MediaError, match="is also an input"):
        lipwright.sync(astronaut_file, speech, speech)
    with pytest.raises(MediaError, match="does not exist; create it first"):
        lipwright.sync(tmp_path / "nobody.mp4", speech, tmp_path / "deeper" / "out.mp4")
    with pytest.raises(CheckpointError, match="unknown model"):
        lipwright.sync(tmp_path / "nobody.mp4", speech, out, model="wav2lop")
    with pytest.raises(MediaError, match=r"nobody\.mp4"):
        lipwright.sync(tmp_path / "nobody.mp4", tmp_path / "nothing.wav", out)
    with pytest.raises(MediaError, match=r"nothing\.wav"):
        lipwright.sync(astronaut_file, tmp_path / "nothing.wav", out)


def test_a_licence_is_asked_for_before_networks_are_loaded(
    astronaut_file: Path, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    monkeypatch.setattr(networks, "open_generator", lambda *args, **_: opened.append(args))
    monkeypatch.setattr(networks, "licence_of", lambda _model, _found: "research-only")
    with pytest.raises(LicenceError):
        LipSync()
    with pytest.raises(LicenceError):
        lipwright.sync(astronaut_file, speech, tmp_path / "out.mp4")
    assert opened == []


def test_a_path_of_a_model_is_taken_and_an_unknown_one_is_said() -> None:
    with pytest.raises(CheckpointError, match="unknown model 'wav2lop'"):
        LipSync("wav2lop")
    shipped = model_path(lipwright.available_models()[0].name)
    assert LipSync(shipped, precision="fp32").engine.precision == "fp32"


def test_options_that_ask_for_another_engine_are_refused(
    lip_sync: LipSync, astronaut_file: Path, speech: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError, match=r"device 'mps'.*LipSync\('lipwright-160', device='mps'\)"
    ):
        lip_sync.sync(astronaut_file, speech, tmp_path / "o.mp4", options=SyncOptions(device="mps"))
    same = SyncOptions(device="cpu", precision=lip_sync.engine.precision)
    assert lip_sync.sync(astronaut_file, speech, tmp_path / "o.mp4", options=same).num_synced == 30
