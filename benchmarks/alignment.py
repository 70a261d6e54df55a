"""Measure what one frame between training and rendering costs.

The released system renders a frame from speech that begins 40 ms later than that on which it was
trained. The same mistake is made here on purpose, with our own generator: each held-out clip is
rendered from one still and its own speech, once as trained and once with every window a frame late.
Our own expert measures the offset of the result, and how sure it is; the landmarks, the correlation
of the mouth's opening with the true one.

    python benchmarks/alignment.py --corpus GRID_FOLDER --landmarks face_landmark.tflite
"""

import argparse
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from mouth_motion import openings  # a sibling: the folder of a script is on the path

from lipwright import sync
from lipwright.checkpoints import DEFAULT_EXPERT, DEFAULT_MODEL, model_path
from lipwright.corpus import CORPUS_FPS, CROP_MARGIN, load_split
from lipwright.corpus.offset import Offset, OffsetMeter, open_meter
from lipwright.corpus.sources import ClipSource, find_clips
from lipwright.evaluation import compare_motion
from lipwright.evaluation.observe import MeshPoints
from lipwright.faces import Mtcnn, crop_face, track_face, widen
from lipwright.media import SPEECH_RATE, read_frames, read_speech, retime
from lipwright.speech import mel_spectrogram

LATE = {"as trained": 0, "windows one frame late": SPEECH_RATE // CORPUS_FPS}  # samples


def main() -> None:
    """Print a row per way of rendering."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--landmarks", type=Path, required=True)
    parser.add_argument("--split", type=Path, default=Path("recipes/open_corpus.split.toml"))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    rule = load_split(arguments.split)
    clips = [clip for clip in find_clips([arguments.corpus]) if rule.split(clip.clip) == "val"]
    mesh, detector = MeshPoints(arguments.landmarks), Mtcnn(min_face=0.15)
    meter = open_meter(model_path(DEFAULT_EXPERT))
    print("| rendered | expert's offset, mean | its confidence, mean | correlation, mean |")
    print("|---|---|---|---|")
    measured = [offset(clip.picture, clip, meter, detector) for clip in clips]
    print(row("the true video", measured, 1.0), flush=True)
    for name, late in LATE.items():
        offsets, correlations = [], []
        for clip in clips:
            with tempfile.TemporaryDirectory() as folder:
                rendered = render(clip, Path(folder), late=late, model=arguments.model)
                offsets.append(offset(rendered, clip, meter, detector))
                true = openings(clip.picture, mesh=mesh, detector=detector)
                drawn = openings(rendered, mesh=mesh, detector=detector)
            length = min(len(true), len(drawn))
            correlations.append(compare_motion(true[:length], drawn[:length]).correlation)
        print(row(name, offsets, float(np.mean(correlations))), flush=True)
    print(f"\n{len(clips)} held-out clips, model {arguments.model}")


def row(name: str, offsets: list[Offset], correlation: float) -> str:
    """A row of the table."""
    return (
        f"| {name} | {np.mean([offset.frames for offset in offsets]):+.2f} frames | "
        f"{np.mean([offset.confidence for offset in offsets]):.3f} | {correlation:.3f} |"
    )


def render(clip: ClipSource, folder: Path, *, late: int, model: str) -> Path:
    """Render a clip from its first frame; every window of speech begins some samples late."""
    still, speech = folder / "still.png", folder / "speech.wav"
    cv2.imwrite(str(still), cv2.cvtColor(next(clip.frames()).pixels, cv2.COLOR_RGB2BGR))
    samples = read_speech(clip.sound)[late:]
    with wave.open(str(speech), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SPEECH_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return sync(still, speech, folder / "out.mp4", model=model).path


def offset(rendered: Path, clip: ClipSource, meter: OffsetMeter, detector: Mtcnn) -> Offset:
    """What the expert measures between the rendered lips and the true speech."""
    frames = [f.pixels for f in retime(read_frames(rendered), fps=Fraction(CORPUS_FPS))]
    times = (Fraction(index, CORPUS_FPS) for index in range(len(frames)))
    track = track_face(zip(frames, times, strict=True), detector, every=3)
    size = round(96 * CROP_MARGIN)
    crops = [
        crop_face(frame, widen(box, CROP_MARGIN), size=size)
        for frame, box in zip(frames, track.boxes, strict=True)
    ]
    return meter.measure(crops, mel_spectrogram(read_speech(clip.sound)))


if __name__ == "__main__":
    main()
