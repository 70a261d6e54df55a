"""Write native frames and the original sound to a video file that appears only when it is whole."""

import logging
import secrets
from contextlib import suppress
from fractions import Fraction
from math import lcm
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from lipwright.errors import MediaError
from lipwright.media.encodable import VideoCodec, codec_for, encodable
from lipwright.media.native import NativeFrame, copy_picture
from lipwright.media.sound import read_sound
from lipwright.media.source import reason
from lipwright.media.writer import (
    CONTAINERS,
    MOST_TICKS,
    SoundEncoder,
    require_writable,
    time_base_of,
)

log = logging.getLogger(__name__)

BT709 = 1  # matrix, primaries and transfer alike, by ISO/IEC 23091-2
UNTAGGED = 2
X265_DELAY = 2  # frames that x265 may hold back for reordering
CENTRED_CHROMA = 1  # chroma_sample_loc_type of H.264 and H.265


class NativeWriter:
    """Encode native frames as they are, with the sound as AAC; use it in a ``with`` block.

    The file grows under a hidden name in the same folder and takes its own name when the block
    ends without an exception; after an exception, whichever it is, the hidden file is gone and
    what stood under the name before still stands there.

    The first frame decides on the encoder's format: `encodable` says which. Colour tags, sample
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
        path: Path,
        *,
        fps: Fraction,
        speech: Path | None,
        crf: int = 18,
        preset: str = "veryfast",
        codec: VideoCodec = "libx264",
        threads: int = 0,
    ) -> None:
        """Check what can be checked; nothing is written yet.

        Args:
            path: Where the video goes: .mp4, .mkv or .mov.
            fps: Rate of the frames; of frames at a variable rate, the average.
            speech: A file whose sound goes with the frames; None for a silent video.
            crf: Quality of the encoder, 0 (lossless at every depth) to 51.
            preset: Speed of the encoder, ``ultrafast`` to ``placebo``.
            codec: The encoder; more than 10 bits go to ``libx265`` whatever is said.
            threads: Of the encoder; 0 lets it choose.

        Raises:
            MediaError: If the path cannot be written, the rate is not positive, or the speech
                file has no sound.
        """
        require_writable(path)
        if fps <= 0:
            raise MediaError(
                f"cannot write '{path}' at {fps} frames per second; the rate must be positive"
            )
        self._path = path
        self._unfinished = path.with_name(f".lipwright-{secrets.token_hex(8)}{path.suffix}")
        self._fps = fps
        self._time_base = time_base_of(fps)
        self._quality = (crf, preset)
        self._codec: VideoCodec = codec
        self._threads = threads
        self._track = read_sound(speech) if speech is not None else None
        self._reformatter = VideoReformatter()
        self._container: OutputContainer | None = None
        self._pictures: VideoStream | None = None
        self._sound: SoundEncoder | None = None
        self._last: Fraction | None = None
        self._num_frames = 0

    def __enter__(self) -> Self:
        """Open the hidden file; the encoders open with the first frame.

        Raises:
            MediaError: If the file cannot be opened.
        """
        kind = CONTAINERS[self._path.suffix.lower()]
        try:
            self._container = av.open(
                f"file:{self._unfinished}",
                mode="w",
                format=kind,
                container_options={} if kind == "matroska" else {"movflags": "+faststart"},
            )
        except (OSError, FFmpegError, ValueError) as err:
            self._discard()
            raise self._failure(err) from err
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, frame: NativeFrame) -> None:
        """Append one frame, to be shown at its time.

        Args:
            frame: Its time is later than that of the frame before. Its pixels are not modified.

        Raises:
            MediaError: If the time does not advance, the encoder cannot be opened, or the file
                cannot be written, for example because the disk is full.
        """
        if self._container is None:
            raise MediaError(f"'{self._path}' is not open; use the writer in a with block")
        time = frame.time
        try:
            if self._pictures is None:
                self._pictures = self._opened(self._container, frame)
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
        except (OSError, FFmpegError, ValueError) as err:
            raise self._failure(err) from err

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
        if kind is not None:
            self._discard()
            return
        try:
            self._finish()
        except (OSError, FFmpegError) as err:
            self._discard()
            raise self._failure(err) from err
        except BaseException:
            self._discard()
            raise

    def _opened(self, container: OutputContainer, first: NativeFrame) -> VideoStream:
        """Open the encoders for frames like the first, and write the header."""
        if first.layout.has_alpha:
            log.warning("%s: transparency is left out", self._path)
        codec = codec_for(first.layout, self._codec)
        frame = encodable(first, codec=codec, reformatter=self._reformatter)
        pictures = container.add_stream(codec, rate=self._fps, options=self._options(frame, codec))
        if not isinstance(pictures, VideoStream):
            raise TypeError(f"{codec} made a {pictures.type} stream")
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
        if codec == "libx265" and self._path.suffix.lower() != ".mkv":
            context.codec_tag = "hvc1"  # what Apple's players take
        _tag_colours(pictures, frame, is_from_rgb=first.layout.family == "rgb")
        if not frame.display.is_upright:
            pictures.set_display_matrix(frame.display.matrix)
        if self._track is not None:
            self._sound = SoundEncoder(container, self._track)
        container.start_encoding()  # an encoder that refuses does so now
        return pictures

    def _options(self, frame: NativeFrame, codec: VideoCodec) -> dict[str, str]:
        crf, preset = self._quality
        options = {"preset": preset, "a53cc": "0"}
        params: list[str] = []
        if codec == "libx265":
            params += ["log-level=error", "lossless=1" if crf == 0 else f"crf={crf}"]
        else:
            # A rate factor of 0 is lossless at 8 bits only.
            options |= {"qp": "0"} if crf == 0 else {"crf": str(crf)}
        names = {"libx264": ("mastering-display", "cll"), "libx265": ("master-display", "max-cll")}
        if frame.hdr is not None:
            for name, text in zip(
                names[codec], (frame.hdr.mastering, frame.hdr.light), strict=True
            ):
                params += [f"{name}={text}"] if text else []
        if frame.colour.is_chroma_centred and frame.layout.subsampling == (1, 1):
            params.append(f"chromaloc={CENTRED_CHROMA}")
        if params:
            options[codec.removeprefix("lib") + "-params"] = ":".join(params)
        return options

    def _fitted(self, frame: NativeFrame, pictures: VideoStream) -> av.VideoFrame:
        """The picture in the encoder's format and size."""
        frame = encodable(frame, codec=self._codec, reformatter=self._reformatter)
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
        if self._container is not None:
            self._container.mux(packets)

    def _finish(self) -> None:
        if self._last is None or self._pictures is None or self._container is None:
            raise MediaError(f"no frame was written to '{self._path}'; check the source video")
        packets = self._pictures.encode(None)
        if self._num_frames <= X265_DELAY:
            # Nothing was reordered, and x265 reads the delay of reordering before it is set.
            for packet in packets:
                packet.dts = packet.pts
        self._mux(packets)
        if self._sound is not None:
            self._mux(self._sound.finish(self._last + 1 / self._fps))
        self._container.close()
        self._unfinished.replace(self._path)

    def _discard(self) -> None:
        if self._container is not None:
            with suppress(OSError, FFmpegError):  # the file is given up, whole or not
                self._container.close()
        self._unfinished.unlink(missing_ok=True)

    def _failure(self, err: Exception) -> MediaError:
        why = reason(err) if isinstance(err, FFmpegError) else str(err)
        return MediaError(
            f"cannot write '{self._path}' ({why}); check the free space, the size and the options"
        )


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
