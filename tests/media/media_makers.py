"""Small media files for the tests, made with PyAV alone."""

import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
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
