"""Measure how well drawn lips follow the speech of held-out speakers.

Each held-out clip is rendered from one still of it (its first frame) and its own speech; the
opening of the inner lips is then compared with that in the true video. The judge is MediaPipe's
face mesh, which took no part in training, the mean of several looks at each face.

    python benchmarks/mouth_motion.py --corpus GRID_FOLDER --landmarks face_landmark.tflite
"""

import argparse
import platform
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lipwright import sync
from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.corpus import CORPUS_FPS, load_split
from lipwright.corpus.sources import ClipSource, find_clips
from lipwright.evaluation import MouthMotion, compare_motion
from lipwright.evaluation.observe import MeshPoints
from lipwright.faces import Mtcnn, track_face
from lipwright.faces.points import shape_of_mouth
from lipwright.media import VideoFrame, read_frames, retime


def main() -> None:
    """Print a line per clip and the means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--landmarks", type=Path, required=True)
    parser.add_argument("--split", type=Path, default=Path("recipes/open_corpus.split.toml"))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--keep", type=Path, help="folder in which to keep the rendered videos")
    arguments = parser.parse_args()
    rule = load_split(arguments.split)
    mesh, detector = MeshPoints(arguments.landmarks), Mtcnn(min_face=0.15)
    clips = [clip for clip in find_clips([arguments.corpus]) if rule.split(clip.clip) == "val"]
    motions = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print("| clip | correlation | amplitude | lag (frames) |\n|---|---|---|---|")
        for clip in clips:
            motion = measure(clip, folder, mesh=mesh, detector=detector, model=arguments.model)
            motions.append(motion)
            print(
                f"| {clip.clip} | {motion.correlation:.3f} | {motion.amplitude:.2f} | "
                f"{motion.lag_frames:+d} |",
                flush=True,
            )
    print(
        f"| **{len(motions)} clips** | mean {np.mean([m.correlation for m in motions]):.3f} | "
        f"median {np.median([m.amplitude for m in motions]):.2f} | within 1: "
        f"{np.mean([abs(m.lag_frames) <= 1 for m in motions]):.0%} |"
    )
    print(f"\nmodel {arguments.model}, Python {platform.python_version()}, {platform.machine()}")


def measure(
    clip: ClipSource, folder: Path, *, mesh: MeshPoints, detector: Mtcnn, model: str
) -> MouthMotion:
    """Render one clip from its first frame and compare it with the truth."""
    name = clip.clip.replace("/", "_")
    still = folder / f"{name}.png"
    first = next(clip.frames()).pixels
    cv2.imwrite(str(still), cv2.cvtColor(first, cv2.COLOR_RGB2BGR))
    rendered = sync(still, clip.sound, folder / f"{name}.mp4", model=model).path
    true = openings(clip.picture, mesh=mesh, detector=detector)
    drawn = openings(rendered, mesh=mesh, detector=detector)
    length = min(len(true), len(drawn))
    return compare_motion(true[:length], drawn[:length])


def openings(path: Path, *, mesh: MeshPoints, detector: Mtcnn) -> NDArray[np.float64]:
    """Opening of the mouth in each frame of a video, at 25 frames a second."""

    def frames() -> Iterator[VideoFrame]:
        return retime(read_frames(path), fps=Fraction(CORPUS_FPS))

    track = track_face(((f.pixels, f.time) for f in frames()), detector, every=3)
    return np.array(
        [
            float(shape_of_mouth(mesh.points(frame.pixels, box))[0])
            for frame, box in zip(frames(), track.boxes, strict=True)
        ]
    )


if __name__ == "__main__":
    main()
