import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from media_makers import lag_samples, noise, write_video, write_wav
from numpy.typing import NDArray

from lipwright.errors import MediaError
from lipwright.media import Extras, NativeWriter, read_native, read_sound, read_speech
from lipwright.media.subtitles import ASS_HEADER

FPS = Fraction(25)
TEXTS = [("Hello", 200, 300), ("two\nlines", 600, 250)]  # text, begin and length in milliseconds
EVENT = "0,0,Default,,0,0,0,,"


def stored(codec: str, text: str) -> bytes:
    if codec == "mov_text":
        return len(text.encode()).to_bytes(2, "big") + text.encode()
    if codec == "ass":
        return (EVENT + r"{\i1}" + text.replace("\n", r"\N")).encode()
    return (f"<i>{text}</i>" if codec == "subrip" else text).encode()


def write_film(
    path: Path,
    *,
    subtitles: str,
    sound_codec: str = "aac",
    sound: NDArray[np.float32] | None = None,
    start: Fraction = Fraction(0),
) -> Path:
    """A second of video with a title, two chapters, sound, subtitles and a time code."""
    sound = noise(48_000, 1.0) if sound is None else sound
    with av.open(str(path), "w") as container:
        container.metadata.update(title="Film", creation_time="2020-01-02T03:04:05.000000Z")
        shown = container.add_stream("libx264", rate=25)
        shown.width, shown.height, shown.pix_fmt = 64, 48, "yuv420p"
        shown.metadata.update(language="eng", timecode="01:00:00:00")
        heard = container.add_stream(sound_codec, rate=48_000)
        heard.layout = "mono"
        heard.metadata.update(language="deu", title="As spoken")
        read = container.add_stream(subtitles)
        read.codec_context.subtitle_header = ASS_HEADER
        read.metadata["language"] = "fra"
        container.set_chapters([
            {"id": number, "start": begin, "end": begin + 500, "time_base": Fraction(1, 1000),
             "metadata": {"title": title}}
            for number, (title, begin) in enumerate([("One", 0), ("Two", 500)])
        ])  # fmt: skip
        container.start_encoding()
        for index in range(25):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = round((index / FPS + start) * 1000), Fraction(1, 1000)
            container.mux(shown.encode(frame))
        container.mux(shown.encode(None))
        samples = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
        samples.sample_rate, samples.time_base = 48_000, Fraction(1, 48_000)
        samples.pts = round(start * 48_000)
        container.mux(heard.encode(samples))
        container.mux(heard.encode(None))
        for text, begin, length in TEXTS:
            packet = av.Packet(stored(subtitles, text))
            packet.stream, packet.time_base = read, Fraction(1, 1000)
            packet.pts = packet.dts = begin + round(start * 1000)
            packet.duration = length
            container.mux(packet)
    return path


def change(source: Path, out: Path, *, speech: Path | None = None, num_frames: int = 25,
           **extras: object) -> Path:  # fmt: skip
    """Write the pictures anew, with what else the source holds."""
    taken = Extras(source=source, **extras)  # type: ignore[arg-type]
    with NativeWriter(out, fps=FPS, speech=speech, extras=taken) as writer:
        for index, frame in enumerate(read_native(source)):
            if index < num_frames:
                writer.write(frame)
    return out


