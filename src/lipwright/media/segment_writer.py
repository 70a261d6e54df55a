"""Change a stretch of a video and keep the packets of the rest, bit for bit."""

import logging
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from lipwright.errors import MediaError
from lipwright.media.encoding import Encoding
from lipwright.media.extras import Extras
from lipwright.media.gops import NotSpliceableError
from lipwright.media.native import NativeFrame, read_native, read_native_between
from lipwright.media.native_writer import NativeWriter
from lipwright.media.output import require_writable
from lipwright.media.sound import SoundTrack
from lipwright.media.spliced_writer import SplicedWriter, find_cut
from lipwright.media.video import probe

log = logging.getLogger(__name__)


class SegmentWriter:
    """Write a video again with some of its pictures changed; use it in a ``with`` block.

    Groups of pictures that the change does not touch keep their packets: they decode to the very
    samples they had. Groups that it touches are encoded, the unchanged pictures in them too, with
    the codec, profile, format and clock of the source. Of H.264 both sets of parameters stand in
    the header; of H.265 each key frame is preceded by its own. Where that cannot be (another
    codec, groups that look back at those before them, edits), every picture is encoded and the
    log says why.

    The file grows under a hidden name and takes its own when the block ends without an exception.
    """

    def __init__(
        self,
        out: Path,
        *,
        source: Path,
        start: Fraction,
        end: Fraction,
        speech: Path | SoundTrack | None = None,
        encoding: Encoding | None = None,
        extras: Extras | None = None,
    ) -> None:
        """Check what can be checked and find the packets that stay; nothing is written yet.

        Args:
            out: Where the video goes: .mp4, .mkv or .mov.
            source: The video whose pictures change.
            start: When the first changed picture is shown, in seconds from the first of all.
            end: When the last changed picture is shown.
            speech: A file whose sound goes with the pictures, or its sound; None for none.
            encoding: Quality and speed of what is encoded; the rest is as of the source.
            extras: What else of the source goes along.

        Raises:
            MediaError: If the path cannot be written, the source cannot be read, or the stretch
                is empty.
        """
        require_writable(out)
        if not 0 <= start <= end:
            raise MediaError(
                f"a stretch from {float(start):.3f} s to {float(end):.3f} s holds no picture"
            )
        self._out, self._source = out, source
        self._span = (start, end)
        encoding = encoding or Encoding()
        try:
            cut = find_cut(source, start, end, suffix=out.suffix.lower())
        except NotSpliceableError as err:
            log.warning("%s: all pictures are encoded, for %s", source, err)
            fps = probe(source).fps
            self._sink: NativeWriter | SplicedWriter = NativeWriter(
                out, fps=fps, speech=speech, encoding=encoding, extras=extras
            )
            self._frames = read_native(source)
        else:
            self._sink = SplicedWriter(out, cut, encoding=encoding, speech=speech, extras=extras)
            self._frames = read_native_between(source, start=cut.splice.start, end=cut.splice.end)
        self._next = next(self._frames, None)
        self.is_spliced = isinstance(self._sink, SplicedWriter)
        """Whether packets of the source are kept."""

    def __enter__(self) -> Self:
        """Open the hidden file.

        Raises:
            MediaError: If it cannot be opened.
        """
        self._sink.__enter__()
        return self

    def write(self, frame: NativeFrame) -> None:
        """Put a changed picture in the place of the source's.

        Args:
            frame: Of the size of the source's pictures; its time is that of one of them, within
                the stretch and after that of the frame before. It is not modified.

        Raises:
            MediaError: If no picture is left to be changed at its time, or the file cannot be
                written.
        """
        start, end = self._span
        while self._next is not None and self._next.time < frame.time:
            self._pass_on(self._next)
        if self._next is None or self._next.time != frame.time or not start <= frame.time <= end:
            raise MediaError(
                f"'{self._source}' has no picture at {float(frame.time):.6f} s that can be changed "
                f"from {float(start):.3f} s to {float(end):.3f} s"
            )
        self._pass_on(frame)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write the rest and give the file its name; after an exception remove it instead.

        Raises:
            MediaError: If the file cannot be finished.
        """
        try:
            while kind is None and self._next is not None:
                self._pass_on(self._next)
        except BaseException as err:
            self._sink.__exit__(type(err), err, err.__traceback__)
            raise
        self._sink.__exit__(kind, error, traceback)

    def _pass_on(self, frame: NativeFrame) -> None:
        self._sink.write(frame)
        self._next = next(self._frames, None)
