"""A drawn mouth joins its frame; where it should not, the frame is left alone."""

from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_LANDMARKS, model_path
from lipwright.composite.face_mask import face_mask
from lipwright.composite.grain import noise_level
from lipwright.errors import ConfigError
from lipwright.faces import Mtcnn, crop_box, widen
from lipwright.faces.follow import Face
from lipwright.faces.landmarks import FaceLandmarks, Landmarker
from lipwright.faces.points import EYE_CORNERS
from lipwright.inference.joining import Joiner, RollKeeper
from lipwright.inference.reference import FaceView, middle, view_size
from lipwright.media import NativeFrame, native_still, rgb_region
from lipwright.media.display import square_to_display
from lipwright.media.native_rgb import rgb

SIZE = 160
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    face: Face
    frame: NativeFrame
    view: FaceView

    def at(self, step: int) -> NativeFrame:
        return replace(self.frame.at(Fraction(step, 25)), is_still=False)

    @property
    def target(self) -> Picture:
        return middle(self.view.picture, SIZE)


def scene(pixels: Picture, face: Face, roll: float = 0.0) -> Scene:
    frame, size = native_still(pixels), view_size(SIZE)
    wide = widen(face.box, size / SIZE)
    points = None
    if face.landmarks is not None:
        back = np.linalg.inv(square_to_display(wide, size, roll=roll))
        points = (face.landmarks.points @ back[:2, :2].T + back[:2, 2]).astype(np.float32)
    picture = rgb_region(frame, wide, size=size, roll=roll)
    return Scene(face, frame, FaceView(picture=picture, points=points))


@pytest.fixture(scope="module")
def large(astronaut: Picture) -> Picture:
    """Enlarged, so that a face has the size of that in a video."""
    return np.asarray(cv2.resize(astronaut, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))


@pytest.fixture(scope="module")
def face(large: Picture) -> Face:
    box = crop_box(Mtcnn().detect(large)[0].landmarks)
    found = Landmarker(model_path(DEFAULT_LANDMARKS), num_threads=1).find(large, box)
    return Face(box=box, landmarks=found)


