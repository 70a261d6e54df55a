"""Encode the sound of a video, as far as its pictures have come."""

from fractions import Fraction

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from lipwright.media.output import CONTAINERS
from lipwright.media.sound import SoundTrack

BIT_RATE = 96_000  # bits per second and channel
AAC_FRAME = 1024  # samples
LARGEST_AAC_FRAME = 6144  # bits per channel, by the standard
OPUS_RATE = 48_000  # Hz; Opus knows few others, and WebM's players expect this one


class SoundEncoder:
    """The sound of the video, encoded as far as the pictures have come: AAC, in WebM Opus."""

    def __init__(self, container: OutputContainer, track: SoundTrack) -> None:
        """Add a stream to a container that has not been started."""
        is_opus = container.format.name == CONTAINERS[".webm"]
        stream = container.add_stream(
            "libopus" if is_opus else "aac", rate=OPUS_RATE if is_opus else track.rate
        )
        if not isinstance(stream, AudioStream):
            raise TypeError(f"a sound codec made a {stream.type} stream")
        stream.layout = track.layout
        num_channels = stream.layout.nb_channels
        per_channel = BIT_RATE if is_opus else LARGEST_AAC_FRAME * track.rate // AAC_FRAME
        stream.bit_rate = min(BIT_RATE, per_channel) * num_channels
        self.stream = stream
        """What was added."""
        # libavformat tells the true end of the last packet of AAC to mp4 and mov only; in
        # Matroska the nearest whole packet is nearer to the end of the pictures than a filled-up
        # one. Opus says its end itself.
        self._can_end_anywhere = container.format.name != CONTAINERS[".mkv"]
        self._track = track
        self._held = np.zeros((num_channels, 0), dtype=np.float32)
        self._position = 0  # samples encoded so far

    def until(self, time: Fraction) -> "list[Packet[Stream]]":
        """Encode the samples before a time in seconds."""
        packets: list[Packet[Stream]] = []
        end = round(time * self._track.rate)
        while self._position < end:
            if self._held.shape[1] == 0:
                self._held = self._next_block()
            piece, rest = np.split(self._held, [end - self._position], axis=1)
            self._held = rest
            packets += self._encode(piece)
        return packets

    def finish(self, end: Fraction) -> "list[Packet[Stream]]":
        """Encode up to the end of the pictures, and what the encoder holds."""
        if not self._can_end_anywhere:
            length = Fraction(AAC_FRAME, self._track.rate)
            end = max(1, round(end / length)) * length
        return [*self.until(end), *self.stream.encode(None)]

    def _next_block(self) -> NDArray[np.float32]:
        """The next samples of the file; silence when it has no more."""
        silence = np.zeros((self._held.shape[0], AAC_FRAME), dtype=np.float32)
        return next(self._track.blocks, silence)

    def _encode(self, samples: NDArray[np.float32]) -> "list[Packet[Stream]]":
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(np.clip(samples, -1, 1)), format="fltp", layout=self._track.layout
        )
        frame.sample_rate = self._track.rate
        frame.time_base = Fraction(1, self._track.rate)
        frame.pts = self._position
        self._position += samples.shape[1]
        return self.stream.encode(frame)