def subtitles_of(path: Path) -> list[tuple[str, int, int]]:
    """Text, begin and length in milliseconds."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        for packet in container.demux(stream):
            body = bytes(packet)
            if stream.codec_context.name == "mov_text":
                body = body[2:]
            if body and packet.pts is not None:
                unit = packet.time_base * 1000
                text = body.decode().replace("<i>", "").replace("</i>", "")
                if stream.codec_context.name == "ass":
                    text = text.split(",", 8)[8].replace(r"\N", "\n").replace(r"{\i1}", "")
                found.append((text, round(packet.pts * unit), round(packet.duration * unit)))
    return found


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.WARNING, logger="lipwright.media"):
        yield caplog


@pytest.mark.parametrize(("source", "subtitles", "out", "written"), [
    (".mp4", "mov_text", ".mp4", "mov_text"),
    (".mp4", "mov_text", ".mov", "mov_text"),
    (".mp4", "mov_text", ".mkv", "srt"),
    (".mkv", "subrip", ".mp4", "mov_text"),
    (".mkv", "subrip", ".mkv", "srt"),
    (".mkv", "subrip", ".webm", "webvtt"),
    (".mkv", "ass", ".mkv", "ssa"),
    (".mkv", "ass", ".mp4", "mov_text"),
])  # fmt: skip
def test_subtitles_go_along_in_the_words_of_the_container(
    tmp_path: Path, told: pytest.LogCaptureFixture, source: str, subtitles: str, out: str,
    written: str,
) -> None:  # fmt: skip
    film = write_film(tmp_path / f"film{source}", subtitles=subtitles)
    path = change(film, tmp_path / f"out{out}")
    with av.open(str(path)) as container:
        (stream,) = container.streams.subtitles
        assert stream.codec_context.name in {written, written.replace("ssa", "ass")}
        assert stream.language == "fra"
    assert [(text.split(",", 8)[-1].replace(r"\N", "\n").replace(r"{\i1}", ""), *when)
            for text, *when in subtitles_of(path)] == TEXTS  # fmt: skip
    assert told.records == []


@pytest.mark.parametrize("out", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("source", [".mp4", ".mkv"])
def test_what_describes_the_film_goes_along(tmp_path: Path, source: str, out: str) -> None:
    kind = "mov_text" if source == ".mp4" else "subrip"
    film = write_film(tmp_path / f"film{source}", subtitles=kind)
    path = change(film, tmp_path / f"out{out}", until=Fraction(4, 5), num_frames=20)
    with av.open(str(path)) as container:
        named = {key.lower(): text for key, text in container.metadata.items()}
        assert named["title"] == "Film"
        assert named["creation_time"].startswith("2020-01-02T03:04:05")
        (shown,) = container.streams.video
        said = {key.lower(): text for key, text in shown.metadata.items()}
        assert (said["language"], said["timecode"]) == ("eng", "01:00:00:00")
        chapters = [
            (
                entry["metadata"]["title"],
                entry["start"] * entry["time_base"],
                entry["end"] * entry["time_base"],
            )
            for entry in container.chapters()
        ]
    assert chapters == [("One", 0, Fraction(1, 2)), ("Two", Fraction(1, 2), Fraction(4, 5))]


@pytest.mark.parametrize(("codec", "source", "out", "written"), [
    ("aac", ".mp4", ".mp4", "aac"), ("aac", ".mp4", ".mkv", "aac"),
    ("flac", ".mkv", ".mkv", "flac"), ("aac", ".mkv", ".webm", "opus"),
    ("pcm_s16le", ".mkv", ".webm", "opus"),
])  # fmt: skip
def test_the_original_sound_is_a_second_track_that_players_leave_off(
    tmp_path: Path, codec: str, source: str, out: str, written: str
) -> None:
    kind = "mov_text" if source == ".mp4" else "subrip"
    spoken, dubbed = noise(48_000, 1.0, seed=1), noise(16_000, 1.0, seed=2)
    film = write_film(tmp_path / f"film{source}", subtitles=kind, sound_codec=codec, sound=spoken)
    speech = write_wav(tmp_path / "a.wav", dubbed, 16_000)
    path = change(film, tmp_path / f"out{out}", speech=speech, with_sound=True)
    with av.open(str(path)) as container:
        first, second = container.streams.audio
        assert second.codec_context.codec.canonical_name == written
        assert bool(first.disposition & Disposition.default)
        assert not second.disposition & Disposition.default
        assert second.language == "deu"
    assert abs(lag_samples(read_speech(path), read_speech(speech))) <= 2
    original = read_speech(path, stream=1)
    tick = 16 if out == ".mkv" else 2  # Matroska counts in milliseconds
    lag = lag_samples(original, read_speech(film))
    assert abs(lag) <= tick
    strength = np.corrcoef(original[20 + lag :][:15_000], read_speech(film)[20:][:15_000])[0, 1]
    assert strength > 0.95


def test_a_copied_track_has_the_packets_of_the_source(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", subtitles="mov_text")
    path = change(film, tmp_path / "out.mp4", with_sound=True)

    def packets(file: Path) -> list[bytes]:
        with av.open(str(file)) as container:
            return [bytes(p) for p in container.demux(container.streams.audio[0]) if p.size]

    assert packets(path) == packets(film)[: len(packets(path))]
    assert len(packets(path)) >= 47


@pytest.mark.parametrize("out", [".mp4", ".mkv"])
def test_everything_is_on_the_clock_of_the_first_picture(tmp_path: Path, out: str) -> None:
    """A source whose first picture is shown two seconds after its clock's zero."""
    spoken = noise(48_000, 1.0, seed=1)
    film = write_film(tmp_path / "film.mkv", subtitles="subrip", sound=spoken, start=Fraction(2))
    path = change(film, tmp_path / f"out{out}", with_sound=True)
    assert subtitles_of(path) == TEXTS
    tick = 16 if out == ".mkv" else 2  # Matroska counts in milliseconds
    assert abs(lag_samples(read_speech(path), read_speech(film))) <= tick


