"""Labelled faces: the teacher's answers, of whom they are, and the file that holds them."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from clip_makers import FixedFace, babble, levels, number_of, talking, write_clip
from mesh_makers import in_crop, mesh_face, write_mesh_network
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from lipwright.cli.label import label_command
from lipwright.corpus import Accepted, Ledger, SplitRule
from lipwright.corpus.facepack import (
    FORMAT,
    STORED_MARGIN,
    STORED_SIZE,
    FacePack,
    LabelledFace,
    ManyViews,
    label_clip,
    label_corpus,
    label_face,
    label_portraits,
    label_puppets,
    write_faces,
)
from lipwright.corpus.sources import ClipSource
from lipwright.errors import ConfigError, CorpusError, MediaError
from lipwright.faces import Detection, FaceMesh, crop_box
from lipwright.faces.points import MESH_INDICES, NUM_LANDMARKS


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mesh_network(tmp_path_factory.mktemp("network") / "mesh.xml")


@pytest.fixture(scope="module")
def mesh(network: Path) -> FaceMesh:
    """Says that a face stands where the crop rule puts it."""
    return FaceMesh(network, num_threads=1)


def expected_points(*, margin: float = STORED_MARGIN) -> NDArray[np.float32]:
    """Where the teacher sees the points of any face in a stored picture."""
    return in_crop(mesh_face(), size=STORED_SIZE, margin=margin)[list(MESH_INDICES)]


def face_of(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return crop_box(FixedFace().detect(picture)[0].landmarks)


def clip_at(path: Path) -> ClipSource:
    return ClipSource(clip="anna/clip", picture=path, sound=path)


def write_picture(path: Path, picture: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return path


class Crowd:
    """A detector that sees a small face before the one of `FixedFace`."""

    def detect(self, pixels: NDArray[np.uint8]) -> list[Detection]:
        return FixedFace(scale=0.5).detect(pixels) + FixedFace().detect(pixels)


def test_a_face_is_stored_with_the_teachers_answer(mesh: FaceMesh) -> None:
    (frame,) = talking(1)
    face = label_face(frame, face_of(frame), mesh, person="anna")
    assert face.picture.shape == (STORED_SIZE, STORED_SIZE, 3)
    assert face.picture.dtype == np.uint8
    assert face.side == pytest.approx(STORED_SIZE / STORED_MARGIN)
    assert (face.points.shape, face.points.dtype) == ((NUM_LANDMARKS, 2), np.float32)
    np.testing.assert_allclose(face.points, expected_points(margin=STORED_MARGIN), atol=0.01)
    np.testing.assert_allclose(face.pose, [0, 0], atol=1e-3)
    assert face.person == "anna"


def test_many_looks_are_averaged_around_the_box() -> None:
    class Believer:
        """Sees its box, whatever is in it."""

        def solid(self, frame: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
            boxes.append(box)
            return np.tile(np.array([*box[:2], 0], dtype=np.float32), (468, 1))

    boxes: list[NDArray[np.float32]] = []
    box = np.array([100, 50, 300, 250], dtype=np.float32)
    frame = np.zeros((400, 400, 3), dtype=np.uint8)
    mean = ManyViews(Believer(), 12).solid(frame, box)
    assert len(boxes) == 12
    np.testing.assert_array_equal(boxes[0], box)
    np.testing.assert_allclose(mean[0, :2], np.mean(boxes, axis=0)[:2], rtol=1e-6)
    sides = np.array([each[2] - each[0] for each in boxes])
    middles = np.array([(each[:2] + each[2:]) / 2 for each in boxes])
    assert 0.939 * 200 < sides.min() < sides.max() < 1.061 * 200
    assert 1 < np.abs(middles - (200, 150)).max() < 0.031 * 200
    once = ManyViews(Believer(), 1).solid(frame, box)
    np.testing.assert_array_equal(once[0], [100, 50, 0])
    with pytest.raises(ConfigError, match="num_views must be at least 1, got 0"):
        ManyViews(Believer(), 0)


def test_a_stored_picture_shows_the_face_where_its_points_are(mesh: FaceMesh) -> None:
    frame = np.zeros((192, 192, 3), dtype=np.uint8)
    box = face_of(frame)
    eye = in_crop(mesh_face(), size=float(box[2] - box[0]), margin=1.0)[33] + box[:2]
    cv2.circle(frame, tuple(np.round(eye - 0.5).astype(int).tolist()), 2, (255, 0, 0), -1)
    face = label_face(frame, box, mesh, person="anna")
    rows, columns = np.nonzero(face.picture[..., 0] > 120)
    place = np.array([columns.mean(), rows.mean()]) + 0.5
    np.testing.assert_allclose(place, face.points[MESH_INDICES.index(33)], atol=1.5)


def test_frames_of_a_clip_are_evenly_spread(mesh: FaceMesh, tmp_path: Path) -> None:
    clip = clip_at(write_clip(tmp_path / "clip.mp4", levels(13), None))
    faces = list(label_clip(clip, FixedFace(), mesh, count=3, person="anna"))
    assert [number_of(face.picture) for face in faces] == [0, 6, 12]
    assert {face.person for face in faces} == {"anna"}
    more = list(label_clip(clip, FixedFace(), mesh, count=50, person="anna"))
    assert [number_of(face.picture) for face in more] == list(range(13))


def test_frames_without_a_face_are_left_out(mesh: FaceMesh, tmp_path: Path) -> None:
    clip = clip_at(write_clip(tmp_path / "clip.mp4", levels(13), None))
    faces = list(label_clip(clip, FixedFace(first=1), mesh, count=3, person="anna"))
    assert [number_of(face.picture) for face in faces] == [6, 12]


def test_the_largest_face_of_a_frame_is_taken(mesh: FaceMesh, tmp_path: Path) -> None:
    clip = clip_at(write_clip(tmp_path / "clip.mp4", talking(1), None))
    (alone,) = label_clip(clip, FixedFace(), mesh, count=1, person="anna")
    (first,) = label_clip(clip, Crowd(), mesh, count=1, person="anna")
    np.testing.assert_array_equal(first.picture, alone.picture)


def test_a_video_that_cannot_be_read_is_said(mesh: FaceMesh, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    clip = clip_at(tmp_path / "clip.mp4")
    with pytest.raises(MediaError, match=r"clip\.mp4"):
        list(label_clip(clip, FixedFace(), mesh, count=3, person="anna"))


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people, something that is no picture, and something that only looks like one."""
    folder = tmp_path_factory.mktemp("pictures") / "portraits"
    for name in ("anna.png", "berta.JPG", "clara.jpeg"):
        write_picture(folder / name, talking(1)[0])
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture")
    return folder


