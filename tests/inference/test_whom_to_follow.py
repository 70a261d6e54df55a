"""From what is asked for to people who are followed, in video files with several people."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path
from lipwright.errors import ConfigError, NoFaceError
from lipwright.faces import KnownPerson, Mtcnn, parse_choice
from lipwright.faces.follow import follow_people
from lipwright.faces.landmarks import Landmarker
from lipwright.faces.people import Person
from lipwright.inference import people
from lipwright.inference.people import whom_to_follow
from lipwright.inference.sight import NativeEyes
from lipwright.media import VideoWriter, read_frames, read_native

GRID = Path(__file__).parents[2].parent / "shared" / "corpus" / "grid"
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def eyes() -> NativeEyes:
    landmarker = Landmarker(model_path(DEFAULT_LANDMARKS), num_threads=1)
    return NativeEyes(Mtcnn(min_face=0.15, num_threads=1), landmarker, min_face=0.15)


def write(path: Path, pictures: list[Picture], speech: Path) -> Path:
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width=width, height=height, fps=Fraction(25), speech=speech) as out:
        for index, picture in enumerate(pictures):
            out.write(picture, Fraction(index, 25))
    return path


@pytest.fixture(scope="module")
def edited(astronaut: Picture, demo_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people together, one alone, the other one alone, both with places changed."""
    a = np.ascontiguousarray(astronaut[20:260, 110:350])
    b = np.ascontiguousarray(a[:, ::-1, ::-1])  # another face, in another colour
    plain = np.full((240, 240, 3), (30, 120, 60), dtype=np.uint8)
    night = np.full((240, 240, 3), (15, 15, 40), dtype=np.uint8)
    shots = [(a, b), (plain, a), (b, night), (b, a)]
    pictures = [np.hstack(shot) for shot in shots for _ in range(10)]
    return write(tmp_path_factory.mktemp("edited") / "edited.mp4", pictures, demo_speech)


def sides(source: Path, who: tuple[object, ...], eyes: NativeEyes) -> list[str]:
    """Per person where the face is in the middle of each shot of ten frames."""
    frames = ((frame, frame.time) for frame in read_native(source))
    followed = list(follow_people(frames, eyes, who))
    found = []
    for index in range(len(who)):
        faces = [f.faces[index] for f in followed[5::10]]
        found.append(
            "".join("-" if f is None else "L" if f.box[0] + f.box[2] < 480 else "R" for f in faces)
        )
    return found


def test_persons_keep_who_they_are_over_cuts(edited: Path, eyes: NativeEyes) -> None:
    choices = [parse_choice("index:2"), parse_choice("point:100,100")]
    who = whom_to_follow(edited, choices, eyes)
    assert sides(edited, who, eyes) == ["R-LL", "LR-R"]


def test_a_position_stays_a_position_and_needs_no_look(edited: Path) -> None:
    blind = NativeEyes(None, None, min_face=0.1)  # type: ignore[arg-type]
    assert whom_to_follow(edited, ["leftmost"], blind) == ("leftmost",)


def test_a_position_may_stand_beside_a_person(edited: Path, eyes: NativeEyes) -> None:
    who = whom_to_follow(edited, [parse_choice("index:1"), "largest"], eyes)
    assert isinstance(who[0], KnownPerson)
    assert len(who[0].others) == 1
    assert sides(edited, who, eyes)[0] == "LR-R"


def test_what_cannot_be_meant_is_refused(
    edited: Path, eyes: NativeEyes, tmp_path: Path, demo_speech: Path
) -> None:
    with pytest.raises(NoFaceError, match="shows 2; give index:1 to index:2"):
        whom_to_follow(edited, [parse_choice("index:3")], eyes)
    both = [parse_choice("index:1"), parse_choice("point:100,100")]
    with pytest.raises(ConfigError, match=r"index:1 and point:100,100 are one person"):
        whom_to_follow(edited, both, eyes)
    with pytest.raises(ConfigError, match="largest and largest are one person"):
        whom_to_follow(edited, ["largest", "largest"], eyes)
    empty = [np.zeros((96, 96, 3), dtype=np.uint8)] * 5
    nobody = write(tmp_path / "nobody.mp4", empty, demo_speech)
    with pytest.raises(NoFaceError, match="nobody is seen"):
        whom_to_follow(nobody, [parse_choice("index:1")], eyes)


def test_who_speaks_cannot_be_told_without_sound(
    astronaut: Picture, astronaut_file: Path, eyes: NativeEyes
) -> None:
    with pytest.raises(ConfigError, match=r"face speaking: .*give index:N or point:X,Y"):
        whom_to_follow(astronaut_file, [parse_choice("speaking")], eyes)


def test_of_a_long_film_only_the_beginning_is_heard(
    astronaut_file: Path, eyes: NativeEyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, num_columns = [], []

    def film(_path: Path) -> Iterator[NDArray[np.float32]]:
        for second in range(3600):
            seconds.append(second)
            yield np.zeros(16_000, dtype=np.float32)

    def first(found: Sequence[Person], mel: NDArray[np.float32], _expert: object) -> Person:
        num_columns.append(mel.shape[1])
        return found[0]

    monkeypatch.setattr(people, "read_speech_blocks", film)
    monkeypatch.setattr(people, "speaking_person", first)
    whom_to_follow(astronaut_file, [parse_choice("speaking")], eyes)
    assert len(seconds) == 12  # ten that are looked at, and two for mouths that are late
    assert num_columns == [12 * 80 + 1]


@pytest.mark.corpus
@pytest.mark.skipif(not GRID.is_dir(), reason="the corpus of speakers is not here")
@pytest.mark.parametrize("heard", ["s1", "s26"])
def test_the_speaker_whose_sound_it_is_speaks(heard: str, eyes: NativeEyes, tmp_path: Path) -> None:
    clips = {name: sorted((GRID / name).glob("*.mkv"))[2] for name in ("s1", "s26")}
    shown = [
        [cv2.resize(frame.pixels, (360, 288)) for frame in read_frames(clip)][:75]
        for clip in clips.values()
    ]
    pictures = [np.hstack(both).astype(np.uint8) for both in zip(*shown, strict=True)]
    source = write(tmp_path / "both.mkv", pictures, clips[heard])
    (who,) = whom_to_follow(source, [parse_choice("speaking")], eyes)
    frames = ((frame, frame.time) for frame in read_native(source))
    boxes = [f.faces[0].box for f in follow_people(frames, eyes, (who,)) if f.faces[0]]
    assert len(boxes) == 75
    middles = [float(box[0] + box[2]) / 2 for box in boxes]
    assert all((middle < 360) == (heard == "s1") for middle in middles)
