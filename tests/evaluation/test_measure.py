"""Looking at a pair: what is seen of a face that talks, and that it is kept."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from talking_makers import NUM_FRAMES, NUM_SPOKEN, openings, write_speech, write_talking

from lipwright.checkpoints import (
    DEFAULT_EXPERT,
    DEFAULT_LANDMARKS,
    model_path,
    read_tensors,
    write_tensors,
)
from lipwright.corpus.offset import open_meter
from lipwright.errors import CheckpointError, EvaluationError, NoFaceError
from lipwright.evaluation.measure import (
    FORMAT,
    Judges,
    Measured,
    measure,
    read_measured,
    still_of,
    write_measured,
)
from lipwright.evaluation.observe import FACE_SIZE, OwnPoints
from lipwright.evaluation.pairs import Pair
from lipwright.evaluation.score import METRICS, clip_result
from lipwright.faces import Mtcnn
from lipwright.faces.points import NUM_LANDMARKS, shape_of_mouth

Picture = NDArray[np.uint8]
CURVE = openings(1)


class MeanDifference:
    """In the place of LPIPS."""

    def distances(self, drawn: list[Picture], true: list[Picture]) -> NDArray[np.float64]:
        pairs = zip(drawn, true, strict=True)
        return np.array([np.abs(a.astype(float) - b).mean() for a, b in pairs])


class SmallPictures:
    """In the place of networks that embed faces."""

    def features(self, faces: list[Picture]) -> NDArray[np.float32]:
        assert all(face.shape == (FACE_SIZE, FACE_SIZE, 3) for face in faces)
        rows = [cv2.resize(face, (4, 4), interpolation=cv2.INTER_AREA).ravel() for face in faces]
        return np.stack(rows).astype(np.float32)


class StillPoints:
    """Sees every face alike."""

    name = "still"

    def points(self, frame: Picture, box: NDArray[np.float32]) -> NDArray[np.float32]:
        assert frame.shape[2] == len(box) - 1 == 3
        return np.random.default_rng(0).random((NUM_LANDMARKS, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def judges() -> Judges:
    return Judges(
        detector=Mtcnn(min_face=0.15, num_threads=1),
        finder=OwnPoints(model_path(DEFAULT_LANDMARKS), num_threads=1),
        expert=open_meter(model_path(DEFAULT_EXPERT)),
        lpips=MeanDifference(),  # type: ignore[arg-type]
        identity=SmallPictures(),  # type: ignore[arg-type]
        inception=SmallPictures(),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def folder(astronaut: Picture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A true video and its speech, and the same with half as much motion; do not write to it."""
    folder = tmp_path_factory.mktemp("talking")
    speech = write_speech(folder / "speech.wav", CURVE)
    write_talking(folder / "true.mp4", astronaut, CURVE, speech=speech)
    write_talking(folder / "drawn.mp4", astronaut, CURVE / 2, speech=speech)
    return folder


@pytest.fixture
def look(judges: Judges, folder: Path, tmp_path: Path) -> Callable[..., Measured]:
    """Measure a video of the folder; the contact sheet is ``sheet.jpg``."""

    def look(drawn: str, **of_pair: object) -> Measured:
        pair = Pair(name="a", face=folder / "true.mp4", speech=folder / "speech.wav", group="g")
        pair = replace(pair, **of_pair)
        sheet = tmp_path / "sheet.jpg"
        return measure(pair, folder / drawn, sheet, judges=judges, max_frames=100)

    return look


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_a_drawn_video_is_held_against_the_true_one(
    look: Callable[..., Measured], judges: Judges, folder: Path, tmp_path: Path
) -> None:
    found = look("drawn.mp4", truth=folder / "true.mp4")
    assert (found.name, found.group, found.is_same_person) == ("a", "g", True)
    arrays = found.arrays
    num_windows = NUM_FRAMES - judges.expert.frames + 1
    for name in ("drawn", "base"):
        assert arrays[f"{name}_points"].shape == (NUM_FRAMES, NUM_LANDMARKS, 2)
        opening = shape_of_mouth(arrays[f"{name}_points"])[:, 0]
        assert correlation(opening, CURVE) > 0.8, name
        assert len(arrays[f"{name}_lips"]) == len(arrays["speech"]) == num_windows
        assert len(arrays[f"features_{name}"]) == len(range(0, NUM_FRAMES, 3))
    assert arrays["static_lips"].shape[1] == arrays["speech"].shape[1]
    # The mel's windows reach into silence from both sides.
    assert abs(int(np.argmax(arrays["is_silent"])) - NUM_SPOKEN) <= 1
    scores = clip_result(found, None, sheet="").scores["drawn"]
    assert scores["opening_amplitude"] == pytest.approx(0.5, abs=0.15)
    assert scores["opening_correlation"] > 0.8
    assert {"psnr", "ssim", "mouth_l1", "sharpness_ratio", "lpips", "identity"} <= scores.keys()
    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert sheet.shape == (2 * 128, 10 * 128, 3)


def test_the_true_video_itself_looks_perfect_and_better_than_its_baselines(
    look: Callable[..., Measured], folder: Path
) -> None:
    pictures = look("true.mp4", truth=folder / "true.mp4").pictures
    assert pictures["drawn"] == pytest.approx(
        {
            "ssim": 1,
            "mouth_l1": 0,
            "lpips": 0,
            "identity": 1,
            "sharpness_ratio": 1,
            "seam_excess": 0,  # nothing was drawn: the face video is the same
        },
        abs=1e-3,
    )
    ordering = [m for m in METRICS if m.name in pictures["static"] and m.orders]
    assert {metric.name for metric in ordering} == {"ssim", "mouth_l1", "lpips"}
    for metric in ordering:
        for version in metric.orders:
            true, worse = pictures["drawn"][metric.name], pictures[version][metric.name]
            assert metric.badness(worse) > metric.badness(true), (metric.name, version)


