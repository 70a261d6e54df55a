import hashlib
import subprocess  # noqa: TID251 - a fresh interpreter is the only clean list of imports
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import av
import cv2
import joblib  # type: ignore[import-untyped]
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import CheckpointError, ConfigError, MediaError
from lipwright.faces import mtcnn_networks
from lipwright.faces.boxes import Detection, iou
from lipwright.faces.mtcnn import (
    PROPOSALS,
    WINDOW,
    Mtcnn,
    cut_patches,
    pyramid_scales,
    shrink,
)

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"

# The astronaut's face in the picture of 512 x 512: the detector's own answer, drawn into the
# picture and seen to be right, so that a change of it shows.
FACE = np.array([181, 67, 269, 174], dtype=np.float32)
POINTS = np.array([[205, 102], [247, 104], [224, 127], [202, 140], [245, 141]], dtype=np.float32)


@pytest.fixture(scope="module")
def detector() -> Mtcnn:
    return Mtcnn(num_threads=1)


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return np.asarray(skimage.data.astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call]


def the_face(found: Sequence[Detection]) -> Detection:
    assert len(found) == 1, f"{len(found)} faces instead of one"
    return found[0]


def assert_is_the_astronaut(face: Detection, *, scale: float = 1.0) -> None:
    """Hold a detection against the places seen to be right, allowing 6 of its pixels."""
    assert float(iou(face.box[None] / scale, FACE[None])[0, 0]) > 0.8
    assert np.abs(face.landmarks / scale - POINTS).max() < 6


def test_astronaut_has_exactly_one_face_where_it_is(
    detector: Mtcnn, astronaut: NDArray[np.uint8]
) -> None:
    face = the_face(detector.detect(astronaut))
    assert face.box.shape == (4,)
    assert face.landmarks.shape == (5, 2)
    assert face.box.dtype == face.landmarks.dtype == np.float32
    assert face.score > 0.95
    assert_is_the_astronaut(face)


def test_landmarks_are_eyes_above_nose_above_mouth_image_left_first(
    detector: Mtcnn, astronaut: NDArray[np.uint8]
) -> None:
    left_eye, right_eye, nose, left_mouth, right_mouth = the_face(
        detector.detect(astronaut)
    ).landmarks
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]


@pytest.mark.parametrize("scale", [0.5, 2.0, 4.0])
def test_same_face_at_another_resolution(
    detector: Mtcnn, astronaut: NDArray[np.uint8], scale: float
) -> None:
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels = np.asarray(
        cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=method), dtype=np.uint8
    )
    assert_is_the_astronaut(the_face(detector.detect(pixels)), scale=scale)


def test_flipped_picture_gives_the_flipped_face_still_image_left_first(
    detector: Mtcnn, astronaut: NDArray[np.uint8]
) -> None:
    # Also a picture whose memory is not contiguous, as slices and flips are.
    face = the_face(detector.detect(astronaut[:, ::-1]))
    width = astronaut.shape[1]
    box = np.array([width - face.box[2], face.box[1], width - face.box[0], face.box[3]])
    points = face.landmarks[[1, 0, 2, 4, 3]].copy()
    points[:, 0] = width - points[:, 0]
    assert_is_the_astronaut(
        Detection(box=box.astype(np.float32), landmarks=points, score=face.score)
    )


