"""Write packets of a video and newly encoded pictures as one stream."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from lipwright.errors import MediaError
from lipwright.media.encodable import encodable
from lipwright.media.encoding import ENCODERS, Encoding, encoder_options, formats_of
from lipwright.media.extras import Companions, Extras
from lipwright.media.gops import NotSpliceableError, Splice, plan_splice, scan
from lipwright.media.hdr import hdr_of
from lipwright.media.native import NativeFrame, read_native
from lipwright.media.output import Output
from lipwright.media.parameter_sets import (
    avc_record,
    hevc_units,
    is_delimiter_h265,
    joined,
    packet_of,
    units_of,
    units_of_stream,
)
from lipwright.media.sound import SoundTrack, read_sound
from lipwright.media.sound_writer import SoundEncoder
from lipwright.media.source import first_picture_time, open_media, packets, reason
from lipwright.media.video import frame_rate, require_pictures

_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
# No picture is decoded before one that is shown earlier, so that new packets fit the times of the
# old ones whatever those were. The parameters of H.264 get a number that the source does not use.
_X264 = "bframes=0:open-gop=0:sps-id={number}"
_X265 = "bframes=0:open-gop=0:repeat-headers=1"
_PROFILES = {66: "baseline", 77: "main", 100: "high", 110: "high10", 122: "high422", 244: "high444"}
_GLOBAL_HEADER = 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Where a video is cut open, and what new pictures have to be like."""

    source: Path
    """The video."""
    splice: Splice
    """Which of its packets are replaced."""
    dts: tuple[int, ...]
    """When its packets are decoded, in ticks of its stream."""
    zero: Fraction
    """When its first picture is shown, in seconds on its own clock."""
    codec: str
    """``h264`` or ``hevc``."""
    header: bytes
    """The decoder's configuration."""
    fps: Fraction
    """Average pictures per second."""


def find_cut(source: Path, start: Fraction, end: Fraction, *, suffix: str) -> Cut:
    """Find the packets to replace.

    Args:
        source: A video.
        start: When the first changed picture is shown, in seconds from the first of all.
        end: When the last changed picture is shown.
        suffix: Of the container to write: a key of `CONTAINERS`.

    Raises:
        NotSpliceableError: If new packets cannot stand beside the source's.
        MediaError: If the source cannot be read.
    """
    zero = first_picture_time(source) or Fraction(0)
    with open_media(source) as container:
        stream = require_pictures(container, source)
        context, base = stream.codec_context, stream.time_base or Fraction(1, 1000)
        codec, header = context.codec.canonical_name, context.extradata or b""
        fps = frame_rate(stream, source)
        packets = scan(source)
        if suffix not in ENCODERS[_ENCODERS[codec]].containers:
            raise NotSpliceableError(f"{suffix} does not hold {codec}")
        _require_like(_first_decoded(container, stream), codec)
    _require_header(codec, header)
    ticks = [round((time + zero) / base) for time in (start, end)]
    splice = plan_splice(packets, start=ticks[0], end=ticks[1])
    return Cut(
        source=source,
        splice=splice,
        dts=tuple(packet.dts for packet in packets),
        zero=zero,
        codec=codec,
        header=header,
        fps=fps,
    )


def _first_decoded(container: InputContainer, stream: VideoStream) -> av.VideoFrame:
    """The first picture as it is stored, with both its fields."""
    try:
        first = next(container.decode(stream), None)
    except FFmpegError as err:
        raise NotSpliceableError(f"it is damaged ({reason(err)})") from err
    if first is None:
        raise NotSpliceableError("it has no picture")
    return first


def _require_like(first: av.VideoFrame, codec: str) -> None:
    if first.interlaced_frame:
        raise NotSpliceableError("it is interlaced")
    if first.format.name not in {entry.name for entry in formats_of(_ENCODERS[codec])}:
        raise NotSpliceableError(f"{first.format.name} cannot be encoded in {codec} here")


def _require_header(codec: str, header: bytes) -> None:
    try:
        if codec == "hevc":
            hevc_units(header)
        else:
            record = avc_record(header)
            if record.profile not in _PROFILES:
                raise NotSpliceableError(f"its profile {record.profile} is not known")
            if record.free_number < 1:
                raise NotSpliceableError("it has too many sets of parameters")
    except MediaError as err:
        raise NotSpliceableError(str(err)) from err


