import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.container import OutputContainer
from av.sidedata.sidedata import Type
from media_makers import lag_samples, noise, write_video, write_wav
from numpy.typing import NDArray
from skimage import data

from lipwright.errors import MediaError
from lipwright.media import native_writer as writer_module
from lipwright.media import read_frames, read_speech
from lipwright.media.display import Display
from lipwright.media.encodable import encodable
from lipwright.media.encoding import Encoding
from lipwright.media.native import NativeFrame, colour_of, native_still, read_native
from lipwright.media.native_rgb import rgb
from lipwright.media.native_writer import NativeWriter
from lipwright.media.pixel_layout import ALPHA, layout_of

NTSC = Fraction(30000, 1001)
FPS = Fraction(25)
MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


def photo(width: int = 128, height: int = 96) -> NDArray[np.uint8]:
    face = data.astronaut()[40:232, 96:352]
    return np.asarray(cv2.resize(face, (width, height), interpolation=cv2.INTER_AREA))


def made(
    pixel_format: str, *, size: tuple[int, int] = (128, 96), color_range: int = 1, matrix: int = 1
) -> NativeFrame:
    """Samples of every value that the format has, in blocks."""
    layout = layout_of(pixel_format)
    frame = av.VideoFrame(*size, pixel_format)
    frame.color_range, frame.colorspace = color_range, matrix
    native = NativeFrame(
        picture=frame,
        time=Fraction(0),
        layout=layout,
        colour=colour_of(frame, layout),
        display=Display(width=size[0], height=size[1]),
    )
    edited, planes = native.edited()
    rng = np.random.default_rng(0)
    for plane in planes:
        coarse = rng.integers(0, layout.largest + 1, (plane.shape[0] // 4 + 1, *plane.shape[1:]))
        plane[...] = np.repeat(coarse, 4, axis=0)[: plane.shape[0]] << layout.shift
    return edited


def write(path: Path, frames: Sequence[NativeFrame], **options: object) -> Path:
    settings = {"fps": FPS, "speech": None, "encoding": Encoding(crf=0), **options}
    with NativeWriter(path, **settings) as writer:  # type: ignore[arg-type]
        for frame in frames:
            writer.write(frame)
    return path


def at(times: Sequence[Fraction], frame: NativeFrame | None = None) -> list[NativeFrame]:
    frame = made("yuv420p") if frame is None else frame
    return [frame.at(time) for time in times]


def context_of(path: Path) -> av.VideoCodecContext:
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context


@pytest.mark.parametrize(("pixel_format", "written"), [
    ("yuv420p", "yuv420p"), ("yuv422p", "yuv422p"), ("yuv444p", "yuv444p"), ("nv12", "yuv420p"),
    ("nv21", "yuv420p"), ("nv16", "yuv422p"), ("nv24", "yuv444p"), ("yuva420p", "yuv420p"),
    ("yuv420p10le", "yuv420p10le"), ("yuv422p10le", "yuv422p10le"),
    ("yuv444p10le", "yuv444p10le"), ("p010le", "yuv420p10le"), ("p210le", "yuv422p10le"),
    ("yuva444p10le", "yuv444p10le"), ("yuv420p12le", "yuv420p12le"),
    ("yuv444p12le", "yuv444p12le"),
])  # fmt: skip
def test_every_sample_is_written_as_it_is(tmp_path: Path, pixel_format: str, written: str) -> None:
    frame = made(pixel_format)
    (back,) = read_native(write(tmp_path / "a.mp4", [frame]))
    assert back.layout.name == written
    expected: dict[int, NDArray[np.generic]] = {}
    for plane, channels in zip(frame.planes(), frame.layout.planes, strict=True):
        for channel, component in enumerate(channels):
            samples = plane if plane.ndim == 2 else plane[..., channel]
            expected[component] = samples >> frame.layout.shift
    expected.pop(ALPHA, None)
    for component, plane in enumerate(back.planes()):
        np.testing.assert_array_equal(plane, expected[component])
    codec = "hevc" if frame.layout.bits > 10 else "h264"
    assert context_of(tmp_path / "a.mp4").name == codec


@pytest.mark.parametrize(
    ("pixel_format", "written"), [("gray", "yuv420p"), ("gray10le", "yuv420p10le")]
)
def test_grey_keeps_its_luma(tmp_path: Path, pixel_format: str, written: str) -> None:
    frame = made(pixel_format, color_range=2)
    (back,) = read_native(write(tmp_path / "a.mp4", [frame]))
    assert back.layout.name.replace("j", "") == written
    assert back.colour.is_full_range
    np.testing.assert_array_equal(back.planes()[0], frame.planes()[0])
    assert (back.planes()[1] == 2 ** (frame.layout.bits - 1)).all()


@pytest.mark.parametrize(("pixel_format", "written"), [
    ("rgb24", "yuv444p"), ("bgra", "yuv444p"), ("gbrp", "yuv444p"), ("gbrp10le", "yuv444p10le"),
    ("rgb48le", "yuv444p12le"),
])  # fmt: skip
def test_rgb_keeps_its_colours(tmp_path: Path, pixel_format: str, written: str) -> None:
    still = native_still(photo())
    picture = still.picture.reformat(format=pixel_format)
    frame = replace(still, picture=picture, layout=layout_of(pixel_format), is_still=False)
    (back,) = read_native(write(tmp_path / "a.mp4", [frame]))
    assert back.layout.name == written
    assert np.abs(rgb(back).astype(int) - photo()).mean() < 1
    context = context_of(tmp_path / "a.mp4")
    tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
    assert tags == (1, 1, 1, 1)


def test_a_still_is_brought_to_its_format_once(tmp_path: Path) -> None:
    still = encodable(native_still(photo()))
    assert still.layout.name == "yuv420p"
    assert encodable(still) is still
    path = write(tmp_path / "a.mp4", at([Fraction(k, 25) for k in range(3)], still))
    for back in read_native(path):
        for plane, expected in zip(back.planes(), still.planes(), strict=True):
            np.testing.assert_array_equal(plane, expected)
        assert np.abs(rgb(back).astype(int) - photo()).mean() < 4
    plain = write(tmp_path / "b.mp4", [native_still(photo())])
    assert next(read_native(plain)).layout.name == "yuv420p"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("fps", [FPS, NTSC, Fraction(2997, 100)])
def test_time_stamps_come_back(tmp_path: Path, suffix: str, fps: Fraction) -> None:
    times = [k / fps for k in range(12)]
    path = write(tmp_path / f"a{suffix}", at(times), fps=fps)
    slack = Fraction(1, 2000) if suffix == ".mkv" else 0
    back = [frame.time for frame in read_native(path)]
    assert all(abs(a - b) <= slack for a, b in zip(back, times, strict=True))


def test_a_variable_rate_on_the_clock_of_the_source_comes_back_exactly(tmp_path: Path) -> None:
    clock = Fraction(1, 15360)  # divides neither 90000 nor a thousandth
    frame = made("yuv420p")
    frame.picture.time_base = clock
    times = [n * clock for n in (0, 511, 1027, 5000, 5513, 20001)]
    path = write(tmp_path / "a.mp4", at(times, frame))
    assert [frame.time for frame in read_native(path)] == times
    again = write(tmp_path / "b.mp4", list(read_native(path)))
    assert [frame.time for frame in read_native(again)] == times


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 5])
def test_the_shortest_videos_are_written(tmp_path: Path, codec: str, num_frames: int) -> None:
    times = [Fraction(k, 25) for k in range(num_frames)]
    path = write(tmp_path / "a.mp4", at(times), encoding=Encoding(codec=codec, crf=0))
    assert [frame.time for frame in read_native(path)] == times