def test_somebody_elses_motion_is_compared_but_no_pictures(
    look: Callable[..., Measured], folder: Path
) -> None:
    found = look("drawn.mp4", motion=folder / "true.mp4")
    assert not found.is_same_person
    assert {"base_points", "base_lips", "static_lips"} <= found.arrays.keys()
    assert set(found.pictures) == {"drawn"}
    assert set(found.pictures["drawn"]) == {"seam_excess"}


def test_without_a_base_there_is_nothing_of_one(
    look: Callable[..., Measured], tmp_path: Path
) -> None:
    found = look("drawn.mp4")
    assert not any("base" in name or "static" in name for name in found.arrays)
    assert set(found.pictures) == {"drawn"}
    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert sheet.shape == (128, 10 * 128, 3)


def test_a_face_drawn_elsewhere_is_brought_to_where_the_true_one_is(
    look: Callable[..., Measured], folder: Path, astronaut: Picture
) -> None:
    path = folder / "elsewhere.mp4"
    write_talking(path, astronaut, CURVE, scale=2, drift=False, left=80)
    found = look("elsewhere.mp4", truth=folder / "true.mp4", at=0.0).pictures
    # As they are, 0.12 and 0.63.
    assert found["drawn"]["mouth_l1"] < 0.06
    assert found["drawn"]["ssim"] > 0.8
    # What it is compared with is a video of another size: no seam can be told.
    assert "seam_excess" not in found["drawn"]


def test_no_more_is_looked_at_than_was_asked_for(judges: Judges, folder: Path) -> None:
    pair = Pair(name="a", face=folder / "true.mp4", speech=folder / "speech.wav")
    sheet = folder / "short.jpg"
    needed = judges.expert.frames + 15
    found = measure(pair, folder / "true.mp4", sheet, judges=judges, max_frames=needed)
    assert len(found.arrays["drawn_points"]) == len(found.arrays["is_silent"]) == needed
    with pytest.raises(EvaluationError, match=f"a: only {needed - 1} frames at 25 a second"):
        measure(pair, folder / "true.mp4", sheet, judges=judges, max_frames=needed - 1)


def test_a_base_whose_mouth_does_not_move_is_refused(judges: Judges, folder: Path) -> None:
    true = folder / "true.mp4"
    pair = Pair(name="a", face=true, speech=folder / "speech.wav", truth=true)
    blind = replace(judges, finder=StillPoints())
    with pytest.raises(EvaluationError, match=r"a: the mouth in .*true\.mp4' does not move"):
        measure(pair, true, folder / "still.jpg", judges=blind, max_frames=42)


def test_a_video_without_a_face_is_refused(
    look: Callable[..., Measured], folder: Path, astronaut: Picture
) -> None:
    write_talking(folder / "suit.mp4", np.roll(astronaut, -200, axis=0), CURVE)
    with pytest.raises(NoFaceError, match=r"only 0% of the frames of .*suit\.mp4' show a face"):
        look("suit.mp4")


def test_a_still_is_the_frame_at_its_time(folder: Path, astronaut_file: Path) -> None:
    pair = Pair(name="a", face=folder / "true.mp4", speech=folder / "speech.wav")
    first, later = still_of(replace(pair, at=0.0)), still_of(replace(pair, at=0.8))
    assert first.shape == later.shape == (240, 240, 3)
    assert np.abs(first.astype(int) - later).mean() > 1
    assert still_of(replace(pair, face=astronaut_file)).shape == (512, 512, 3)
    with pytest.raises(EvaluationError, match=r"a: .*true\.mp4' ends before 9\.5 s"):
        still_of(replace(pair, at=9.5))


KEPT = Measured(
    name="ä b",
    group="g",
    arrays={"drawn_points": np.arange(12, dtype=np.float32).reshape(2, 3, 2)},
    pictures={"drawn": {"ssim": 0.5}, "static": {"ssim": 0.25}},
    is_same_person=True,
    seconds={"render": 1.25},
)


def test_what_was_found_is_kept_under_its_key(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    assert read_measured(path, key="k") is None
    write_measured(KEPT, path, key="k")
    found = read_measured(path, key="k")
    assert found is not None
    np.testing.assert_array_equal(found.arrays["drawn_points"], KEPT.arrays["drawn_points"])
    assert found.arrays["drawn_points"].dtype == np.float32
    assert replace(found, arrays={}) == replace(KEPT, arrays={})
    assert read_measured(path, key="another") is None
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_file_of_an_earlier_form_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, KEPT.arrays, {"format": "lipwright-measured-0", "key": "k"})
    assert read_measured(path, key="k") is None


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_measured(KEPT, path, key="k")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        read_measured(path, key="k")


@pytest.mark.parametrize("record", [None, "{", '{"name": "a"}'])
def test_a_file_whose_record_is_damaged_is_said(record: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_measured(KEPT, path, key="k")
    arrays, metadata = read_tensors(path)
    assert metadata.pop("record")
    assert metadata["format"] == FORMAT
    if record is not None:
        metadata["record"] = record
    write_tensors(path, arrays, metadata)
    with pytest.raises(CheckpointError, match=r"a\.safetensors is damaged: .*; remove it and"):
        read_measured(path, key="k")
