"""Small talking clips for the tests, made with PyAV from a photograph of a real face."""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from lipwright.faces import Detection
from lipwright.speech import mel_spectrogram

RATE = 16_000
SIDE = 192
# The astronaut's face in a window of 256 x 256 that begins at (100, 0), scaled to SIDE.
POINTS = (
    (np.array([[205, 102], [247, 104], [224, 127], [202, 140], [245, 141]]) - (100, 0)) * SIDE / 256
).astype(np.float32)


@cache
def _astronaut() -> NDArray[np.uint8]:
    return np.asarray(skimage.data.astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call]


def talking(num_frames: int, *, side: int = SIDE) -> list[NDArray[np.uint8]]:
    """Pictures of a face that sways by a few pixels."""
    pictures = []
    for index in range(num_frames):
        x, y = 100 + round(3 * np.sin(index / 4)), 3 + round(3 * np.cos(index / 5))
        picture = cv2.resize(_astronaut()[y : y + 256, x : x + 256], (side, side))
        pictures.append(np.asarray(picture, dtype=np.uint8))
    return pictures


def levels(num_frames: int) -> list[NDArray[np.uint8]]:
    """Grey pictures that tell their own number: see `number_of`."""
    return [np.full((SIDE, SIDE, 3), 40 + 3 * index, dtype=np.uint8) for index in range(num_frames)]


def number_of(picture: NDArray[np.uint8]) -> int:
    return round((float(picture.mean()) - 40) / 3)


def babble(seconds: float, *, seed: int = 0, rate: int = RATE) -> NDArray[np.float32]:
    """A tone and noise whose loudness changes all the time: ``(N,)``."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(size=time.size)
    loudness = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)
    return (loudness * (0.2 * np.sin(2 * np.pi * 220 * time) + 0.05 * noise)).astype(np.float32)


def write_clip(
    path: Path,
    pictures: Sequence[NDArray[np.uint8]],
    sound: NDArray[np.float32] | None,
    *,
    fps: Fraction = Fraction(25),
    rate: int = RATE,
) -> Path:
    """H.264 and AAC; no pictures or no sound leaves that stream out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = None
        if pictures:
            video = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
            video.height, video.width = pictures[0].shape[:2]
            video.pix_fmt = "yuv420p"
            video.codec_context.time_base = 1 / fps
        audio = None
        if sound is not None:
            audio = container.add_stream("aac", rate=rate)
            audio.layout = "mono"
        if video is not None:
            for index, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = index, 1 / fps
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if audio is not None and sound is not None:
            samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            samples.sample_rate = rate
            container.mux(audio.encode(samples))
            container.mux(audio.encode(None))
    return path


def write_released(
    folder: Path, pictures: Sequence[NDArray[np.uint8]], sound: NDArray[np.float32]
) -> Path:
    """The layout of the released preprocessing: 0.jpg, 1.jpg, ... and audio.wav."""
    folder.mkdir(parents=True)
    for index, picture in enumerate(pictures):
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        (folder / f"{index}.jpg").write_bytes(encoded.tobytes())
    write_wav(folder / "audio.wav", sound)
    return folder


def write_wav(path: Path, sound: NDArray[np.float32]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE)
        stream.layout = "mono"
        integers = np.rint(sound * 32767).astype(np.int16)
        samples = av.AudioFrame.from_ndarray(integers[None], format="s16", layout="mono")
        samples.sample_rate = RATE
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    return path


class FixedFace:
    """A detector that finds the face of `talking` wherever it looks, from some look on."""

    def __init__(self, *, scale: float = 1.0, first: int = 0) -> None:
        self._points = POINTS * np.float32(scale)
        self._first = first
        self._num_looks = 0

    def detect(self, pixels: NDArray[np.uint8]) -> list[Detection]:
        assert pixels.ndim == 3
        self._num_looks += 1
        if self._num_looks <= self._first:
            return []
        low, high = self._points.min(axis=0), self._points.max(axis=0)
        box = np.concatenate([low, high]).astype(np.float32)
        return [Detection(box=box, landmarks=self._points, score=1.0)]


def crops_and_mel(
    num_frames: int = 30,
) -> tuple[list[NDArray[np.uint8]], NDArray[np.float32]]:
    """Crops as a pack holds them, and the mel that belongs to them."""
    pictures = talking(num_frames, side=160)
    return pictures, mel_spectrogram(babble(num_frames / 25))
