"""Write frames as an animated GIF that appears only when it is whole."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.error import FFmpegError
from av.filter import Graph
from av.video.stream import VideoStream

from lipwright.errors import MediaError
from lipwright.media.native import NativeFrame
from lipwright.media.native_rgb import rgb
from lipwright.media.output import Output, require_folder_of

GIF = ".gif"
TICK = Fraction(1, 100)  # seconds; what a GIF counts in
# Each picture gets the 256 colours that suit it best, and a pattern that stands still.
_COLOURS = "stats_mode=single"
_PATTERN = "new=1:dither=bayer:bayer_scale=3"


class GifWriter:
    """Write each frame into a GIF that repeats for ever; use it in a ``with`` block.

    Pictures are upright with square pixels and have 256 colours each; there is no sound and no
    transparency. Times are rounded to 1/100 s, each by itself, so that errors do not add up;
    frames that would be shown for less than one hundredth are left out.
    """

    def __init__(self, path: Path, *, fps: Fraction) -> None:
        """Check what can be checked; nothing is written yet.

        Args:
            path: Where the GIF goes.
            fps: Rate of the frames, which says how long the last is shown.

        Raises:
            MediaError: If the path cannot be written or the rate is not positive.
        """
        require_folder_of(path)
        if path.is_dir() or path.suffix.lower() != GIF:
            raise MediaError(f"cannot write '{path}'; give the name of a .gif")
        if fps <= 0:
            raise MediaError(f"cannot write '{path}' at {fps} frames per second")
        self._path = path
        self._fps = fps
        self._output = Output(path)
        self._graph: Graph | None = None
        self._stream: VideoStream | None = None
        self._last = -1  # ticks

    def __enter__(self) -> Self:
        """Open the hidden file.

        Raises:
            MediaError: If it cannot be opened.
        """
        delay = max(1, round(1 / self._fps / TICK))
        self._output.open({"loop": "0", "final_delay": str(delay)})
        return self

    def write(self, frame: NativeFrame) -> None:
        """Append one frame.

        Args:
            frame: Its time is not before that of the frame before. It is not modified.

        Raises:
            MediaError: If the file cannot be written, for example because the disk is full.
        """
        ticks = round(frame.time / TICK)
        if ticks <= self._last:
            return
        self._last = ticks
        picture = av.VideoFrame.from_ndarray(rgb(frame), format="rgb24")
        picture.pts, picture.time_base = ticks, TICK
        try:
            if self._stream is None:
                self._stream = self._opened(picture)
            self._encode(picture)
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
        self._output.end(self._finish if kind is None else None)

    def _opened(self, first: av.VideoFrame) -> VideoStream:
        if self._output.container is None:
            raise MediaError(f"'{self._path}' is not open; use the writer in a with block")
        stream = self._output.container.add_stream("gif", rate=self._fps)
        if not isinstance(stream, VideoStream):
            raise TypeError(f"GIF made a {stream.type} stream")
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "pal8"
        stream.time_base = stream.codec_context.time_base = TICK
        self._graph = _colours_for(first)
        return stream

    def _encode(self, picture: av.VideoFrame | None) -> None:
        if self._graph is None or self._stream is None or self._output.container is None:
            return
        self._graph.vpush(picture)
        while True:
            try:
                coloured = self._graph.vpull()
            except (BlockingIOError, EOFError):
                break
            self._output.container.mux(self._stream.encode(coloured))

    def _finish(self) -> None:
        if self._stream is None or self._output.container is None:
            raise MediaError(f"no frame was written to '{self._path}'; check the source video")
        self._encode(None)
        self._output.container.mux(self._stream.encode(None))


def _colours_for(first: av.VideoFrame) -> Graph:
    """A filter that chooses 256 colours for each picture and lays it out in them."""
    graph = Graph()
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=TICK
    )
    both = graph.add("split")
    choose, use = graph.add("palettegen", _COLOURS), graph.add("paletteuse", _PATTERN)
    source.link_to(both)
    both.link_to(choose, 0, 0)
    both.link_to(use, 1, 0)
    choose.link_to(use, 0, 1)
    use.link_to(graph.add("buffersink"))
    graph.configure()
    return graph
