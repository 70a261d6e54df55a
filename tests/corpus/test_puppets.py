"""From portraits to talking identities: which are taken, who drives them, what is stored."""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from mesh_makers import MOUTH_RING, in_crop, mesh_face, write_mesh_network
from numpy.typing import NDArray

from lipwright.corpus import (
    CROP_MARGIN,
    Accepted,
    Clips,
    Ledger,
    LedgerLine,
    PackReader,
    PrepareConfig,
    PuppetConfig,
    Rejection,
    Split,
    SplitRule,
    add_puppets,
    load_clips,
    prepare_corpus,
)
from lipwright.corpus.pack import PackedClip, encode_crop, write_pack
from lipwright.corpus.puppets import _choose
from lipwright.errors import CheckpointError, ConfigError, CorpusError
from lipwright.faces import FaceMesh, Mtcnn, crop_box, crop_face, mouth_opening, widen

SHARED = Path(__file__).parents[2].parent / "shared"
SIZE = 120  # of a stored crop
SKIN, INSIDE = (180, 130, 110), (20, 200, 40)  # green is what the network takes for a mouth
SPOKEN = (0.0, 0.05, 0.2, 0.1, 0.0, 0.0, 0.3, 0.2, 0.0, 0.15, 0.0, 0.0, 0.25, 0.1, 0.0)
RULE = SplitRule(patterns={"val": ("people/numb",)})


def write_driver(
    corpus: Path,
    clip: str,
    *,
    split: Split = "train",
    inside: tuple[int, int, int] = INSIDE,
    with_landmarks: bool = True,
) -> None:
    """A clip of a face without features but for a mouth that opens and closes."""
    faces = np.stack([mesh_face(opening) for opening in SPOKEN])
    points = in_crop(faces, size=SIZE, margin=CROP_MARGIN)
    jpegs = []
    for face in points:
        crop = np.full((SIZE, SIZE, 3), SKIN, dtype=np.uint8)
        mouth = np.rint(face[list(MOUTH_RING)]).astype(np.int32)
        jpegs.append(encode_crop(np.asarray(cv2.fillPoly(crop, [mouth], inside), np.uint8)))
    speaker = clip.partition("/")[0]
    packed = PackedClip(
        jpegs=tuple(jpegs),
        mel=np.random.default_rng(len(clip)).uniform(-4, 4, (80, 49)).astype(np.float32),
        boxes=np.zeros((len(SPOKEN), 4), dtype=np.float32),
        speaker=speaker,
        source=clip,
        points=(points + 0.5) / SIZE if with_landmarks else None,
    )
    file = f"clips/{clip}.safetensors"
    write_pack(packed, corpus / file)
    Ledger(corpus).append(
        Accepted(clip=clip, speaker=speaker, split=split, num_frames=len(SPOKEN), file=file)
    )


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))


def write_portraits(folder: Path) -> None:
    """One good portrait and everything that is wrong with others."""
    astronaut = np.asarray(skimage.data.astronaut(), dtype=np.uint8)
    face = np.asarray(cv2.resize(astronaut[:256, 100:356], (512, 512)), dtype=np.uint8)
    beside = np.zeros((512, 384, 3), dtype=np.uint8)
    beside[128:] = cv2.resize(face, (384, 384)) * 0.5  # a smaller face, in the dark
    write_picture(folder / "follows.png", np.hstack([beside, face]))
    write_picture(folder / "numb.png", face)
    write_picture(folder / "faceless.png", np.full((300, 300, 3), 90, dtype=np.uint8))
    small = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    write_picture(folder / "small.png", np.asarray(small, dtype=np.uint8))
    laughing = face.copy()
    cv2.ellipse(laughing, (247, 298), (20, 12), 0, 0, 360, INSIDE, -1)
    write_picture(folder / "laughing.png", laughing)
    whole = (folder / "follows.png").read_bytes()
    (folder / "torn.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no picture")


