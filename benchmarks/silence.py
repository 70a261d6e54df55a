"""Measure how much a drawn mouth moves in a second of silence, over how it moves in speech.

Each held-out portrait says a held-out clip, is silent for a second and a half in which the clip's
room goes on, and says another one. A mouth that is told not to move at all shows how much of it is
the unsteadiness of what measures.

    python benchmarks/silence.py GRID_FOLDER PORTRAITS_FOLDER
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from numpy.typing import NDArray

from lipwright import SyncOptions, sync
from lipwright.checkpoints import DEFAULT_LANDMARKS, DEFAULT_MODEL, model_path
from lipwright.corpus import load_split
from lipwright.corpus.sources import find_clips
from lipwright.faces import Mtcnn, crop_box
from lipwright.faces.crop import crop_face, widen
from lipwright.faces.landmarks import LANDMARK_MARGIN, Landmarker
from lipwright.faces.points import shape_of_mouth
from lipwright.media import SPEECH_RATE, read_frames, read_speech

PAUSE = 1.5  # seconds
SETTLED = 0.35  # seconds of the pause's start that a mouth may use to close; as many at its end
FPS = 25
_FRAME = 400  # samples: 25 ms


def main() -> None:
    """Print a row with the mouth left alone, one with it brought to rest and one with it held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("portraits", type=Path)
    parser.add_argument("--split", type=Path, default=Path("recipes/open_corpus.split.toml"))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--num-portraits", type=int, default=10)
    arguments = parser.parse_args()
    rule = load_split(arguments.split)
    clips = [c for c in find_clips([arguments.clips]) if rule.split(c.clip) == "val"]
    faces = [
        path
        for path in sorted(arguments.portraits.glob("*.jpg"))
        if rule.split(f"{arguments.portraits.name}/{path.stem}") == "val"
    ][: arguments.num_portraits]
    landmarker = Landmarker(model_path(DEFAULT_LANDMARKS))
    ways = {
        "left alone in pauses": SyncOptions(rest_in_pauses=False, precision="fp32"),
        "brought to rest in pauses": SyncOptions(rest_in_pauses=True, precision="fp32"),
        "held, speaking or not": SyncOptions(amplitude=0.0, precision="fp32"),
    }
    in_pause: dict[str, list[float]] = {name: [] for name in ways}
    in_speech: dict[str, list[float]] = {name: [] for name in ways}
    with TemporaryDirectory() as folder:
        for index, face in enumerate(faces):
            speech, out = Path(folder) / "speech.wav", Path(folder) / "out.mkv"
            start = with_pause(clips[index % len(clips)].sound, clips[-1 - index].sound, speech)
            for name, options in ways.items():
                sync(face, speech, out, model=arguments.model, options=options)
                pause, spoken = motion(openings(out, landmarker), start)
                in_pause[name].append(pause)
                in_speech[name].append(spoken)
    free = next(iter(ways))  # a mouth that is held does not move in speech either
    for name, pauses in in_pause.items():
        shares = np.divide(pauses, in_speech[free])
        print(f"{name}: {shares.mean():.2f} of the motion in speech (worst {shares.max():.2f})")


def with_pause(before: Path, after: Path, out: Path) -> float:
    """Write both speeches with a pause between; say when it begins."""
    first, second = read_speech(before), read_speech(after)
    samples = np.concatenate([first, room_of(first, round(PAUSE * SPEECH_RATE)), second])
    with av.open(str(out), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=SPEECH_RATE, layout="mono")
        pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = SPEECH_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return first.size / SPEECH_RATE


def room_of(speech: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Noise as loud, and of the same colour, as a recording's quietest moments."""
    window = np.hanning(_FRAME)
    frames = speech[: speech.size // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels = (frames**2).mean(axis=1)
    quiet = np.abs(np.fft.rfft(frames[levels <= np.percentile(levels, 10)] * window)) ** 2
    spectrum = np.sqrt(quiet.mean(axis=0) / (window**2).sum())
    white = np.fft.rfft(np.random.default_rng(0).standard_normal(length))
    places = np.linspace(0, 1, white.size), np.linspace(0, 1, spectrum.size)
    return np.fft.irfft(white * np.interp(*places, spectrum), length).astype(np.float32)


def openings(video: Path, landmarker: Landmarker) -> NDArray[np.float64]:
    """Of the mouth in each frame; the head stands still."""
    box, found = None, []
    detector = Mtcnn(min_face=0.1)
    for frame in read_frames(video):
        if box is None:
            best = max(detector.detect(frame.pixels), key=lambda face: face.score)
            box = widen(crop_box(best.landmarks), LANDMARK_MARGIN)
        crop = crop_face(frame.pixels, box, size=landmarker.resolution)
        found.append(shape_of_mouth(landmarker.locate(crop, box).points)[0])
    return np.array(found, dtype=np.float64)


def motion(opening: NDArray[np.float64], start: float) -> tuple[float, float]:
    """Mean change from frame to frame in the middle of the pause, and in speech."""
    change = np.abs(np.diff(opening))
    first, last = (round((start + at) * FPS) for at in (SETTLED, PAUSE - SETTLED))
    speech = np.ones(change.size, dtype=np.bool_)
    speech[round(start * FPS) : round((start + PAUSE) * FPS)] = False
    return float(change[first:last].mean()), float(change[speech].mean())


if __name__ == "__main__":
    main()