@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize("tags", [(1, 1, 1), (9, 9, 16), (5, 5, 6), (2, 2, 2)])
def test_colour_tags_come_back(
    tmp_path: Path, color_range: int, tags: tuple[int, int, int]
) -> None:
    frame = made("yuv420p10le", color_range=color_range, matrix=tags[0])
    frame.picture.color_primaries, frame.picture.color_trc = tags[1:]
    path = write(tmp_path / "a.mp4", [frame])
    context = context_of(path)
    assert (context.colorspace, context.color_primaries, context.color_trc) == tags
    assert context.color_range == color_range or (
        color_range == 1 and context.color_range == 0
    )  # limited is the default
    (back,) = read_native(path)
    assert back.colour.is_full_range == (color_range == 2)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("directions", [
    ((1, 0), (0, 1)), ((-1, 0), (0, 1)), ((1, 0), (0, -1)), ((-1, 0), (0, -1)),
    ((0, 1), (1, 0)), ((0, -1), (1, 0)), ((0, 1), (-1, 0)), ((0, -1), (-1, 0)),
])  # fmt: skip
def test_the_way_it_is_shown_comes_back(tmp_path: Path, suffix: str, directions: tuple) -> None:
    size = (170, 96) if directions[0][0] else (96, 170)
    display = Display(
        width=size[0], height=size[1], directions=directions, pixel_aspect=Fraction(4, 3)
    )
    frame = replace(made("yuv420p"), display=display)
    path = write(tmp_path / f"a{suffix}", [frame])
    (back,) = read_native(path)
    assert back.display == display
    assert (back.picture.width, back.picture.height) == (128, 96)
    for plane, expected in zip(back.planes(), frame.planes(), strict=True):
        np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_hdr_metadata_come_back(tmp_path: Path, suffix: str, codec: str) -> None:
    source = tmp_path / "source.mp4"
    with av.open(str(source), "w") as container:
        params = f"mastering-display={MASTERING}:cll=1000,400"
        stream = container.add_stream("libx264", rate=25, options={"x264-params": params})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p10le"
        container.mux(stream.encode(made("yuv420p10le").picture))
        container.mux(stream.encode(None))
    (frame,) = read_native(source)
    assert frame.hdr is not None
    assert (frame.hdr.mastering, frame.hdr.light) == (MASTERING, "1000,400")
    path = write(tmp_path / f"a{suffix}", [frame], encoding=Encoding(codec=codec, crf=0))
    (back,) = read_native(path)
    assert back.hdr == frame.hdr
    with av.open(str(path)) as container:
        decoded = next(container.decode(video=0))
    kinds = {entry.type for entry in decoded.side_data}
    assert {Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL} <= kinds


