import errno
import itertools
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import OutputContainer
from media_makers import (
    HEIGHT,
    WIDTH,
    lag_samples,
    level_of,
    noise,
    picture,
    write_video,
    write_wav,
)

from lipwright.errors import MediaError
from lipwright.media import VideoWriter, probe, read_frames, read_speech, require_writable
from lipwright.media import writer as writer_module

NTSC = Fraction(30000, 1001)
KINDS = [".mp4", ".mkv", ".mov"]


def write(
    path: Path,
    *,
    times: list[Fraction],
    fps: Fraction = Fraction(25),
    speech: Path | None = None,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Path:
    height, width = size
    with VideoWriter(path, width=width, height=height, fps=fps, speech=speech) as writer:
        for index, time in enumerate(times):
            writer.write(picture(level_of(index), width=width, height=height), time)
    return path


def at(fps: Fraction, num_frames: int) -> list[Fraction]:
    return [k / fps for k in range(num_frames)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(24000, 1001), Fraction(2997, 100)])
def test_time_stamps_come_back_exactly(tmp_path: Path, suffix: str, fps: Fraction) -> None:
    path = write(tmp_path / f"a{suffix}", times=at(fps, 12), fps=fps)
    assert [frame.time for frame in read_frames(path)] == at(fps, 12)
    info = probe(path)
    assert info.fps == fps
    assert info.duration is not None
    assert abs(info.duration - 12 / fps) <= Fraction(1, 1000)


def test_matroska_comes_back_within_half_a_millisecond(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", times=at(NTSC, 12), fps=NTSC)
    times = [frame.time for frame in read_frames(path)]
    assert all(abs(a - b) <= Fraction(1, 2000) for a, b in zip(times, at(NTSC, 12), strict=True))


def test_a_variable_rate_comes_back(tmp_path: Path) -> None:
    times = [Fraction(n, 1000) for n in (0, 33, 67, 400, 433, 1000)]
    path = write(tmp_path / "a.mp4", times=times)
    assert [frame.time for frame in read_frames(path)] == times


def test_colours_come_back_and_are_tagged(tmp_path: Path) -> None:
    patches = [(200, 60, 30), (30, 180, 60), (40, 50, 210), (224, 172, 140), (0, 0, 0), (255,) * 3]
    pixels = np.repeat(np.array(patches, dtype=np.uint8)[None], 32, axis=0)
    pixels = np.ascontiguousarray(np.repeat(pixels, 32, axis=1))
    path = tmp_path / "a.mp4"
    with VideoWriter(path, width=192, height=32, fps=Fraction(25), speech=None, crf=4) as writer:
        writer.write(pixels, Fraction(0))
    back = next(read_frames(path)).pixels
    for index, colour in enumerate(patches):
        patch = back[8:24, index * 32 + 8 : index * 32 + 24].reshape(-1, 3).mean(axis=0)
        assert np.abs(patch - colour).max() <= 3
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc)
        assert tags == (1, 1, 1)  # BT.709 in ISO/IEC 23091-2
        assert context.color_range == 1  # limited
        assert context.pix_fmt == "yuv420p"


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (47, 64), (1, 1)])
def test_odd_sizes_grow_by_the_repeated_edge(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write(tmp_path / "a.mp4", times=at(Fraction(25), 3), size=size)
    pixels = next(read_frames(path)).pixels
    assert pixels.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    assert np.abs(pixels[-1, -1].astype(int) - level_of(0)).max() <= 6 or size == (1, 1)


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_sound_keeps_its_place_and_ends_with_the_picture(
    tmp_path: Path, suffix: str, rate: int, seconds: float
) -> None:
    speech = write_wav(tmp_path / "speech.wav", noise(rate, seconds, channels=2), rate)
    path = write(tmp_path / f"a{suffix}", times=at(NTSC, 30), fps=NTSC, speech=speech)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate) == ("aac", rate)
        assert stream.layout.name == "stereo"
    heard, said = read_speech(path), read_speech(speech)
    assert abs(lag_samples(heard, said)) < 160  # 10 ms
    assert abs(Fraction(heard.size, 16_000) - 30 / NTSC) <= 1 / NTSC


def test_stereo_stays_stereo(tmp_path: Path) -> None:
    samples = noise(44_100, 1, channels=2)
    samples[1] = 0
    speech = write_wav(tmp_path / "speech.wav", samples, 44_100)
    path = write(tmp_path / "a.mp4", times=at(Fraction(25), 25), speech=speech)
    with av.open(str(path)) as container:
        blocks = [frame.to_ndarray() for frame in container.decode(audio=0)]
    loudness = np.concatenate(blocks, axis=1).std(axis=1)
    assert loudness[0] > 0.05
    assert loudness[1] < 0.002


