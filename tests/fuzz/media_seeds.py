"""Small honest files of many containers and codecs, to be damaged."""

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 64  # pixels; SVT-AV1 takes no fewer
NUM_FRAMES = 8
RATE = 16_000  # Hz
SECONDS = 0.4


@dataclass(frozen=True)
class Recipe:
    """How one seed is made."""

    suffix: str
    picture: str = ""
    sound: str = ""
    pixels: str = "yuv420p"
    rotation: int = 0
    is_interlaced: bool = False


_QUIET = {
    "libx264": {"preset": "ultrafast", "bf": "1"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12"},
    "libvpx": {"cpu-used": "8", "deadline": "realtime", "auto-alt-ref": "0"},
    "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime"},
}
RECIPES = (
    Recipe(".mp4", "libx264", "aac"),
    Recipe(".mp4", "libx265", "aac"),
    Recipe(".mp4", "mpeg4", "libmp3lame"),
    Recipe(".mp4", "libsvtav1", "libopus"),
    Recipe(".mov", "prores_ks", "pcm_s16le", "yuv422p10le"),
    Recipe(".mov", "libx264", "aac", rotation=90),
    Recipe(".mkv", "libx265", "flac", "yuv420p10le"),
    Recipe(".mkv", "ffv1", "pcm_s16le", "yuv444p"),
    Recipe(".mkv", "libvpx-vp9", "libopus"),
    Recipe(".webm", "libvpx", "libopus"),
    Recipe(".webm", "libvpx", pixels="yuva420p"),
    Recipe(".webm", "libvpx-vp9", "libopus"),
    Recipe(".avi", "mpeg4", "libmp3lame"),
    Recipe(".avi", "mjpeg", "pcm_s16le", "yuvj420p"),
    Recipe(".ts", "libx264", "aac"),
    Recipe(".ts", "libx264", pixels="yuv420p", is_interlaced=True),
    Recipe(".ts", "mpeg2video", "libmp3lame"),
    Recipe(".flv", "flv", "libmp3lame"),
    Recipe(".flv", "libx264", "aac"),
    Recipe(".gif", "gif", pixels="rgb8"),
    Recipe(".wav", sound="pcm_s16le"),
    Recipe(".wav", sound="pcm_f32le"),
    Recipe(".mp3", sound="libmp3lame"),
    Recipe(".flac", sound="flac"),
    Recipe(".ogg", sound="libopus"),
    Recipe(".m4a", sound="aac"),
    Recipe(".m4a", sound="alac"),
)
STILLS = (".png", ".jpg", ".webp", ".bmp", ".tiff")


def media_seeds(folder: Path) -> dict[str, bytes]:
    """Encode every seed; names end in the suffix of the container."""
    os.environ.setdefault("SVT_LOG", "0")
    seeds = {}
    for recipe in RECIPES:
        name = "-".join(filter(None, (recipe.picture, recipe.sound))) + recipe.suffix
        path = folder / name
        _encode(path, recipe)
        seeds[name] = path.read_bytes()
    for suffix in STILLS:
        seeds[f"still{suffix}"] = _still(suffix, _pixels(0))
    translucent = np.dstack([_pixels(1), _pixels(2)[..., :1]])
    seeds["translucent.png"] = _still(".png", translucent)
    seeds["deep.png"] = _still(".png", _pixels(3).astype(np.uint16) * 257)
    return seeds


def _encode(path: Path, recipe: Recipe) -> None:
    base = Fraction(1, 25)
    with av.open(str(path), "w") as container:
        pictures = speech = None
        if recipe.picture:
            options = dict(_QUIET.get(recipe.picture, {}))
            if recipe.is_interlaced:
                options["x264-params"] = "tff=1"
            pictures = container.add_stream(recipe.picture, rate=25, options=options)
            pictures.width = pictures.height = SIDE
            pictures.pix_fmt = recipe.pixels
            pictures.codec_context.time_base = base
            if recipe.pixels == "yuva420p":
                pictures.metadata["alpha_mode"] = "1"
            if recipe.rotation:
                pictures.set_display_rotation(recipe.rotation)
        if recipe.sound:
            rate = 48_000 if recipe.sound == "libopus" else RATE
            speech = container.add_stream(
                recipe.sound, rate=44_100 if path.suffix == ".flv" else rate
            )
            speech.layout = "mono"
        for index in range(NUM_FRAMES if pictures is not None else 0):
            frame = av.VideoFrame.from_ndarray(_pixels(index), format="rgb24")
            frame = frame.reformat(format=recipe.pixels)
            frame.pts, frame.time_base = index, base
            container.mux(pictures.encode(frame))
        if pictures is not None:
            container.mux(pictures.encode(None))
        if speech is not None:
            container.mux(speech.encode(_sound(speech.rate)))
            container.mux(speech.encode(None))


def _pixels(index: int) -> NDArray[np.uint8]:
    """A gradient that moves, with a little noise."""
    noise = np.random.default_rng(index).integers(0, 16, (SIDE, SIDE, 3))
    ramp = np.add.outer(np.arange(SIDE), np.arange(SIDE) + 8 * index)[..., None]
    return ((ramp + noise) % 256).astype(np.uint8)


def _still(suffix: str, pixels: NDArray[np.generic]) -> bytes:
    _, encoded = cv2.imencode(suffix, pixels)
    return encoded.tobytes()


def _sound(rate: int) -> av.AudioFrame:
    samples = np.random.default_rng(0).normal(0, 0.1, (1, int(rate * SECONDS)))
    frame = av.AudioFrame.from_ndarray(samples.astype(np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    return frame
