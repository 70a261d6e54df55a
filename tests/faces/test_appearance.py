"""One vector tells people apart, whatever the light and whatever the mouth does."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path
from lipwright.errors import CheckpointError
from lipwright.faces import Mtcnn, appearance, crop_box, crop_face, widen
from lipwright.faces.appearance import (
    APPEARANCE_LENGTH,
    OTHER_PERSON,
    SAME_PERSON,
    VIEW_MARGIN,
    VIEW_SIZE,
    describe,
    likeness,
    mean_appearance,
)
from lipwright.faces.eyes import crop_of
from lipwright.faces.landmarks import FaceLandmarks, Landmarker
from lipwright.media import read_frames

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
# Speakers of the folder that mixes them, of whom none is in another folder.
MIXED = ("brbk7n", "lbax4n", "lbbc2a", "lrwp9a", "pwij3p", "sbia1a", "sbwe5n")

Picture = NDArray[np.uint8]


class Describer:
    """Finds the face of a picture and describes it."""

    def __init__(self) -> None:
        self.detector = Mtcnn(min_face=0.15)
        self.landmarker = Landmarker(model_path(DEFAULT_LANDMARKS), num_threads=1)

    def find(self, picture: Picture) -> FaceLandmarks:
        face = max(self.detector.detect(picture), key=lambda face: face.score)
        return self.landmarker.find(picture, crop_box(face.landmarks))

    def describe(self, picture: Picture, found: FaceLandmarks | None = None) -> np.ndarray:
        found = found or self.find(picture)
        wide = widen(crop_of(found), VIEW_MARGIN)
        points = (found.points - wide[:2]) * (VIEW_SIZE / (wide[2:] - wide[:2]))
        return describe(crop_face(picture, wide, size=VIEW_SIZE), points)


@pytest.fixture(scope="module")
def eyes() -> Describer:
    return Describer()


def test_a_face_is_a_unit_vector_and_most_like_itself(eyes: Describer, astronaut: Picture) -> None:
    seen = eyes.describe(astronaut)
    assert seen.shape == (APPEARANCE_LENGTH,)
    assert seen.dtype == np.float32
    assert likeness(seen, seen) == pytest.approx(1, abs=1e-5)


def test_another_mouth_changes_nothing(eyes: Describer, astronaut: Picture) -> None:
    found = eyes.find(astronaut)
    x0, y0, x1, y1 = crop_of(found).round().astype(int)
    drawn = astronaut.copy()
    # All that a generator draws, and what is below.
    noise = np.random.default_rng(0).integers(0, 255, (y1 - (y0 + y1) // 2 + 40, x1 - x0, 3))
    drawn[(y0 + y1) // 2 : y1 + 40, x0:x1] = noise
    assert likeness(eyes.describe(astronaut, found), eyes.describe(drawn, found)) > 0.99


@pytest.mark.parametrize("change", ["dark", "small", "tilted", "lit from one side"])
def test_light_size_and_tilt_change_little(
    eyes: Describer, astronaut: Picture, change: str
) -> None:
    turn = cv2.getRotationMatrix2D((256, 128), 15, 1.0)
    slope = np.linspace(0.5, 1.2, 512)[None, :, None]
    changed = {
        "dark": astronaut * 0.5,
        "small": cv2.resize(astronaut, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
        "tilted": cv2.warpAffine(astronaut, turn, (512, 512)),
        "lit from one side": np.clip(astronaut * slope, 0, 255),
    }[change]
    seen = eyes.describe(np.ascontiguousarray(changed, dtype=np.uint8))
    assert likeness(seen, eyes.describe(astronaut)) > SAME_PERSON + 0.1


def test_another_face_is_another_person(eyes: Describer, astronaut: Picture) -> None:
    # No face is like its mirror image to gradients, so that one can stand for another person.
    mirrored = eyes.describe(np.ascontiguousarray(astronaut[:, ::-1]))
    assert likeness(mirrored, eyes.describe(astronaut)) < SAME_PERSON - 0.1
    noise = np.random.default_rng(1).integers(0, 255, (512, 512, 3)).astype(np.uint8)
    nobody = eyes.describe(noise, eyes.find(astronaut))
    assert likeness(nobody, eyes.describe(astronaut)) < OTHER_PERSON


def test_the_mean_of_several_looks_is_a_unit_vector_between_them() -> None:
    a, b = np.eye(2, APPEARANCE_LENGTH, dtype=np.float32)
    mean = mean_appearance(np.stack([a, b]))
    assert likeness(mean, a) == pytest.approx(likeness(mean, b)) == pytest.approx(np.sqrt(0.5))


def test_a_missing_map_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appearance, "PROJECTION", tmp_path / "gone.safetensors")
    appearance._projection.cache_clear()
    try:
        with pytest.raises(CheckpointError, match="gone"):
            describe(np.zeros((VIEW_SIZE, VIEW_SIZE, 3), np.uint8), np.zeros((136, 2), np.float32))
    finally:
        appearance._projection.cache_clear()


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of speakers is not here")
def test_speakers_who_were_not_learnt_from_are_told_apart(eyes: Describer) -> None:
    files = {name: [CORPUS / "grid" / "mixed" / f"GRID_{name}.mkv"] for name in MIXED}
    for folder in ("s1", "s4", "s26"):
        files[folder] = sorted((CORPUS / "grid" / folder).glob("*.mkv"))[:3]
    files["s4"].append(CORPUS / "grid" / "mixed" / "GRID_lwbsza.mkv")  # on another day
    files["s26"].append(CORPUS / "grid" / "mixed" / "GRID_swiz3n.mkv")
    seen = [
        (name, file.stem, eyes.describe(next(iter(read_frames(file))).pixels))
        for name, clips in files.items()
        for file in clips
    ]
    same, other = [], []
    for at, (name, clip, look) in enumerate(seen):
        for name_, clip_, look_ in seen[:at]:
            if clip != clip_:
                (same if name == name_ else other).append(likeness(look, look_))
    assert np.mean(np.array(same) >= SAME_PERSON) > 0.9
    assert np.mean(np.array(other) >= SAME_PERSON) < 0.05
    assert min(same) > OTHER_PERSON + 0.2
    assert np.mean([[s > o for o in other] for s in same]) > 0.995
