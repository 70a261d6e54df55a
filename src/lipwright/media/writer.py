"""Write frames and the original sound to a video file that appears only when it is whole."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream

from lipwright.errors import MediaError
from lipwright.media.output import Output, require_writable, time_base_of
from lipwright.media.sound import read_sound
from lipwright.media.sound_writer import SoundEncoder
from lipwright.media.video import Frame


class VideoWriter:
    """Encode frames as H.264 with the sound as AAC; use it in a ``with`` block.

    The file grows under a hidden name in the same folder and takes its own name when the block
    ends without an exception; after an exception, whichever it is, the hidden file is gone and
    what stood under the name before still stands there.

    Pictures are BT.709 4:2:0 in limited range, and tagged so. Odd widths and heights, which 4:2:0
    cannot hold, grow by one pixel that repeats the edge. Time stamps are exact for multiples of
    the frame period (and on a grid of 1/90000 s or finer otherwise), except in Matroska, whose
    clock ticks in milliseconds. The sound keeps its rate and channels; it is cut, or filled up
    with silence, to end with the last picture.
    """

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        fps: Fraction,
        speech: Path | None,
        crf: int = 18,
        preset: str = "veryfast",
    ) -> None:
        """Check what can be checked; nothing is written yet.

        Args:
            path: Where the video goes: .mp4, .mkv or .mov.
            width: Of the frames, in pixels.
            height: Of the frames, in pixels.
            fps: Rate of the frames; of frames at a variable rate, the average.
            speech: A file whose sound goes with the frames; None for a silent video.
            crf: Quality of x264, 0 (lossless) to 51.
            preset: Speed of x264, ``ultrafast`` to ``placebo``.

        Raises:
            MediaError: If the path cannot be written, the size or rate is not positive, or the
                speech file has no sound.
        """
        require_writable(path)
        if width < 1 or height < 1 or fps <= 0:
            raise MediaError(
                f"cannot write '{path}' with {width}x{height} pixels at {fps} frames per second; "
                "all must be positive"
            )
        self._path = path
        self._output = Output(path)
        self._size = (height, width)
        self._fps = fps
        self._time_base = time_base_of(fps)
        self._options = {"crf": str(crf), "preset": preset}
        self._track = read_sound(speech) if speech is not None else None
        self._reformatter = VideoReformatter()
        self._pictures: VideoStream | None = None
        self._sound: SoundEncoder | None = None
        self._last: Fraction | None = None

    def __enter__(self) -> Self:
        """Open the hidden file.

        Raises:
            MediaError: If the file or an encoder cannot be opened.
        """
        try:
            self._open()
        except (OSError, FFmpegError, ValueError) as err:
            self._output.discard()
            raise self._output.failure(err) from err
        except BaseException:
            self._output.discard()
            raise
        return self

    def write(self, pixels: Frame, time: Fraction) -> None:
        """Append one frame.

        Args:
            pixels: ``(H, W, 3)`` uint8 RGB of the size the writer was made for.
            time: Seconds since the start of the video; later than that of the frame before.

        Raises:
            MediaError: If the frame has another size or type, the time does not advance, or the
                file cannot be written, for example because the disk is full.
        """
        if pixels.shape != (*self._size, 3) or pixels.dtype != np.uint8:
            raise MediaError(
                f"'{self._path}' takes frames of {(*self._size, 3)} uint8, "
                f"got {pixels.shape} {pixels.dtype}"
            )
        if time < 0 or (self._last is not None and self._ticks(time) <= self._ticks(self._last)):
            before = "0" if self._last is None else f"{float(self._last):.6f}"
            raise MediaError(
                f"frame at {float(time):.6f} s of '{self._path}' does not come after {before} s; "
                "write frames in the order of time"
            )
        if self._pictures is None:
            raise MediaError(f"'{self._path}' is not open; use the writer in a with block")
        picture = self._picture(pixels)
        picture.pts = self._ticks(time)
        picture.time_base = self._time_base
        picture.duration = self._ticks(1 / self._fps)
        self._last = time
        try:
            self._mux(self._pictures.encode(picture))
            if self._sound is not None:
                self._mux(self._sound.until(time))
        except (OSError, FFmpegError) as err:
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
        self._output.end(self._finish if kind is None else None)

    def _open(self) -> None:
        container = self._output.open()
        height, width = self._size
        pictures = container.add_stream("libx264", rate=self._fps, options=self._options)
        if not isinstance(pictures, VideoStream):
            raise TypeError(f"x264 made a {pictures.type} stream")
        pictures.width, pictures.height = width + width % 2, height + height % 2
        pictures.pix_fmt = "yuv420p"
        pictures.time_base = self._time_base
        pictures.codec_context.time_base = self._time_base
        pictures.color_primaries = ColorPrimaries.BT709
        pictures.color_trc = ColorTrc.BT709
        pictures.colorspace = Colorspace.ITU709
        pictures.color_range = ColorRange.MPEG
        self._pictures = pictures
        if self._track is not None:
            self._sound = SoundEncoder(container, self._track)
        container.start_encoding()  # an encoder that refuses does so now

    def _picture(self, pixels: Frame) -> av.VideoFrame:
        height, width = self._size
        if height % 2 or width % 2:
            pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        return self._reformatter.reformat(
            rgb,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )

    def _ticks(self, time: Fraction) -> int:
        return round(time / self._time_base)

    def _mux(self, packets: "list[Packet[Stream]]") -> None:
        if self._output.container is not None:
            self._output.container.mux(packets)

    def _finish(self) -> None:
        if self._last is None or self._pictures is None:
            raise MediaError(f"no frame was written to '{self._path}'; check the source video")
        self._mux(self._pictures.encode(None))
        if self._sound is not None:
            self._mux(self._sound.finish(self._last + 1 / self._fps))