def drawn_of(target: Picture, level: float = 0.0) -> NDArray[np.float32]:
    """The target, blurred and in another light below."""
    drawn = target.astype(np.float32) / 255
    drawn[SIZE // 2 :] = cv2.GaussianBlur(drawn, (0, 0), 0.7)[SIZE // 2 :] + np.float32(level)
    return np.clip(drawn, 0, 1)


def run(joiner: Joiner, seen: Scene, step: int = 0, *, level: float = 0.0) -> tuple[Picture, float]:
    joined, share = joiner.join(
        seen.at(step),
        seen.view,
        face=seen.face,
        drawn=drawn_of(seen.target, level),
        reference=seen.target,
    )
    return rgb(joined), share


def test_the_picture_outside_the_mask_keeps_its_bits(large: Picture, face: Face) -> None:
    seen = scene(large, face)
    after, share = run(Joiner(), seen, level=0.3)
    assert share == 1
    assert seen.view.points is not None
    mask = face_mask(seen.view.points - (view_size(SIZE) - SIZE) / 2, SIZE)
    side = float(face.box[2] - face.box[0])
    place = np.linalg.inv(square_to_display(face.box, SIZE))[:2]
    place[:, 2] += place[:, :2] @ (0.5, 0.5) - 0.5
    on_frame = cv2.warpAffine(
        mask, place, large.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    np.testing.assert_array_equal(after[on_frame == 0], large[on_frame == 0])
    assert (after != large).any(axis=2).mean() > 0.05 * (side / large.shape[0]) ** 2


def test_another_light_and_a_blur_are_made_good(large: Picture, face: Face) -> None:
    seen = scene(large, face)
    joiner = Joiner()
    errors = []
    for level in (0.0, 0.08):
        joiner.forget()
        after, _ = run(joiner, seen, level=level)
        errors.append(np.abs(after.astype(int) - large)[after != large].mean())
    assert errors[1] < 0.4 * 0.08 * 255
    assert errors[1] < 3 * errors[0] + 2


def test_measured_numbers_are_steadied_until_forgotten(large: Picture, face: Face) -> None:
    seen, joiner = scene(large, face), Joiner()
    calm, _ = run(joiner, seen, 0)
    jumped, _ = run(joiner, seen, 1, level=0.1)
    joiner.forget()
    fresh, _ = run(joiner, seen, 2, level=0.1)
    away = [np.abs(picture.astype(int) - calm).mean() for picture in (jumped, fresh)]
    assert away[1] < 0.7 * away[0]


def test_a_face_that_turns_away_is_left_alone(large: Picture, face: Face) -> None:
    assert face.landmarks is not None
    shares = {}
    for degrees in (0, 30, 52, 70, -70):
        turned = replace(face.landmarks, yaw=float(np.deg2rad(degrees)))
        seen = scene(large, replace(face, landmarks=turned))
        after, shares[degrees] = run(Joiner(), seen, level=0.2)
        assert (after == large).all() == (shares[degrees] == 0)
    assert shares[0] == shares[30] == 1
    assert 0 < shares[52] < 1
    assert shares[70] == shares[-70] == 0


def test_turning_fades_in_time(large: Picture, face: Face) -> None:
    assert face.landmarks is not None
    away = replace(face, landmarks=replace(face.landmarks, yaw=1.3))
    joiner, shares = Joiner(), []
    for step in range(12):
        seen = scene(large, face if step < 4 else away)
        shares.append(run(joiner, seen, step)[1])
    assert shares[3] == 1
    assert 0.3 < shares[4] < 0.9
    assert (np.diff(shares[3:]) < 0).all()
    assert shares[-1] < 0.1


def covered(pixels: Picture, face: Face, colour: list[int] | None, radius: float) -> Picture:
    """Something before the mouth; without a colour that of the cheek."""
    assert face.landmarks is not None
    x, y = (int(place) for place in face.landmarks.points[list(range(20))].mean(axis=0))
    side = float(face.box[2] - face.box[0])
    hidden = pixels.copy()
    if colour is None:
        colour = pixels[y - int(0.1 * side), x - int(0.22 * side)].tolist()
    cv2.ellipse(
        hidden, (x, y), (int(radius * side), int(0.6 * radius * side)), 0, 0, 360, colour, -1
    )
    return hidden


def join_covered(large: Picture, hidden: Picture, face: Face) -> tuple[Picture, float]:
    """The mouth is seen for a while, then something covers it."""
    joiner, clear, behind = Joiner(), scene(large, face), scene(hidden, face)
    after, share = hidden, 1.0
    for step in range(20):
        seen = clear if step < 4 else behind
        joined, share = joiner.join(
            seen.at(step), seen.view, face=face, drawn=drawn_of(clear.target),
            reference=clear.target,
        )  # fmt: skip
        after = rgb(joined)
    return after, share


def test_a_hand_before_the_mouth_stays_in_front(large: Picture, face: Face) -> None:
    hidden = covered(large, face, None, 0.26)
    after, share = join_covered(large, hidden, face)
    assert share < 0.05
    assert np.abs(after.astype(int) - hidden).max() < 20


def test_a_dark_thing_before_the_chin_stays_in_front(large: Picture, face: Face) -> None:
    assert face.landmarks is not None
    lower = replace(face.landmarks, points=face.landmarks.points + np.float32([0, 45]))
    hidden = covered(large, replace(face, landmarks=lower), [12, 12, 14], 0.14)
    after, _ = join_covered(large, hidden, face)
    behind = (hidden != large).any(axis=2)
    left = np.abs(after.astype(int) - hidden)[behind].mean()
    painted = np.abs(large.astype(int) - hidden)[behind].mean()
    assert left < 0.25 * painted


def test_a_bridged_face_is_drawn_as_before_with_the_mask_of_all_faces(
    large: Picture, face: Face
) -> None:
    bridged = scene(large, replace(face, landmarks=None))
    after, share = run(Joiner(), bridged, level=0.2)
    assert share == 1
    assert (after != large).any()
    assert face.landmarks is not None
    joiner = Joiner()
    away = replace(face, landmarks=replace(face.landmarks, yaw=1.3))
    assert run(joiner, scene(large, away), 0)[1] == 0
    assert run(joiner, bridged, 1)[1] == 0


def test_grain_is_matched_and_differs_from_frame_to_frame(large: Picture, face: Face) -> None:
    rng = np.random.default_rng(4)
    noisy = large + rng.normal(0, 6, large.shape[:2])[..., None]
    seen = scene(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), face)
    clean = scene(large, face)
    x0, y0, x1, _ = face.box
    side = x1 - x0
    cut = (slice(int(y0 + 0.72 * side), int(y0 + 0.82 * side)), slice(int(x0 + 0.4 * side), int(x0 + 0.6 * side)))  # fmt: skip  # noqa: E501
    joiner, chins = Joiner(), []
    for step in range(2):
        joined, _ = joiner.join(
            seen.at(step), seen.view, face=face, drawn=drawn_of(clean.target),
            reference=clean.target,
        )  # fmt: skip
        chins.append(rgb(joined)[cut][..., 0].astype(np.float32))
    wanted = noise_level(rgb(seen.frame)[cut][..., 0].astype(np.float32))
    for chin in chins:
        assert noise_level(chin) == pytest.approx(wanted, rel=0.25)
    assert np.abs(chins[0] - chins[1]).mean() > 3
    calm, _ = run(Joiner(), clean)
    level = noise_level(calm[cut][..., 0].astype(np.float32))
    assert level is not None
    assert level < 2


def test_the_grain_of_a_photo_stands_still(large: Picture, face: Face) -> None:
    rng = np.random.default_rng(4)
    noisy = large + rng.normal(0, 6, large.shape[:2])[..., None]
    seen = scene(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), face)
    smooth = drawn_of(scene(large, face).target)
    joiner, joined = Joiner(), []
    for step in range(2):
        still = replace(seen.at(step), is_still=True)
        after, _ = joiner.join(
            still, seen.view, face=face, drawn=smooth, reference=scene(large, face).target
        )
        joined.append(rgb(after))
    np.testing.assert_array_equal(joined[0], joined[1])
    assert (joined[0] != rgb(seen.frame)).any()