class SplicedWriter:
    """Replaces the packets of a cut by those of newly encoded pictures."""

    def __init__(
        self,
        out: Path,
        cut: Cut,
        *,
        encoding: Encoding,
        speech: Path | SoundTrack | None,
        extras: Extras | None,
    ) -> None:
        """Write nothing yet; see `SegmentWriter`."""
        self._output = Output(out)
        self._cut, self._encoding, self._extras = cut, encoding, extras
        self._track = read_sound(speech) if isinstance(speech, Path) else speech
        self._reformatter = VideoReformatter()
        self._source: InputContainer | None = None
        self._packets: Iterator[Packet[VideoStream]] = iter(())
        self._pictures: VideoStream | None = None
        self._encoder: VideoCodecContext | None = None
        self._sound: SoundEncoder | None = None
        self._companions: Companions | None = None
        self._dts = iter(cut.dts)
        self._num_places, self._num_taken = cut.splice.stop - cut.splice.first, 0
        self._shift = 0
        self._end = Fraction(0)  # of the last picture, in seconds

    def __enter__(self) -> Self:
        """Open the hidden file and both decoders' parameters; the head is copied.

        Raises:
            MediaError: If the file cannot be opened.
        """
        container = self._output.open()
        try:
            self._begin(container)
        except (OSError, FFmpegError, ValueError) as err:
            self._close(is_kept=False)
            raise self._output.failure(err) from err
        except BaseException:
            self._close(is_kept=False)
            raise
        return self

    def write(self, frame: NativeFrame) -> None:
        """Encode the next picture of the cut.

        Args:
            frame: Of the source's size; not modified.

        Raises:
            MediaError: If it has another size, or the file cannot be written.
        """
        encoder = self._encoder
        if encoder is None or encoder.pix_fmt is None or self._pictures is None:
            raise MediaError("the writer is not open; use it in a with block")
        made = encodable(
            frame,
            codec=_ENCODERS[self._cut.codec],
            pixel_format=encoder.pix_fmt,
            reformatter=self._reformatter,
        ).picture
        if (made.width, made.height) != (encoder.width, encoder.height):
            raise MediaError(
                f"a changed picture has {made.width}x{made.height} pixels, those of "
                f"'{self._cut.source}' have {encoder.width}x{encoder.height}"
            )
        base = encoder.time_base
        made.pict_type = 0
        made.pts, made.time_base = round(frame.time / base), base
        try:
            self._take(encoder.encode(made))
            self._pass_others(frame.time)
        except (OSError, FFmpegError, ValueError) as err:
            raise self._output.failure(err) from err

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Copy the tail and finish, or give up."""
        self._close(is_kept=kind is None)

    def _close(self, *, is_kept: bool) -> None:
        try:
            self._output.end(self._finish if is_kept else None)
        finally:
            if self._companions is not None:
                self._companions.close()
            if self._source is not None:
                self._source.close()

    def _begin(self, container: OutputContainer) -> None:
        self._source = open_media(self._cut.source)
        template = require_pictures(self._source, self._cut.source)
        base = template.time_base or Fraction(1, 1000)
        self._shift = round(self._cut.zero / base)
        self._encoder = _encoder_like(template, self._cut, self._encoding)
        pictures = container.add_stream_from_template(template)
        pictures.codec_context.extradata = _header_for_both(self._cut, self._encoder)
        if self._output.suffix in {".mp4", ".mov"}:
            pictures.codec_context.codec_tag = "avc1" if self._cut.codec == "h264" else "hev1"
        self._pictures = pictures
        if self._track is not None:
            self._sound = SoundEncoder(container, self._track)
            self._sound.stream.disposition = Disposition.default
        if self._extras is not None:
            self._companions = Companions(
                container, pictures, self._extras, suffix=self._output.suffix
            )
        container.start_encoding()
        self._packets = (packet for packet in packets(self._source, template) if packet.size)
        self._copy(islice(self._packets, self._cut.splice.first))

    def _copy(self, packets: "Iterator[Packet[VideoStream]]") -> None:
        """Pass packets on as they are, on the clock of the first picture."""
        for packet in packets:
            stored = bytes(packet)
            if self._cut.codec == "hevc" and packet.is_keyframe:
                stored = _with_parameters(stored, hevc_units(self._cut.header))
            self._mux(
                stored,
                pts=(packet.pts or 0) - self._shift,
                dts=next(self._dts) - self._shift,
                duration=packet.duration or 0,
                is_keyframe=packet.is_keyframe,
                base=packet.time_base,
            )

    def _take(self, packets: "list[Packet[VideoStream]]") -> None:
        """Put packets of the encoder in the places of the source's."""
        for packet in packets:
            old = next(self._packets, None)
            if old is None or packet.pts is None or self._num_taken == self._num_places:
                raise MediaError(f"'{self._cut.source}' has fewer packets than pictures")
            self._num_taken += 1
            units = units_of_stream(bytes(packet))
            self._mux(
                packet_of(units),
                pts=packet.pts,
                dts=next(self._dts) - self._shift,
                duration=old.duration or 0,
                is_keyframe=packet.is_keyframe,
                base=packet.time_base,
            )

    def _mux(  # one record of a packet
        self,
        stored: bytes,
        *,
        pts: int,
        dts: int,
        duration: int,
        is_keyframe: bool,
        base: Fraction,
    ) -> None:
        if self._output.container is None or self._pictures is None:
            return
        packet: Packet[Stream] = Packet(stored)
        packet.stream, packet.time_base = self._pictures, base
        packet.pts, packet.dts, packet.duration = pts, dts, duration
        packet.is_keyframe = is_keyframe
        self._end = max(self._end, (pts + duration) * base)
        self._output.container.mux(packet)

    def _pass_others(self, time: Fraction) -> None:
        if self._output.container is None:
            return
        if self._sound is not None:
            self._output.container.mux(self._sound.until(time))
        if self._companions is not None:
            self._output.container.mux(self._companions.before(time))

    def _finish(self) -> None:
        if self._encoder is None or self._output.container is None:
            return
        self._take(self._encoder.encode(None))
        if self._num_taken < self._num_places:
            raise MediaError(f"'{self._cut.source}' has more packets than pictures")
        self._copy(self._packets)
        if self._sound is not None:
            self._output.container.mux(self._sound.finish(self._end))
        if self._companions is not None:
            self._output.container.mux(self._companions.finish(self._end))