def test_grey_picture_has_the_same_face(detector: Mtcnn, astronaut: NDArray[np.uint8]) -> None:
    grey = np.repeat(cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    assert_is_the_astronaut(the_face(detector.detect(grey.astype(np.uint8))))


def test_face_cut_by_the_edge_is_placed_beyond_it(
    detector: Mtcnn, astronaut: NDArray[np.uint8]
) -> None:
    face = the_face(detector.detect(astronaut[85:]))
    assert (
        float(iou(face.box[None] + np.array([0, 85, 0, 85], dtype=np.float32), FACE[None])[0, 0])
        > 0.6
    )
    assert face.box[1] < 0


def test_two_faces_come_best_first(detector: Mtcnn, astronaut: NDArray[np.uint8]) -> None:
    found = detector.detect(np.concatenate([astronaut, astronaut[:, ::-1]], axis=1))
    assert len(found) == 2
    assert found[0].score >= found[1].score


def test_detection_repeats_itself_and_changes_nothing(astronaut: NDArray[np.uint8]) -> None:
    detector = Mtcnn(num_threads=1)
    before = astronaut.copy()
    first = the_face(detector.detect(astronaut))
    kept = first.box.copy(), first.landmarks.copy()
    detector.detect(astronaut[::-1])
    again = the_face(detector.detect(astronaut))
    np.testing.assert_array_equal(astronaut, before)
    np.testing.assert_array_equal(first.box, kept[0])
    np.testing.assert_array_equal(first.landmarks, kept[1])
    np.testing.assert_array_equal(again.box, first.box)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_colour_has_no_face(detector: Mtcnn, value: int) -> None:
    assert detector.detect(np.full((180, 240, 3), value, dtype=np.uint8)) == []


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_noise_has_no_face(detector: Mtcnn, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (288, 360, 3), dtype=np.uint8)
    assert detector.detect(noise) == []


@pytest.mark.parametrize("size", [(0, 0), (11, 300), (300, 11)])
def test_picture_smaller_than_a_window_has_no_face(detector: Mtcnn, size: tuple[int, int]) -> None:
    assert detector.detect(np.zeros((*size, 3), dtype=np.uint8)) == []


@pytest.mark.parametrize("size", [(12, 12), (13, 700), (40, 12)])
def test_narrow_pictures_do_not_trouble_it(detector: Mtcnn, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert detector.detect(noise) == []


def test_small_faces_are_left_out_by_min_face(astronaut: NDArray[np.uint8]) -> None:
    # The face is 0.21 of the shorter side; a proposal may be half the face it grows into.
    assert Mtcnn(min_face=0.8, num_threads=1).detect(astronaut) == []
    assert len(Mtcnn(min_face=0.2, num_threads=1).detect(astronaut)) == 1


@pytest.mark.parametrize("min_face", [0.0, -0.1, 1.01, float("nan")])
def test_min_face_out_of_range_is_refused(min_face: float) -> None:
    with pytest.raises(ConfigError, match=f"min_face .* got {min_face}"):
        Mtcnn(min_face=min_face)


def test_thresholds_and_threads_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"thresholds .* \(0.6, 1.7, 0.8\)"):
        Mtcnn(thresholds=(0.6, 1.7, 0.8))
    with pytest.raises(ConfigError, match=r"num_threads .* got 0"):
        Mtcnn(num_threads=0)


def test_picture_of_another_kind_is_refused(detector: Mtcnn) -> None:
    with pytest.raises(MediaError, match=r"\(40, 40, 4\) uint8"):
        detector.detect(np.zeros((40, 40, 4), dtype=np.uint8))


def refuse_to_load(*_: object) -> None:
    raise AssertionError("bytes that were not verified reached joblib.load")


def test_changed_weights_are_refused_before_they_are_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "pnet.lz4"
    joblib.dump([np.zeros(3, dtype=np.float32)], fake, compress="lz4")
    monkeypatch.setattr(mtcnn_networks, "weights_path", lambda _: fake)
    monkeypatch.setattr(joblib, "load", refuse_to_load)
    with pytest.raises(CheckpointError) as caught:
        Mtcnn()
    message = str(caught.value)
    assert str(fake) in message
    assert hashlib.sha256(fake.read_bytes()).hexdigest() in message
    assert mtcnn_networks.WEIGHTS_SHA256["pnet"] in message
    assert "pip install 'mtcnn==1.0.0'" in message


def test_missing_weights_say_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mtcnn_networks, "weights_path", lambda name: tmp_path / f"{name}.lz4")
    with pytest.raises(CheckpointError, match=r"pnet\.lz4.*pip install 'mtcnn==1\.0\.0'"):
        Mtcnn()


def test_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mtcnn_networks, "find_spec", lambda _: None)
    with pytest.raises(CheckpointError, match=r"rnet\.lz4.*pip install 'mtcnn==1\.0\.0'"):
        mtcnn_networks.weights_path("rnet")


def test_neither_mtcnn_nor_tensorflow_is_imported() -> None:
    program = (
        "import sys; from lipwright.faces.mtcnn import Mtcnn; Mtcnn(); "
        "sys.exit(bool({'mtcnn', 'tensorflow'} & set(sys.modules)))"
    )
    outcome = subprocess.run([sys.executable, "-c", program], check=False)  # noqa: S603
    assert outcome.returncode == 0


