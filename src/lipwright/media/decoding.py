"""Decode pictures with what they need beside their decoder: alpha, and fields put together."""

import logging
from pathlib import Path

import av
from av.codec.context import CodecContext
from av.filter import Graph
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

log = logging.getLogger(__name__)

# The usual decoders of these codecs leave out the second picture that holds the alpha.
_DECODERS_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_ALPHA_MODE = "alpha_mode"  # what WebM calls the flag


class PictureDecoder:
    """Turns the packets of one stream into whole progressive pictures.

    Interlaced pictures, which hold two moments in alternating rows, are made progressive at the
    same rate: each keeps the rows of its first field, and the other rows are estimated from their
    neighbours in place and time (BWDIF). From the first interlaced picture on all pass through
    the filter, which leaves progressive ones as they are.
    """

    def __init__(self, stream: VideoStream, path: Path) -> None:
        """Open a decoder of its own where the stream's leaves something out.

        Args:
            stream: To be decoded.
            path: Of its file, for messages.
        """
        self._stream = stream
        self._path = path
        self._own = _decoder_with_alpha(stream)
        self._fields: _Deinterlacer | None = None

    def decode(self, packet: "Packet[VideoStream]") -> list[av.VideoFrame]:
        """Decode one packet; the empty one at the end gives what was held back.

        Raises:
            FFmpegError: If the packet is damaged.
        """
        if self._own is None:
            pictures = packet.decode()
        else:
            pictures = self._own.decode(packet if packet.size else None)
            for picture in pictures:
                picture.time_base = self._stream.time_base or picture.time_base
        whole: list[av.VideoFrame] = []
        for picture in pictures:
            if self._fields is None and picture.interlaced_frame:
                log.info("%s is interlaced; it is made progressive", self._path)
                self._fields = _Deinterlacer()
            whole += [picture] if self._fields is None else self._fields.push(picture)
        if packet.size == 0 and self._fields is not None:
            whole += self._fields.flush()
        return whole


def _decoder_with_alpha(stream: VideoStream) -> VideoCodecContext | None:
    name = _DECODERS_WITH_ALPHA.get(stream.codec_context.codec.canonical_name)
    if name is None or stream.metadata.get(_ALPHA_MODE) != "1":
        return None
    context = CodecContext.create(name, "r")
    if not isinstance(context, VideoCodecContext):
        raise TypeError(f"{name} decodes {context.type}")
    context.extradata = stream.codec_context.extradata
    context.options = dict(stream.codec_context.options)  # the limits
    context.options = dict(stream.codec_context.options)  # the limits among them
    context.thread_count = 0  # as many as it likes
    return context


class _Deinterlacer:
    """The filter, made anew when size or format of the pictures change."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._kind: tuple[int, int, str] | None = None

    def push(self, picture: av.VideoFrame) -> list[av.VideoFrame]:
        """What is ready once a picture is known; the filter looks one picture ahead."""
        kind = (picture.width, picture.height, picture.format.name)
        ready: list[av.VideoFrame] = []
        if kind != self._kind:
            ready = self.flush()
            self._kind = kind
            self._graph = _graph_for(picture)
        if self._graph is None:
            return ready
        self._graph.vpush(picture)
        return ready + self._pulled()

    def flush(self) -> list[av.VideoFrame]:
        """What the filter holds back; nothing can be pushed after that but another kind."""
        if self._graph is None:
            return []
        self._graph.vpush(None)
        ready = self._pulled()
        self._graph = self._kind = None
        return ready

    def _pulled(self) -> list[av.VideoFrame]:
        ready: list[av.VideoFrame] = []
        while self._graph is not None:
            try:
                ready.append(self._graph.vpull())
            except (BlockingIOError, EOFError):
                break
        return ready


def _graph_for(picture: av.VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=picture.time_base,
    )
    fields = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    graph.link_nodes(source, fields, graph.add("buffersink")).configure()
    return graph