def _encoder_like(template: VideoStream, cut: Cut, encoding: Encoding) -> VideoCodecContext:
    """An encoder whose pictures a decoder of the source's takes for more of the same."""
    name = _ENCODERS[cut.codec]
    encoder = av.CodecContext.create(name, "w")
    if not isinstance(encoder, VideoCodecContext):
        raise TypeError(f"{name} encodes {encoder.type}")
    source, first = template.codec_context, next(read_native(cut.source))
    encoder.width, encoder.height = source.width, source.height
    encoder.pix_fmt = first.picture.format.name
    encoder.time_base, encoder.framerate = template.time_base or Fraction(1, 1000), cut.fps
    encoder.sample_aspect_ratio = template.sample_aspect_ratio or Fraction(1)
    encoder.colorspace, encoder.color_range = source.colorspace, source.color_range
    encoder.color_primaries, encoder.color_trc = source.color_primaries, source.color_trc
    options = encoder_options(name, encoding, hdr=hdr_of(first.picture), is_chroma_centred=False)
    key = name.removeprefix("lib") + "-params"
    told = [options[key]] if key in options else []
    if cut.codec == "h264":
        record = avc_record(cut.header)
        told.append(_X264.format(number=record.free_number))
        options["profile"] = _PROFILES[record.profile]
        encoder.flags |= _GLOBAL_HEADER
    else:
        told.append(_X265)
    options[key] = ":".join(told)
    encoder.options = options
    encoder.open()
    return encoder


def _header_for_both(cut: Cut, encoder: VideoCodecContext) -> bytes:
    if cut.codec == "hevc":
        return cut.header
    return joined(avc_record(cut.header), units_of_stream(encoder.extradata or b"")).packed()


def _with_parameters(stored: bytes, parameters: tuple[bytes, ...]) -> bytes:
    """A key frame of H.265 after its parameters, which come after the delimiter, if any."""
    units = tuple(units_of(stored))
    num_before = 1 if units and is_delimiter_h265(units[0]) else 0
    return packet_of((*units[:num_before], *parameters, *units[num_before:]))
