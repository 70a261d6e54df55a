"""Join videos that were encoded one after the other into one: their packets, not their pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import cast

from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from lipwright.errors import MediaError
from lipwright.media.extras import Companions, Extras
from lipwright.media.output import Output
from lipwright.media.sound import SoundTrack
from lipwright.media.sound_writer import SoundEncoder
from lipwright.media.source import open_media, packets
from lipwright.media.video import require_pictures

_ALPHA = "alpha_mode"  # how WebM says that its pictures are transparent


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One of the videos."""

    path: Path
    """As `NativeWriter` wrote it, without sound."""
    start: Fraction
    """When its first picture is shown, in seconds of the whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamForm:
    """What packets of two videos must share to stand in one stream."""

    header: bytes
    """The decoder's configuration."""
    width: int
    """In samples."""
    height: int
    """In samples."""
    time_base: Fraction
    """The clock, in seconds."""


def form_of(path: Path) -> StreamForm:
    """Say what the packets of a video are like.

    Raises:
        MediaError: If it cannot be read.
    """
    with open_media(path) as container:
        stream = require_pictures(container, path)
        return StreamForm(
            header=stream.codec_context.extradata or b"",
            width=stream.width,
            height=stream.height,
            time_base=stream.time_base or Fraction(1, 1000),
        )


def join_pieces(
    pieces: Sequence[Piece],
    out: Path,
    *,
    end: Fraction,
    speech: SoundTrack | None,
    extras: Extras | None = None,
) -> None:
    """Write videos one after the other, with sound; every picture keeps its packet.

    The stamps are those that one writer of all pictures would have given them. The file grows
    under a hidden name and takes its own when it is whole.

    Args:
        pieces: One at least, in the order of time, each of its own key frame's groups of pictures
            and all of one `form_of`.
        out: Where the video goes: the suffix of the pieces.
        end: Of the last picture, in seconds.
        speech: What is heard, cut or filled up to the end; None for nothing.
        extras: What else of the source goes along.

    Raises:
        MediaError: If a piece cannot be read, or the file cannot be written.
    """
    output = Output(out)
    container = output.open()
    output.end(lambda: _write(container, pieces, end=end, speech=speech, extras=extras))


def _write(
    container: OutputContainer,
    pieces: Sequence[Piece],
    *,
    end: Fraction,
    speech: SoundTrack | None,
    extras: Extras | None,
) -> None:
    sound: SoundEncoder | None = None
    companions: Companions | None = None
    suffix = pieces[0].path.suffix.lower()
    pictures = _stream_like(container, pieces[0].path)
    try:
        if speech is not None:
            sound = SoundEncoder(container, speech)
            sound.stream.disposition = Disposition.default
        if extras is not None:
            companions = Companions(container, pictures, extras, suffix=suffix)
        container.start_encoding()
        for packet, time in _packets(pieces):
            packet.stream = pictures
            container.mux(cast("Packet[Stream]", packet))
            if sound is not None:
                container.mux(sound.until(time))
            if companions is not None:
                container.mux(companions.before(time))
        if sound is not None:
            container.mux(sound.finish(end))
        if companions is not None:
            container.mux(companions.finish(end))
    finally:
        if companions is not None:
            companions.close()


def _stream_like(container: OutputContainer, path: Path) -> VideoStream:
    with open_media(path) as opened:
        template = require_pictures(opened, path)
        stream = container.add_stream_from_template(template, opaque=True)
        if _ALPHA in template.metadata:
            stream.metadata[_ALPHA] = template.metadata[_ALPHA]
    return stream


def _packets(pieces: Sequence[Piece]) -> "Iterator[tuple[Packet[VideoStream], Fraction]]":
    """All packets on the clock of the whole, each with when its picture is shown, in seconds."""
    stamps = [_shown(piece) for piece in pieces]
    decoded = iter(_decoding_ticks([tick for each in stamps for tick in each]))
    for piece, shown in zip(pieces, stamps, strict=True):
        ticks = iter(shown)
        with open_media(piece.path) as opened:
            for packet in packets(opened, require_pictures(opened, piece.path)):
                if packet.size:
                    packet.pts, packet.dts = next(ticks), next(decoded)
                    yield packet, packet.pts * packet.time_base


def _shown(piece: Piece) -> list[int]:
    """When the pictures of a piece are shown in the whole: ticks, in the order of decoding."""
    with open_media(piece.path) as opened:
        stream = require_pictures(opened, piece.path)
        ticks = [packet.pts for packet in packets(opened, stream) if packet.size]
        base = stream.time_base or Fraction(1, 1000)
    shown = [tick for tick in ticks if tick is not None]
    if not shown or len(shown) < len(ticks):
        raise MediaError(f"'{piece.path}' is damaged: it has packets without time; render it anew")
    # Containers do not keep exactly when a video begins that begins late, but all that follows.
    shift = floor(piece.start / base + Fraction(1, 2)) - min(shown)
    return [tick + shift for tick in shown]


def _decoding_ticks(shown: Sequence[int]) -> list[int]:
    """When pictures are decoded so that each is there when it is shown, in the order given.

    Encoders say so too, but each counts its delay from its own first picture.
    """
    order = sorted(range(len(shown)), key=shown.__getitem__)
    place = {index: rank for rank, index in enumerate(order)}
    delay = max(index - place[index] for index in range(len(shown)))
    ticks = [shown[index] for index in order]
    step = max(1, min((b - a for a, b in pairwise(ticks)), default=1))
    before = [ticks[0] - step * (delay - index) for index in range(delay)]
    return (before + ticks)[: len(shown)]
