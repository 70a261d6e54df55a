"""Lay sounds over each other: each from a moment on, one of them muted where another takes over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.media.sound import SoundTrack

BLOCK_SECONDS = 1
FADE_SECONDS = Fraction(1, 100)  # of a mute's edges, so that nothing clicks
Block = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One of the sounds."""

    track: SoundTrack
    """Its samples; used up."""
    start: Fraction = Fraction(0)
    """When it begins, in seconds; what lies before 0 is left out."""
    end: Fraction | None = None
    """When it ends at the latest, in seconds."""
    muted: tuple[Fraction, Fraction] | None = None
    """From and to in seconds of the result: silent there."""


def mixed(layers: Sequence[Layer]) -> SoundTrack:
    """Add sounds up, a second at a time.

    Args:
        layers: One at least. Rate and channels are those of the first; the others are converted.

    Returns:
        A track that ends with the last of them. A single layer that begins at 0 is its track.

    Raises:
        ConfigError: If there is none.
    """
    if not layers:
        raise ConfigError("nothing to mix; give one sound at least")
    first = layers[0]
    is_plain = not first.start and first.end is None and first.muted is None
    if len(layers) == 1 and is_plain:
        return first.track
    rate, layout = first.track.rate, first.track.layout
    readers = [_Reader(layer, rate=rate, layout=layout) for layer in layers]
    return SoundTrack(rate=rate, layout=layout, blocks=_summed(readers, rate * BLOCK_SECONDS))


def _summed(readers: Sequence["_Reader"], length: int) -> Iterator[Block]:
    while not all(reader.is_over for reader in readers):
        parts = [reader.take(length) for reader in readers]
        longest = max(part.shape[1] for part in parts)
        total = np.zeros((parts[0].shape[0], longest), dtype=np.float32)
        for part in parts:
            total[:, : part.shape[1]] += part
        if longest:
            yield total


class _Reader:
    """Gives the samples of a layer from time zero of the result on."""

    def __init__(self, layer: Layer, *, rate: int, layout: str) -> None:
        self._num_channels = av.AudioLayout(layout).nb_channels
        self._blocks = _converted(layer.track, rate=rate, layout=layout)
        start = round(layer.start * rate)
        self._to_drop = max(0, -start)
        self._waiting = np.zeros((self._num_channels, max(0, start)), dtype=np.float32)
        self._end = None if layer.end is None else round(layer.end * rate)
        self._muted, self._rate, self._position = layer.muted, rate, 0
        self.is_over = False

    def take(self, length: int) -> Block:
        """The next samples: ``length`` of them, fewer at the end."""
        held = [self._waiting]
        num_held = self._waiting.shape[1]
        while num_held < length:
            block = next(self._blocks, None)
            if block is None:
                self.is_over = True
                break
            dropped = min(self._to_drop, block.shape[1])
            self._to_drop -= dropped
            held.append(block[:, dropped:])
            num_held += block.shape[1] - dropped
        whole = np.concatenate(held, axis=1)
        taken, self._waiting = whole[:, :length], whole[:, length:]
        if self._end is not None and self._position + taken.shape[1] >= self._end:
            taken, self.is_over = taken[:, : max(0, self._end - self._position)], True
        loud = taken * self._loudness(taken.shape[1])
        self._position += taken.shape[1]
        return loud

    def _loudness(self, count: int) -> NDArray[np.float32] | np.float32:
        """``(count,)`` factors in [0, 1] of the next samples."""
        if self._muted is None:
            return np.float32(1)
        start, end = (float(edge * self._rate) for edge in self._muted)
        at = self._position + np.arange(count)
        inside = np.minimum(at - start, end - at) / float(FADE_SECONDS * self._rate)
        return np.asarray(1 - np.clip(inside, 0, 1), dtype=np.float32)


def _converted(track: SoundTrack, *, rate: int, layout: str) -> Iterator[Block]:
    blocks, own = track.blocks, track.layout
    if own != layout and "mono" in (own, layout):  # FFmpeg would change the loudness
        blocks, own = (_spread(block, layout) for block in blocks), layout
    if (track.rate, own) == (rate, layout):
        yield from blocks
        return
    resampler = AudioResampler(format="fltp", layout=layout, rate=rate)
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=own)
        frame.sample_rate = track.rate
        for out in resampler.resample(frame):
            yield np.asarray(out.to_ndarray(), dtype=np.float32)
    for out in resampler.resample(None):
        yield np.asarray(out.to_ndarray(), dtype=np.float32)


def _spread(block: Block, layout: str) -> Block:
    """One channel on all of a layout, or the mean of all on one."""
    mean = block.mean(axis=0, keepdims=True, dtype=np.float32)
    return np.repeat(mean, av.AudioLayout(layout).nb_channels, axis=0)
