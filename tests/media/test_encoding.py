import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from media_makers import lag_samples, noise, write_wav
from numpy.typing import NDArray
from skimage import data

from lipwright.errors import ConfigError, MediaError
from lipwright.media import (
    Encoding,
    NativeFrame,
    NativeWriter,
    Pipe,
    available_encoders,
    native_still,
    read_native,
    read_speech,
)
from lipwright.media.encoding import ENCODERS, PRESETS
from lipwright.media.native import colour_of
from lipwright.media.native_rgb import rgb
from lipwright.media.pixel_layout import ALPHA, layout_of

FPS = Fraction(25)
SOFTWARE = ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "prores_ks"]
LOSSLESS = [name for name in SOFTWARE if name != "prores_ks"]


def photo(width: int = 192, height: int = 128) -> NDArray[np.uint8]:
    face = data.astronaut()[40:232, 96:384]
    return np.asarray(cv2.resize(face, (width, height), interpolation=cv2.INTER_AREA))


def frame_of(pixel_format: str = "yuv420p") -> NativeFrame:
    """A photo; where there is alpha, it falls from left to right."""
    still = native_still(photo())
    picture = still.picture.reformat(format=pixel_format)
    layout = layout_of(pixel_format)
    colour = colour_of(picture, layout)
    frame = replace(still, picture=picture, layout=layout, colour=colour, is_still=False)
    if not layout.has_alpha:
        return frame
    edited, planes = frame.edited()
    ramp = np.linspace(layout.largest, 0, 192).astype(planes[0].dtype)
    for plane, channels in zip(planes, layout.planes, strict=True):
        if ALPHA in channels:
            samples = plane if plane.ndim == 2 else plane[..., channels.index(ALPHA)]
            samples[...] = ramp
    return edited


def write(
    path: Path | Pipe,
    encoding: Encoding | None = None,
    *,
    frame: NativeFrame | None = None,
    num_frames: int = 5,
    speech: Path | None = None,
) -> None:
    frame = frame_of() if frame is None else frame
    with NativeWriter(path, fps=FPS, speech=speech, encoding=encoding, threads=1) as writer:
        for index in range(num_frames):
            writer.write(frame.at(index / FPS))


def suffix_for(codec: str) -> str:
    return ENCODERS[codec].containers[0]


def alpha_of(frame: NativeFrame) -> NDArray[np.float64]:
    at = next(k for k, channels in enumerate(frame.layout.planes) if ALPHA in channels)
    return np.asarray(frame.planes()[at], dtype=np.float64) / frame.layout.largest


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.WARNING, logger="lipwright.media"):
        yield caplog


@pytest.mark.parametrize(("wrong", "said"), [
    ({"codec": "h264"}, r"codec must be one of libx264, .*got 'h264'"),
    ({"crf": 52}, r"crf must be 0 \(best\) to 51 \(worst\), got 52"),
    ({"crf": -1}, "got -1"),
    ({"preset": "warp"}, r"preset must be one of ultrafast, .*got 'warp'"),
    ({"pixel_format": "rgb24"}, r"pixel_format must be of Y Cb Cr.*got 'rgb24'"),
    ({"pixel_format": "yuv"}, "got 'yuv'"),
    ({"codec": "libx264", "pixel_format": "yuv420p12le"}, "pixel_format of libx264 must be one of"),
    ({"codec": "prores_ks", "pixel_format": "yuv420p"}, "yuv422p10le"),
])  # fmt: skip
def test_a_setting_that_cannot_be_is_refused_with_those_that_can(
    wrong: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        Encoding(**wrong)  # type: ignore[arg-type]


def test_the_software_encoders_are_there() -> None:
    assert set(SOFTWARE) <= set(available_encoders())


def test_an_encoder_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    absent = next(name for name in ENCODERS if name not in available_encoders())
    with pytest.raises(MediaError, match=rf"{absent} cannot be used here.*use libx264, libx265"):
        NativeWriter(tmp_path / "a.mp4", fps=FPS, speech=None, encoding=Encoding(codec=absent))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("codec", "suffix"), [
    ("libx264", ".webm"), ("prores_ks", ".mp4"), ("libsvtav1", ".mov"),
])  # fmt: skip
def test_a_container_that_does_not_hold_the_codec_is_refused(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    with pytest.raises(MediaError, match=rf"\{suffix} does not hold what {codec} makes; use "):
        NativeWriter(tmp_path / f"a{suffix}", fps=FPS, speech=None, encoding=Encoding(codec=codec))


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [(codec, suffix) for codec in SOFTWARE for suffix in ENCODERS[codec].containers],
)
def test_every_codec_goes_into_its_containers(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, Encoding(codec=codec, preset="ultrafast"))
    back = list(read_native(path))
    slack = Fraction(1, 2000) if suffix in {".mkv", ".webm"} else Fraction(0)
    assert len(back) == 5
    assert all(abs(frame.time - k / FPS) <= slack for k, frame in enumerate(back))
    assert np.abs(rgb(back[-1]).astype(int) - photo()).mean() < 5


