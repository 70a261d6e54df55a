"""Find which packets of a video stay as they are when a stretch of its pictures changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from lipwright.errors import MediaError
from lipwright.media.parameter_sets import IDR_H264, IDR_H265, kind_h264, kind_h265, units_of
from lipwright.media.source import open_media, packets, reason
from lipwright.media.video import require_pictures


class NotSpliceableError(MediaError):
    """A video's packets cannot stand beside new ones; its pictures must all be encoded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PacketTime:
    """When one packet of pictures is decoded and shown, in ticks of its stream."""

    dts: int
    """Decoded at."""
    pts: int
    """Shown at."""
    is_start: bool
    """Whether decoding may begin here, and nothing after it looks back beyond it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Splice:
    """Which packets of a video are replaced, by their places in the order of decoding."""

    first: int
    """The first that is replaced."""
    stop: int
    """The first after it that is not."""
    start: int
    """When the first replaced picture is shown, in ticks."""
    end: int | None
    """When the first picture after them is shown, in ticks; None if there is none."""


def plan_splice(packets: Sequence[PacketTime], *, start: int, end: int) -> Splice:
    """Choose the groups of pictures that a change touches; all others keep their packets.

    Args:
        packets: All of the video, in the order of decoding.
        start: When the first changed picture is shown, in ticks.
        end: When the last changed picture is shown, in ticks.

    Raises:
        NotSpliceableError: If a group looks back at the one before it, no group would stay, or
            the change lies outside the video.
    """
    starts = [index for index, packet in enumerate(packets) if packet.is_start]
    if not starts or starts[0] != 0:
        raise NotSpliceableError("it does not begin with a key frame")
    stops = [*starts[1:], len(packets)]
    last_shown = -1
    for first, stop in zip(starts, stops, strict=True):
        shown = [packet.pts for packet in packets[first:stop]]
        if min(shown) != packets[first].pts or (first and min(shown) <= last_shown):
            raise NotSpliceableError("its groups of pictures look back at those before them")
        if len(set(shown)) != len(shown):
            raise NotSpliceableError("two of its pictures are shown at one time")
        last_shown = max(shown)
    touched = [
        (first, stop)
        for first, stop in zip(starts, stops, strict=True)
        if packets[first].pts <= end and max(p.pts for p in packets[first:stop]) >= start
    ]
    if not touched:
        raise NotSpliceableError("no picture of it is shown at the time of the change")
    first, stop = touched[0][0], touched[-1][1]
    if stop - first == len(packets):
        raise NotSpliceableError("no group of its pictures stays as it is")
    return Splice(
        first=first,
        stop=stop,
        start=packets[first].pts,
        end=packets[stop].pts if stop < len(packets) else None,
    )


def scan(path: Path) -> list[PacketTime]:
    """Read when the packets of a video are decoded and shown; nothing is decoded.

    Raises:
        NotSpliceableError: If it is neither H.264 nor H.265, or packets lack their times.
        MediaError: If the file cannot be read.
    """
    with open_media(path) as container:
        stream = require_pictures(container, path)
        codec = stream.codec_context.codec.canonical_name
        if codec not in {"h264", "hevc"}:
            raise NotSpliceableError(f"it is {codec}, neither H.264 nor H.265")
        try:
            found = [
                _time_of(packet, codec) for packet in packets(container, stream) if packet.size
            ]
        except FFmpegError as err:
            raise NotSpliceableError(f"it is damaged ({reason(err)})") from err
    return _decoding_times(found)


def _time_of(packet: "Packet[VideoStream]", codec: str) -> tuple[int | None, int, bool]:
    """Decoded at, shown at, and whether decoding may begin here."""
    if packet.pts is None:
        raise NotSpliceableError("a packet of it has no time")
    if packet.is_discard:
        raise NotSpliceableError("an edit hides some of its pictures")
    return packet.dts, packet.pts, packet.is_keyframe and _is_start(packet, codec)


def _decoding_times(found: list[tuple[int | None, int, bool]]) -> list[PacketTime]:
    """Give packets their decoding times; Matroska stores none, and the library guesses some."""
    shown = sorted(pts for _, pts, _ in found)
    delay = max((at - pts for at, (_, pts, _) in zip(shown, found, strict=True)), default=0)
    is_known = all(dts is not None for dts, _, _ in found)
    return [
        PacketTime(
            dts=dts if is_known and dts is not None else at - delay, pts=pts, is_start=is_start
        )
        for at, (dts, pts, is_start) in zip(shown, found, strict=True)
    ]


def _is_start(packet: "Packet[VideoStream]", codec: str) -> bool:
    units = [unit for unit in units_of(bytes(packet)) if unit]
    if codec == "h264":
        return any(kind_h264(unit) == IDR_H264 for unit in units)
    return any(kind_h265(unit) in IDR_H265 for unit in units)