def test_what_comes_after_the_end_is_left_out(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mkv", subtitles="subrip")
    path = change(film, tmp_path / "out.mkv", num_frames=12)
    assert [text for text, *_ in subtitles_of(path)] == ["Hello"]


def test_fonts_go_along_in_matroska_and_are_told_elsewhere(
    tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    film = tmp_path / "film.mkv"
    with av.open(str(film), "w") as container:
        shown = container.add_stream("libx264", rate=25)
        shown.width, shown.height, shown.pix_fmt = 64, 48, "yuv420p"
        container.add_attachment("a.ttf", "font/ttf", b"letters")
        for index in range(5):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(shown.encode(frame))
        container.mux(shown.encode(None))
    with av.open(str(change(film, tmp_path / "out.mkv"))) as container:
        assert [entry.data for entry in container.streams.attachments] == [b"letters"]
    assert told.records == []
    change(film, tmp_path / "out.mp4")
    assert [record.getMessage() for record in told.records] == [
        f"{film}: attached file a.ttf (stream 1) cannot go into .mp4 and is left out"
    ]


def test_a_photo_has_nothing_that_goes_along(astronaut_file: Path, tmp_path: Path) -> None:
    path = change(astronaut_file, tmp_path / "out.mp4", with_sound=True)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_one_of_several_streams_of_sound_is_chosen(tmp_path: Path) -> None:
    first, second = noise(16_000, 1.0, seed=1), noise(16_000, 1.0, seed=2)
    film = write_video(tmp_path / "a.mp4", sound=first, num_frames=25)
    speech = write_wav(tmp_path / "b.wav", second, 16_000)
    both = change(film, tmp_path / "both.mkv", speech=speech, with_sound=True)
    for number, said in enumerate([second, first]):
        heard = read_speech(both, stream=number)
        assert np.corrcoef(heard[:15_000], said[0, :15_000])[0, 1] > 0.9
    with pytest.raises(MediaError, match=r"stream of sound 2; it has 0: aac, mono, 16000 Hz; 1:"):
        read_speech(both, stream=2)
    out = tmp_path / "out.mp4"
    with NativeWriter(out, fps=FPS, speech=read_sound(both, stream=1)) as writer:
        for frame in read_native(film):
            writer.write(frame)
    assert np.corrcoef(read_speech(out)[:15_000], first[0, :15_000])[0, 1] > 0.9
