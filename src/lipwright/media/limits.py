"""Bounds on what a media file may ask for, checked before memory is taken for it.

Files come from strangers: a picture of 100 KB can unfold to ten gigabytes, a recording can claim a
sample a second. The bounds lie far above honest files; the environment raises them.
"""

import os
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError

from lipwright.errors import ConfigError, MediaError

_PREFIX = "LIPWRIGHT_LIMIT_"
# Formats that name other files or addresses, and devices: a stranger's file must not choose them.
_REFERRING = {
    *("avs", "concat", "dash", "hls", "image2", "imf", "rtp", "rtsp", "sap", "sdp", "vapoursynth"),
    *("alsa", "fbdev", "jack", "kmsgrab", "lavfi", "oss", "pulse", "sndio", "x11grab", "vobsub"),
    *("alias_pix", "brender_pix", "video4linux2,v4l2"),
}

_STREAMS_MADE = 4  # times as many as are let in, so that the error can tell how many there are


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The most that a file may ask for, and of sample rates the least.

    Each is raised by an environment variable: `LIPWRIGHT_LIMIT_PIXELS` and so on.
    """

    pixels: int = 8192 * 8192
    """Of one picture, moving or still, as stored and as shown; 8K video has half as many."""
    proportion: int = 64
    """Longer side of a picture over its shorter one."""
    still_bytes: int = 1 << 29
    """Size of a still picture's file, which is read as a whole."""
    seconds: int = 6 * 3600
    """From the first picture or sample to the last."""
    streams: int = 64
    """Streams of pictures, sound and text in a file."""
    empty_packets: int = 100_000
    """Packets in a row that no picture or no sound comes of; edits may hide minutes."""
    sample_rate: int = 768_000
    """Hertz."""
    lowest_sample_rate: int = 1_000
    """Hertz; at fewer, a small file would be days long."""
    channels: int = 64
    """Of sound."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if (value := getattr(self, item.name)) < 1:
                raise ConfigError(f"limit {item.name} must be at least 1, got {value}")


def limits_in_force() -> Limits:
    """The limits, with those that the environment changes.

    Raises:
        ConfigError: If a variable is not a whole number above 0.
    """
    changed = {}
    for item in fields(Limits):
        if text := os.environ.get(_variable(item.name)):
            if not (text.isascii() and text.isdecimal() and len(text) <= 18):
                raise ConfigError(
                    f"{_variable(item.name)} must be a whole number above 0, got {text!r}"
                )
            changed[item.name] = int(text)
    return Limits(**changed)


def beyond(path: Path, what: str, field: str, limit: int, *, at: str = "most") -> MediaError:
    """The error of a file that asks for too much.

    Args:
        path: The file.
        what: What it asks for, with the value and unit, to follow its name.
        field: The field of `Limits` that forbids it.
        limit: The field's value.
        at: ``most`` or ``least``.
    """
    return MediaError(
        f"'{path}' {what}; the {field.replace('_', ' ')} limit is at {at} {limit}: set "
        f"{_variable(field)} to another number if you trust the file"
    )


def require_size(path: Path, width: int, height: int) -> None:
    """Check the size of a picture.

    Raises:
        MediaError: If it has too many pixels, or is a mere strip.
    """
    limits = limits_in_force()
    if width * height > limits.pixels:
        what = f"has a picture of {width}x{height} = {width * height} pixels"
        raise beyond(path, what, "pixels", limits.pixels)
    if max(width, height) > limits.proportion * max(1, min(width, height)):
        what = f"has a picture of {width}x{height} pixels, a strip of too many times its breadth"
        raise beyond(path, what, "proportion", limits.proportion)


def require_sampling(path: Path, rate: int, num_channels: int) -> None:
    """Check what a stream of sound, or a decoded stretch of one, says of itself.

    Raises:
        MediaError: If its sample rate or number of channels is beyond the limits.
    """
    limits = limits_in_force()
    if rate > limits.sample_rate:
        raise beyond(path, f"has sound of {rate} Hz", "sample_rate", limits.sample_rate)
    if rate < limits.lowest_sample_rate:
        what, least = f"has sound of {rate} Hz", limits.lowest_sample_rate
        raise beyond(path, what, "lowest_sample_rate", least, at="least")
    if num_channels > limits.channels:
        what = f"has sound of {num_channels} channels"
        raise beyond(path, what, "channels", limits.channels)


def container_options() -> dict[str, str]:
    """Options that keep the media library from reading other files and from huge pictures."""
    limits = limits_in_force()
    return {
        "max_pixels": str(limits.pixels),
        "format_whitelist": _formats(),
        "protocol_whitelist": "file",
        "max_streams": str(_STREAMS_MADE * limits.streams),
    }


def admit(container: InputContainer, path: Path) -> None:
    """Check an open file before anything of it is decoded, and have its decoders hold the limits.

    Raises:
        MediaError: If it has too many streams, or a picture or sound beyond the limits.
    """
    limits = limits_in_force()
    num_streams = len(container.streams)
    if num_streams > limits.streams:
        raise beyond(path, f"has {num_streams} streams", "streams", limits.streams)
    for stream in container.streams.video:
        if stream.codec_context is not None:
            stream.codec_context.options = {"max_pixels": str(limits.pixels)}
            if stream.codec_context.width < 1:  # also what the library says of refused sizes
                require_size(path, *_claimed_size(path, stream.index))


@cache
def _formats() -> str:
    """The formats that are read, as the media library takes a list of them."""
    formats = (av.ContainerFormat(name) for name in av.formats_available)
    return ",".join(sorted({f.name for f in formats if f.is_input} - _REFERRING))


def _claimed_size(path: Path, index: int) -> tuple[int, int]:
    """Width and height by the container's own words, without any decoder."""
    options = container_options() | {"codec_whitelist": "none", "max_pixels": str(2**31 - 1)}
    try:
        with av.open(f"file:{path}", metadata_errors="replace", options=options) as container:
            for stream in container.streams.video:
                if stream.index == index and stream.codec_context is not None:
                    return stream.codec_context.width, stream.codec_context.height
    except FFmpegError:
        pass  # the decoder reports it
    return 0, 0


def _variable(field: str) -> str:
    return _PREFIX + field.upper()