def test_a_leaning_face_is_drawn_upright(large: Picture, face: Face) -> None:
    assert face.landmarks is not None
    middle_of = (face.box[:2] + face.box[2:]) / 2
    matrix = cv2.getRotationMatrix2D((float(middle_of[0]), float(middle_of[1])), -40, 1)
    leaning = cv2.warpAffine(large, matrix, large.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    points = (face.landmarks.points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    roll = float(np.deg2rad(40))
    turned = Face(box=face.box, landmarks=replace(face.landmarks, points=points))
    seen = scene(np.asarray(leaning, dtype=np.uint8), turned, roll)
    upright = scene(large, face)
    assert np.abs(seen.target.astype(int) - upright.target).mean() < 4
    joined, share = Joiner().join(
        seen.at(0), seen.view, face=turned, drawn=drawn_of(upright.target, 0.1),
        reference=upright.target, roll=roll,
    )  # fmt: skip
    assert share == 1
    assert np.abs(rgb(joined).astype(int) - leaning).max() < 90
    assert (rgb(joined) != leaning).any()


def landmarks_at(degrees: float) -> Face:
    points = np.zeros((136, 2), dtype=np.float32)
    angle = np.deg2rad(degrees)
    points[EYE_CORNERS[1]] = 100 * np.cos(angle), 100 * np.sin(angle)
    return Face(
        box=np.array([0, 0, 9, 9], dtype=np.float32),
        landmarks=FaceLandmarks(points=points, yaw=0, pitch=0),
    )


def test_a_head_is_turned_upright_from_eight_degrees_and_not_to_and_fro() -> None:
    keeper = RollKeeper()
    rolls = [keeper.roll_of(landmarks_at(d), Fraction(i)) for i, d in enumerate((0, 7, 9, 6, 4))]
    assert [roll == 0 for roll in rolls] == [True, True, False, False, True]
    assert np.rad2deg(rolls[2]) == pytest.approx(9, abs=0.1)
    keeper.forget()
    assert keeper.roll_of(landmarks_at(-50), Fraction(9)) == pytest.approx(np.deg2rad(-50))
    bridged = replace(landmarks_at(0), landmarks=None)
    assert keeper.roll_of(bridged, Fraction(10)) == pytest.approx(np.deg2rad(-50))


def test_a_box_without_area_is_refused(large: Picture, face: Face) -> None:
    seen = scene(large, face)
    with pytest.raises(ConfigError, match="positive width"):
        Joiner().join(
            seen.at(0), seen.view, face=replace(face, box=np.zeros(4, dtype=np.float32)),
            drawn=drawn_of(seen.target), reference=seen.target,
        )  # fmt: skip