def test_the_sound_of_a_video_keeps_its_offset(tmp_path: Path) -> None:
    said = noise(16_000, 0.6)
    speech = write_video(tmp_path / "in.mkv", sound=said, sound_start=Fraction(3, 25))
    path = write(tmp_path / "a.mp4", times=at(Fraction(25), 20), speech=speech)
    assert abs(lag_samples(read_speech(path), said[0]) - 1920) < 160


def test_sound_is_written_along_with_the_pictures(tmp_path: Path) -> None:
    speech = write_wav(tmp_path / "speech.wav", noise(16_000, 4), 16_000)
    path = write(tmp_path / "a.mp4", times=at(Fraction(25), 100), speech=speech)
    with av.open(str(path)) as container:
        kinds = [packet.stream.type for packet in container.demux() if packet.size]
    longest = max(len(list(run)) for _, run in itertools.groupby(kinds))
    assert longest < 60  # neither all the pictures nor all the sound first


def test_the_index_of_an_mp4_stands_at_its_start(tmp_path: Path) -> None:
    content = write(tmp_path / "a.mp4", times=at(Fraction(25), 3)).read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_the_name_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "Ausgabe ü 日本.mp4"
    with VideoWriter(path, width=WIDTH, height=HEIGHT, fps=Fraction(25), speech=None) as writer:
        writer.write(picture(90), Fraction(0))
        assert not path.exists()
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208 - the names are the point


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("num_frames", [0, 3])
def test_an_exception_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException], num_frames: int
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"older")

    def interrupted() -> None:
        with VideoWriter(path, width=WIDTH, height=HEIGHT, fps=Fraction(25), speech=None) as w:
            for index in range(num_frames):
                w.write(picture(90), Fraction(index, 25))
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk:
        """Passes everything on, and has no room for packets."""

        def __init__(self, container: OutputContainer) -> None:
            self._container = container

        def __getattr__(self, name: str) -> object:
            return getattr(self._container, name)

        def mux(self, packets: object) -> None:
            if packets:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    opened = av.open
    monkeypatch.setattr(
        writer_module.av, "open", lambda *args, **options: FullDisk(opened(*args, **options))
    )
    path = tmp_path / "a.mp4"
    with pytest.raises(MediaError, match=r"a\.mp4.*No space left") as caught:
        write(path, times=at(Fraction(25), 100))
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_no_frame_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no frame was written"):
        write(tmp_path / "a.mp4", times=[])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((HEIGHT, WIDTH + 1, 3), dtype=np.uint8),
        np.zeros((HEIGHT, WIDTH), dtype=np.uint8),
        np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32),
    ],
)
def test_a_frame_of_another_kind_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    with (
        pytest.raises(MediaError, match="takes frames of"),
        VideoWriter(
            tmp_path / "a.mp4", width=WIDTH, height=HEIGHT, fps=Fraction(25), speech=None
        ) as writer,
    ):
        writer.write(pixels, Fraction(0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("times", [(1, 0), (1, 1), (-1,)])
def test_time_does_not_go_backwards(tmp_path: Path, times: tuple[int, ...]) -> None:
    with pytest.raises(MediaError, match="order of time"):
        write(tmp_path / "a.mp4", times=[Fraction(time) for time in times])


def test_a_place_that_cannot_be_written_is_told_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MediaError, match="does not exist; create it first"):
        require_writable(tmp_path / "none" / "a.mp4")
    with pytest.raises(MediaError, match=r"\.gif.*use \.mp4, \.mkv, \.mov"):
        require_writable(tmp_path / "a.gif")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(MediaError, match="is a folder"):
        require_writable(tmp_path / "folder.mp4")
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="is not a folder"):
        require_writable(tmp_path / "file" / "a.mp4")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(MediaError, match="may not be written to"):
        require_writable(tmp_path / "a.mp4")


def test_speech_without_sound_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    silent = write_video(tmp_path / "silent.mp4")
    with pytest.raises(MediaError, match="has no sound"):
        VideoWriter(tmp_path / "a.mp4", width=2, height=2, fps=Fraction(25), speech=silent)
    assert list(tmp_path.iterdir()) == [silent]


def test_an_unknown_preset_is_told_at_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(MediaError, match="options"),
        VideoWriter(
            tmp_path / "a.mp4",
            width=WIDTH,
            height=HEIGHT,
            fps=Fraction(25),
            speech=None,
            preset="warp",
        ),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
