"""Read the size of a still picture from its header, before anything is decoded."""

import os
import struct
from collections.abc import Callable
from typing import BinaryIO

_NO_FRAME = {0xC4, 0xC8, 0xCC}  # of the JPEG markers C0 to CF: tables, and reserved
_ALONE = {0x01, *range(0xD0, 0xD9)}  # JPEG markers without a length
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_MAX_SEGMENTS = 10_000

Size = tuple[int, int]


def still_size(file: BinaryIO) -> Size | None:
    """Width and height as the header of a PNG, JPEG, WebP, TIFF or BMP file claims them.

    Args:
        file: At its beginning.

    Returns:
        Stored width and height in pixels; None if the header does not tell, or a part of a PNG
        claims to be longer than the file.
    """
    start = file.read(32)
    for magic, reader in _READERS.items():
        if start.startswith(magic):
            try:
                return reader(start, file)
            except struct.error:  # it ends too early
                return None
    return None


def _png(start: bytes, file: BinaryIO) -> Size | None:
    width, height = struct.unpack_from(">II", start, 16)
    # OpenCV takes as much memory as the length of a chunk claims, up to 4 GB.
    num_bytes = file.seek(0, os.SEEK_END)
    place = file.seek(8)
    while len(header := file.read(8)) == 8 and header[4:] != b"IEND":
        place += 12 + int.from_bytes(header[:4], "big")
        if place > num_bytes:
            return None
        file.seek(place)
    return (width, height) if start[12:16] == b"IHDR" else None


def _bmp(start: bytes, _: BinaryIO) -> Size | None:
    is_old = struct.unpack_from("<I", start, 14) == (12,)
    width, height = struct.unpack_from("<HH" if is_old else "<ii", start, 18)
    return abs(width), abs(height)  # from the top down, the height is negative


def _webp(start: bytes, _: BinaryIO) -> Size | None:
    kind = start[12:16]
    if kind == b"VP8X":
        wide, high = start[24:27], start[27:30]
        return 1 + int.from_bytes(wide, "little"), 1 + int.from_bytes(high, "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", start, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", start, 26)
    return (width & 0x3FFF, height & 0x3FFF) if kind == b"VP8 " else None


def _jpeg(_: bytes, file: BinaryIO) -> Size | None:
    file.seek(2)
    for _segment in range(_MAX_SEGMENTS):
        byte = file.read(1)
        while byte and byte != b"\xff":  # decoders skip what lies between segments
            byte = file.read(1)
        while byte == b"\xff":
            byte = file.read(1)
        if not byte:
            return None
        marker = byte[0]
        if marker in _ALONE or marker == 0:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">xHH", file.read(5))
            return width, height
        file.seek(max(0, length - 2), 1)
    return None


def _tiff(start: bytes, file: BinaryIO) -> Size | None:
    order = "<" if start.startswith(b"II") else ">"
    file.seek(*struct.unpack_from(f"{order}I", start, 4))
    (num_entries,) = struct.unpack(f"{order}H", file.read(2))
    sides: dict[int, int] = {}
    for _entry in range(num_entries):
        entry = file.read(12)
        tag, kind = struct.unpack_from(f"{order}HH", entry)
        if tag in {_TIFF_WIDTH, _TIFF_HEIGHT}:
            (sides[tag],) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", entry, 8)
    if sides.keys() != {_TIFF_WIDTH, _TIFF_HEIGHT}:
        return None
    return sides[_TIFF_WIDTH], sides[_TIFF_HEIGHT]


_READERS: dict[bytes, Callable[[bytes, BinaryIO], Size | None]] = {
    b"\x89PNG": _png,
    b"\xff\xd8\xff": _jpeg,
    b"II*\x00": _tiff,
    b"MM\x00*": _tiff,
    b"BM": _bmp,
    b"RIFF": _webp,
}
