"""Videos to measure on, made anew each time: a public-domain face that moves, with camera noise."""

import wave
from fractions import Fraction
from math import ceil
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from skimage import data

from lipwright.media import SPEECH_RATE, read_speech

FPS = 25
NOISE = 1.5  # levels of 255: a camera in good light
_PERIOD = 4.0  # seconds in which the head sways once
_ENCODED = 60  # seconds that are encoded, a whole number of sways; from there on they come again


def write_scene(path: Path, *, width: int, height: int, seconds: float, seed: int = 0) -> Path:
    """Write a video of a face in front of a wall.

    Args:
        path: File to write: .mp4.
        width: In pixels.
        height: In pixels.
        seconds: How long; beyond a minute the next whole one.
        seed: Of the noise.

    Returns:
        The file.
    """
    if seconds > _ENCODED:
        part = path.with_name(f"part-{path.name}")
        write_scene(part, width=width, height=height, seconds=_ENCODED, seed=seed)
        _repeat(part, path, times=ceil(seconds / _ENCODED))
        part.unlink()
        return path
    picture = _portrait(width, height)
    rng = np.random.default_rng(seed)
    grain = [rng.normal(0, NOISE, picture.shape).astype(np.float32) for _ in range(8)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "18"})
        if not isinstance(stream, VideoStream):
            raise TypeError(f"x264 made a {stream.type} stream")
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(round(seconds * FPS)):
            pixels = _swayed(picture, index / FPS) + grain[index % len(grain)]
            frame = av.VideoFrame.from_ndarray(np.clip(pixels, 0, 255).astype(np.uint8), "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _repeat(part: Path, path: Path, *, times: int) -> None:
    """Write the packets of a video several times, one after the other."""
    with av.open(str(path), "w") as container:
        stream = None
        for time in range(times):
            with av.open(str(part)) as source:
                pictures = source.streams.video[0]
                stream = stream or container.add_stream_from_template(pictures)
                for packet in source.demux(pictures):
                    if packet.pts is None or packet.dts is None:
                        continue  # the empty one at the end
                    ticks = round(time * _ENCODED / packet.time_base)
                    packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                    packet.stream = stream
                    container.mux(packet)


def write_speech(source: Path, path: Path, *, seconds: float) -> Path:
    """Write a speech over and over until it is long enough.

    Args:
        source: The speech.
        path: File to write: .wav.
        seconds: How long.

    Returns:
        The file.
    """
    samples = read_speech(source)
    wanted = round(seconds * SPEECH_RATE)
    repeated = np.tile(samples, -(-wanted // len(samples)))[:wanted]
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SPEECH_RATE)
        sound.writeframes((np.clip(repeated, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def _portrait(width: int, height: int) -> NDArray[np.float32]:
    """``(H, W, 3)``: the face is about 40 % of the picture's height."""
    astronaut = data.astronaut()
    side = round(height * 1.25)
    large = cv2.resize(astronaut, (side, side), interpolation=cv2.INTER_CUBIC)
    wall = cv2.GaussianBlur(cv2.resize(astronaut, (width, height)), (0, 0), width / 40)
    picture = wall.astype(np.float32)
    left, top = (width - side) // 2, round(0.02 * height)
    rows = min(side, height - top)
    x0, x1 = max(left, 0), min(left + side, width)
    picture[top : top + rows, x0:x1] = large[:rows, x0 - left : x1 - left]
    return picture


def _swayed(picture: NDArray[np.float32], time: float) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    phase = 2 * np.pi * time / _PERIOD
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 2 * np.sin(phase), 1.04)
    matrix[:, 2] += (0.012 * width * np.sin(phase / 2), 0.008 * height * np.cos(phase))
    swayed = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(swayed, dtype=np.float32)
