"""Write native frames and the original sound to a video file that appears only when it is whole."""

import logging
from fractions import Fraction
from math import lcm
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from lipwright.errors import MediaError
from lipwright.media.encodable import codec_for, encodable, losses
from lipwright.media.encoding import (
    Encoding,
    encoder_options,
    holds_hdr,
    is_h265,
    require_encoder,
    require_format,
)
from lipwright.media.extras import Companions, Extras
from lipwright.media.native import NativeFrame, copy_picture
from lipwright.media.output import MOST_TICKS, Output, Pipe, require_writable, time_base_of
from lipwright.media.sound import SoundTrack, read_sound
from lipwright.media.sound_writer import SoundEncoder

log = logging.getLogger(__name__)

BT709 = 1  # matrix, primaries and transfer alike, by ISO/IEC 23091-2
UNTAGGED = 2
X265_DELAY = 2  # frames that x265 may hold back for reordering


class NativeWriter:
    """Encode native frames as they are, with their sound; use it in a ``with`` block.

    The file grows under a hidden name in the same folder and takes its own name when the block
    ends without an exception; after an exception, whichever it is, the hidden file is gone and
    what stood under the name before still stands there.

    The first frame decides on the codec and its format: `codec_for` and `encodable` say which;
    what is lost is logged. The sound becomes AAC, in WebM Opus. Colour tags, sample
    aspect ratio, display matrix (all eight ways, in every container) and static HDR metadata are
    carried through, so pictures are neither turned nor scaled. Odd widths and heights, which
    subsampled chroma cannot hold, grow by a column or row that repeats the edge. Frames of
    another size or format than the first are brought to its. Captions are left out, for they
    tell what was said before.

    Time stamps are exact for multiples of the frame period and for those of the source's own
    clock (and on a grid of 1/90000 s or finer otherwise), except in Matroska, whose clock ticks
    in milliseconds. The sound keeps its rate and channels; it is cut, or filled up with silence,
    to end with the last picture.
    """

    def __init__(
        self,
        path: Path | Pipe,
        *,
        fps: Fraction,
        speech: Path | SoundTrack | None,
        encoding: Encoding | None = None,
        extras: Extras | None = None,
        threads: int = 0,
    ) -> None:
        """Check what can be checked; nothing is written yet.

        Args:
            path: Where the video goes: .mp4, .mkv, .mov or .webm, or a pipe.
            fps: Rate of the frames; of frames at a variable rate, the average.
            speech: A file whose sound goes with the frames, or its sound as `read_sound` gives
                it; None for a silent video.
            encoding: How the pictures are encoded; None for the usual way.
            extras: What else of the source goes along; None for nothing.
            threads: Of the encoder; 0 lets it choose.

        Raises:
            MediaError: If the path cannot be written, the rate is not positive, the speech file
                has no sound, or the encoder cannot be used here or not in this container.
            ConfigError: If the quality is out of range.
        """
        if isinstance(path, Path):
            require_writable(path)
        if fps <= 0:
            raise MediaError(
                f"cannot write '{path}' at {fps} frames per second; the rate must be positive"
            )
        self._path = path
        self._output = Output(path)
        self._fps = fps
        self._time_base = time_base_of(fps)
        self._encoding = encoding or Encoding()
        if self._encoding.codec is not None:
            require_encoder(self._encoding.codec, self._output.suffix)
        self._threads = threads
        self._track = read_sound(speech) if isinstance(speech, Path) else speech
        self._extras = extras
        self._reformatter = VideoReformatter()
        self._pictures: VideoStream | None = None
        self._codec = ""
        self._sound: SoundEncoder | None = None
        self._companions: Companions | None = None
        self._last: Fraction | None = None
        self._num_frames = 0

    def __enter__(self) -> Self:
        """Open the hidden file; the encoders open with the first frame.

        Raises:
            MediaError: If the file cannot be opened.
        """
        self._output.open()
        return self

    def write(self, frame: NativeFrame) -> None:
        """Append one frame, to be shown at its time.

        Args:
            frame: Its time is later than that of the frame before. Its pixels are not modified.

        Raises:
            MediaError: If the time does not advance, the encoder cannot be opened, or the file
                cannot be written, for example because the disk is full.
        """
        if self._output.container is None:
            raise MediaError(f"'{self._path}' is not open; use the writer in a with block")
        time = frame.time
        try:
            if self._pictures is None:
                self._pictures = self._opened(self._output.container, frame)
            if time < 0 or (
                self._last is not None and self._ticks(time) <= self._ticks(self._last)
            ):
                before = "0" if self._last is None else f"{float(self._last):.6f}"
                raise MediaError(
                    f"frame at {float(time):.6f} s of '{self._path}' does not come after "
                    f"{before} s; write frames in the order of time"
                )
            picture = self._fitted(frame, self._pictures)
            picture.pict_type = 0  # the source's key frames are not the encoder's
            picture.pts = self._ticks(time)
            picture.time_base = self._time_base
            picture.duration = self._ticks(1 / self._fps)
            self._last = time
            self._num_frames += 1
            self._mux(self._pictures.encode(picture))
            if self._sound is not None:
                self._mux(self._sound.until(time))
            if self._companions is not None:
                self._mux(self._companions.before(time))
        except (OSError, FFmpegError, ValueError) as err:
            raise self._output.failure(err) from err

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the file and give it its name; after an exception remove it instead.

        Raises:
            MediaError: If no frame was written or the file cannot be finished.
        """
        try:
            self._output.end(self._finish if kind is None else None)
        finally:
            if self._companions is not None:
                self._companions.close()

    def _opened(self, container: OutputContainer, first: NativeFrame) -> VideoStream:
        """Open the encoders for frames like the first, and write the header."""
        self._codec = codec_for(first.layout, self._encoding, self._output.suffix)
        require_encoder(self._codec, self._output.suffix)
        require_format(self._codec, self._encoding.pixel_format)
        frame = self._encodable(first)
        self._tell_losses(first, frame)
        is_centred = frame.colour.is_chroma_centred and frame.layout.subsampling == (1, 1)
        options = encoder_options(
            self._codec, self._encoding, hdr=frame.hdr, is_chroma_centred=is_centred
        )
        pictures = container.add_stream(self._codec, rate=self._fps, options=options)
        if not isinstance(pictures, VideoStream):
            raise TypeError(f"{self._codec} made a {pictures.type} stream")
        across, down = frame.layout.subsampling
        pictures.width = _rounded_up(frame.picture.width, 2**across)
        pictures.height = _rounded_up(frame.picture.height, 2**down)
        pictures.pix_fmt = frame.layout.name
        self._time_base = _common_clock(self._time_base, first.picture.time_base)
        pictures.time_base = self._time_base
        context = pictures.codec_context
        context.time_base = self._time_base
        context.thread_count = self._threads
        context.sample_aspect_ratio = frame.display.pixel_aspect
        if is_h265(self._codec) and self._output.suffix in {".mp4", ".mov"}:
            context.codec_tag = "hvc1"  # what Apple's players take
        _tag_colours(pictures, frame, is_from_rgb=first.layout.family == "rgb")
        if not frame.display.is_upright:
            pictures.set_display_matrix(frame.display.matrix)
        self._add_other_streams(container, pictures)
        container.start_encoding()  # an encoder that refuses does so now
        return pictures

    def _add_other_streams(self, container: OutputContainer, pictures: VideoStream) -> None:
        if self._track is not None:
            self._sound = SoundEncoder(container, self._track)
            self._sound.stream.disposition = Disposition.default
        if self._extras is not None:
            self._companions = Companions(
                container, pictures, self._extras, suffix=self._output.suffix
            )

    def _encodable(self, frame: NativeFrame) -> NativeFrame:
        return encodable(
            frame,
            codec=self._codec,
            pixel_format=self._encoding.pixel_format,
            reformatter=self._reformatter,
        )

    def _tell_losses(self, first: NativeFrame, frame: NativeFrame) -> None:
        lost = list(losses(first, frame.layout))
        if frame.hdr is not None and not holds_hdr(self._codec):
            lost.append(f"{self._codec} is not told the light of the graded screen")
        if lost:
            log.warning("%s: %s", self._path, "; ".join(lost))

    def _fitted(self, frame: NativeFrame, pictures: VideoStream) -> av.VideoFrame:
        """The picture in the encoder's format and size."""
        frame = self._encodable(frame)
        picture = frame.picture
        size = (pictures.width, pictures.height)
        is_same_format = frame.layout.name == pictures.pix_fmt
        if is_same_format and (picture.width, picture.height) == size:
            return picture
        across, down = frame.layout.subsampling
        width, height = _rounded_up(picture.width, 2**across), _rounded_up(picture.height, 2**down)
        if is_same_format and (width, height) == size:
            return copy_picture(picture, frame.layout, width=width, height=height)
        return self._reformatter.reformat(
            picture, width=size[0], height=size[1], format=pictures.pix_fmt, threads=1
        )

    def _ticks(self, time: Fraction) -> int:
        return round(time / self._time_base)

    def _mux(self, packets: "list[Packet[Stream]]") -> None:
        if self._output.container is not None:
            self._output.container.mux(packets)

    def _finish(self) -> None:
        if self._last is None or self._pictures is None:
            raise MediaError(f"no frame was written to '{self._path}'; check the source video")
        packets = self._pictures.encode(None)
        if self._num_frames <= X265_DELAY:
            # Nothing was reordered, and x265 reads the delay of reordering before it is set.
            for packet in packets:
                packet.dts = packet.pts
        self._mux(packets)
        end = self._last + 1 / self._fps
        if self._sound is not None:
            self._mux(self._sound.finish(end))
        if self._companions is not None:
            self._mux(self._companions.finish(end))


def _rounded_up(length: int, unit: int) -> int:
    return length + length % unit


def _common_clock(ours: Fraction, source: Fraction | None) -> Fraction:
    """A clock that holds the ticks of both, if containers can store one."""
    ticks = lcm(ours.denominator, source.denominator) if source else ours.denominator
    return Fraction(1, ticks) if ticks <= MOST_TICKS else ours


def _tag_colours(pictures: VideoStream, frame: NativeFrame, *, is_from_rgb: bool) -> None:
    """Say of the stream what the frames say; of what was RGB, what it became."""
    picture = frame.picture
    pictures.colorspace = BT709 if is_from_rgb else picture.colorspace
    pictures.color_primaries, pictures.color_trc = picture.color_primaries, picture.color_trc
    if is_from_rgb and picture.color_primaries == UNTAGGED:
        pictures.color_primaries = pictures.color_trc = BT709
    pictures.color_range = ColorRange.JPEG if frame.colour.is_full_range else ColorRange.MPEG
