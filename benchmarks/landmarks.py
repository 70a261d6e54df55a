"""Measure the landmark network against its teacher, on the held-out faces of `lipwright label`.

python benchmarks/landmarks.py --faces faces --landmarks face_landmark.tflite
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path
from lipwright.corpus.facepack import FacePack
from lipwright.faces import FaceMesh, mouth_opening, widen
from lipwright.faces.landmarks import Landmarker
from lipwright.faces.points import EYE_CORNERS, shape_of_mouth


def main() -> None:
    """Print errors and how well the gap of the inner lips agrees, by kind of face."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--landmarks", type=Path, required=True, help="the teacher")
    parser.add_argument("--model", default=DEFAULT_LANDMARKS)
    arguments = parser.parse_args()
    pack = FacePack(arguments.faces / "val.faces")
    faces = [pack.face(index) for index in range(len(pack))]
    boxes = [_box(face.picture.shape[0], face.side) for face in faces]
    true = np.stack([face.points for face in faces])
    is_portrait = np.array([face.person.startswith("portraits") for face in faces])
    openings = {}
    for name, with_mirror in (("network", False), ("with the mirrored face", True)):
        finder = Landmarker(model_path(arguments.model), num_threads=1, with_mirror=with_mirror)
        found = np.stack(
            [finder.find(f.picture, box).points for f, box in zip(faces, boxes, strict=True)]
        )
        left, right = (true[:, corner] for corner in EYE_CORNERS)
        eyes = np.linalg.norm(left - right, axis=-1)
        error = np.linalg.norm(found - true, axis=-1).mean(axis=1) / eyes
        print(f"{name}: error {_by_kind(error[is_portrait].mean(), error[~is_portrait].mean())}")
        openings[name] = (shape_of_mouth(found)[:, 0], shape_of_mouth(true)[:, 0])
    mesh, rng = FaceMesh(arguments.landmarks, num_threads=1), np.random.default_rng(0)
    looks = np.array(
        [
            [mouth_opening(mesh.points(f.picture, _moved(box, rng))) for _ in range(2)]
            for f, box in zip(faces, boxes, strict=True)
        ]
    )
    openings["two looks of the teacher"] = (looks[:, 0], looks[:, 1])
    for name, (a, b) in openings.items():
        agree = [
            float(np.corrcoef(a[which], b[which])[0, 1]) for which in (is_portrait, ~is_portrait)
        ]
        print(f"{name}: gap correlation {_by_kind(*agree)}")
    people = np.array([face.person for face in faces])
    for person in np.unique(people[~is_portrait]):
        which = people == person
        a, b = (opening[which] for opening in openings["network"])
        print(f"{person}: gap correlation {np.corrcoef(a, b)[0, 1]:.3f} ({which.sum()} faces)")


def _box(size: int, side: float) -> NDArray[np.float32]:
    first, last = (size - side) / 2, (size + side) / 2
    return np.array([first, first, last, last], dtype=np.float32)


def _moved(box: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    shift = np.tile(rng.uniform(-0.03, 0.03, 2) * (box[2] - box[0]), 2)
    return widen((box + shift).astype(np.float32), float(rng.uniform(0.94, 1.06)))


def _by_kind(portraits: float, speakers: float) -> str:
    return f"{portraits:.3f} portraits, {speakers:.3f} speakers"


if __name__ == "__main__":
    main()
