"""A face is followed frame by frame: rarely looked for, bridged, smoothed, never across a cut."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from weakref import ReferenceType, ref

import numpy as np
import pytest

from lipwright.errors import ConfigError
from lipwright.faces.boxes import Detection
from lipwright.faces.follow import (
    LOOK_EVERY,
    FollowConfig,
    Followed,
    crop_of,
    follow_face,
)
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.points import FIVE_POINTS, NUM_LANDMARKS
from lipwright.faces.shots import ShotDetector
from lipwright.faces.track import SMOOTHING
from lipwright.faces.tracker import CONFIRMED_IN_A_ROW

# Eyes, nose and corners of the mouth from the middle of the crop, in units of the crop rule.
FIVE = np.array([(-0.4, -0.75), (0.4, -0.75), (0, -0.2), (-0.3, 0.25), (0.3, 0.25)])
UNSMOOTHED = FollowConfig(smoothing=Fraction(0))


@dataclass(frozen=True)
class Scene:
    """A frame: faces by the middle and side of their crops, and what is behind them."""

    faces: tuple[tuple[float, float, float], ...] = ()
    colour: int = 100


@dataclass
class FakeEyes:
    """Sees what the scenes say, and counts its looks."""

    looks: list[Scene] = field(default_factory=list)
    close_looks: list[Scene] = field(default_factory=list)

    def detect(self, frame: Scene) -> list[Detection]:
        self.looks.append(frame)
        return self._faces(frame)

    def confirm(self, frame: Scene, box: np.ndarray) -> Detection | None:
        self.close_looks.append(frame)
        x, y = (box[:2] + box[2:]) / 2
        around = [
            d for d in self._faces(frame) if d.box[0] < x < d.box[2] and d.box[1] < y < d.box[3]
        ]
        return next(iter(around), None)

    def _faces(self, frame: Scene) -> list[Detection]:
        return [
            Detection(
                box=np.array([x - side / 3, y - side / 3, x + side / 3, y + side / 3], np.float32),
                landmarks=((x, y) + side / 2.4 * FIVE).astype(np.float32),
                score=0.9,
            )
            for x, y, side in frame.faces
        ]

    def landmarks(self, frame: Scene, box: np.ndarray) -> FaceLandmarks:
        centre = (box[:2] + box[2:]) / 2
        faces = frame.faces or ((*centre.tolist(), float(box[2] - box[0])),)  # it always sees one
        x, y, side = min(faces, key=lambda face: abs(face[0] - centre[0]))
        points = np.full((NUM_LANDMARKS, 2), (x, y), dtype=np.float32)
        for places, offset in zip(FIVE_POINTS, FIVE, strict=True):
            points[list(places)] += (side / 2.4 * offset).astype(np.float32)
        return FaceLandmarks(points=points, yaw=0.0, pitch=0.0)

    def thumbnail(self, frame: Scene) -> np.ndarray:
        return np.full((9, 16, 3), frame.colour, dtype=np.uint8)

    def width(self, frame: Scene) -> int:
        return 640


def timed(scenes: list[Scene], fps: int = 25) -> Iterator[tuple[Scene, Fraction]]:
    for index, scene in enumerate(scenes):
        yield scene, Fraction(index, fps)


def follow(
    scenes: list[Scene], config: FollowConfig = UNSMOOTHED, eyes: FakeEyes | None = None
) -> list[Followed[Scene]]:
    return list(follow_face(timed(scenes), eyes or FakeEyes(), config))


def middles(followed: list[Followed[Scene]]) -> list[float | None]:
    return [
        None if f.face is None else round(float(f.face.box[0] + f.face.box[2]) / 2, 2)
        for f in followed
    ]


def at(x: float, colour: int = 100) -> Scene:
    return Scene(faces=((x, 200.0, 120.0),), colour=colour)


NOBODY = Scene()


def test_the_crop_of_landmarks_is_that_of_the_five_points() -> None:
    box = np.array([100, 50, 340, 290], np.float32)
    scene = Scene(faces=((220.0, 170.0, 240.0),))
    assert crop_of(FakeEyes().landmarks(scene, box)) == pytest.approx(box, abs=1e-3)


def test_every_frame_comes_out_in_order_with_its_face() -> None:
    scenes = [at(100 + 2 * i) for i in range(30)]
    followed = follow(scenes)
    assert [f.frame for f in followed] == scenes
    assert [f.time for f in followed] == [Fraction(i, 25) for i in range(30)]
    assert middles(followed) == [100 + 2 * i for i in range(30)]


def test_the_detector_looks_rarely_while_landmarks_follow_and_mostly_at_the_face_alone() -> None:
    eyes = FakeEyes()
    scenes = [at(100 + i) for i in range((CONFIRMED_IN_A_ROW + 2) * LOOK_EVERY)]
    follow(scenes, eyes=eyes)
    assert eyes.looks == [scenes[0], scenes[(CONFIRMED_IN_A_ROW + 1) * LOOK_EVERY]]
    assert eyes.close_looks == scenes[LOOK_EVERY:-LOOK_EVERY:LOOK_EVERY]


def test_a_face_that_is_not_confirmed_is_looked_for_in_the_whole_frame_at_once() -> None:
    eyes = FakeEyes()
    scenes = [at(100)] * LOOK_EVERY + [NOBODY] * LOOK_EVERY
    followed = follow(scenes, FollowConfig(smoothing=Fraction(0), max_gap=Fraction(0)), eyes)
    assert eyes.close_looks == [NOBODY]
    assert eyes.looks[:2] == [scenes[0], NOBODY]
    assert middles(followed) == [100] * LOOK_EVERY + [None] * LOOK_EVERY


def test_a_close_look_that_sees_another_face_beside_the_tracked_one_does_not_count() -> None:
    class SeesTheNeighbour(FakeEyes):
        def confirm(self, frame: Scene, box: np.ndarray) -> Detection | None:
            found = super().confirm(frame, box)
            return found and replace(found, landmarks=found.landmarks + 200)

    eyes = SeesTheNeighbour()
    followed = follow([at(100)] * (2 * LOOK_EVERY), eyes=eyes)
    assert len(eyes.looks) == 2
    assert middles(followed) == [100] * (2 * LOOK_EVERY)


def test_a_jump_makes_the_detector_look_at_once() -> None:
    eyes = FakeEyes()
    scenes = [at(100)] * 4 + [at(145)] * 4  # more than a quarter of the crop, still overlapping
    followed = follow(scenes, eyes=eyes)
    assert scenes[4] in eyes.looks
    assert middles(followed) == [100] * 4 + [145] * 4


def test_a_short_gap_is_bridged_and_a_long_one_left_open() -> None:
    short = [at(100)] * 7 + [NOBODY] * 6 + [at(114)] * 7
    found = middles(follow(short, FollowConfig(smoothing=Fraction(0), look_every=1)))
    assert None not in found
    assert found[7:13] == pytest.approx([102, 104, 106, 108, 110, 112], abs=0.01)
    long = [at(100)] * 3 + [NOBODY] * 40 + [at(300)] * 3
    found = middles(follow(long, FollowConfig(smoothing=Fraction(0), look_every=1)))
    assert found[:3] == [100] * 3
    assert found[3:13] == [100] * 10  # held for 0.4 s
    assert found[14:33] == [None] * 19
    assert found[35:43] == [300] * 8  # and held before; it is looked for in every third
    assert found[43:] == [300] * 3


def test_bridged_frames_have_a_box_and_no_landmarks() -> None:
    scenes = [at(100)] * 3 + [NOBODY] * 3 + [at(100)] * 3
    followed = follow(scenes, FollowConfig(smoothing=Fraction(0), look_every=1))
    has_landmarks = [f.face is not None and f.face.landmarks is not None for f in followed]
    assert has_landmarks == [True] * 3 + [False] * 3 + [True] * 3


def test_a_track_never_crosses_a_cut() -> None:
    scenes = [at(100, colour=40)] * 10 + [at(130, colour=200)] * 10
    followed = follow(scenes, FollowConfig())
    assert [f.shot for f in followed] == [0] * 10 + [1] * 10
    assert middles(followed) == [100] * 10 + [130] * 10  # not smoothed across either
    gone = [at(100, colour=40)] * 5 + [Scene(colour=200)] * 3 + [at(300, colour=90)] * 5
    assert middles(follow(gone, FollowConfig())) == [100] * 5 + [None] * 3 + [300] * 5


def test_the_other_person_is_not_taken_for_the_one_that_left() -> None:
    both = Scene(faces=((100.0, 200.0, 120.0), (400.0, 200.0, 100.0)))
    scenes = [both] * 4 + [Scene(faces=((400.0, 200.0, 100.0),))] * 4 + [both] * 4
    found = middles(follow(scenes, FollowConfig(smoothing=Fraction(0), look_every=1)))
    assert found == [100] * 12


@pytest.mark.parametrize(("choice", "x"), [("largest", 400), ("leftmost", 100)])
def test_the_face_is_chosen_as_asked(choice: str, x: float) -> None:
    both = Scene(faces=((100.0, 200.0, 120.0), (400.0, 200.0, 150.0)))
    assert middles(follow([both] * 3, FollowConfig(choice=choice))) == [x] * 3


def test_smoothing_takes_jitter_away_and_adds_no_lag() -> None:
    rng = np.random.default_rng(0)
    path = 100 + 1.5 * np.arange(80)
    scenes = [at(float(x)) for x in path + rng.normal(0, 2, 80)]
    found = np.array(middles(follow(scenes, FollowConfig())), dtype=float)
    assert np.abs(found - path)[10:-10].mean() < 0.8
    assert abs((found - path)[10:-10].mean()) < 0.4
    assert np.abs(np.diff(found) - 1.5).max() < 1.5


def test_frames_come_out_with_a_bounded_delay() -> None:
    taken = 0

    def counting() -> Iterator[tuple[Scene, Fraction]]:
        nonlocal taken
        for scene in timed([at(100)] * 200):
            taken += 1
            yield scene

    delays = []
    for number, _ in enumerate(follow_face(counting(), FakeEyes(), FollowConfig())):
        delays.append(taken - number)
    assert max(delays) <= 11  # 0.36 s of smoothing ahead


def test_frames_that_came_out_are_let_go() -> None:
    given: list[ReferenceType[Scene]] = []

    def scenes() -> Iterator[tuple[Scene, Fraction]]:
        for index in range(150):
            scene = at(200 + index % 7)
            given.append(ref(scene))
            yield scene, Fraction(index, 25)
            del scene

    eyes = FakeEyes()
    eyes.looks = eyes.close_looks = deque(maxlen=0)  # type: ignore[assignment]
    held = [
        sum(each() is not None for each in given)
        for _ in follow_face(scenes(), eyes, FollowConfig())
    ]
    ahead = ceil(3 * SMOOTHING * 25)  # of the smoothing
    assert max(held) <= ahead + 4


def test_a_video_without_faces_comes_out_as_it_is() -> None:
    eyes = FakeEyes()
    followed = follow([NOBODY] * 20, FollowConfig(), eyes)
    assert middles(followed) == [None] * 20
    assert len(eyes.looks) == 7  # every third


def test_slow_change_is_no_cut_and_a_busy_shot_needs_a_larger_one() -> None:
    def cuts(levels: list[int]) -> list[bool]:
        detector = ShotDetector()
        return [detector.is_cut(np.full((9, 16, 3), level, np.uint8)) for level in levels]

    assert not any(cuts(list(range(0, 200, 4))))
    assert cuts([10, 11, 60, 61]) == [False, False, True, False]
    assert not any(cuts([*range(0, 100, 10), 115]))


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="look_every must be at least 1"):
        FollowConfig(look_every=0)
    with pytest.raises(ConfigError, match="unknown face choice"):
        FollowConfig(choice="prettiest")
