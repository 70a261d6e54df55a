"""All that the product does with a media file while it reads it."""

from pathlib import Path

import numpy as np
from fuzz_child import Step

from lipwright.media import probe, read_frames, read_native, read_speech, rgb_region, thumbnail
from lipwright.speech import mel_spectrogram


def exercise_media(path: Path, _: Path) -> dict[str, Step]:
    """Steps that each read the file from its beginning."""
    return {
        "probe": lambda: probe(path),
        "native": lambda: _look(path),
        "rgb": lambda: [frame.pixels.shape for frame in read_frames(path)],
        "speech": lambda: _hear(path),
    }


def _look(path: Path) -> None:
    box = np.array([4, 4, 40, 40], dtype=np.float32)
    for frame in read_native(path):
        assert all(plane.size for plane in frame.planes())
        assert thumbnail(frame, 32).shape[1] == 32
        assert rgb_region(frame, box, size=16).shape == (16, 16, 3)


def _hear(path: Path) -> None:
    speech = read_speech(path)
    assert np.isfinite(speech).all()
    assert np.abs(speech).max() <= 1
    assert np.isfinite(mel_spectrogram(speech)).all()