@pytest.mark.parametrize("codec", LOSSLESS)
def test_a_rate_factor_of_0_is_lossless(tmp_path: Path, codec: str) -> None:
    frame = frame_of()
    path = tmp_path / f"a{suffix_for(codec)}"
    write(path, Encoding(codec=codec, crf=0), frame=frame)
    for back in read_native(path):
        for plane, expected in zip(back.planes(), frame.planes(), strict=True):
            np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("codec", SOFTWARE)
def test_a_higher_rate_factor_is_smaller_and_worse(tmp_path: Path, codec: str) -> None:
    sizes, errors = [], []
    for crf in (8, 20, 32, 44):
        path = tmp_path / f"{crf}{suffix_for(codec)}"
        write(path, Encoding(codec=codec, crf=crf), num_frames=2)
        sizes.append(path.stat().st_size)
        luma = next(read_native(path)).planes()[0].astype(float)
        luma *= 255 / (255 if luma.max() < 256 else 1023)
        errors.append(np.abs(luma - frame_of().planes()[0]).mean())
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    assert sizes[0] > 1.5 * sizes[-1]


@pytest.mark.parametrize("codec", SOFTWARE)
@pytest.mark.parametrize("preset", [PRESETS[0], PRESETS[-1]])
def test_every_encoder_knows_the_outermost_presets(tmp_path: Path, codec: str, preset: str) -> None:
    path = tmp_path / f"a{suffix_for(codec)}"
    write(path, Encoding(codec=codec, preset=preset), num_frames=2)
    assert len(list(read_native(path))) == 2


@pytest.mark.parametrize(("source", "wanted", "said"), [
    ("yuv444p10le", "yuv420p", r"10 bits become 8; chroma of 4:4:4 becomes 4:2:0"),
    ("yuv422p", "yuv420p", r"chroma of 4:2:2 becomes 4:2:0"),
    ("yuv420p", "yuv444p10le", ""),
])  # fmt: skip
def test_a_pixel_format_that_is_asked_for_is_written_and_losses_are_told_once(
    tmp_path: Path, told: pytest.LogCaptureFixture, source: str, wanted: str, said: str
) -> None:
    path = tmp_path / "a.mp4"
    write(path, Encoding(pixel_format=wanted, crf=4), frame=frame_of(source))
    back = list(read_native(path))
    assert {frame.layout.name for frame in back} == {wanted}
    assert np.abs(rgb(back[0]).astype(int) - photo()).mean() < 4
    assert [said] * bool(said) == [record.getMessage().split(": ", 1)[1] for record in told.records]


def test_a_format_that_the_chosen_encoder_does_not_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="libx264 does not take the pixel format yuva420p; use "):
        write(tmp_path / "a.mp4", Encoding(pixel_format="yuva420p"))
    assert list(tmp_path.iterdir()) == []


