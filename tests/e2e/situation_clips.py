"""Small clips of a face as people's videos have it, made with PyAV alone; no test functions."""

import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray
from skimage import data

from lipwright.media import SPEECH_RATE, read_speech
from lipwright.media.subtitles import ASS_HEADER

Picture = NDArray[np.uint8]
DEMO_SPEECH = Path(__file__).parents[2] / "demo" / "speech.flac"
FPS = Fraction(25)
SIDE = 240  # pixels of the usual picture
FACE = (72, 63, 176, 167)  # x0 y0 x1 y1 of the crop rule's square in it
MOUTH = (FACE[0], (FACE[1] + FACE[3]) // 2 - 1, FACE[2], FACE[3])  # its lower half is drawn
PATCH = 24  # pixels of the square that tells frames apart
_CODECS = {".webm": "libvpx-vp9", ".gif": "gif"}
_SOUND_CODECS = {".mkv": "flac", ".webm": "libopus"}


@cache
def head() -> Picture:
    """``(240, 240, 3)`` RGB: the head of the astronaut; do not write to it."""
    return np.ascontiguousarray(data.astronaut()[20:260, 100:340])


@cache
def other_head() -> Picture:
    """Somebody else: turned about and in other colours."""
    return np.ascontiguousarray(head()[:, ::-1, ::-1])


def wall(width: int = SIDE, height: int = SIDE) -> Picture:
    """Nobody."""
    return np.full((height, width, 3), (30, 120, 60), dtype=np.uint8)


def level_of(index: int) -> int:
    """Grey that tells a frame from its neighbours."""
    return 40 + (index * 37) % 160


def marked(picture: Picture, index: int) -> Picture:
    """A picture with a grey patch in the left upper corner that says which frame it is."""
    shown = picture.copy()
    shown[:PATCH, :PATCH] = level_of(index)
    return shown


def lasting(picture: Picture, num_frames: int) -> list[Picture]:
    """A picture for some frames, each marked."""
    return [marked(picture, index) for index in range(num_frames)]


def rolled(degrees: float) -> Picture:
    """The head, leaning by so many degrees about the middle of the face."""
    middle = ((FACE[0] + FACE[2]) / 2, (FACE[1] + FACE[3]) / 2)
    matrix = cv2.getRotationMatrix2D(middle, degrees, 1.0)
    turned = cv2.warpAffine(head(), matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, dtype=np.uint8)


def turned_away(degrees: float) -> Picture:
    """The head as on a cylinder that is turned to the side: what lies behind the edge is gone."""
    centre, radius = (FACE[0] + FACE[2]) / 2, 0.62 * (FACE[2] - FACE[0])
    columns, rows = np.meshgrid(
        np.arange(SIDE, dtype=np.float32), np.arange(SIDE, dtype=np.float32)
    )
    across = np.clip((columns - centre) / radius, -1, 1)
    angle = np.arcsin(across) + np.deg2rad(degrees)
    seen = centre + radius * np.sin(np.clip(angle, -np.pi / 2, np.pi / 2))
    is_head = np.abs(across) < 1
    seen = np.where(is_head, seen, columns).astype(np.float32)
    return np.asarray(cv2.remap(head(), seen, rows, cv2.INTER_LINEAR), dtype=np.uint8)


def covered(box: tuple[int, int, int, int], colour: tuple[int, int, int]) -> Picture:
    """The head behind something."""
    x0, y0, x1, y1 = box
    shown = head().copy()
    shown[y0:y1, x0:x1] = colour
    return shown


def defocused() -> Picture:
    """The face so far out of focus that no detector finds it."""
    shown = head().copy()
    shown[50:180, 60:190] = cv2.GaussianBlur(head(), (0, 0), 12)[50:180, 60:190]
    return shown


def lit(brightness: float) -> Picture:
    """The head in another light."""
    return np.clip(head() * brightness, 0, 255).astype(np.uint8)


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How a clip is stored."""

    codec: str | None = None
    """None for what its container is known for."""
    pixel_format: str = "yuv420p"
    """Of the encoded pictures."""
    fps: Fraction = FPS
    """Of the pictures, where `times` does not say."""
    times: tuple[Fraction, ...] | None = None
    """When each is shown, in seconds."""
    sounds: tuple[NDArray[np.float32], ...] = ()
    """``(N,)`` each, at `SPEECH_RATE`: the streams of sound."""
    aspect: Fraction | None = None
    """Of a sample."""
    rotation: int = 0
    """Degrees by which a player turns the pictures."""
    colours: tuple[int, int, int] | None = None
    """Primaries, transfer and matrix, by their numbers in H.273."""
    options: dict[str, str] = field(default_factory=dict)
    """Of the encoder."""
    is_interlaced: bool = False
    """Whether rows belong to two fields, the even ones first."""


def write_clip(path: Path, pictures: Sequence[Picture], form: Form | None = None) -> Path:
    """Write pictures, ``(H, W, 3)`` or ``(H, W, 4)`` for transparency, and sounds."""
    form = form or Form()
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = _picture_stream(container, pictures[0], form, suffix=path.suffix)
        codec = _SOUND_CODECS.get(path.suffix, "aac")
        heard = [container.add_stream(codec, rate=SPEECH_RATE, layout="mono") for _ in form.sounds]
        base = stream.codec_context.time_base
        times = form.times or tuple(index / form.fps for index in range(len(pictures)))
        marking: Callable[[av.VideoFrame], av.VideoFrame] = lambda frame: frame  # noqa: E731
        if form.is_interlaced:
            marking = _fields_marked(stream)
        for pixels, time in zip(pictures, times, strict=True):
            frame = _frame_of(pixels, form)
            frame.pts, frame.time_base = round(time / base), base
            container.mux(stream.encode(marking(frame)))
        container.mux(stream.encode(None))
        for sound, track in zip(form.sounds, heard, strict=True):
            container.mux(list(_encoded(sound, track)))
    return path


def _picture_stream(
    container: av.container.OutputContainer, first: Picture, form: Form, *, suffix: str
) -> av.VideoStream:
    codec = form.codec or _CODECS.get(suffix, "libx264")
    usual = {"libx264": {"crf": "10", "preset": "ultrafast"}, "libvpx-vp9": {"cpu-used": "8"}}
    options = usual.get(codec, {}) | form.options
    stream = container.add_stream(codec, rate=form.fps, options=options)
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = form.pixel_format
    is_exact = codec in {"prores_ks", "gif", "mpeg2video"}
    base = 1 / form.fps if is_exact else Fraction(1, 120_000)
    stream.codec_context.time_base = base
    if form.aspect is not None:
        stream.codec_context.sample_aspect_ratio = form.aspect
    if form.rotation:
        stream.set_display_rotation(form.rotation)
    if form.colours is not None:
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = form.colours
        context.color_range = 1
    return stream


def _frame_of(pixels: Picture, form: Form) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(pixels, format="rgba" if pixels.shape[2] == 4 else "rgb24")
    if form.pixel_format in {"rgb8", "pal8"}:
        return frame.reformat(format=form.pixel_format)
    matrix = 5 if form.colours is None else form.colours[2]
    frame = frame.reformat(format=form.pixel_format, dst_colorspace=matrix)
    if form.colours is not None:
        frame.color_primaries, frame.color_trc, frame.colorspace = form.colours
        frame.color_range = 1
    return frame


def _fields_marked(stream: av.VideoStream) -> Callable[[av.VideoFrame], av.VideoFrame]:
    """The encoder takes the order of the fields from the frame, which only a filter can say."""
    graph = Graph()
    source = graph.add_buffer(
        width=stream.width,
        height=stream.height,
        format=av.VideoFormat(stream.pix_fmt),
        time_base=stream.codec_context.time_base,
    )
    marks = graph.add("setfield", "mode=tff")
    graph.link_nodes(source, marks, graph.add("buffersink")).configure()

    def mark(frame: av.VideoFrame) -> av.VideoFrame:
        graph.vpush(frame)
        return graph.vpull()

    return mark


def _encoded(sound: NDArray[np.float32], track: av.AudioStream) -> Iterator[av.Packet]:
    samples = av.AudioFrame.from_ndarray(
        (sound * 32767).astype(np.int16)[None], format="s16", layout="mono"
    )
    samples.sample_rate, samples.time_base, samples.pts = (
        SPEECH_RATE, Fraction(1, SPEECH_RATE), 0,
    )  # fmt: skip
    yield from track.encode(samples)
    yield from track.encode(None)


@cache
def _demo() -> NDArray[np.float32]:
    return read_speech(DEMO_SPEECH)


def words(seconds: float, *, start: float = 0.0) -> NDArray[np.float32]:
    """``(N,)`` float32: so much of the demo's speech."""
    first = round(start * SPEECH_RATE)
    return _demo()[first : first + round(seconds * SPEECH_RATE)].copy()


def tone(seconds: float, *, hertz: float = 440.0) -> NDArray[np.float32]:
    """``(N,)`` float32: a sound that is told from speech."""
    times = np.arange(round(seconds * SPEECH_RATE)) / SPEECH_RATE
    return (0.3 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def write_speech(path: Path, samples: NDArray[np.float32]) -> Path:
    """Write a 16-bit WAV of ``(N,)``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SPEECH_RATE)
        file.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())
    return path


def write_film(path: Path, *, num_frames: int) -> Path:
    """A Matroska file with a title, two chapters and subtitles beside picture and sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    form = Form(sounds=(tone(num_frames / 25),))
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Film"
        stream = _picture_stream(container, head(), form, suffix=path.suffix)
        track = container.add_stream("flac", rate=SPEECH_RATE, layout="mono")
        read = container.add_stream("subrip")
        read.codec_context.subtitle_header = ASS_HEADER
        read.metadata["language"] = "fra"
        middle = num_frames * 20
        container.set_chapters([
            {"id": number, "start": begin, "end": begin + middle, "time_base": Fraction(1, 1000),
             "metadata": {"title": title}}
            for number, (title, begin) in enumerate([("One", 0), ("Two", middle)])
        ])  # fmt: skip
        for index, pixels in enumerate(lasting(head(), num_frames)):
            frame = _frame_of(pixels, form)
            frame.pts, frame.time_base = index * 4800, Fraction(1, 120_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        container.mux(list(_encoded(form.sounds[0], track)))
        packet = av.Packet(b"Hello")
        packet.stream, packet.time_base = read, Fraction(1, 1000)
        packet.pts = packet.dts = 200
        packet.duration = 200
        container.mux(packet)
    return path
