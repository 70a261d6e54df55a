"""Several people are followed in one pass: each in every shot, nobody else, no face twice."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest

from lipwright.errors import ConfigError
from lipwright.faces.appearance import APPEARANCE_LENGTH
from lipwright.faces.boxes import Detection
from lipwright.faces.choose import KnownPerson, PersonAt, PersonNear, Who
from lipwright.faces.follow import (
    FollowConfig,
    FollowedPeople,
    follow_face,
    follow_people,
)
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.people import chosen_person, find_people, known_person
from lipwright.faces.points import FIVE_POINTS, NUM_LANDMARKS

FIVE = np.array([(-0.4, -0.75), (0.4, -0.75), (0, -0.2), (-0.3, 0.25), (0.3, 0.25)])
UNSMOOTHED = FollowConfig(smoothing=Fraction(0), max_gap=Fraction(0))
NAMES = "ABCD"


@dataclass(frozen=True)
class Scene:
    """A frame: who is where, and what is behind them."""

    people: tuple[tuple[str, float], ...] = ()
    colour: int = 100


@dataclass
class KnowingScenes:
    """Sees what the scenes say, knows everybody by name, and counts its looks."""

    num_detected: int = 0
    num_confirmed: int = 0
    described: list[str] = field(default_factory=list)

    def detect(self, frame: Scene) -> list[Detection]:
        self.num_detected += 1
        return self._faces(frame)

    def confirm(self, frame: Scene, box: np.ndarray) -> Detection | None:
        self.num_confirmed += 1
        x = float(box[0] + box[2]) / 2
        return next((d for d in self._faces(frame) if d.box[0] < x < d.box[2]), None)

    def _faces(self, frame: Scene) -> list[Detection]:
        return [
            Detection(
                box=np.array([x - 40, 160, x + 40, 240], np.float32),
                landmarks=((x, 200) + 50 * FIVE).astype(np.float32),
                score=0.9,
            )
            for _, x in frame.people
        ]

    def landmarks(self, frame: Scene, box: np.ndarray) -> FaceLandmarks:
        centre = float(box[0] + box[2]) / 2
        x = min((x for _, x in frame.people), key=lambda x: abs(x - centre), default=1e4)
        points = np.full((NUM_LANDMARKS, 2), (x, 200), dtype=np.float32)
        for places, offset in zip(FIVE_POINTS, FIVE, strict=True):
            points[list(places)] += (50 * offset).astype(np.float32)
        return FaceLandmarks(points=points, yaw=0.0, pitch=0.0)

    def appearance(self, frame: Scene, landmarks: FaceLandmarks) -> np.ndarray:
        middle = float(landmarks.points[:, 0].mean())
        name, _ = min(frame.people, key=lambda person: abs(person[1] - middle))
        self.described.append(name)
        return looks_of(name)

    def thumbnail(self, frame: Scene) -> np.ndarray:
        return np.full((9, 16, 3), frame.colour, dtype=np.uint8)

    def width(self, frame: Scene) -> int:
        return 640


def looks_of(name: str) -> np.ndarray:
    return np.eye(APPEARANCE_LENGTH, dtype=np.float32)[NAMES.index(name)]


def person(name: str, others: str = "") -> KnownPerson:
    return KnownPerson(appearance=looks_of(name), others=tuple(looks_of(o) for o in others))


def timed(scenes: list[Scene]) -> Iterator[tuple[Scene, Fraction]]:
    for index, scene in enumerate(scenes):
        yield scene, Fraction(index, 25)


def follow(
    scenes: list[Scene],
    who: list[Who],
    config: FollowConfig = UNSMOOTHED,
    eyes: KnowingScenes | None = None,
) -> list[FollowedPeople[Scene]]:
    return list(follow_people(timed(scenes), eyes or KnowingScenes(), who, config))


def middles(followed: list[FollowedPeople[Scene]], index: int = 0) -> list[float | None]:
    faces = [f.faces[index] for f in followed]
    return [None if f is None else round(float(f.box[0] + f.box[2]) / 2) for f in faces]


BOTH = Scene((("A", 100.0), ("B", 400.0)))
ONLY_A = Scene((("A", 250.0),), colour=200)
ONLY_B = Scene((("B", 250.0),), colour=30)
SWAPPED = Scene((("B", 100.0), ("A", 400.0)), colour=160)


def test_a_person_is_found_again_after_every_cut_and_nobody_else_is_taken() -> None:
    scenes = [BOTH] * 8 + [ONLY_B] * 8 + [ONLY_A] * 8 + [SWAPPED] * 8
    followed = follow(scenes, [person("A", others="B")])
    assert middles(followed) == [100] * 8 + [None] * 8 + [250] * 8 + [400] * 8
    assert [f.shot for f in followed] == [0] * 8 + [1] * 8 + [2] * 8 + [3] * 8


def test_two_people_keep_their_faces_when_they_change_places() -> None:
    scenes = [BOTH] * 8 + [SWAPPED] * 8 + [ONLY_B] * 8
    followed = follow(scenes, [person("A"), person("B")])
    assert middles(followed, 0) == [100] * 8 + [400] * 8 + [None] * 8
    assert middles(followed, 1) == [400] * 8 + [100] * 8 + [250] * 8


def test_a_person_who_leaves_and_returns_elsewhere_is_taken_up_again() -> None:
    scenes = [BOTH] * 6 + [Scene((("B", 400.0),))] * 30 + [Scene((("B", 400.0), ("A", 550.0)))] * 9
    found = middles(follow(scenes, [person("A", others="B")]))
    assert found[:6] == [100] * 6
    assert found[6:36] == [None] * 30
    assert found[38:] == [550] * 7  # it is looked for in every third frame


def test_a_position_is_chosen_anew_in_every_shot_beside_a_person() -> None:
    scenes = [BOTH] * 6 + [SWAPPED] * 6
    followed = follow(scenes, ["leftmost", "rightmost"])
    assert middles(followed, 0) == [100] * 12
    assert middles(followed, 1) == [400] * 12


def test_no_face_is_given_to_two() -> None:
    followed = follow([BOTH] * 8 + [ONLY_A] * 8, ["leftmost", "leftmost"])
    assert middles(followed, 0) == [100] * 8 + [250] * 8
    assert middles(followed, 1) == [400] * 8 + [None] * 8


def test_a_tracker_never_slides_onto_the_face_of_another() -> None:
    # A walks behind B's place and is gone: the landmarks that followed A would now find B.
    steps = [Scene((("A", 100.0 + 9 * i), ("B", 280.0))) for i in range(18)]
    scenes = steps + [Scene((("B", 280.0),))] * 12
    for who in ([person("A"), person("B")], [person("B"), person("A")]):
        followed = follow(scenes, who, FollowConfig(smoothing=Fraction(0), look_every=6))
        of_b = middles(followed, who.index(next(w for w in who if w.appearance[1])))
        of_a = middles(followed, 1 - who.index(next(w for w in who if w.appearance[1])))
        assert of_b == [280] * 30
        assert all(a is None or a < 280 for a in of_a)


def test_a_face_that_turns_out_to_be_somebody_else_is_let_go() -> None:
    # Within a shot B steps to the very place of A.
    scenes = [Scene((("A", 100.0),))] * 7 + [Scene((("B", 100.0),))] * 13
    found = middles(follow(scenes, [person("A", others="B")]))
    assert found[:7] == [100] * 7
    assert found[12:] == [None] * 8


def test_where_a_cut_goes_unnoticed_nobody_is_held_over_the_face_of_another() -> None:
    scenes = [Scene((("A", 100.0),))] * 14 + [Scene((("B", 100.0),))] * 14
    followed = follow(scenes, [person("A"), person("B")], FollowConfig())
    shown = ["".join("-" if f is None else "x" for f in frame.faces) for frame in followed]
    # The detector looks at every sixth frame, so it is noticed four frames late.
    assert shown == ["x-"] * 18 + ["-x"] * 10


def test_the_detector_looks_no_more_often_for_two_than_for_one() -> None:
    looks = []
    for who in ([person("A")], [person("A"), person("B")]):
        eyes = KnowingScenes()
        follow([BOTH] * 60, who, eyes=eyes)
        looks.append((eyes.num_detected, eyes.num_confirmed))
    assert looks == [(2, 8), (2, 16)]


def test_one_position_is_followed_as_a_single_face_is() -> None:
    scenes = [Scene((("A", 100.0 + i), ("B", 400.0 - i))) for i in range(20)] + [Scene()] * 6
    config = FollowConfig(choice="rightmost")
    alone = list(follow_face(timed(scenes), KnowingScenes(), config))
    together = [f.alone() for f in follow(scenes, ["rightmost"], config)]
    assert len(alone) == len(together) == 26
    for a, b in zip(alone, together, strict=True):
        assert (a.frame, a.time, a.shot) == (b.frame, b.time, b.shot)
        assert (a.face is None) == (b.face is None)
        assert a.face is None or b.face is None or np.array_equal(a.face.box, b.face.box)


def test_frames_come_out_with_a_bounded_delay_though_one_person_never_shows() -> None:
    taken = 0

    def counting() -> Iterator[tuple[Scene, Fraction]]:
        nonlocal taken
        for scene in timed([BOTH] * 200):
            taken += 1
            yield scene

    stream = follow_people(counting(), KnowingScenes(), [person("A"), person("C")], FollowConfig())
    delays = [taken - number for number, _ in enumerate(stream)]
    assert len(delays) == 200
    assert max(delays) <= 22  # 0.4 s of a gap and 0.36 s of smoothing ahead


def test_nobody_to_follow_and_unknown_positions_are_refused() -> None:
    with pytest.raises(ConfigError, match="nobody is to be followed"):
        follow([BOTH], [])
    with pytest.raises(ConfigError, match="unknown face choice 'prettiest'"):
        follow([BOTH], ["prettiest"])


# Who is there, before anybody is followed.


def test_people_are_told_apart_and_counted_over_shots() -> None:
    scenes = [Scene()] * 5 + [BOTH] * 10 + [ONLY_B] * 10 + [SWAPPED] * 10
    people = find_people(timed(scenes), KnowingScenes())
    assert [NAMES[int(p.appearance.argmax())] for p in people] == ["A", "B"]
    assert [len(p.sightings) for p in people] == [2, 3]
    assert people[0].first_time == Fraction(6, 25)  # every third frame is looked at
    assert [len(s.times) for s in people[1].sightings] == [9, 10, 10]
    known = known_person(people[0], people)
    assert np.array_equal(known.appearance, looks_of("A"))
    assert len(known.others) == 1
    assert np.array_equal(known.others[0], looks_of("B"))


def test_the_look_at_the_beginning_ends() -> None:
    taken = 0

    def counting() -> Iterator[tuple[Scene, Fraction]]:
        nonlocal taken
        for scene in timed([Scene()] * 30 + [BOTH] * 300):
            taken += 1
            yield scene

    people = find_people(counting(), KnowingScenes(), seconds=Fraction(1))
    assert len(people) == 2
    assert taken == 57  # the 31st frame, a second, and the one that is too late


def test_an_index_counts_from_the_left_of_the_first_frame_with_faces() -> None:
    late = Scene((("C", 20.0), *BOTH.people))
    people = find_people(timed([Scene()] * 3 + [BOTH] * 7 + [late] * 20), KnowingScenes())
    assert len(people) == 3
    chosen = [chosen_person(people, PersonAt(index)) for index in (1, 2)]
    assert [NAMES[int(p.appearance.argmax())] for p in chosen] == ["A", "B"]
    with pytest.raises(Exception, match=r"index:3: .* at 0.12 s, shows 2; give index:1 to index:2"):
        chosen_person(people, PersonAt(3))
    with pytest.raises(Exception, match="nobody is seen"):
        chosen_person([], PersonAt(1))


@pytest.mark.parametrize(("x", "name"), [(110, "A"), (20, "A"), (260, "B"), (500, "B"), (15, "A")])
def test_a_point_means_the_nearest_face_of_the_first_second(x: float, name: str) -> None:
    late = Scene((("C", 10.0), *BOTH.people))
    people = find_people(timed([BOTH] * 30 + [late] * 20), KnowingScenes())
    chosen = chosen_person(people, PersonNear(x, 200))
    assert NAMES[int(chosen.appearance.argmax())] == name