@pytest.mark.parametrize(("pixel_format", "size", "grown"), [
    ("yuv420p", (127, 95), (128, 96)), ("nv12", (127, 96), (128, 96)),
    ("yuv422p", (127, 95), (128, 95)), ("yuv444p", (127, 95), (127, 95)),
    ("yuv420p10le", (128, 95), (128, 96)),
])  # fmt: skip
def test_odd_sizes_grow_by_the_repeated_edge(
    tmp_path: Path, pixel_format: str, size: tuple[int, int], grown: tuple[int, int]
) -> None:
    frame = made(pixel_format, size=size)
    (back,) = read_native(write(tmp_path / "a.mp4", [frame]))
    assert (back.picture.width, back.picture.height) == grown
    before, after = frame.planes()[0], back.planes()[0]
    np.testing.assert_array_equal(after[: size[1], : size[0]], before)
    np.testing.assert_array_equal(after[-1, : size[0]], before[-1])
    np.testing.assert_array_equal(after[: size[1], -1], before[:, -1])


def test_frames_of_another_size_or_format_are_brought_to_those_of_the_first(
    tmp_path: Path,
) -> None:
    frames = [made("yuv420p"), made("yuv420p", size=(64, 48)), made("yuv444p"), made("rgb24")]
    timed = [frame.at(Fraction(k, 25)) for k, frame in enumerate(frames)]
    back = list(read_native(write(tmp_path / "a.mp4", timed)))
    assert [frame.layout.name for frame in back] == ["yuv420p"] * 4
    assert {(frame.picture.width, frame.picture.height) for frame in back} == {(128, 96)}