def test_a_warning_says_what_an_encoder_of_8_bits_loses(
    tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.webm", Encoding(codec="libvpx-vp9"), frame=frame_of("yuv420p10le"))
    assert [record.getMessage() for record in told.records] == [
        f"{tmp_path / 'a.webm'}: 10 bits become 8"
    ]


@pytest.mark.parametrize(("suffix", "source", "codec", "written"), [
    (".mov", "yuva420p", "prores", "yuva444p12le"),
    (".mov", "yuva444p10le", "prores", "yuva444p12le"),
    (".mov", "rgba", "prores", "yuva444p12le"),
    (".webm", "yuva420p", "vp9", "yuva420p"),
])  # fmt: skip
def test_transparency_is_kept(
    tmp_path: Path, told: pytest.LogCaptureFixture, suffix: str, source: str, codec: str,
    written: str,
) -> None:  # fmt: skip
    path = tmp_path / f"a{suffix}"
    frame = frame_of(source)
    write(path, Encoding(crf=6), frame=frame)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
    back = list(read_native(path))
    assert len(back) == 5
    for picture in back:
        assert picture.layout.name == written
        ramp = np.tile(np.linspace(1, 0, 192), (128, 1))
        assert np.abs(alpha_of(picture) - ramp).mean() < 0.01
    assert [picture.time for picture in back] == [k / FPS for k in range(5)]
    assert told.records == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_transparency_that_is_left_out_is_told(
    tmp_path: Path, told: pytest.LogCaptureFixture, suffix: str
) -> None:
    write(tmp_path / f"a{suffix}", frame=frame_of("yuva420p"))
    assert [record.getMessage() for record in told.records] == [
        f"{tmp_path / f'a{suffix}'}: transparency is left out"
    ]


@pytest.mark.parametrize(("source", "codec"), [("yuv420p", "vp9"), ("yuv420p10le", "av1")])
def test_webm_has_a_codec_of_its_own_and_the_sound_in_opus(
    tmp_path: Path, source: str, codec: str
) -> None:
    said = noise(44_100, 1.0)
    speech = write_wav(tmp_path / "a.wav", said, 44_100)
    path = tmp_path / "a.webm"
    write(path, frame=frame_of(source), num_frames=25, speech=speech)
    with av.open(str(path)) as container:
        assert container.format.name == "matroska,webm"
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
        assert container.streams.audio[0].codec_context.codec.canonical_name == "opus"
    heard, expected = read_speech(path), read_speech(speech)
    assert abs(heard.size - expected.size) <= 16
    assert abs(lag_samples(heard, expected)) <= 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_pipe_takes_a_whole_video_and_is_not_gone_back_in(tmp_path: Path, suffix: str) -> None:
    class OneWay(io.BytesIO):
        def seek(self, *_: int) -> int:
            raise AssertionError("a pipe cannot be gone back in")

    stream = OneWay()
    speech = write_wav(tmp_path / "a.wav", noise(16_000, 1.0), 16_000)
    write(Pipe(stream, suffix), num_frames=25, speech=speech)  # type: ignore[arg-type]
    assert not stream.closed
    sent = stream.getvalue()
    if suffix == ".mp4":
        # The index comes first and every picture in a fragment, to be played as it comes.
        assert sent.index(b"moov") < sent.index(b"moof") < sent.index(b"mdat")
    path = tmp_path / f"back{suffix}"
    path.write_bytes(sent)
    back = list(read_native(path))
    slack = Fraction(0) if suffix == ".mp4" else Fraction(1, 2000)
    assert len(back) == 25
    assert all(abs(frame.time - k / FPS) <= slack for k, frame in enumerate(back))
    assert abs(lag_samples(read_speech(path), read_speech(speech))) <= 2


def test_a_pipe_that_nobody_reads_is_told() -> None:
    class Closed(io.BytesIO):
        def write(self, _: object) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(MediaError, match=r"cannot write 'standard output' \(.*Broken pipe"):
        write(Pipe(Closed()), num_frames=40)
