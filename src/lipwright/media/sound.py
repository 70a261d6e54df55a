"""Read the sound of a file: as it is, or as the speech that the networks hear."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from lipwright.errors import MediaError
from lipwright.media.limits import beyond, limits_in_force, require_sampling
from lipwright.media.source import (
    first_picture_time,
    open_media,
    packets,
    reason,
    sound_stream,
    stamp,
)

log = logging.getLogger(__name__)

SPEECH_RATE = 16_000  # Hz; what every network of this field listens at
_BLOCK_BYTES = 4 * 4 * SPEECH_RATE  # four seconds of float32
TOLERANCE = Fraction(1, 100)  # seconds a time stamp may be off before the sound is moved
LARGEST_JUMP = Fraction(600)  # seconds; a larger gap is a broken clock, not a pause
# The rates and layouts that AAC takes as they are; everything else is converted when read, so
# that what was read can be written.
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
DEFAULT_RATE = 48_000


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundTrack:
    """The sound of one file from time zero on, without gaps."""

    rate: int
    """Samples per second."""
    layout: str
    """Name of the channel layout: a value of `AAC_LAYOUTS`."""
    blocks: Iterator[NDArray[np.float32]]
    """Consecutive stretches: ``(num_channels, N)`` float32, finite, nominally in [-1, 1]."""


def read_speech(path: Path, *, stream: int | None = None) -> NDArray[np.float32]:
    """Read the speech of a sound or video file.

    Time zero is the first picture if the file has pictures, else the first sample: sound that
    begins after the first picture gets leading silence, sound before it is cut off. Channels are
    averaged. Gaps of more than 10 ms in the time stamps become silence, overlaps of more than
    10 ms are cut; damaged packets become silence and are logged, as are samples that are not
    finite.

    Args:
        path: A file that has sound.
        stream: Which of several streams of sound, 0 for the first; None for a player's choice.

    Returns:
        ``(N,)`` float32 in [-1, 1], mono, at `SPEECH_RATE`.

    Raises:
        MediaError: If the file is missing, not media, has no sound or no sample of it, or not so
            many streams of it.
    """
    heard = bytearray()  # grows in one piece: many arrays would leave memory in bits
    for block in read_speech_blocks(path, stream=stream):
        heard += block.tobytes()
    return np.frombuffer(heard, dtype=np.float32)


def read_speech_blocks(path: Path, *, stream: int | None = None) -> Iterator[NDArray[np.float32]]:
    """Read what `read_speech` does, block by block, with bounded memory.

    Args:
        path: A file that has sound.
        stream: See `read_speech`.

    Yields:
        Consecutive stretches of about four seconds: ``(N,)`` float32 in [-1, 1], mono, at
        `SPEECH_RATE`.

    Raises:
        MediaError: See `read_speech`; when the first stretch is asked for, or the one that is
            missing.
    """
    track = read_sound(path, stream=stream)
    resampler = AudioResampler(format="fltp", layout="mono", rate=SPEECH_RATE)
    heard = bytearray()
    num_samples = 0
    is_empty = True
    for block in track.blocks:
        mono = block.mean(axis=0, dtype=np.float32)
        frame = AudioFrame.from_ndarray(mono[None], format="fltp", layout="mono")
        frame.sample_rate = track.rate
        frame.time_base = Fraction(1, track.rate)
        frame.pts = num_samples
        num_samples += mono.size
        heard += _samples(resampler.resample(frame))
        if len(heard) >= _BLOCK_BYTES:
            yield _clipped(heard)
            heard, is_empty = bytearray(), False
    heard += _samples(resampler.resample(None))
    if heard:
        yield _clipped(heard)
    elif is_empty:
        raise MediaError(
            f"the sound of '{path}' holds 0 samples after the first picture; give another file"
        )


def read_sound(path: Path, *, stream: int | None = None) -> SoundTrack:
    """Read the sound of a file as it is, block by block, with bounded memory.

    Time zero, gaps, overlaps and damage are treated as in `read_speech`. Sample rate and channels
    are kept wherever AAC can hold them; otherwise the sound comes as 48 kHz or stereo.

    Args:
        path: A file that has sound.
        stream: Which of several streams of sound, 0 for the first; None for a player's choice.

    Raises:
        MediaError: If the file is missing, not media, or has no sound, or not so many streams of
            it; the message lists those that it has. Damage that ends the file early is raised
            from the blocks.
    """
    with open_media(path) as container:
        context = chosen_sound(container, path, stream).codec_context
        rate, layout = context.sample_rate, context.layout
        require_sampling(path, rate, layout.nb_channels)
    if rate not in AAC_RATES:
        rate = DEFAULT_RATE
    name = _kept_layout(layout)
    return SoundTrack(rate=rate, layout=name, blocks=_blocks(path, rate, name, stream))


def _clipped(samples: bytearray) -> NDArray[np.float32]:
    return np.clip(np.frombuffer(samples, dtype=np.float32), -1, 1)


def _samples(frames: Sequence[AudioFrame | None]) -> bytes:
    """The samples of mono sound in float32."""
    # A resampler with nothing to do hands back the None that flushes it.
    return b"".join(frame.to_ndarray().tobytes() for frame in frames if frame is not None)


def chosen_sound(container: InputContainer, path: Path, number: int | None = None) -> AudioStream:
    """A stream of sound of an open file.

    Args:
        container: The file.
        path: Its name, for messages.
        number: Which of its streams of sound, 0 for the first; None for a player's choice.

    Raises:
        MediaError: If there is none, or not so many.
    """
    stream = sound_stream(container)
    if stream is None:
        raise MediaError(f"'{path}' has no sound; name a file that has, such as a WAV recording")
    if number is None:
        return stream
    held = [entry for entry in container.streams.audio if entry.codec_context is not None]
    if not 0 <= number < len(held):
        raise MediaError(
            f"'{path}' has no stream of sound {number}; it has "
            + "; ".join(f"{k}: {_described(entry)}" for k, entry in enumerate(held))
        )
    return held[number]


def _described(stream: AudioStream) -> str:
    context = stream.codec_context
    names = [stream.language or "", stream.metadata.get("title", "")]
    said = [context.name, context.layout.name, f"{context.sample_rate} Hz"]
    return ", ".join([*said, *(name for name in names if name and name != "und")])


def _kept_layout(layout: AudioLayout) -> str:
    """The layout to convert to: the same channels under AAC's name, or stereo."""
    name = AAC_LAYOUTS.get(layout.nb_channels, "stereo")
    # "5.1(side)" is 5.1, and "6 channels" is how a WAV without a channel mask says it.
    same = {name, f"{layout.nb_channels} channels"}
    is_same = layout.nb_channels <= 2 or layout.name.partition("(")[0] in same
    return name if is_same else "stereo"


