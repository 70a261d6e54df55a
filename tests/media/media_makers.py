"""Small media files for the tests, made with PyAV alone."""

import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

WIDTH, HEIGHT = 64, 48
CODECS = {
    ".mp4": "libx264",
    ".mkv": "libx264",
    ".mov": "libx264",
    ".webm": "libvpx",
    ".avi": "mpeg4",
}


def picture(
    level: int, *, width: int = WIDTH, height: int = HEIGHT, corner: bool = True
) -> NDArray[np.uint8]:
    """Grey of one level, with a bright red patch in the top left corner."""
    pixels = np.full((height, width, 3), level, dtype=np.uint8)
    if corner:
        pixels[: height // 3, : width // 3] = (255, 0, 0)
    return pixels


def level_of(index: int) -> int:
    """A grey level that tells neighbouring frames apart."""
    return 40 + (index * 37) % 160


def noise(rate: int, seconds: float, *, channels: int = 1, seed: int = 0) -> NDArray[np.float32]:
    """Noise without sharp highs: ``(channels, N)``, so that a lag shows as one clear peak."""
    white = np.random.default_rng(seed).normal(size=(channels, int(rate * seconds) + 31))
    kernel = np.hanning(32) / np.hanning(32).sum()
    smooth = np.stack([np.convolve(row, kernel, mode="valid") for row in white])
    return (0.5 * smooth / np.abs(smooth).max()).astype(np.float32)


def write_wav(path: Path, samples: NDArray[np.float32], rate: int) -> Path:
    """16-bit WAV of ``(channels, N)``."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples.T * 32767).astype("<i2").tobytes())
    return path


def write_float_wav(path: Path, samples: NDArray[np.float32], rate: int) -> Path:
    """Float WAV of ``(N,)``, which may hold anything."""
    body = samples.astype("<f4").tobytes()
    header = (
        b"RIFF" + (36 + len(body)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
        + (3).to_bytes(2, "little") + (1).to_bytes(2, "little") + rate.to_bytes(4, "little")
        + (rate * 4).to_bytes(4, "little") + (4).to_bytes(2, "little") + (32).to_bytes(2, "little")
        + b"data" + len(body).to_bytes(4, "little")
    )  # fmt: skip
    path.write_bytes(header + body)
    return path


def write_video(
    path: Path,
    *,
    times: Sequence[Fraction] | None = None,
    num_frames: int = 10,
    fps: Fraction = Fraction(25),
    rotation: int = 0,
    hflip: bool = False,
    aspect: Fraction | None = None,
    sound: NDArray[np.float32] | None = None,
    sound_rate: int = 16_000,
    sound_start: Fraction = Fraction(0),
    picture_start: Fraction = Fraction(0),
) -> Path:
    """A video of `picture`s at the given times, optionally with sound that begins elsewhere."""
    times = [k / fps for k in range(num_frames)] if times is None else times
    base = Fraction(1, 90_000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[path.suffix], rate=fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 2_000_000
        if path.suffix != ".avi":
            stream.codec_context.time_base = base
        else:
            base = 1 / fps
            stream.codec_context.time_base = base
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation or hflip:
            stream.set_display_rotation(rotation, hflip=hflip)
        speech = None
        if sound is not None:
            codec = {".webm": "libopus", ".mkv": "flac"}.get(path.suffix, "aac")
            speech = container.add_stream(codec, rate=sound_rate)
            speech.layout = "mono" if sound.shape[0] == 1 else "stereo"
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(level_of(index)), format="rgb24")
            frame.pts = round((time + picture_start) / base)
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if speech is not None and sound is not None:
            samples = av.AudioFrame.from_ndarray(sound, format="fltp", layout=speech.layout.name)
            samples.sample_rate = sound_rate
            samples.time_base = Fraction(1, sound_rate)
            samples.pts = round(sound_start * sound_rate)
            container.mux(speech.encode(samples))
            container.mux(speech.encode(None))
    return path


def lag_samples(heard: NDArray[np.float32], said: NDArray[np.float32]) -> int:
    """How many samples later `heard` is than `said`, by the peak of the cross-correlation."""
    length = 2 * max(heard.size, said.size)
    spectrum = np.fft.rfft(heard, length) * np.conj(np.fft.rfft(said, length))
    peak = int(np.argmax(np.fft.irfft(spectrum, length)))
    return peak if peak < length // 2 else peak - length


def stripes(moment: int, *, width: int = 160, height: int = 96) -> NDArray[np.uint8]:
    """Upright stripes that have moved 3 pixels a moment: ``(H, W)`` of luma."""
    columns = 120 + 60 * np.sin(2 * np.pi * (np.arange(width) - 3 * moment) / 40)
    return np.tile(columns.astype(np.uint8), (height, 1))


def write_interlaced(path: Path, *, num_frames: int = 12, fps: int = 25) -> Path:
    """H.264 of interlaced `stripes`: frame k has moment 2k in even rows, 2k + 1 in the odd."""
    base = Fraction(1, fps)
    marking = Graph()  # the encoder takes the order of the fields from the frame
    with av.open(str(path), "w") as container:
        options = {"flags": "+ildct+ilme", "x264-params": "tff=1:weightp=0", "crf": "5"}
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for index in range(num_frames):
            luma = stripes(2 * index)
            luma[1::2] = stripes(2 * index + 1)[1::2]
            colour = np.full((48, 160), 128, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(np.concatenate([luma, colour]), format="yuv420p")
            frame.pts, frame.time_base = index, base
            if index == 0:
                source = marking.add_buffer(
                    width=160, height=96, format=frame.format, time_base=base
                )
                marks = marking.add("setfield", "mode=tff")
                marking.link_nodes(source, marks, marking.add("buffersink")).configure()
            marking.vpush(frame)
            container.mux(stream.encode(marking.vpull()))
        container.mux(stream.encode(None))
    return path