def test_the_key_frames_of_the_source_are_not_forced_on_the_encoder(tmp_path: Path) -> None:
    source = tmp_path / "source.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "1"})
        stream.width, stream.height = 128, 96
        for index in range(8):
            frame = av.VideoFrame.from_ndarray(photo(), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path = write(tmp_path / "a.mp4", list(read_native(source)))
    with av.open(str(path)) as container:
        assert [frame.key_frame for frame in container.decode(video=0)].count(True) == 1


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_sound_keeps_its_place_and_ends_with_the_picture(tmp_path: Path, suffix: str) -> None:
    speech = write_wav(tmp_path / "speech.wav", noise(44_100, 2, channels=2), 44_100)
    times = [k / NTSC for k in range(30)]
    path = write(tmp_path / f"a{suffix}", at(times), fps=NTSC, speech=speech)
    heard, said = read_speech(path), read_speech(speech)
    assert abs(lag_samples(heard, said)) < 160  # 10 ms
    assert abs(Fraction(heard.size, 16_000) - 30 / NTSC) <= 1 / NTSC


def test_the_name_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "Ausgabe ü 日本.mp4"
    with NativeWriter(path, fps=FPS, speech=None) as writer:
        writer.write(made("yuv420p"))
        assert not path.exists()
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208 - the names are the point
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("num_frames", [0, 3])
def test_an_exception_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException], num_frames: int
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"older")

    def interrupted() -> None:
        with NativeWriter(path, fps=FPS, speech=None) as writer:
            for frame in at([Fraction(k, 25) for k in range(num_frames)]):
                writer.write(frame)
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
    with pytest.raises(MediaError, match=r"a\.mp4.*No space left"):
        write(tmp_path / "a.mp4", at([Fraction(k, 25) for k in range(100)]))
    assert list(tmp_path.iterdir()) == []


def test_no_frame_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no frame was written"):
        write(tmp_path / "a.mp4", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("times", [(1, 0), (1, 1), (-1,)])
def test_time_does_not_go_backwards(tmp_path: Path, times: tuple[int, ...]) -> None:
    with pytest.raises(MediaError, match="order of time"):
        write(tmp_path / "a.mp4", at([Fraction(time) for time in times]))
    assert list(tmp_path.iterdir()) == []


def test_a_rate_or_sound_that_cannot_be_is_told_before_anything_is_written(tmp_path: Path) -> None:
    silent = write_video(tmp_path / "silent.mp4")
    with pytest.raises(MediaError, match="has no sound"):
        NativeWriter(tmp_path / "a.mp4", fps=FPS, speech=silent)
    with pytest.raises(MediaError, match="must be positive"):
        NativeWriter(tmp_path / "a.mp4", fps=Fraction(0), speech=None)
    with pytest.raises(MediaError, match="unknown kind of video"):
        NativeWriter(tmp_path / "a.gif", fps=FPS, speech=None)
    assert list(tmp_path.iterdir()) == [silent]


def test_writing_without_opening_is_told(tmp_path: Path) -> None:
    writer = NativeWriter(tmp_path / "a.mp4", fps=FPS, speech=None)
    with pytest.raises(MediaError, match="with block"):
        writer.write(made("yuv420p"))


def test_the_pixels_that_were_written_are_not_modified(tmp_path: Path) -> None:
    frame = made("yuv420p", size=(127, 95))
    before = [plane.copy() for plane in frame.planes()]
    write(tmp_path / "a.mp4", at([Fraction(0), Fraction(1, 25)], frame))
    for plane, expected in zip(frame.planes(), before, strict=True):
        np.testing.assert_array_equal(plane, expected)


def test_the_number_of_threads_does_not_change_the_frames(tmp_path: Path) -> None:
    source = write_video(tmp_path / "source.mp4")
    one = write(tmp_path / "a.mp4", list(read_native(source)), threads=1)
    for a, b in zip(read_frames(source), read_frames(one), strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
