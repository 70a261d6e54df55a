"""Inputs that several rooms' tests share: a real face, and a small corpus made of it."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy.typing import NDArray
from skimage import data

from lipwright.corpus.ledger import Accepted, Ledger, Split
from lipwright.corpus.pack import CROP_MARGIN, PackedClip, encode_crop, write_pack
from lipwright.faces import Mtcnn, crop_box, crop_face, widen

REPOSITORY = Path(__file__).parents[1]

settings.register_profile("lipwright", deadline=None)  # machines are busy; speed has benchmarks
settings.load_profile("lipwright")
torch.set_num_threads(1)  # tests run side by side, and small networks gain nothing from more


@pytest.fixture(scope="session", autouse=True)
def lipwright_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of the tests' own, for verdicts and compiled networks."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIPWRIGHT_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def demo_speech() -> Path:
    """Five seconds of synthetic speech."""
    return REPOSITORY / "demo" / "speech.flac"


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """``(512, 512, 3)`` uint8 RGB: a real face, public domain."""
    return np.asarray(data.astronaut(), dtype=np.uint8)


@pytest.fixture(scope="session")
def astronaut_file(astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a PNG."""
    path = tmp_path_factory.mktemp("face") / "astronaut.png"
    cv2.imwrite(str(path), cv2.cvtColor(astronaut, cv2.COLOR_RGB2BGR))
    return path


def make_pack_corpus(
    folder: Path,
    face: NDArray[np.uint8],
    *,
    num_frames: int = 40,
    with_landmarks: bool = True,
) -> Path:
    """Write a corpus of one face in several colours, whose mouth, mel and points move together."""
    box = crop_box(Mtcnn().detect(face)[0].landmarks)
    rng = np.random.default_rng(5)
    ledger = Ledger(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plan: list[tuple[str, Split]] = [("a", "train"), ("a", "train"), ("b", "train"), ("c", "val")]
    for number, (speaker, split) in enumerate(plan):
        opening = rng.random(num_frames)
        crop = crop_face(face, widen(box, CROP_MARGIN), size=120).astype(np.float32)
        crop *= 0.7 + 0.1 * number
        jpegs = []
        for level in opening:
            frame = crop.copy()
            frame[70:80, 50:70] *= 1 - level
            jpegs.append(encode_crop(np.clip(frame, 0, 255).astype(np.uint8)))
        frame_of_column = np.arange(round(num_frames * 3.2)) * 25 // 80
        columns = opening[frame_of_column]
        mel = np.clip(np.tile(8 * columns - 4, (80, 1)), -4, 4).astype(np.float32)
        file = Path("clips") / speaker / f"{number}.safetensors"
        clip = PackedClip(
            jpegs=tuple(jpegs),
            mel=mel,
            boxes=np.tile(box, (num_frames, 1)),
            speaker=speaker,
            source=f"{speaker}/{number}",
            points=_points(opening) if with_landmarks else None,
        )
        write_pack(clip, folder / file)
        ledger.append(
            Accepted(
                clip=f"{speaker}/{number}",
                speaker=speaker,
                split=split,
                num_frames=num_frames,
                file=file.as_posix(),
            )
        )
    return folder


def _points(opening: NDArray[np.float64]) -> NDArray[np.float32]:
    """``(N, 468, 2)``: meshes of which no more than the mouth's own points make sense."""
    points = np.random.default_rng(3).random((468, 2))
    points[[33, 263]] = (0.3, 0.35), (0.7, 0.35)  # outer corners of the eyes
    points[[1, 152]] = (0.5, 0.5), (0.5, 0.9)  # nose and chin
    points[[61, 291]] = (0.4, 0.65), (0.6, 0.65)  # corners of the mouth
    points[[0, 13]], points[[14, 17]] = (0.5, 0.62), (0.5, 0.62)  # upper lip, lower lip
    frames = np.tile(points, (len(opening), 1, 1))
    frames[:, [14, 17, 152], 1] += (0.3 * 0.4 * opening)[:, None]  # 0.4 between the eyes
    return frames.astype(np.float32)


@pytest.fixture(scope="session")
def pack_corpus(astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus, ready for training; do not write to it."""
    return make_pack_corpus(tmp_path_factory.mktemp("corpus"), astronaut)


@pytest.fixture(scope="session")
def pack_corpus_without_landmarks(
    astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same, shorter and without the points of its faces; do not write to it."""
    folder = tmp_path_factory.mktemp("plain-corpus")
    return make_pack_corpus(folder, astronaut, num_frames=20, with_landmarks=False)


@pytest.fixture(scope="session")
def long_corpus(astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus of longer clips; do not write to it."""
    return make_pack_corpus(tmp_path_factory.mktemp("long-corpus"), astronaut, num_frames=90)


@pytest.fixture(scope="session")
def long_corpus_without_landmarks(
    astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same without the points of its faces; do not write to it."""
    folder = tmp_path_factory.mktemp("long-plain-corpus")
    return make_pack_corpus(folder, astronaut, num_frames=90, with_landmarks=False)