RULE = SplitRule(patterns={"val": ("portraits/berta", "s2")})


def test_portraits_are_shared_out_by_name_and_unreadable_ones_left_out(
    mesh: FaceMesh, portraits: Path
) -> None:
    people = {
        split: [
            face.person
            for face in label_portraits(portraits, FixedFace(), mesh, rule=RULE, split=split)
        ]
        for split in ("train", "val")
    }
    assert people == {
        "train": ["portraits/anna", "portraits/clara"],
        "val": ["portraits/berta"],
    }


def test_portraits_have_their_names_in_their_own_folder_too(
    mesh: FaceMesh, portraits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(portraits)
    faces = label_portraits(Path(), FixedFace(), mesh, rule=RULE, split="val")
    assert [face.person for face in faces] == ["portraits/berta"]


@pytest.fixture(scope="module")
def puppet_corpus(pack_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared corpus and a puppet, which is one of its clips under another name."""
    corpus = tmp_path_factory.mktemp("puppets") / "corpus"
    shutil.copytree(pack_corpus, corpus)
    Ledger(corpus).append(
        Accepted(
            clip="portraits/dora/a",
            speaker="portraits/dora",
            split="train",
            num_frames=40,
            file="clips/a/0.safetensors",
            driver="a/0",
        )
    )
    return corpus


def test_puppets_alone_are_labelled_of_a_corpus(mesh: FaceMesh, puppet_corpus: Path) -> None:
    faces = list(label_puppets(puppet_corpus, mesh, count=3, split="train"))
    assert [face.person for face in faces] == ["portraits/dora"] * 3
    # What is stored of a puppet is narrower than what is stored here: its edge is repeated.
    assert (faces[0].picture[:, :10] == faces[0].picture[:, :1]).all()
    np.testing.assert_allclose(faces[0].points, expected_points(), atol=1)
    assert list(label_puppets(puppet_corpus, mesh, count=3, split="val")) == []


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name, number in (("s1/one.mp4", 3), ("s1/two.mp4", 4), ("s2/one.mp4", 3)):
        write_clip(folder / name, talking(number), None)
    return folder


def test_a_split_is_labelled_of_videos_portraits_and_puppets(
    mesh: FaceMesh, videos: Path, portraits: Path, puppet_corpus: Path
) -> None:
    def people(split: str, calls: list[tuple[int, int]]) -> list[str]:
        faces = label_corpus(
            [portraits, videos],
            corpus=puppet_corpus,
            rule=RULE,
            split="val" if split == "val" else "train",
            count=2,
            teacher=(FixedFace(), mesh),
            on_progress=lambda done, total: calls.append((done, total)),
        )
        return [face.person for face in faces]

    calls: list[tuple[int, int]] = []
    assert people("train", calls) == [
        *["s1"] * 4,
        "portraits/anna",
        "portraits/clara",
        *["portraits/dora"] * 2,
    ]
    assert calls == [(1, 2), (2, 2)]
    assert people("val", calls) == ["s2", "s2", "portraits/berta"]


def test_what_cannot_be_labelled_is_said(mesh: FaceMesh, videos: Path, tmp_path: Path) -> None:
    def label(folder: Path, count: int = 2) -> list[LabelledFace]:
        teacher = (FixedFace(), mesh)
        faces = label_corpus(
            [folder], corpus=None, rule=RULE, split="train", count=count, teacher=teacher
        )
        return list(faces)

    with pytest.raises(ConfigError, match="must be at least 1, got 0"):
        label(videos, count=0)
    with pytest.raises(CorpusError, match="no such folder"):
        label(tmp_path / "gone")
    with pytest.raises(CorpusError, match="no clips in"):
        label(tmp_path)


def made_face(person: str, *, level: int) -> LabelledFace:
    points = np.random.default_rng(level).uniform(0, 64, (NUM_LANDMARKS, 2))
    return LabelledFace(
        picture=np.full((64, 64, 3), level, dtype=np.uint8),
        side=60.5,
        points=points.astype(np.float32),
        pose=np.array([0.1, -0.2], dtype=np.float32),
        person=person,
    )


FACES = (made_face("anna", level=50), made_face("dóra", level=150), made_face("anna", level=250))


def test_faces_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "train.faces"
    assert write_faces(iter(FACES), path) == 3
    assert [file.name for file in path.parent.iterdir()] == ["train.faces"]
    pack = FacePack(path)
    assert len(pack) == 3
    assert pack.people == ["anna", "dóra", "anna"]
    for index, face in enumerate(FACES):
        back = pack.face(index)
        np.testing.assert_allclose(back.picture, face.picture, atol=2)  # it is a JPEG
        np.testing.assert_array_equal(back.points, face.points)
        np.testing.assert_array_equal(back.pose, face.pose)
        assert (back.side, back.person) == (face.side, face.person)


def test_a_name_that_is_not_utf_8_does_not_cost_the_work(tmp_path: Path) -> None:
    path = tmp_path / "train.faces"
    write_faces(iter([made_face("s1/\udce9lise", level=50)]), path)
    assert FacePack(path).people == ["s1/?lise"]


def test_a_file_without_faces_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no face was found for .*val\.faces"):
        write_faces(iter(()), tmp_path / "val.faces")
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="cannot write"):
        write_faces(iter(FACES), tmp_path / "file" / "val.faces")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_holds_no_faces_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.faces"
    with pytest.raises(CorpusError, match=r"cannot read faces from .*train\.faces"):
        FacePack(path)
    write_faces(iter(FACES), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match="label them again"):
        FacePack(path)
    path.write_bytes(whole)
    tensors = load_file(path)
    save_file(tensors, path, metadata={"format": "lipwright-faces-0", "people": "anna"})
    with pytest.raises(CorpusError, match="no labelled faces of this version"):
        FacePack(path)
    del tensors["poses"]
    save_file(tensors, path, metadata={"format": FORMAT, "people": "anna"})
    with pytest.raises(CorpusError, match="label them again"):
        FacePack(path)


def test_a_damaged_picture_is_said(tmp_path: Path) -> None:
    path = tmp_path / "train.faces"
    write_faces(iter(FACES), path)
    tensors = load_file(path)
    tensors["jpegs"][tensors["offsets"][1] : tensors["offsets"][2]] = 0
    metadata = {"format": FORMAT, "people": "anna\ndóra\nanna"}
    save_file(tensors, path, metadata=metadata)
    pack = FacePack(path)
    assert pack.face(0).picture.mean() == pytest.approx(50, abs=2)
    with pytest.raises(CorpusError, match=r"face 1 of .* is damaged"):
        pack.face(1)


def test_the_command_writes_both_parts(
    astronaut: NDArray[np.uint8],
    network: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    portraits = tmp_path / "portraits"
    write_picture(portraits / "anna.png", astronaut)
    write_picture(portraits / "berta.png", astronaut[:, ::-1])
    write_clip(tmp_path / "videos" / "s1" / "one.mp4", talking(4), babble(0.16))
    (tmp_path / "split.toml").write_text('val = ["portraits/berta"]')
    label_command(
        [portraits, tmp_path / "videos"],
        to=tmp_path / "faces",
        landmarks=network,
        split=tmp_path / "split.toml",
        frames_per_clip=2,
    )
    told = capsys.readouterr().out
    assert "train: 3 faces in" in told
    assert "val: 1 faces in" in told
    assert FacePack(tmp_path / "faces" / "train.faces").people == ["s1", "s1", "portraits/anna"]
    assert FacePack(tmp_path / "faces" / "val.faces").people == ["portraits/berta"]
