"""Read what a picture says about the screen it was graded on, and say it to an encoder."""

from dataclasses import dataclass
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type

_CHROMATICITY = 50_000  # units of H.264, D.2.29, and of H.265, D.3.28
_LUMINANCE = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Hdr:
    """Static metadata of high dynamic range."""

    mastering: str | None
    """Primaries, white point and luminance, in the notation that x264 and x265 share."""
    light: str | None
    """Largest light level of a pixel and of a picture's average, in candela per square metre."""


def hdr_of(picture: av.VideoFrame) -> Hdr | None:
    """The metadata at a decoded picture; None without any."""
    try:
        side = cast(SideDataContainer, picture.side_data)  # PyAV's stub knows one key only
    except ValueError:  # PyAV gives none if it does not know one, such as EXIF
        return None
    if not len(side):
        return None
    found = {entry.type: bytes(entry) for entry in side}
    mastering = _mastering(found.get(Type.MASTERING_DISPLAY_METADATA))
    light = None
    if Type.CONTENT_LIGHT_LEVEL in found:
        content, average = np.frombuffer(found[Type.CONTENT_LIGHT_LEVEL][:8], dtype=np.uint32)
        light = f"{content},{average}"
    return Hdr(mastering=mastering, light=light) if mastering or light else None


def _mastering(stored: bytes | None) -> str | None:
    """Read AVMasteringDisplayMetadata: ten fractions, then two flags."""
    if stored is None:
        return None
    numbers = np.frombuffer(stored[:88], dtype=np.int32).tolist()
    has_primaries, has_luminance = numbers[20:]
    if not (has_primaries and has_luminance and all(numbers[1:20:2])):  # NaN is stored as 0 / 0
        return None
    fractions = [n / d for n, d in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    points = [round(part * _CHROMATICITY) for part in fractions[:8]]
    darkest, brightest = (round(part * _LUMINANCE) for part in fractions[8:])
    red, green, blue, white = ((points[k], points[k + 1]) for k in (0, 2, 4, 6))
    places = zip(("G", "B", "R", "WP"), (green, blue, red, white), strict=True)
    return "".join(f"{name}({x},{y})" for name, (x, y) in places) + f"L({brightest},{darkest})"
