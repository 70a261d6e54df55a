"""Small talking faces, made of a photograph of a real one."""

import wave
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright.media import VideoWriter

SIDE = 240  # pixels
NUM_FRAMES = 44
NUM_SPOKEN = 20  # frames; then silence
MOUTH = (124, 142)  # of the picture that is cut out of the photograph: where the gap begins
GAP = 12  # pixels: at most
RATE = 16_000


def openings(seed: int, *, num_frames: int = NUM_FRAMES) -> NDArray[np.float64]:
    """In [0, 1]: a mouth that opens and closes without a period, and rests in silence."""
    steps = np.random.default_rng(seed).random(num_frames + 5)
    curve = np.convolve(steps, np.hanning(8)[1:-1], mode="valid")
    spoken = curve[:NUM_SPOKEN]
    curve = (curve - spoken.min()) / np.ptp(spoken)
    curve[NUM_SPOKEN:] = 0
    return curve


def paint(
    photograph: NDArray[np.uint8], opening: float, *, left: int = 100, top: int = 5
) -> NDArray[np.uint8]:
    """The astronaut, whose jaw is so far down, in [0, 1], beside her smile."""
    rows, columns = np.indices((SIDE, SIDE), dtype=np.float32)
    across, down = columns - (MOUTH[0] + 100 - left), rows - (MOUTH[1] + 5 - top)
    gap = np.float32(GAP * opening) * np.clip(1 - np.square(across / 19), 0, 1)
    lowered = rows - gap * np.clip(1 - (down - gap) / 60, 0, 1)
    picture = np.ascontiguousarray(photograph[top : top + SIDE, left : left + SIDE])
    warped = cv2.remap(picture, columns, np.where(down < 0, rows, lowered), cv2.INTER_LINEAR)
    is_inside = (down >= 0) & (down < gap - 0.5)
    return np.asarray(np.where(is_inside[..., None], (50, 15, 15), warped), dtype=np.uint8)


def write_speech(path: Path, curve: NDArray[np.float64], *, seed: int = 0) -> Path:
    """Noise that is as loud as the mouth is open."""
    loudness = np.repeat(curve, RATE // 25)
    sound = 0.3 * loudness * np.random.default_rng(seed).normal(size=loudness.size)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def write_talking(
    path: Path,
    photograph: NDArray[np.uint8],
    curve: NDArray[np.float64],
    *,
    speech: Path | None = None,
    scale: int = 1,
    drift: bool = True,
    left: int = 100,
) -> Path:
    """A video of the face with this mouth; the head drifts to the left, as heads do."""
    side = SIDE * scale
    with VideoWriter(
        path, width=side, height=side, fps=Fraction(25), speech=speech, preset="ultrafast"
    ) as writer:
        for index, opening in enumerate(curve):
            step = index if drift else 0
            picture = paint(photograph, opening, left=left + step // 8, top=5 + step // 16)
            if scale != 1:
                picture = np.asarray(cv2.resize(picture, (side, side)), dtype=np.uint8)
            writer.write(picture, Fraction(index, 25))
    return path