def _blocks(
    path: Path, rate: int, layout: str, number: int | None
) -> Iterator[NDArray[np.float32]]:
    """Lay the decoded sound on the clock that starts at the first picture."""
    zero = first_picture_time(path)
    position = 0  # samples given out so far
    num_cut = 0
    longest = limits_in_force().seconds
    for time, decoded in _decode(path, rate, layout, number):
        zero = time if zero is None else zero
        gap = 0 if time is None or zero is None else round((time - zero) * rate) - position
        block = decoded
        if position == 0 or abs(gap) > TOLERANCE * rate:
            if gap > LARGEST_JUMP * rate or (position and -gap > LARGEST_JUMP * rate):
                raise MediaError(
                    f"time stamps of the sound of '{path}' jump by {gap / rate:.1f} s at "
                    f"{position / rate:.1f} s; re-encode the file"
                )
            for silence in _silence(gap, rate, num_channels=block.shape[0]):
                position += silence.shape[1]
                yield silence
            block = block[:, max(0, -gap) :]
            num_cut += decoded.shape[1] - block.shape[1] if position else 0
        if position + block.shape[1] > longest * rate:
            what = f"has sound at {(position + block.shape[1]) / rate:.1f} s"
            raise beyond(path, what, "seconds", longest)
        if block.shape[1]:
            position += block.shape[1]
            yield block
    if num_cut:
        log.warning("%s: cut %.3f s of sound that overlaps other sound", path, num_cut / rate)


def _silence(num_samples: int, rate: int, *, num_channels: int) -> Iterator[NDArray[np.float32]]:
    """Silence in pieces of at most a second; none for a negative length."""
    for start in range(0, num_samples, rate):
        yield np.zeros((num_channels, min(rate, num_samples - start)), dtype=np.float32)


