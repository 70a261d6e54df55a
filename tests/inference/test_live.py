"""The live flow: frames on time, like the offline ones, and what happens when time runs out."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_LANDMARKS, DEFAULT_MODEL, model_path
from lipwright.errors import ConfigError, MediaError, NoFaceError
from lipwright.faces import CropRule, Mtcnn
from lipwright.faces.landmarks import Landmarker
from lipwright.inference import OpenVinoGenerator, SyncOptions
from lipwright.inference.job import Job
from lipwright.inference.live import LiveConfig, LiveFrame, LiveSession
from lipwright.inference.live_face import IdleFace, prepare_face, to_and_fro
from lipwright.inference.painter import Drawn
from lipwright.inference.reference import view_size
from lipwright.inference.schedule import Schedule, show
from lipwright.inference.sight import NativeEyes
from lipwright.inference.streaming import Role, stream_job
from lipwright.inference.utterance import Utterance
from lipwright.media import probe, read_speech
from lipwright.media.native_rgb import rgb
from lipwright.speech import SILENCE, Alignment, MelReader

RATE = 16_000
BLOCK = RATE // 50
MILLISECOND = 1_000_000  # of the clock


@dataclass
class Clock:
    """Time that goes by only when somebody says so."""

    now: int = 5 * 10**9

    def __call__(self) -> int:
        return self.now

    def wait(self, milliseconds: float) -> None:
        self.now += round(milliseconds * MILLISECOND)


@dataclass
class Painter:
    """A backend that paints how loud its window is, and may take its time for it."""

    columns: int = 16
    resolution: int = 32
    alignment: Alignment = "centred"
    crop: CropRule = "lipwright"
    licence: str = "none"
    with_amplitude: bool = False
    work: Callable[[], None] = lambda: None
    windows: list[NDArray[np.float32]] = field(default_factory=list)
    landmarks: NDArray[np.float32] | None = None

    def draw(
        self,
        targets: NDArray[np.uint8],
        references: NDArray[np.uint8],
        windows: NDArray[np.float32],
        amplitudes: NDArray[np.float32] | None = None,
        landmarks: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        self.work()
        self.windows.extend(windows)
        self.landmarks = landmarks
        loudness = ((windows + 4) / 8).mean(axis=(1, 2, 3))
        drawn = np.broadcast_to(loudness[:, None, None, None], targets.shape)
        return (0.8 * drawn + 0.1 * targets / 255 + 0.1 * references / 255).astype(np.float32)


@pytest.fixture(scope="module")
def eyes() -> NativeEyes:
    return NativeEyes(Mtcnn(), Landmarker(model_path(DEFAULT_LANDMARKS)), min_face=0.1)


@pytest.fixture(scope="module")
def still(astronaut_file: Path, eyes: NativeEyes) -> IdleFace:
    return prepare_face(astronaut_file, Painter(), eyes=eyes)


@pytest.fixture(scope="module")
def speech(demo_speech: Path) -> NDArray[np.float32]:
    """1.3 s of the demo's speech."""
    return read_speech(demo_speech)[: RATE * 13 // 10]


@pytest.fixture(scope="module")
def clip_file(astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of a face that moves a little."""
    path = tmp_path_factory.mktemp("idle") / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 320, 320, "yuv420p"
        stream.options = {"crf": "10", "preset": "ultrafast"}
        for step in range(12):
            pixels = np.ascontiguousarray(astronaut[:320, 60 + step : 380 + step])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def blocks_of(speech: NDArray[np.float32], size: int = BLOCK) -> list[NDArray[np.float32]]:
    return [speech[first : first + size] for first in range(0, speech.size, size)]


def offline(
    path: Path,
    speech: NDArray[np.float32],
    backend: "Painter | OpenVinoGenerator",
    eyes: NativeEyes,
) -> list[Drawn]:
    job = Job(face=path, info=probe(path), options=SyncOptions(), report=lambda _progress: None)
    duration = Fraction(speech.size, RATE)
    said = Utterance(heard=MelReader(lambda: [speech]), duration=duration)
    return list(stream_job(job, [Role("largest", said)], eyes=eyes, backend=backend))


def assert_alike(frames: list[LiveFrame], expected: list[Drawn]) -> None:
    assert [frame.time for frame in frames] == [drawn.frame.time for drawn in expected]
    for frame, drawn in zip(frames, expected, strict=True):
        assert frame.is_synced == (drawn.reason == "synced")
        for plane, other in zip(frame.frame.planes(), drawn.frame.planes(), strict=True):
            assert np.abs(plane.astype(int) - other).max() <= 1


@pytest.mark.parametrize("columns", [16, 65])
@pytest.mark.parametrize("size", [BLOCK, 777, 10**6])
def test_without_a_limit_a_still_speaks_as_offline(
    astronaut_file: Path, speech: NDArray[np.float32], eyes: NativeEyes, columns: int, size: int
) -> None:
    reference, backend = Painter(columns=columns), Painter(columns=columns)
    expected = offline(astronaut_file, speech, reference, eyes)
    face = prepare_face(astronaut_file, backend, eyes=eyes)
    session = LiveSession(face, backend, config=LiveConfig(max_latency=None))
    frames = list(session.run(blocks_of(speech, size)))
    assert session.num_drawn == len(frames) == 33
    assert_alike(frames, expected)
    np.testing.assert_allclose(backend.windows, reference.windows, rtol=0, atol=1e-6)


def test_without_a_limit_an_idle_clip_speaks_as_offline(
    clip_file: Path, speech: NDArray[np.float32], eyes: NativeEyes
) -> None:
    """It is played to and fro, as the end of a video is offline."""
    backend = Painter()
    face = prepare_face(clip_file, backend, eyes=eyes)
    session = LiveSession(face, backend, config=LiveConfig(max_latency=None))
    frames = list(session.run(blocks_of(speech)))
    assert_alike(frames, offline(clip_file, speech, backend, eyes))


def test_the_shipped_generator_draws_the_offline_faces_within_its_latency(
    astronaut_file: Path, speech: NDArray[np.float32], eyes: NativeEyes
) -> None:
    backend = OpenVinoGenerator(model_path(DEFAULT_MODEL), num_threads=1)
    face = prepare_face(astronaut_file, backend, eyes=eyes)
    session = LiveSession(face, backend, config=LiveConfig(max_latency=None))
    frames = list(session.run(blocks_of(speech[: RATE // 2])))
    assert_alike(frames, offline(astronaut_file, speech[: RATE // 2], backend, eyes))
    assert LiveSession(face, backend).latency <= Fraction(1, 5)


@settings(max_examples=15)
@given(
    sizes=st.lists(st.integers(0, 3000), max_size=12),
    max_latency=st.sampled_from([None, Fraction(0), Fraction(1, 10), Fraction(1, 5)]),
)
def test_frames_do_not_depend_on_the_cuts_between_blocks(
    still: IdleFace,
    speech: NDArray[np.float32],
    sizes: list[int],
    max_latency: Fraction | None,
) -> None:
    drawn = []
    for cuts in (sizes, []):
        backend, config = Painter(columns=65), LiveConfig(max_latency=max_latency)
        session = LiveSession(still, backend, config=config)
        blocks = np.split(speech[:8000], np.minimum(np.cumsum([0, *cuts]), 8000))
        frames = list(session.run(blocks))
        drawn.append((backend.windows, [(frame.time, frame.heard) for frame in frames]))
    assert drawn[0][1] == drawn[1][1]
    np.testing.assert_allclose(drawn[0][0], drawn[1][0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_the_latency_is_kept_by_every_frame_and_by_generators_that_look_further(
    still: IdleFace, rate: int
) -> None:
    config = LiveConfig(rate=rate)
    for columns in (16, 65):
        session = LiveSession(still, Painter(columns=columns), config=config)
        assert session.latency <= Fraction(1, 5) + Fraction(1, RATE)
        assert (session.num_made_up == 0) == (columns == 16)
        for number in range(100):
            now = Fraction(number + 1, 50)
            block = np.zeros(rate // 50, dtype=np.float32)
            for frame in session.push(block):
                assert now - Fraction(1, 50) < frame.time + session.latency
                assert frame.heard - frame.time <= session.latency


def test_integers_at_another_rate_are_the_same_speech(
    still: IdleFace, speech: NDArray[np.float32]
) -> None:
    seconds = np.arange(24_000) / 48_000
    tone = 0.5 * np.sin(2 * np.pi * 300 * seconds)
    one, other = Painter(), Painter()
    numbers = np.rint(tone * 32768).astype(np.int16)
    session = LiveSession(still, one, config=LiveConfig(rate=48_000))
    times = [f.time for f in session.run(numbers[i : i + 960] for i in range(0, 24_000, 960))]
    plain = LiveSession(still, other)
    assert times == [f.time for f in plain.run([tone[::3].astype(np.float32)])]
    assert np.abs(np.stack(one.windows) - np.stack(other.windows)).mean() < 0.1


def feed(
    session: LiveSession, clock: Clock, blocks: list[NDArray[np.float32]]
) -> list[tuple[int, LiveFrame]]:
    """Push blocks as a microphone gives them: one each 20 ms, queued while the session works."""
    waiting, frames = deque(blocks), []
    arrives = clock.now
    while waiting:
        arrives += 20 * MILLISECOND
        clock.now = max(clock.now, arrives)  # in the queue already, or waited for
        frames += [(clock.now, frame) for frame in session.push(waiting.popleft())]
    return frames


def seconds(num: int) -> list[NDArray[np.float32]]:
    return blocks_of(np.random.default_rng(1).normal(0, 0.1, num * RATE).astype(np.float32))


def test_a_fast_generator_skips_nothing(still: IdleFace) -> None:
    clock = Clock()
    session = LiveSession(still, Painter(work=lambda: clock.wait(25)), clock=clock)
    frames = [frame for _, frame in feed(session, clock, seconds(4))]
    assert session.num_skipped == 0
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(len(frames))]
    assert {frame.seconds for frame in frames} == {Fraction(25, 1000)}


@pytest.mark.parametrize("milliseconds", [50, 90, 300, 1700])
def test_a_slow_generator_skips_frames_and_keeps_the_time_line(
    still: IdleFace, milliseconds: int
) -> None:
    clock, start = Clock(), Clock().now
    session = LiveSession(still, Painter(work=lambda: clock.wait(milliseconds)), clock=clock)
    frames = feed(session, clock, seconds(20))
    last = round(frames[-1][1].time * 25)
    assert session.num_drawn + session.num_skipped >= last + 1
    assert session.num_drawn == len(frames)
    assert len(frames) == pytest.approx(20_000 / milliseconds, rel=0.15)
    for now, frame in frames:
        assert frame.time.denominator in (1, 5, 25)
        # Ready no later than its latency, a block, a frame and the drawing after its time.
        late = Fraction(now - start, 10**9) - frame.time - session.latency
        assert late <= Fraction(20 + 20 + 40 + milliseconds, 1000)


def test_little_is_held_however_long_the_session(still: IdleFace) -> None:
    clock = Clock()
    session = LiveSession(still, Painter(work=lambda: clock.wait(150)), clock=clock)
    for block in seconds(10):
        clock.wait(20)
        session.push(block)
        assert session._mel.shape[1] <= 16 + 80
    long = np.zeros(30 * RATE, dtype=np.float32)
    session = LiveSession(still, Painter(), config=LiveConfig(max_latency=None))
    for _ in session.run([long]):
        assert session._mel.shape[1] <= 16 + 80


def test_speech_that_comes_faster_than_it_is_spoken_is_drawn_ahead(still: IdleFace) -> None:
    clock = Clock()
    session = LiveSession(still, Painter(work=lambda: clock.wait(10)), clock=clock)
    frames = session.push(np.concatenate(seconds(2)))
    clock.wait(1400)
    assert session.idle() == []  # there is sound for now
    frames += session.push(np.concatenate(seconds(2)))
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(len(frames))]
    assert len(frames) >= 96
    assert session.num_skipped == session.num_pauses == 0


def idle_for(session: LiveSession, clock: Clock, milliseconds: int) -> Iterator[LiveFrame]:
    for _ in range(0, milliseconds, 20):
        yield from session.idle()
        clock.wait(20)


def test_the_face_rests_before_the_first_block(still: IdleFace) -> None:
    clock, backend = Clock(), Painter()
    session = LiveSession(still, backend, clock=clock)
    frames = list(idle_for(session, clock, 2000))
    assert 44 <= len(frames) <= 50
    assert all(frame.is_synced for frame in frames)
    assert all((window == SILENCE).all() for window in backend.windows)
    assert session.num_pauses == 0


def test_the_face_rests_while_no_block_comes_and_speech_goes_on_after_it(
    still: IdleFace, speech: NDArray[np.float32]
) -> None:
    clock, backend = Clock(), Painter()
    session = LiveSession(still, backend, clock=clock)
    frames = [frame for _, frame in feed(session, clock, blocks_of(speech))]
    clock.wait(20)
    assert session.idle() == []
    clock.wait(20)
    assert session.idle() == []  # it may still come
    clock.wait(30)
    frames += idle_for(session, clock, 1000)
    assert (backend.windows[-1] == SILENCE).all()
    assert session.num_pauses == 1
    paused = session.paused
    assert abs(paused - Fraction(105, 100)) <= Fraction(2, 100)
    frames += [frame for _, frame in feed(session, clock, blocks_of(speech))]
    frames += session.finish()
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(len(frames))]
    assert session.num_skipped == 0
    # What was said after the pause is heard where it is on the time line.
    assert session.heard == Fraction(2 * speech.size, RATE) + paused
    again = round((Fraction(speech.size, RATE) + paused) * RATE)
    whole = np.zeros(again + speech.size, dtype=np.float32)
    whole[: speech.size], whole[again:] = speech, speech
    plain = Painter()
    list(LiveSession(still, plain).run([whole]))
    np.testing.assert_allclose(backend.windows, plain.windows, rtol=0, atol=1e-6)


def test_a_pause_that_nobody_told_of_is_over_after_a_second(still: IdleFace) -> None:
    clock = Clock()
    session = LiveSession(still, Painter(), clock=clock)
    feed(session, clock, seconds(1))
    clock.wait(10_000)
    feed(session, clock, seconds(3))
    assert 20 <= session.num_skipped <= 30


def test_sound_whose_clock_is_slow_is_not_late_for_ever(still: IdleFace) -> None:
    clock = Clock()
    session = LiveSession(still, Painter(), clock=clock)
    for block in seconds(60):
        clock.wait(20.2)  # a hundred times as wrong as a clock is
        session.push(block)
    assert session.num_skipped < session.num_drawn


def test_frames_without_a_face_are_passed_through(
    clip_file: Path, speech: NDArray[np.float32], eyes: NativeEyes
) -> None:
    face = prepare_face(clip_file, Painter(), eyes=eyes)
    frames = [*face.frames[:3]]
    frames[1] = type(frames[1])(frame=frames[1].frame, face=None)
    partly = IdleFace(frames=tuple(frames), fps=face.fps, resolution=32, crop="lipwright")
    drawn = list(LiveSession(partly, Painter()).run([speech[:3000]]))
    assert [frame.is_synced for frame in drawn] == [True, False, True, False, True]
    np.testing.assert_array_equal(drawn[1].pixels(), rgb(frames[1].frame))
    assert not np.array_equal(drawn[0].pixels(), rgb(frames[0].frame))


@given(num=st.integers(1, 30), length=st.integers(1, 100))
def test_a_clip_goes_to_and_fro_as_the_schedule_does(num: int, length: int) -> None:
    schedule = Schedule(fps=Fraction(25), duration=Fraction(length, 25), tail=num)
    expected = show(range(num), schedule, time_of=lambda index: Fraction(index, 25))
    assert [to_and_fro(step, num) for step in range(length)] == [s.source for s in expected]


def test_a_clip_is_brought_to_the_rate_that_is_shown(clip_file: Path, eyes: NativeEyes) -> None:
    assert len(prepare_face(clip_file, Painter(), eyes=eyes).frames) == 12
    twice = prepare_face(clip_file, Painter(), eyes=eyes, fps=Fraction(50)).frames
    assert len(twice) == 23
    assert twice[0].frame.time == twice[1].frame.time == 0
    half = prepare_face(clip_file, Painter(), eyes=eyes, fps=Fraction(25, 2)).frames
    assert [idle.frame.time * 25 for idle in half[:5]] == [0, 2, 4, 6, 8]


def test_no_more_of_a_clip_is_kept_than_fits(
    clip_file: Path, eyes: NativeEyes, caplog: pytest.LogCaptureFixture
) -> None:
    bytes_of_a_frame = 320 * 320 * 3 // 2 + 3 * (view_size(32) ** 2 + 32 * 32)
    face = prepare_face(clip_file, Painter(), eyes=eyes, max_bytes=5 * bytes_of_a_frame)
    assert len(face.frames) == 5
    assert "only the first 0.2 s" in caplog.text


def test_a_picture_without_a_face_is_refused(tmp_path: Path, eyes: NativeEyes) -> None:
    path = tmp_path / "wall.png"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = 128, 128, "rgb24"
        wall = np.full((128, 128, 3), 90, dtype=np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(wall, format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(NoFaceError, match="no face in any of the 1 frames"):
        prepare_face(path, Painter(), eyes=eyes)


def test_a_bad_block_does_not_end_the_session(still: IdleFace, speech: NDArray[np.float32]) -> None:
    one, other = Painter(), Painter()
    session = LiveSession(still, one)
    session.push(speech[:4000])
    with pytest.raises(MediaError, match="NaN"):
        session.push(np.full(320, np.nan, dtype=np.float32))
    session.push(speech[4000:])
    session.finish()
    list(LiveSession(still, other).run([speech]))
    np.testing.assert_allclose(one.windows, other.windows, rtol=0, atol=1e-6)


def test_wrong_uses_say_what_to_do(still: IdleFace) -> None:
    with pytest.raises(ConfigError, match="prepared for 32 pixels"):
        LiveSession(still, Painter(resolution=48))
    with pytest.raises(ConfigError, match="block must be above 0"):
        LiveConfig(block=Fraction(0))
    session = LiveSession(still, Painter())
    with pytest.raises(ConfigError, match=r"clock=time\.monotonic_ns"):
        session.idle()
    assert session.finish() == []
    with pytest.raises(ConfigError, match="the session has ended"):
        session.push(np.zeros(320, dtype=np.float32))
