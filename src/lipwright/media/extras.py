"""Take along what else a video holds: its sound, subtitles, chapters, fonts and descriptions."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from lipwright.media.sound import read_sound
from lipwright.media.sound_writer import SoundEncoder
from lipwright.media.source import (
    first_picture_time,
    open_media,
    packets,
    picture_stream,
    reason,
    sound_stream,
)
from lipwright.media.stills import is_still_picture
from lipwright.media.subtitles import (
    ASS_HEADER,
    TEXT_CODECS,
    is_kept,
    packed,
    plain_text,
    written_codec,
)

if TYPE_CHECKING:
    from av.container.core import Chapter  # known to PyAV's stub alone

log = logging.getLogger(__name__)

# Of the file, not of the film; the new file says its own.
_OF_THE_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
_OF_A_STREAM = ("language", "title", "timecode")
_TIME_CODE = "timecode"
_MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Extras:
    """What of the source goes along with pictures that were changed."""

    source: Path
    """The video that the pictures come from."""
    with_sound: bool = False
    """Whether its own sound follows the speech as a second track, which players leave off."""
    until: Fraction | None = None
    """Where the result ends, in seconds, which chapters have to know beforehand; None for open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Route:
    """Where the packets of one stream go."""

    to: Stream
    """In the new container."""
    from_codec: str
    """Of the source's stream."""
    written: str | None = None
    """The codec that text is rewritten in; None where packets are copied."""