_Timed = tuple[Fraction | None, NDArray[np.float32]]


def _decode(path: Path, rate: int, layout: str, number: int | None) -> Iterator[_Timed]:
    """Decode to ``(num_channels, N)`` float32 at one rate, each block with its container time."""
    converter = _Converter(rate, layout)
    last: Fraction | None = None
    held: _Timed | None = None
    with open_media(path) as container:
        stream = chosen_sound(container, path, number)
        try:
            for frame in _decoded(container, stream, path):
                for time, block in converter.convert(frame):
                    if held is not None:
                        yield held
                    last = time
                    held = time, _finite(block, path, converter)
        except (FFmpegError, ValueError) as err:
            where = "its start" if last is None else f"{float(last):.3f} s"
            why = reason(err) if isinstance(err, FFmpegError) else str(err)
            raise MediaError(
                f"the sound of '{path}' cannot be read after {where} ({why}); re-encode the file"
            ) from err
        if held is not None:
            yield _without_padding(held, stream, rate, path)


def _decoded(
    container: InputContainer, stream: AudioStream, path: Path
) -> Iterator[AudioFrame | None]:
    """Decode within the `Limits`; None is the end, when the converter gives what it holds."""
    most = limits_in_force().empty_packets
    num_damaged = num_empty = 0
    for packet in packets(container, stream):
        frames: list[AudioFrame] = []
        try:
            frames = packet.decode()
        except FFmpegError:  # decoders give many kinds for damage, even "not permitted"
            num_damaged += 1
        num_empty = 0 if frames else num_empty + 1
        if num_empty > most:
            what = f"has {num_empty} packets in a row without sound"
            raise beyond(path, what, "empty_packets", most)
        for frame in frames:
            require_sampling(path, frame.sample_rate, frame.layout.nb_channels)
            yield frame
        if packet.size == 0:
            yield None
    if num_damaged:
        log.warning("%s: %d damaged packets of sound became silence", path, num_damaged)


def _without_padding(last: _Timed, stream: AudioStream, rate: int, path: Path) -> _Timed:
    """Cut what an encoder added to fill its last packet, where the container says how much."""
    time, block = last
    if time is None or not stream.duration or stream.time_base is None:
        return last
    end = ((stream.start_time or 0) + stream.duration) * stream.time_base
    num_samples = round((end - time) * rate)
    if num_samples > block.shape[1] + rate:
        missing = float(num_samples - block.shape[1]) / rate
        log.warning("%s: the sound ends %.1f s before the end that the file claims", path, missing)
    return (time, block[:, :num_samples]) if num_samples > 0 else last


def _finite(block: NDArray[np.float32], path: Path, converter: "_Converter") -> NDArray[np.float32]:
    is_finite = np.isfinite(block)
    if is_finite.all():
        return block
    if not converter.has_warned:
        log.warning("%s: samples that are not finite became silence", path)
        converter.has_warned = True
    return np.where(is_finite, block, np.float32(0))


class _Converter:
    """Brings decoded sound to one rate and layout, even if the source changes on the way."""

    def __init__(self, rate: int, layout: str) -> None:
        self._rate = rate
        self._layout = layout
        self._source: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None
        self.has_warned = False

    def convert(self, frame: AudioFrame | None) -> Iterator[_Timed]:
        """Convert one decoded frame; None gives what is still held back."""
        source = None
        if frame is not None:
            source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._source:
            if self._resampler is not None:
                yield from self._out(self._resampler.resample(None))
            self._source = source
            # Relabelling (stereo as "2 channels", 5.1 as 5.1(side)) would invite a matrix.
            is_named = frame is None or frame.layout.nb_channels != self._num_channels
            self._resampler = AudioResampler(
                format="fltp", layout=self._layout if is_named else None, rate=self._rate
            )
        if frame is not None and self._resampler is not None:
            yield from self._out(self._resampler.resample(frame))

    @property
    def _num_channels(self) -> int:
        return AudioLayout(self._layout).nb_channels

    def _out(self, frames: Sequence[AudioFrame | None]) -> Iterator[_Timed]:
        for frame in frames:
            if frame is None:  # a resampler with nothing to do hands back what flushes it
                continue
            yield stamp(frame), np.asarray(frame.to_ndarray(), dtype=np.float32)
