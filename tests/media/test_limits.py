"""What asks for too much is refused before memory goes, with the limit and the way out."""

import resource
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import pytest
from media_makers import noise, picture, write_video, write_wav

from lipwright.errors import ConfigError, MediaError
from lipwright.media import probe, read_native, read_speech
from lipwright.media.limits import Limits, limits_in_force, require_sampling, require_size


def png(width: int, height: int, *, claimed: int | None = None) -> bytes:
    """A PNG whose pixels are missing; its second chunk may claim a length."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"", claimed=claimed)


def chunk(name: bytes, body: bytes, *, claimed: int | None = None) -> bytes:
    length = struct.pack(">I", len(body) if claimed is None else claimed)
    return length + name + body + struct.pack(">I", zlib.crc32(name + body))


def gif(width: int, height: int) -> bytes:
    """A GIF whose one picture ends at once."""
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return (
        b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2\x4c\1\0;"
    )


def jpeg(width: int, height: int) -> bytes:
    return (
        b"\xff\xd8\xff\xe0\0\4ab\xff\xc0\0\x11\x08" + struct.pack(">HH", height, width) + b"\3" * 12
    )


def bmp(width: int, height: int) -> bytes:
    return b"BM" + bytes(12) + struct.pack("<Iii", 40, width, -height) + bytes(40)


def tiff(width: int, height: int) -> bytes:
    entries = struct.pack("<HHII", 256, 4, 1, width) + struct.pack("<HHII", 257, 4, 1, height)
    return b"II*\0\x08\0\0\0\2\0" + entries + bytes(4)


def webp(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + sides


BOMBS = {".png": png, ".gif": gif, ".jpg": jpeg, ".bmp": bmp, ".tiff": tiff, ".webp": webp}


@pytest.mark.parametrize("suffix", BOMBS)
def test_a_picture_of_billions_of_pixels_is_refused_before_memory_is_taken(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(BOMBS[suffix](60_000, 50_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (probe, lambda path: next(read_native(path))):
        with pytest.raises(MediaError, match=r"60000x50000.*67108864.*LIPWRIGHT_LIMIT_PIXELS"):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


def test_a_chunk_of_a_picture_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(64, 64, claimed=0xFF7F0000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MediaError, match="cannot be decoded"):
        probe(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


def test_a_strip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "strip.png"
    path.write_bytes(png(60_000, 1))
    with pytest.raises(MediaError, match=r"60000x1 .*LIPWRIGHT_LIMIT_PROPORTION"):
        probe(path)


def test_a_large_still_file_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIPWRIGHT_LIMIT_STILL_BYTES", "40")
    path = tmp_path / "still.png"
    path.write_bytes(png(8, 8))
    with pytest.raises(MediaError, match=r"45 bytes.*40.*LIPWRIGHT_LIMIT_STILL_BYTES"):
        probe(path)


def test_video_that_grows_on_the_way_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "grows.mjpeg"
    with path.open("wb") as file:
        for side in (64, 64, 512):
            codec = av.CodecContext.create("mjpeg", "w")
            codec.width = codec.height = side
            codec.pix_fmt, codec.time_base = "yuvj420p", Fraction(1, 25)
            frame = av.VideoFrame.from_ndarray(picture(90, width=side, height=side), format="rgb24")
            packets = [*codec.encode(frame.reformat(format="yuvj420p")), *codec.encode(None)]
            file.writelines(bytes(packet) for packet in packets)
    assert [frame.picture.width for frame in read_native(path)] == [64, 64, 512]
    monkeypatch.setenv("LIPWRIGHT_LIMIT_PIXELS", "10000")
    frames = read_native(path)
    assert next(frames).picture.width == 64
    with pytest.raises(MediaError, match=r"damaged after.*more than 10000 pixels"):
        list(frames)


def test_pixels_that_make_a_strip_of_the_picture_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "wide.mkv", aspect=Fraction(20))
    monkeypatch.setenv("LIPWRIGHT_LIMIT_PROPORTION", "20")
    with pytest.raises(MediaError, match=r"1280x48 .*LIPWRIGHT_LIMIT_PROPORTION"):
        probe(path)


def test_a_picture_days_after_the_first_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "days.mkv", times=[Fraction(0), Fraction(1), Fraction(86_400)])
    frames = read_native(path)
    assert [next(frames).time, next(frames).time] == [0, 1]
    with pytest.raises(MediaError, match=r"86400.0 s.*21600.*LIPWRIGHT_LIMIT_SECONDS"):
        list(frames)


def test_sound_longer_than_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_wav(tmp_path / "long.wav", noise(16_000, 2.5), 16_000)
    monkeypatch.setenv("LIPWRIGHT_LIMIT_SECONDS", "3")
    assert read_speech(path).size == 40_000
    monkeypatch.setenv("LIPWRIGHT_LIMIT_SECONDS", "2")
    with pytest.raises(MediaError, match=r"has sound at 2\.\d s.*LIPWRIGHT_LIMIT_SECONDS"):
        read_speech(path)


def test_a_recording_that_claims_four_billion_samples_is_read_as_long_as_it_is(
    tmp_path: Path,
) -> None:
    path = write_wav(tmp_path / "claims.wav", noise(16_000, 1), 16_000)
    raw = bytearray(path.read_bytes())
    raw[4:8] = raw[40:44] = b"\xff\xff\xff\xff"  # as a recording has that was written to a pipe
    path.write_bytes(raw)
    assert read_speech(path).size == 16_000


@pytest.mark.parametrize(
    ("rate", "variable"), [(10, "LOWEST_SAMPLE_RATE"), (2_000_000, "SAMPLE_RATE")]
)
def test_absurd_sample_rates_are_refused(tmp_path: Path, rate: int, variable: str) -> None:
    path = write_wav(tmp_path / "odd.wav", noise(16_000, 0.1), rate)
    with pytest.raises(MediaError, match=rf"{rate} Hz.*LIPWRIGHT_LIMIT_{variable}"):
        read_speech(path)


def test_many_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"100 channels.*64.*LIPWRIGHT_LIMIT_CHANNELS"):
        require_sampling(tmp_path / "a.wav", 16_000, 100)


def test_many_streams_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "two.mkv", sound=noise(16_000, 0.4))
    monkeypatch.setenv("LIPWRIGHT_LIMIT_STREAMS", "1")
    with pytest.raises(MediaError, match=r"has 2 streams.*LIPWRIGHT_LIMIT_STREAMS"):
        probe(path)


@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ffconcat", ".mpd"])
@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile secret.mkv\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nsecret.mkv\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_list_of_other_files_is_not_followed(tmp_path: Path, suffix: str, text: str) -> None:
    write_video(tmp_path / "secret.mkv")
    path = tmp_path / f"list{suffix}"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MediaError, match="playlist"):
        probe(path)


def test_packets_without_a_picture_come_to_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mkv", num_frames=60)
    monkeypatch.setenv("LIPWRIGHT_LIMIT_EMPTY_PACKETS", "1")
    with pytest.raises(MediaError, match=r"without a picture.*LIPWRIGHT_LIMIT_EMPTY_PACKETS"):
        list(read_native(path))  # x264 holds several pictures back


def test_honest_sizes_are_let_in(tmp_path: Path) -> None:
    for width, height in [(7680, 4320), (8192, 4320), (1, 1), (64, 1), (4000, 6000)]:
        require_size(tmp_path / "a.mp4", width, height)
    for rate in (8_000, 44_100, 192_000, 384_000):
        require_sampling(tmp_path / "a.wav", rate, 8)


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "9" * 30, "\u0663"])
def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LIPWRIGHT_LIMIT_PIXELS", value)
    with pytest.raises(ConfigError, match=r"(?i)pixels must be"):
        limits_in_force()


def test_the_environment_changes_one_limit_and_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIPWRIGHT_LIMIT_CHANNELS", "3")
    assert limits_in_force() == Limits(channels=3)
