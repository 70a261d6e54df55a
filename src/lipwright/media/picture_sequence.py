"""Numbered pictures, or a folder of them, as one video whose packets are the files themselves."""

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError

from lipwright.errors import MediaError
from lipwright.media.limits import limits_in_force
from lipwright.media.output import time_base_of
from lipwright.media.source import open_media, picture_stream, reason

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_NUMBER = re.compile(r"%(?:0(?P<width>\d{1,2}))?d")


def is_pattern(path: Path) -> bool:
    """Whether a name stands for numbered files, such as ``%05d.png``; an existing file does not."""
    return len(_NUMBER.findall(path.name)) == 1 and not path.exists()


def numbered(path: Path, number: int) -> Path:
    """The file of a pattern that has a number."""
    name = _NUMBER.sub(lambda found: str(number).zfill(int(found["width"] or 1)), path.name)
    return path.with_name(name)


def pictures_of(path: Path) -> list[Path]:
    """The pictures that a folder or a pattern stands for, in their order.

    Those of a folder are ordered by name, numbers in names by value; what is no picture by its
    suffix, and hidden files, are passed over. The numbers of a pattern may begin anywhere.

    Raises:
        MediaError: If there is none, or a number is missing on the way.
    """
    if path.is_dir():
        files = [
            entry
            for entry in path.iterdir()
            if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")
        ]
        if not files:
            raise MediaError(f"folder '{path}' holds no picture; use {', '.join(SUFFIXES)}")
        return sorted(files, key=_by_number)
    return _numbered_files(path)


def _by_number(path: Path) -> list[tuple[int, str]]:
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _numbered_files(path: Path) -> list[Path]:
    if not path.parent.is_dir():
        raise MediaError(f"no such folder: '{path.parent}'; check the name")
    place = _NUMBER.search(path.name)
    if place is None:
        raise MediaError(f"'{path}' is neither a folder nor a pattern such as %05d.png")
    before, after = path.name[: place.start()], path.name[place.end() :]
    named = re.compile(f"{re.escape(before)}(?P<number>[0-9]+){re.escape(after)}")
    found = {
        int(match["number"])
        for entry in path.parent.iterdir()
        if (match := named.fullmatch(entry.name))
        and numbered(path, int(match["number"])).name == entry.name
    }
    if not found:
        raise MediaError(f"no picture is named '{path}', such as '{numbered(path, 1).name}'")
    missing = next((n for n in range(min(found), max(found)) if n not in found), None)
    if missing is not None:
        raise MediaError(
            f"picture '{numbered(path, missing)}' is missing before number {max(found)}; "
            "add it, or name the folder"
        )
    return [numbered(path, number) for number in sorted(found)]


def pack_pictures(files: Sequence[Path], out: Path, *, fps: Fraction) -> None:
    """Lay picture files into a video at one rate; none is decoded, so every bit is kept.

    Args:
        files: Of one format: PNG, JPEG or TIFF.
        out: The video to write, ``.mov``.
        fps: Pictures per second.

    Raises:
        MediaError: If the rate is not positive, or a file is no picture or of another format than
            the first.
    """
    if fps <= 0:
        raise MediaError(f"pictures need a positive rate, got {fps} per second")
    ticks = time_base_of(fps)
    with open_media(files[0]) as first, av.open(f"file:{out}", "w", format="mov") as container:
        template = picture_stream(first)
        if template is None:
            raise MediaError(f"'{files[0]}' holds no picture")
        try:
            stream = container.add_stream_from_template(template, opaque=True)
        except ValueError as err:
            raise MediaError(
                f"pictures in {template.codec_context.name} cannot be a video; use PNG or JPEG"
            ) from err
        stream.time_base = ticks
        start = _start_of(files[0])
        for index, file in enumerate(files):
            packet = av.Packet(_bytes_of(file, start))
            packet.stream, packet.time_base, packet.is_keyframe = stream, ticks, True
            packet.pts = packet.dts = round(index / fps / ticks)
            packet.duration = round(1 / fps / ticks)
            try:
                container.mux(packet)
            except FFmpegError as err:
                raise MediaError(f"'{file}' cannot be taken up ({reason(err)})") from err


def _start_of(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(3)


def _bytes_of(file: Path, start: bytes) -> bytes:
    """A picture, of the format that the first has, by its first bytes."""
    try:
        size = file.stat().st_size
        if size > limits_in_force().still_bytes:
            raise MediaError(f"'{file}' has {size} bytes; that is no picture of a video")
        stored = file.read_bytes()
    except OSError as err:
        raise MediaError(f"'{file}' cannot be read ({err.strerror}); check permissions") from err
    if not stored.startswith(start):
        raise MediaError(f"'{file}' is of another format than the first picture; convert it")
    return stored
