"""Make few speakers sound like many, in sync: changes of the mel, not of the waveform.

Another length of the vocal tract stretches the bands, another pitch moves the harmonics within
them, a room and a microphone colour them. Everything happens in place in time, so that lips fit as
before; another tempo changes both (:func:`at_tempo`).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.speech import NUM_MELS, SILENCE
from lipwright.speech.mel import CEILING

_CURVE = 6  # points of a colouring, from the lowest band to the highest
_REACH = 8  # bands on each side that a blur looks at


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechChange:
    """One way to sound different."""

    stretch: float = 1.0
    """Factor on the bands at which a voice is found: another length of the vocal tract."""
    shift: float = 0.0
    """Bands by which it moves up, after that."""
    blur: float = 0.0
    """Standard deviation, in bands, of a blur over bands: harmonics melt, formants stay."""
    curve: tuple[float, ...] = ()
    """Added from the lowest band to the highest, in units of mel (1.6 is 20 dB)."""
    gain: float = 0.0
    """Added to all bands, in units of mel."""
    decay: float = 0.0
    """Units of mel by which a room's echo falls in a column (1/80 s); 0 for no room."""
    floor: tuple[float, ...] = ()
    """Level of steady noise under the speech, from the lowest band to the highest."""
    noise: float = 0.0
    """Standard deviation of noise added to each value."""
    missing: tuple[tuple[int, int], ...] = ()
    """Bands, from and up to, that carry nothing but their mean."""


def draw_speech_change(rng: np.random.Generator) -> SpeechChange:
    """Draw a way to sound different, in the ranges that generalised to other speakers."""
    bands = []
    for _ in range(2):
        width = int(rng.integers(1, 10))
        first = int(rng.integers(0, NUM_MELS - width))
        if rng.random() < 0.5:
            bands.append((first, first + width))
    has_floor, has_blur = rng.random() < 0.5, rng.random() < 0.7
    level = rng.uniform(SILENCE, -2.2)
    return SpeechChange(
        stretch=float(np.exp(rng.uniform(-0.15, 0.15))),
        shift=float(rng.uniform(-3, 3)),
        blur=float(rng.uniform(0.2, 3.0)) if has_blur else 0.0,
        curve=tuple(rng.normal(0, 0.6, _CURVE).tolist()),
        gain=float(rng.uniform(-0.8, 0.6)),
        floor=tuple((level + rng.normal(0, 0.3, _CURVE)).tolist()) if has_floor else (),
        noise=float(rng.uniform(0.0, 0.2)),
        missing=tuple(bands),
    )


def change_speech(
    mel: NDArray[np.float32], change: SpeechChange, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Apply a change to mel.

    Args:
        mel: ``(..., 80, L)`` float32 in [-4, 4]: windows, or a whole clip.
        change: What to do.
        rng: Source of the noise.

    Returns:
        An array of the same shape, in [-4, 4].
    """
    changed = _moved(mel, change)
    if change.blur:
        changed = _blurred(changed, change.blur)
    if change.curve:
        changed = changed + _over_bands(change.curve)
    changed = changed + np.float32(change.gain)
    if change.decay:
        changed = _echoing(changed, change.decay)
    if change.floor:
        changed = np.maximum(changed, _over_bands(change.floor))
    if change.noise:
        changed = changed + rng.normal(0.0, change.noise, changed.shape).astype(np.float32)
    for first, end in change.missing:
        changed[..., first:end, :] = changed.mean()
    return np.asarray(np.clip(changed, SILENCE, CEILING), dtype=np.float32)


def at_tempo(rows: NDArray[np.float32], tempo: float) -> NDArray[np.float32]:
    """Play rows in time slower or faster, by linear interpolation.

    Args:
        rows: ``(N, K)``: N moments.
        tempo: 2 is twice as fast, which leaves half the moments.

    Returns:
        ``(round(N / tempo), K)`` float32.
    """
    places = np.clip(np.arange(round(len(rows) / tempo)) * tempo, 0, len(rows) - 1)
    before = np.floor(places).astype(np.int64)
    share = (places - before)[:, None].astype(np.float32)
    after = np.minimum(before + 1, len(rows) - 1)
    return np.asarray(rows[before] * (1 - share) + rows[after] * share, dtype=np.float32)


def _moved(mel: NDArray[np.float32], change: SpeechChange) -> NDArray[np.float32]:
    """Bands stretched and shifted."""
    if change.stretch == 1 and change.shift == 0:
        return mel.copy()
    places = np.clip((np.arange(NUM_MELS) - change.shift) / change.stretch, 0, NUM_MELS - 1)
    below = np.floor(places).astype(np.int64)
    share = (places - below)[:, None].astype(np.float32)
    above = np.minimum(below + 1, NUM_MELS - 1)
    moved = mel[..., below, :] * (1 - share) + mel[..., above, :] * share
    return np.asarray(moved, dtype=np.float32)


def _blurred(mel: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    steps = np.arange(-_REACH, _REACH + 1)
    kernel = np.exp(-0.5 * (steps / deviation) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    flat = mel.reshape(-1, *mel.shape[-2:])
    rows = [
        cv2.filter2D(window, -1, kernel[:, None], borderType=cv2.BORDER_REPLICATE)
        for window in flat
    ]
    return np.asarray(np.stack(rows).reshape(mel.shape), dtype=np.float32)


def _echoing(mel: NDArray[np.float32], decay: float) -> NDArray[np.float32]:
    """Nothing falls faster than the echo of what was."""
    echoing = mel.copy()
    for column in range(1, mel.shape[-1]):
        fallen = echoing[..., column - 1] - np.float32(decay)
        echoing[..., column] = np.maximum(echoing[..., column], fallen)
    return echoing


def _over_bands(values: tuple[float, ...]) -> NDArray[np.float32]:
    """``(80, 1)``: some values from the lowest band to the highest, and what lies between."""
    places = np.linspace(0, len(values) - 1, NUM_MELS)
    levels = np.interp(places, np.arange(len(values)), values)
    return np.asarray(levels[:, None], dtype=np.float32)
