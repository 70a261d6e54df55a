import logging
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from media_makers import HEIGHT, WIDTH, level_of, noise, picture, write_video, write_wav

from lipwright.errors import MediaError
from lipwright.media import probe, read_frames

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".avi"])
@pytest.mark.parametrize("fps", [Fraction(25), NTSC])
def test_time_stamps_are_exact(tmp_path: Path, suffix: str, fps: Fraction) -> None:
    path = write_video(tmp_path / f"a{suffix}", fps=fps)
    assert [frame.time for frame in read_frames(path)] == [k / fps for k in range(10)]
    assert probe(path).fps == fps


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_matroska_time_stamps_are_its_milliseconds(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"a{suffix}", fps=NTSC)
    times = [frame.time for frame in read_frames(path)]
    assert len(times) == 10
    assert all(abs(t - k / NTSC) <= Fraction(1, 2000) for k, t in enumerate(times))
    assert abs(probe(path).fps - NTSC) < Fraction(1, 100)


def test_frames_come_in_order_with_their_pixels(tmp_path: Path) -> None:
    frames = list(read_frames(write_video(tmp_path / "a.mp4", num_frames=20)))
    levels = [int(np.median(frame.pixels[HEIGHT // 2 :])) for frame in frames]
    assert np.abs(np.array(levels) - [level_of(k) for k in range(20)]).max() <= 3
    red = frames[0].pixels[:10, :10].mean(axis=(0, 1))
    assert red[0] > 230
    assert red[1:].max() < 30


def test_variable_frame_rate_keeps_every_time(tmp_path: Path) -> None:
    times = [Fraction(n, 1000) for n in (0, 40, 55, 200, 1200, 1233)]
    path = write_video(tmp_path / "a.mp4", times=times)
    assert [frame.time for frame in read_frames(path)] == times


def test_time_zero_is_the_first_picture(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", picture_start=Fraction(3, 2))
    assert [frame.time for frame in read_frames(path)] == [Fraction(k, 25) for k in range(10)]


@pytest.mark.parametrize(
    ("rotation", "hflip", "row", "column"),
    [
        (0, False, 0, 0),
        (90, False, -1, 0),
        (180, False, -1, -1),
        (-90, False, 0, -1),
        (0, True, 0, -1),
    ],
)
def test_rotation_and_mirroring_are_applied(
    tmp_path: Path, rotation: int, hflip: bool, row: int, column: int
) -> None:
    path = write_video(tmp_path / "a.mp4", rotation=rotation, hflip=hflip)
    pixels = next(read_frames(path)).pixels
    size = (WIDTH, HEIGHT) if rotation in (90, -90) else (HEIGHT, WIDTH)
    info = probe(path)
    assert pixels.shape == (*size, 3)
    assert (info.height, info.width) == size
    assert pixels[row, column, 0] > 230
    assert pixels[row, column, 1] < 40
    assert pixels.flags.c_contiguous


def test_pixels_that_are_not_square_become_square(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", aspect=Fraction(4, 3))
    assert next(read_frames(path)).pixels.shape == (HEIGHT, 86, 3)
    assert probe(path).width == 86


def test_a_frame_may_be_changed_without_harm_to_the_next(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", times=[Fraction(k, 25) for k in range(5)])
    untouched = [frame.pixels.copy() for frame in read_frames(path)]
    for frame, expected in zip(read_frames(path), untouched, strict=True):
        assert np.array_equal(frame.pixels, expected)
        frame.pixels[:] = 0


def test_probe_tells_what_the_file_claims(tmp_path: Path) -> None:
    info = probe(write_video(tmp_path / "a.mp4", sound=noise(16_000, 0.4)))
    assert (info.num_frames, info.duration) == (10, Fraction(2, 5))
    assert info.has_sound
    assert not info.is_still
    assert not probe(write_video(tmp_path / "b.mp4")).has_sound


@pytest.mark.parametrize("name", ["with space.mp4", "Größe 日本語 %03d.mp4", "-dash 'q\".mp4"])
def test_odd_names_are_names(tmp_path: Path, name: str) -> None:
    assert len(list(read_frames(write_video(tmp_path / name)))) == 10


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff"])
def test_a_still_is_one_frame_at_zero(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"Bild ü{suffix}"
    path.write_bytes(cv2.imencode(suffix, picture(90)[..., ::-1])[1].tobytes())
    (frame,) = read_frames(path)
    assert frame.time == 0
    assert np.abs(frame.pixels[-1, -1].astype(int) - 90).max() <= 2
    assert frame.pixels[2, 2, 0] > 200
    assert frame.pixels[2, 2, 2] < 60
    info = probe(path)
    assert info.is_still
    assert (info.width, info.height, info.num_frames) == (WIDTH, HEIGHT, 1)


@pytest.mark.parametrize(("orientation", "row", "column"), [(3, -1, -1), (6, 0, -1), (8, -1, 0)])
def test_exif_orientation_is_applied(
    tmp_path: Path, orientation: int, row: int, column: int
) -> None:
    jpeg = cv2.imencode(".jpg", picture(90)[..., ::-1])[1].tobytes()
    tag = bytes.fromhex("0112 0003 00000001") + orientation.to_bytes(2, "big") + b"\0\0"
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + tag + b"\0\0\0\0"
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    pixels = next(read_frames(path)).pixels
    assert pixels.shape[:2] == ((HEIGHT, WIDTH) if orientation == 3 else (WIDTH, HEIGHT))
    assert pixels[row, column, 0] > 200
    assert pixels[row, column, 1] < 60


def test_a_transparent_picture_is_laid_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((8, 8, 4), dtype=np.uint8)
    rgba[:4] = (0, 0, 200, 255)
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", rgba)[1].tobytes())
    pixels = next(read_frames(path)).pixels
    assert pixels[0, 0].tolist() == [200, 0, 0]
    assert pixels[7, 7].tolist() == [255, 255, 255]


@pytest.mark.parametrize("matrix", [(0.2126, 0.7152, 1), (0.299, 0.587, 5)])
def test_colours_follow_the_tagged_matrix(tmp_path: Path, matrix: tuple[float, float, int]) -> None:
    red, green, colorspace = matrix
    colour = np.array([200.0, 60.0, 30.0])
    luma = colour @ [red, green, 1 - red - green]
    blue_difference = (colour[2] - luma) / (2 * (red + green))
    red_difference = (colour[0] - luma) / (2 * (1 - red))
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = colorspace, 1
        planes = np.empty((HEIGHT * 3 // 2, WIDTH), dtype=np.uint8)
        planes[:HEIGHT] = round(16 + luma * 219 / 255)
        planes[HEIGHT : HEIGHT * 5 // 4] = round(128 + blue_difference * 224 / 255)
        planes[HEIGHT * 5 // 4 :] = round(128 + red_difference * 224 / 255)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode(None))
    pixels = next(read_frames(path)).pixels
    assert np.abs(pixels.reshape(-1, 3).mean(axis=0) - colour).max() <= 3


def test_bad_names_are_told_at_the_call(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        read_frames(tmp_path / "missing.mp4")
    with pytest.raises(MediaError, match="is a folder"):
        probe(tmp_path)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaError, match="is empty"):
        probe(tmp_path / "empty.mp4")


@pytest.mark.parametrize(
    "content", [b"this is no video at all, just a sentence\n" * 50, b"\0" * 99]
)
def test_a_file_that_is_not_media_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"notes\.mp4"):
        probe(path)


def test_a_broken_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"junk" * 20)
    with pytest.raises(MediaError, match="cannot be decoded"):
        list(read_frames(path))


def test_sound_alone_is_not_a_video(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", noise(16_000, 0.2), 16_000)
    with pytest.raises(MediaError, match="has no picture"):
        probe(path)


def test_cover_art_is_not_a_video(tmp_path: Path) -> None:
    png = cv2.imencode(".png", picture(90))[1].tobytes()
    frame = b"\0image/png\0\x03\0" + png
    id3 = b"APIC" + len(frame).to_bytes(4, "big") + b"\0\0" + frame
    size = bytes((len(id3) >> shift) & 127 for shift in (21, 14, 7, 0))
    plain = tmp_path / "plain.mp3"
    with av.open(str(plain), "w") as container:
        stream = container.add_stream("libmp3lame", rate=16_000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(noise(16_000, 0.5), format="fltp", layout="mono")
        sound.sample_rate = 16_000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3\x03\0\0" + size + id3 + plain.read_bytes())
    with av.open(str(path)) as container:
        assert container.streams.video  # the cover is there and looks like one
    with pytest.raises(MediaError, match="has no picture"):
        probe(path)


def test_a_file_cut_short_is_an_error_that_says_when(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    with av.open(str(whole), "w", container_options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        random = np.random.default_rng(0)
        for _ in range(100):
            pixels = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    frames = read_frames(cut)
    assert next(frames).time == 0
    with pytest.raises(MediaError, match=r"damaged after \d\.\d+ s"):
        list(frames)


def test_a_matroska_file_cut_short_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = write_video(tmp_path / "whole.mkv", num_frames=100).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        assert len(list(read_frames(tmp_path / "cut.mkv"))) < 100
    assert "before the end that the file claims" in caplog.text


def test_frames_out_of_order_are_dropped_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        for index, pts in enumerate([0, 40, 80, 80, 120]):
            frame = av.VideoFrame.from_ndarray(picture(level_of(index)), format="rgb24")
            (packet,) = stream.encode(frame)
            packet.pts = packet.dts = pts
            packet.time_base = Fraction(1, 1000)
            container.mux(packet)
    with caplog.at_level(logging.WARNING):
        times = [frame.time for frame in read_frames(path)]
    assert times == [Fraction(k, 25) for k in range(4)]
    assert "dropped 1 frames" in caplog.text


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", num_frames=300)
    tracemalloc.start()
    num_frames = sum(1 for _ in read_frames(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert num_frames == 300
    assert peak < 40 * WIDTH * HEIGHT * 3