@dataclass
class Run:
    """One call of `add_puppets` on the folder of good and bad portraits."""

    portraits: Path
    corpus: Path
    landmarks: Path
    lines: list[LedgerLine]
    calls: list[tuple[int, int]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("puppets")
    portraits, corpus = folder / "people", folder / "corpus"
    write_portraits(portraits)
    corpus.mkdir()
    write_driver(corpus, "anna/talks")
    write_driver(corpus, "anna/sings")
    # No mouth shows where this one opens, so that a puppet of his does not seem to follow.
    write_driver(corpus, "berta/hums", split="val", inside=SKIN)
    landmarks = write_mesh_network(folder / "mesh.xml")
    calls: list[tuple[int, int]] = []
    lines = add_puppets(
        portraits,
        corpus,
        landmarks=landmarks,
        rule=RULE,
        on_progress=lambda done, total: calls.append((done, total)),
    )
    return Run(portraits, corpus, landmarks, lines, calls)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_portrait_turned_down_ends_in_the_ledger_with_its_reason(run: Run) -> None:
    reasons = {line.clip: line.reason for line in run.lines if isinstance(line, Rejection)}
    expected = {
        "people/faceless": "no face: ",
        "people/small": "face too small: the crop is 52 px",
        "people/laughing": "mouth open: 0.2",
        "people/numb/berta_hums": "does not follow: correlation 0.00",
        "people/torn": "unusable: picture ",
    }
    assert set(reasons) == set(expected)
    for clip, start in expected.items():
        assert reasons[clip].startswith(start), reasons[clip]
    written = list(Ledger(run.corpus).lines())[3:]  # after the drivers
    assert sorted(written, key=lambda line: line.clip) == run.lines


def test_puppets_are_speakers_of_their_own_and_name_their_drivers(run: Run) -> None:
    assert [line for line in run.lines if isinstance(line, Accepted)] == [
        Accepted(
            clip=f"people/follows/anna_{name}",
            speaker="people/follows",
            split="train",
            num_frames=len(SPOKEN),
            file=f"clips/people/follows/anna_{name}.safetensors",
            driver=f"anna/{name}",
        )
        for name in ("sings", "talks")
    ]


def test_portraits_are_driven_by_clips_of_their_own_split_alone(run: Run) -> None:
    driven = [line.clip for line in run.lines if line.clip.startswith("people/follows/")]
    assert driven == ["people/follows/anna_sings", "people/follows/anna_talks"]
    # There is no third clip to be had for the other portrait either, though four are asked for.
    assert [line.clip for line in run.lines if "numb" in line.clip] == ["people/numb/berta_hums"]


def test_puppet_has_the_speech_and_the_mouth_of_its_driver(run: Run) -> None:
    clips = load_clips(run.corpus, "train")
    packs = {entry.clip: clips.open(index) for index, entry in enumerate(clips.entries)}
    puppet, driver = packs["people/follows/anna_talks"], packs["anna/talks"]
    np.testing.assert_array_equal(puppet.mel, driver.mel)
    assert puppet.speaker == "people/follows"
    assert puppet.points is not None
    assert [mouth_opening(face) for face in puppet.points] == pytest.approx(SPOKEN, abs=0.01)
    mesh = FaceMesh(run.landmarks, num_threads=1)
    box = widen(np.array([0, 0, SIZE, SIZE], dtype=np.float32), 1 / CROP_MARGIN)
    seen = [mouth_opening(mesh.points(puppet.frame(i), box)) for i in range(len(SPOKEN))]
    assert seen == pytest.approx(SPOKEN, abs=0.05)
    # At rest the points are where the crop rule puts them.
    where = in_crop(mesh_face(), size=1, margin=CROP_MARGIN)
    np.testing.assert_allclose(puppet.points[0], where, atol=2e-3)


def test_puppet_is_a_picture_of_the_largest_face(run: Run) -> None:
    puppet = PackReader(run.corpus / "clips" / "people" / "follows" / "anna_talks.safetensors")
    whole = cv2.imread(str(run.portraits / "numb.png"), cv2.IMREAD_COLOR_RGB)
    (detection,) = Mtcnn(num_threads=1).detect(np.asarray(whole, dtype=np.uint8))
    box = widen(crop_box(detection.landmarks), CROP_MARGIN)
    expected = crop_face(np.asarray(whole, dtype=np.uint8), box, size=SIZE).astype(int)
    # The same face alone, to a pixel of the detector's; the other one is half as bright.
    assert np.abs(puppet.frame(0).astype(int) - expected)[40:].mean() < 15


def test_progress_counts_portraits(run: Run) -> None:
    assert run.calls == [(number, 6) for number in range(1, 7)]


def test_second_call_does_nothing_again_and_a_new_portrait_alone_is_done(
    run: Run, tmp_path: Path
) -> None:
    portraits, corpus = tmp_path / "people", tmp_path / "corpus"
    shutil.copytree(run.portraits, portraits)
    shutil.copytree(run.corpus, corpus)
    calls: list[tuple[int, int]] = []

    def again() -> list[LedgerLine]:
        return add_puppets(
            portraits,
            corpus,
            landmarks=run.landmarks,
            rule=RULE,
            on_progress=lambda done, total: calls.append((done, total)),
        )

    assert again() == run.lines
    assert calls == []
    assert contents(corpus) == contents(run.corpus)
    shutil.copy(portraits / "follows.png", portraits / "new.png")
    new = [line for line in again() if line not in run.lines]
    # Driven by people, never by the puppets that are there now.
    assert [line.clip for line in new] == ["people/new/anna_sings", "people/new/anna_talks"]
    assert calls == [(7, 7)]


def test_corpus_without_landmarks_is_refused_with_the_way_out(run: Run, tmp_path: Path) -> None:
    write_driver(tmp_path, "anna/talks", with_landmarks=False)
    with pytest.raises(CorpusError, match=r"have no landmarks; prepare it with --landmarks"):
        add_puppets(run.portraits, tmp_path, landmarks=run.landmarks)


def test_split_without_drivers_is_refused(run: Run, tmp_path: Path) -> None:
    write_driver(tmp_path, "anna/talks")
    with pytest.raises(CorpusError, match="no clips in the split 'val'"):
        add_puppets(run.portraits, tmp_path, landmarks=run.landmarks, rule=RULE)
    assert len(list(Ledger(tmp_path).lines())) == 1


def test_folder_without_pictures_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(CorpusError, match="no pictures in"):
        add_puppets(tmp_path, run.corpus, landmarks=run.landmarks)
    with pytest.raises(CorpusError, match="no such folder of portraits"):
        add_puppets(tmp_path / "gone", run.corpus, landmarks=run.landmarks)


def test_wrong_arguments_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_workers must be at least 1, got 0"):
        add_puppets(run.portraits, run.corpus, landmarks=run.landmarks, num_workers=0)
    with pytest.raises(CheckpointError, match="no such landmark network"):
        add_puppets(run.portraits, run.corpus, landmarks=tmp_path / "gone.tflite")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"clips_per_portrait": 0}, "clips_per_portrait must be at least 1, got 0"),
        ({"max_opening": 0.0}, r"max_opening must be above 0 .*got 0\.0"),
        ({"max_opening": float("nan")}, "max_opening"),
        ({"min_agreement": 1.5}, r"min_agreement from -1 to 1, got 0\.06 and 1\.5"),
    ],
)
def test_config_is_checked(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PuppetConfig(**wrong)  # type: ignore[arg-type]


def speakers_of(names: dict[str, int]) -> Clips:
    entries = [
        Accepted(clip=f"{speaker}/{i}", speaker=speaker, split="train", num_frames=9, file="")
        for speaker, count in names.items()
        for i in range(count)
    ]
    return Clips(folder=Path(), entries=tuple(entries))


def test_speakers_of_few_clips_drive_more_than_their_share() -> None:
    clips, config = speakers_of({"many": 16, "one": 1}), PuppetConfig(clips_per_portrait=1)
    chosen = Counter(
        _choose(clips, f"people/{number}", config=config)[0].speaker for number in range(2000)
    )
    # By weight 1 of 1 + 16 / sqrt(16); by count it would be 1 of 17.
    assert chosen["one"] / 2000 == pytest.approx(0.2, abs=0.03)


def test_choice_of_drivers_depends_on_seed_and_name_alone() -> None:
    clips, config = speakers_of({"a": 20, "b": 20}), PuppetConfig()
    chosen = _choose(clips, "people/1", config=config)
    assert chosen == _choose(clips, "people/1", config=config)
    assert len({entry.clip for entry in chosen}) == 4
    assert chosen != _choose(clips, "people/2", config=config)
    assert chosen != _choose(clips, "people/1", config=PuppetConfig(seed=2))


@pytest.mark.corpus
def test_real_portrait_says_what_a_real_speaker_says(tmp_path: Path) -> None:
    clip = SHARED / "corpus" / "grid" / "mixed" / "GRID_lbax4n.mkv"  # articulates well
    landmarks = SHARED / "models" / "face_landmark.tflite"
    pictures = sorted((SHARED / "corpus" / "portraits").glob("*.jpg"))[:2]
    if not (clip.is_file() and landmarks.is_file() and pictures):
        pytest.skip(f"no clip, portraits or landmark network in {SHARED}")
    source, portraits, corpus = tmp_path / "source", tmp_path / "people", tmp_path / "corpus"
    (source / "anna").mkdir(parents=True)
    shutil.copy(clip, source / "anna")
    portraits.mkdir()
    for picture in pictures:
        shutil.copy(picture, portraits)
    config = PrepareConfig(min_face=0.15, landmarks=landmarks)
    (driver_line,) = prepare_corpus([source], corpus, config=config)
    lines = add_puppets(portraits, corpus, landmarks=landmarks)
    taken = [line for line in lines if isinstance(line, Accepted)]
    assert taken, lines
    assert isinstance(driver_line, Accepted)
    driver, puppet = (PackReader(corpus / line.file) for line in (driver_line, taken[0]))
    np.testing.assert_array_equal(puppet.mel, driver.mel)
    assert puppet.points is not None
    assert puppet.points.shape == (driver.num_frames, 468, 2)
    assert driver.points is not None
    meant = [mouth_opening(face) for face in driver.points]
    mesh = FaceMesh(landmarks, num_threads=1)
    size = puppet.frame(0).shape[0]
    box = widen(np.array([0, 0, size, size], dtype=np.float32), 1 / CROP_MARGIN)
    seen = [mouth_opening(mesh.points(puppet.frame(i), box)) for i in range(puppet.num_frames)]
    assert np.ptp(seen) > 0.3 * np.ptp(meant)
    assert np.corrcoef(seen, meant)[0, 1] > 0.8