@given(short_side=st.integers(12, 5000), min_face=st.floats(0.02, 1))
def test_pyramid_covers_every_face_size_at_a_bounded_cost(short_side: int, min_face: float) -> None:
    finer, scanned = pyramid_scales(short_side, min_face=min_face)
    scales = finer + scanned
    assert all(0 < scale <= 1 for scale in scales)
    assert all(later < earlier for earlier, later in pairwise(scales))
    smallest = max(WINDOW, min_face * short_side)
    assert scanned[0] * smallest == pytest.approx(WINDOW)
    assert WINDOW - 1e-6 <= scanned[-1] * short_side < WINDOW * 1.5
    assert scales[0] * min_face * short_side < 48.001 or scales[0] * short_side == short_side
    assert len(scanned) <= 1 + 2 * np.log2(1 / min_face) + 1e-6


def test_shrunken_pictures_have_the_sizes_asked_for(astronaut: NDArray[np.uint8]) -> None:
    levels = shrink(astronaut[:300], [1.0, 0.5, 0.01])
    assert [level.shape for level in levels] == [(300, 512, 3), (150, 256, 3), (12, 12, 3)]
    assert all(level.flags.c_contiguous for level in levels)


def test_patches_show_what_is_in_the_box() -> None:
    rows, columns = np.mgrid[0:96, 0:96]
    pixels = np.stack([columns, rows, 0 * rows], axis=2).astype(np.uint8)  # colour = position
    boxes = np.array([[10, 20, 34, 44], [30, 40, 78, 88], [-24, 0, 0, 24]], dtype=np.float32)
    patches = cut_patches([pixels], boxes, side=24, size=(96, 96))
    np.testing.assert_array_equal(patches[0], pixels[20:44, 10:34])
    halved = pixels[40:88, 30:78].reshape(24, 2, 24, 2, 3).mean(axis=(1, 3))
    assert np.abs(patches[1] - halved).max() <= 1
    np.testing.assert_array_equal(patches[2][:, :-1], 128)


def test_picture_full_of_texture_makes_a_bounded_number_of_proposals(
    astronaut: NDArray[np.uint8],
) -> None:
    detector = Mtcnn(thresholds=(0.0, 0.7, 0.8), num_threads=1)  # every window passes the first
    levels = shrink(astronaut, pyramid_scales(512, min_face=0.1)[1])
    assert 0 < len(detector._proposed(levels, (512, 512))) <= PROPOSALS
    assert_is_the_astronaut(the_face(detector.detect(astronaut)))


def corpus_files(pattern: str, count: int) -> list[Path]:
    files = sorted(CORPUS.glob(pattern))
    if not files:
        pytest.skip(f"the corpus is not at {CORPUS}: no {pattern}")
    return files[:: max(1, len(files) // count)][:count]


@pytest.mark.corpus
@pytest.mark.parametrize(("folder", "count"), [("s1", 4), ("s4", 2), ("s26", 2), ("mixed", 4)])
def test_first_frame_of_grid_clips_has_one_face(detector: Mtcnn, folder: str, count: int) -> None:
    for path in corpus_files(f"grid/{folder}/*.mkv", count):
        with av.open(str(path)) as container:
            pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert len(detector.detect(pixels.astype(np.uint8))) == 1, path


@pytest.mark.corpus
def test_portraits_have_one_face(detector: Mtcnn) -> None:
    for path in corpus_files("portraits/*.jpg", 12):
        stored = cv2.imread(str(path))
        assert stored is not None, path
        pixels = cv2.cvtColor(stored, cv2.COLOR_BGR2RGB).astype(np.uint8)
        assert len(detector.detect(pixels)) == 1, path


def test_signals_can_be_handled_after_a_detector_is_gone() -> None:
    # Closing OpenVINO's cores in another order than they were opened leaves a thread's signal
    # stack in memory that is gone: one core for each of the three networks did.
    code = (
        "import signal\n"
        "from lipwright.faces import Mtcnn\n"
        "Mtcnn(num_threads=1)\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('handled'))\n"
        "signal.raise_signal(signal.SIGTERM)\n"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "handled\n")