class Companions:
    """Streams of the source on their way into another container, on the clock of its pictures.

    Subtitles are copied, or rewritten as the plain text that the container holds. Sound is copied
    if the container holds its codec, else encoded again. Chapters, fonts, title, dates, languages
    and time code are kept. What cannot be taken along is logged.
    """

    def __init__(
        self, container: OutputContainer, pictures: VideoStream, extras: Extras, *, suffix: str
    ) -> None:
        """Add streams to a container that has not been started.

        Args:
            container: To be written.
            pictures: Its stream of pictures.
            extras: What to take along.
            suffix: Of the container: a key of `CONTAINERS`.

        Raises:
            MediaError: If the source cannot be opened.
        """
        self._out, self._extras, self._suffix = container, extras, suffix
        self._routes: dict[int, _Route] = {}
        self._encoder: SoundEncoder | None = None
        self._source: InputContainer | None = None
        self._packets: Iterator[Packet[Stream]] = iter(())
        self._held: Packet[Stream] | None = None
        self._zero = Fraction(0)
        if not is_still_picture(extras.source):
            self._zero = first_picture_time(extras.source) or Fraction(0)
            self._source = open_media(extras.source)
            self._describe(self._source, pictures)
            self._add_streams(self._source)

    def before(self, time: Fraction) -> "list[Packet[Stream]]":
        """Give out what begins before a time in seconds, once."""
        packets = self._encoder.until(time) if self._encoder is not None else []
        return packets + self._copied(time)

    def finish(self, end: Fraction) -> "list[Packet[Stream]]":
        """Give out what is left before the end of the pictures, in seconds."""
        packets = self._encoder.finish(end) if self._encoder is not None else []
        return packets + self._copied(end)

    def close(self) -> None:
        """Close the source."""
        if self._source is not None:
            self._source.close()

    def _describe(self, source: InputContainer, pictures: VideoStream) -> None:
        """Say of the new file what the old one says of the film."""
        for key, text in source.metadata.items():
            if key.lower() not in _OF_THE_FILE:
                self._out.metadata[key] = text
        shown = picture_stream(source)
        if shown is not None:
            _copy_names(pictures, shown)
        for stream in source.streams.data:
            if _TIME_CODE in stream.metadata:
                pictures.metadata.setdefault(_TIME_CODE, stream.metadata[_TIME_CODE])
        kept = [self._chapter(entry) for entry in source.chapters()]
        self._out.set_chapters([entry for entry in kept if entry is not None])

    def _chapter(self, entry: "Chapter") -> "Chapter | None":
        """A chapter on the clock of the result; None if it lies outside."""
        unit = entry["time_base"] or _MILLISECOND
        first, last = (max(Fraction(0), entry[at] * unit - self._zero) for at in ("start", "end"))
        if self._extras.until is not None:
            last = min(last, self._extras.until)
        if first >= last:
            return None
        return {
            "id": entry["id"],
            "start": round(first / _MILLISECOND),
            "end": round(last / _MILLISECOND),
            "time_base": _MILLISECOND,
            "metadata": entry["metadata"],
        }

    def _add_streams(self, source: InputContainer) -> None:
        shown, heard = picture_stream(source), sound_stream(source)
        for stream in source.streams:
            if stream is shown or _TIME_CODE in stream.metadata or _is_list_of_chapters(stream):
                continue
            if isinstance(stream, SubtitleStream) and stream.codec_context is not None:
                self._add_subtitles(stream)
            elif isinstance(stream, AudioStream):
                if stream is heard and self._extras.with_sound:
                    self._add_sound(stream)
            elif isinstance(stream, AttachmentStream):
                self._add_attachment(stream)
            else:
                self._leave_out(stream.type, stream)
        if self._routes:
            self._packets = packets(source, *(source.streams[index] for index in self._routes))

    def _add_sound(self, stream: AudioStream) -> None:
        """The source's sound as a track that is there and not played unless it is chosen."""
        try:
            to = self._out.add_stream_from_template(stream)
        except ValueError:  # the container does not hold the codec
            number = [*stream.container.streams.audio].index(stream)
            track = read_sound(self._extras.source, stream=number)
            self._encoder = SoundEncoder(self._out, track)
            to = self._encoder.stream
        else:
            self._routes[stream.index] = _Route(to=to, from_codec=stream.codec_context.name)
        _copy_names(to, stream)
        to.disposition = Disposition.original

    def _add_subtitles(self, stream: SubtitleStream) -> None:
        codec = stream.codec_context.name
        if is_kept(codec, self._suffix) and (codec != "mov_text" or self._suffix != ".mkv"):
            to, written = self._out.add_stream_from_template(stream), None
        elif codec in TEXT_CODECS:
            written = written_codec(self._suffix)
            made = self._out.add_stream(written)
            if not isinstance(made, SubtitleStream):
                raise TypeError(f"{written} made a {made.type} stream")
            to = made
            to.codec_context.subtitle_header = ASS_HEADER
        else:
            self._leave_out(f"subtitles in {codec}", stream)
            return
        _copy_names(to, stream)
        to.disposition = stream.disposition
        self._routes[stream.index] = _Route(to=to, from_codec=codec, written=written)

    def _add_attachment(self, stream: AttachmentStream) -> None:
        name, kind = stream.metadata.get("filename"), stream.mimetype
        if self._suffix == ".mkv" and name and kind:
            self._out.add_attachment(name, kind, stream.data)
        else:
            self._leave_out(f"attached file {name}", stream)

    def _leave_out(self, what: str, stream: Stream) -> None:
        log.warning(
            "%s: %s (stream %d) cannot go into %s and is left out",
            self._extras.source,
            what,
            stream.index,
            self._suffix,
        )

    def _copied(self, until: Fraction) -> "list[Packet[Stream]]":
        """Packets that begin before a time; the first that does not waits."""
        taken: list[Packet[Stream]] = []
        while True:
            packet = self._held or self._next()
            if packet is None:
                return taken
            if (time := self._time_of(packet)) >= until:
                self._held = packet
                return taken
            self._held = None
            length = (packet.duration or 0) * packet.time_base
            # Decoders of sound need the packet before the first that is heard.
            lead = length if packet.stream.type == "audio" else 0
            if time + length + lead > 0:
                taken += self._routed(packet, time, length)

    def _next(self) -> "Packet[Stream] | None":
        try:
            return next((packet for packet in self._packets if packet.size), None)
        except FFmpegError as err:
            log.warning("%s: other streams end early (%s)", self._extras.source, reason(err))
            self._packets = iter(())
            return None

    def _time_of(self, packet: "Packet[Stream]") -> Fraction:
        ticks = packet.pts if packet.pts is not None else packet.dts or 0
        return ticks * packet.time_base - self._zero

    def _routed(
        self, packet: "Packet[Stream]", time: Fraction, length: Fraction
    ) -> "list[Packet[Stream]]":
        """The packet on its way to another stream, on the new clock."""
        route = self._routes[packet.stream_index]
        if route.written is not None:
            text = plain_text(route.from_codec, bytes(packet))
            if not text:
                return []
            begin = max(Fraction(0), time)
            packet = Packet(packed(route.written, text))
            packet.time_base = _MILLISECOND
            packet.pts = packet.dts = round(begin / _MILLISECOND)
            packet.duration = round((time + length - begin) / _MILLISECOND)
        else:
            shift = round(self._zero / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = route.to
        return [packet]


def _copy_names(to: Stream, from_: Stream) -> None:
    for key, text in from_.metadata.items():
        if key.lower() in _OF_A_STREAM:
            to.metadata[key.lower()] = text


def _is_list_of_chapters(stream: Stream) -> bool:
    """Whether a stream says of an MP4 what `chapters` says too."""
    return stream.type == "data" and bool(stream.container.chapters())
