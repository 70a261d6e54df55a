"""Where a face is in a video is kept, and what is kept gives the very frames again."""

import errno
import logging
import os
import resource
import time
import tracemalloc
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.errors import CheckpointError
from lipwright.faces.appearance import APPEARANCE_LENGTH, Appearance
from lipwright.faces.boxes import Detection
from lipwright.faces.choose import KnownPerson, Who
from lipwright.faces.follow import (
    Face,
    FollowConfig,
    Followed,
    FollowedPeople,
    follow_face,
    follow_people,
)
from lipwright.faces.landmarks import FaceLandmarks
from lipwright.faces.points import FIVE_POINTS, NUM_LANDMARKS
from lipwright.inference import content, trackcache
from lipwright.inference.trackcache import SUFFIX, TrackCache, Wanted
from lipwright.inference.tracks import Track, TrackRecorder

FIVE = np.array([(-0.4, -0.75), (0.4, -0.75), (0, -0.2), (-0.3, 0.25), (0.3, 0.25)])
NETWORK = "0" * 64
CUT, GONE = 20, range(30, 36)  # frames at which the shot changes, and without a face


@dataclass
class FakeEyes:
    """Sees a face wander through frames that are numbers, and counts its looks."""

    num_detected: int = 0
    num_located: int = 0
    seed: int = 0
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def detect(self, frame: int) -> list[Detection]:
        self.num_detected += 1
        return self._faces(frame)

    def confirm(self, frame: int, _box: NDArray[np.float32]) -> Detection | None:
        self.num_detected += 1
        return next(iter(self._faces(frame)), None)

    def _faces(self, frame: int) -> list[Detection]:
        if frame in GONE:
            return []
        points = (self._middle(frame) + 50 * FIVE).astype(np.float32)
        box = np.concatenate([points.min(0), points.max(0)])
        return [Detection(box=box, landmarks=points, score=0.9)]

    def landmarks(self, frame: int, _box: NDArray[np.float32]) -> FaceLandmarks:
        self.num_located += 1
        middle = self._middle(frame) if frame not in GONE else (1e4, 1e4)
        points = np.full((NUM_LANDMARKS, 2), middle, dtype=np.float32)
        for places, offset in zip(FIVE_POINTS, FIVE, strict=True):
            points[list(places)] += (50 * offset).astype(np.float32)
        points += self.rng.normal(0, 0.1, points.shape).astype(np.float32)
        yaw, pitch = self.rng.normal(size=2).astype(np.float32).tolist()
        return FaceLandmarks(points=points, yaw=yaw, pitch=pitch)

    def appearance(self, _frame: int, _landmarks: FaceLandmarks) -> Appearance:
        raise AssertionError("nobody is told from others")

    def thumbnail(self, frame: int) -> NDArray[np.uint8]:
        return np.full((9, 16, 3), 40 if frame < CUT else 200, dtype=np.uint8)

    def width(self, _frame: int) -> int:
        return 640

    @staticmethod
    def _middle(frame: int) -> NDArray[np.float64]:
        return np.array([200 + 3 * frame, 150 + frame], dtype=np.float64)


def frames(num: int = 60) -> Iterator[tuple[int, Fraction]]:
    for index in range(num):
        yield index, Fraction(index * 1001, 30000)


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    source = tmp_path / "face.mp4"
    source.write_bytes(b"a video" * 1000)
    return Wanted(
        source=source, min_face=0.1, config=FollowConfig(), until=Fraction(100), who=("largest",)
    )


@pytest.fixture
def cache(tmp_path: Path) -> TrackCache:
    return TrackCache(tmp_path / "tracks", landmarks=NETWORK)


@pytest.fixture
def tracks(tmp_path: Path) -> Path:
    return tmp_path / "tracks"


def num_frames(track: Path) -> int:
    with Track(track) as kept:
        return len(kept)


def told(track: Track, index: int) -> tuple[object, ...]:
    """All that a track tells of a frame with one face."""
    (face,) = track.faces(index)
    seen = None if face is None else face.landmarks
    return (
        track.time(index),
        track.shot(index),
        face and face.box.tobytes(),
        seen and (seen.points.tobytes(), seen.yaw, seen.pitch),
    )


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}")) if folder.exists() else []


def follow(
    cache: TrackCache, frames: Iterator[tuple[int, Fraction]], eyes: FakeEyes, wanted: Wanted
) -> Generator[Followed[int], None, None]:
    """Follow the only one."""
    with closing(cache.follow_people(frames, eyes, wanted)) as followed:
        for together in followed:
            yield together.alone()


def followed_until(
    cache: TrackCache, eyes: FakeEyes, wanted: Wanted, *, num: int = 60
) -> list[Followed[int]]:
    """What a job takes: frames up to the first one that it does not need."""
    taken = []
    stream = follow(cache, frames(num), eyes, wanted)
    for followed in stream:
        taken.append(followed)
        if followed.time >= wanted.until:
            break
    stream.close()
    return taken


def assert_same(a: list[Followed[int]], b: list[Followed[int]]) -> None:
    assert [(f.frame, f.time, f.shot) for f in a] == [(f.frame, f.time, f.shot) for f in b]
    for one, other in zip(a, b, strict=True):
        assert (one.face is None) == (other.face is None)
        if one.face is None or other.face is None:
            continue
        assert np.array_equal(one.face.box, other.face.box)
        assert one.face.box.dtype == other.face.box.dtype
        first, second = one.face.landmarks, other.face.landmarks
        assert (first is None) == (second is None)
        if first is not None and second is not None:
            assert np.array_equal(first.points, second.points)
            assert (first.yaw, first.pitch) == (second.yaw, second.pitch)


def test_the_first_job_gets_what_it_gets_without_a_cache(cache: TrackCache, wanted: Wanted) -> None:
    plain = list(follow_face(frames(), FakeEyes(), wanted.config))
    assert {f.shot for f in plain} == {0, 1}
    assert any(f.face is not None and f.face.landmarks is None for f in plain)  # bridged
    assert_same(followed_until(cache, FakeEyes(), wanted), plain)


def test_the_second_job_gets_the_same_to_the_last_bit_without_looking(
    cache: TrackCache, wanted: Wanted
) -> None:
    first = followed_until(cache, FakeEyes(), wanted)
    eyes = FakeEyes(seed=1)
    assert_same(followed_until(cache, eyes, wanted), first)
    assert (eyes.num_detected, eyes.num_located) == (0, 0)


def test_a_job_that_read_a_part_serves_jobs_that_need_no_more(
    cache: TrackCache, wanted: Wanted
) -> None:
    followed_until(cache, FakeEyes(), replace(wanted, until=Fraction(1)))
    eyes = FakeEyes()
    followed_until(cache, eyes, replace(wanted, until=Fraction(1, 2)))
    followed_until(cache, eyes, replace(wanted, until=Fraction(1)))
    assert eyes.num_detected == 0


def test_a_job_that_needs_more_follows_the_face_anew_and_keeps_that(
    cache: TrackCache, wanted: Wanted, tracks: Path
) -> None:
    followed_until(cache, FakeEyes(), replace(wanted, until=Fraction(1, 2)))
    longer = followed_until(cache, FakeEyes(), wanted)
    assert_same(longer, list(follow_face(frames(), FakeEyes(), wanted.config)))
    assert len(kept(tracks)) == 1
    eyes = FakeEyes()
    assert_same(followed_until(cache, eyes, wanted), longer)
    assert eyes.num_detected == 0


def test_a_shorter_track_never_replaces_a_longer_one(
    cache: TrackCache, wanted: Wanted, tracks: Path
) -> None:
    slow = follow(cache, frames(), FakeEyes(), replace(wanted, until=Fraction(1, 2)))
    next(slow)  # a job that began before the other one ended
    followed_until(cache, FakeEyes(), wanted)
    slow.close()
    assert num_frames(*kept(tracks)) == 60


def test_anything_that_a_track_depends_on_makes_it_another_one(
    cache: TrackCache, wanted: Wanted, tracks: Path
) -> None:
    followed_until(cache, FakeEyes(), wanted)
    other_network = TrackCache(tracks, landmarks="1" * 64)
    others = [
        (cache, replace(wanted, min_face=0.2)),
        (cache, replace(wanted, who=("central",))),
        (cache, replace(wanted, config=FollowConfig(smoothing=Fraction(1, 7)))),
        (other_network, wanted),
    ]
    for number, (cache_, other) in enumerate(others, start=2):
        eyes = FakeEyes()
        followed_until(cache_, eyes, other)
        assert eyes.num_detected > 0
        assert len(kept(tracks)) == number


def test_a_file_is_known_by_its_content_not_by_its_name(
    cache: TrackCache, wanted: Wanted, tmp_path: Path
) -> None:
    followed_until(cache, FakeEyes(), wanted)
    copy = tmp_path / "another name.mp4"
    copy.write_bytes(wanted.source.read_bytes())
    eyes = FakeEyes()
    followed_until(cache, eyes, replace(wanted, source=copy))
    assert eyes.num_detected == 0
    changed = bytearray(copy.read_bytes())
    changed[-1] ^= 1
    copy.write_bytes(changed)
    followed_until(cache, eyes, replace(wanted, source=copy))
    assert eyes.num_detected > 0


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    cache: TrackCache, wanted: Wanted, tracks: Path
) -> None:
    stream = follow(cache, frames(), FakeEyes(), wanted)
    next(stream)
    wanted.source.write_bytes(b"another video")
    stream.close()
    assert kept(tracks) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign"])
def test_a_damaged_track_is_dropped_and_made_anew_with_one_line(
    cache: TrackCache,
    wanted: Wanted,
    tracks: Path,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = followed_until(cache, FakeEyes(), wanted)
    (path,) = kept(tracks)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 8
    path.write_bytes({"cut": whole[:-50], "flipped": bytes(flipped), "foreign": b"x"}[damage])
    with caplog.at_level(logging.WARNING):
        assert_same(followed_until(cache, FakeEyes(), wanted), first)
    assert len(caplog.records) == 1
    assert path.name in caplog.text
    assert num_frames(path) == 60


def test_a_track_damaged_anywhere_is_known_to_be_or_says_the_same(
    cache: TrackCache, wanted: Wanted, tracks: Path, tmp_path: Path
) -> None:
    followed_until(cache, FakeEyes(), wanted)
    (path,) = kept(tracks)
    whole, damaged = path.read_bytes(), tmp_path / f"damaged{SUFFIX}"
    num_known = 0
    for place in [*range(0, len(whole), 97), *range(len(whole) - 400, len(whole))]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        damaged.write_bytes(bytes(flipped))
        try:
            found = Track(damaged)
        except (CheckpointError, OSError):  # OSError: it points to before its own beginning
            num_known += 1
            continue
        with found, Track(path) as track:  # a date, for example
            for index in range(60):
                assert told(found, index) == told(track, index)
    assert num_known > 700


@pytest.mark.parametrize("num", [1, 511, 512, 513, 1024, 1500])
def test_a_track_of_any_length_is_written_and_read_on_the_way(
    cache: TrackCache, wanted: Wanted, tracks: Path, num: int
) -> None:
    long = replace(wanted, until=Fraction(1000))
    found = list(follow(cache, frames(num), FakeEyes(), long))
    (path,) = kept(tracks)
    assert num_frames(path) == num
    eyes = FakeEyes()
    assert_same(list(follow(cache, frames(num), eyes, long)), found)
    assert eyes.num_detected == 0


def test_a_track_that_cannot_be_read_any_more_is_left_there(
    cache: TrackCache, wanted: Wanted, tracks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = replace(wanted, until=Fraction(1000))
    list(follow(cache, frames(1500), FakeEyes(), long))
    (path,) = kept(tracks)
    eyes = FakeEyes()
    stream = follow(cache, frames(1500), eyes, long)
    again = [next(stream) for _ in range(100)]
    with path.open("r+b") as file:  # in place: the disk fails
        file.seek(path.stat().st_size // 2)
        file.write(bytes(5000))
    again += list(stream)
    assert [f.frame for f in again] == list(range(1500))
    assert eyes.num_detected > 0
    assert "does not fit" in caplog.text
    assert kept(tracks) == []


def test_memory_does_not_grow_with_a_track(tmp_path: Path) -> None:
    face = Face(
        box=np.ones(4, np.float32),
        landmarks=FaceLandmarks(
            points=np.ones((NUM_LANDMARKS, 2), np.float32), yaw=0.1, pitch=-0.1
        ),
    )
    tracemalloc.start()
    with closing(TrackRecorder(tmp_path)) as recorder:
        for index, at in frames(5000):
            recorder.add(FollowedPeople(frame=index, time=at, faces=(face,), shot=0))
        recorder.save(tmp_path / "track.npz", is_whole=True)
    with Track(tmp_path / "track.npz") as track:
        assert all(track.faces(index)[0] is not None for index in range(5000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "track.npz").stat().st_size > 5e6
    assert peak < 2.5e6


@pytest.mark.parametrize("where", ["tempfile.TemporaryFile", "shutil.copyfileobj"])
def test_where_there_is_no_room_nothing_is_kept_and_the_job_goes_on(
    cache: TrackCache,
    wanted: Wanted,
    tracks: Path,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(where, full)
    with caplog.at_level(logging.INFO):
        assert len(followed_until(cache, FakeEyes(), wanted)) == 60
    assert "not kept: [Errno 28] No space left on device" in caplog.text
    assert not tracks.exists() or list(tracks.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way_costs_the_track_alone(
    cache: TrackCache, wanted: Wanted, tracks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    stream = follow(cache, frames(1500), FakeEyes(), replace(wanted, until=Fraction(1000)))
    with caplog.at_level(logging.INFO):
        resource.setrlimit(resource.RLIMIT_FSIZE, (800_000, before[1]))  # of any file
        try:
            found = list(stream)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [f.frame for f in found] == list(range(1500))
    assert "not kept: [Errno 27] File too large" in caplog.text
    assert list(tracks.iterdir()) == []


def test_a_track_that_does_not_fit_the_frames_is_left_where_it_ends_to_fit(
    cache: TrackCache, wanted: Wanted, tracks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    followed_until(cache, FakeEyes(), wanted, num=40)  # it is whole: the video ended
    eyes = FakeEyes()
    longer = followed_until(cache, eyes, wanted, num=60)  # the same bytes, more frames
    assert [f.frame for f in longer] == list(range(60))
    assert longer[-1].face is not None
    assert longer[40].shot > longer[39].shot
    assert eyes.num_detected > 0
    assert "does not fit" in caplog.text
    assert kept(tracks) == []


def test_the_tracks_used_longest_ago_make_room(tmp_path: Path, wanted: Wanted) -> None:
    followed_until(TrackCache(tmp_path / "one", landmarks=NETWORK), FakeEyes(), wanted)
    (one,) = kept(tmp_path / "one")
    folder = tmp_path / "bounded"
    cache = TrackCache(folder, landmarks=NETWORK, max_bytes=2 * one.stat().st_size + 100)
    jobs = [replace(wanted, min_face=share / 10) for share in (1, 2, 3)]
    followed_until(cache, FakeEyes(), jobs[0])
    os.utime(kept(folder)[0], (time.time() - 100,) * 2)
    followed_until(cache, FakeEyes(), jobs[1])
    followed_until(cache, FakeEyes(), jobs[0])  # used again, so the other one is the oldest
    second = next(path for path in kept(folder) if path.name != one.name)
    os.utime(second, (time.time() - 50,) * 2)
    followed_until(cache, FakeEyes(), jobs[2])
    assert len(kept(folder)) == 2
    assert second not in kept(folder)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 2 * one.stat().st_size + 100


def test_a_track_has_a_bounded_size(
    cache: TrackCache, wanted: Wanted, tracks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackcache, "MAX_FRAMES", 30)
    assert len(followed_until(cache, FakeEyes(), wanted)) == 60
    (path,) = kept(tracks)
    assert num_frames(path) == 30
    assert path.stat().st_size < 30 * 1200 + 1000
    eyes = FakeEyes()
    followed_until(cache, eyes, replace(wanted, until=Fraction(1, 2)))
    assert eyes.num_detected == 0
    assert len(followed_until(cache, eyes, wanted)) == 60
    assert eyes.num_detected > 0


def test_a_folder_that_cannot_be_made_costs_the_cache_alone(tmp_path: Path, wanted: Wanted) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = TrackCache(tmp_path / "file" / "tracks", landmarks=NETWORK)
    assert len(followed_until(cache, FakeEyes(), wanted)) == 60


# Large files are hashed while they are followed.


def test_a_large_file_is_known_from_its_first_job_on_without_being_read_again(
    cache: TrackCache, wanted: Wanted, tracks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed_until(cache, FakeEyes(), wanted)
    (at_once,) = kept(tracks)
    at_once.unlink()
    monkeypatch.setattr(content, "HASHED_AT_ONCE", 100)
    os.utime(wanted.source, (time.time() - 100,) * 2)
    stream = follow(cache, frames(), FakeEyes(), wanted)
    first = [next(stream)]
    wait_for_hashing()
    first += list(stream)
    assert kept(tracks) == [at_once]  # the same key, however it was found
    monkeypatch.delattr(content.FileContent, "_hash")
    eyes = FakeEyes()
    assert_same(followed_until(cache, eyes, wanted), first)
    assert eyes.num_detected == 0


def test_a_large_file_that_was_just_written_is_hashed_again(
    cache: TrackCache, wanted: Wanted, tracks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "HASHED_AT_ONCE", 100)
    os.utime(wanted.source)  # time stamps would not tell a change of this moment
    stream = follow(cache, frames(), FakeEyes(), wanted)
    next(stream)
    wait_for_hashing()
    stream.close()
    assert list(tracks.glob("*.known")) == []


def test_a_job_does_not_wait_for_the_hash_of_a_large_file(
    cache: TrackCache, wanted: Wanted, tracks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "HASHED_AT_ONCE", 100)
    monkeypatch.setattr(content.FileContent, "_hash", lambda _self: None)  # never done
    assert len(followed_until(cache, FakeEyes(), wanted)) == 60
    assert kept(tracks) == []


def wait_for_hashing() -> None:
    import threading  # noqa: PLC0415

    for thread in threading.enumerate():
        if thread.name == "lipwright-hash":
            thread.join(10)


# Several people.


@dataclass
class KnowingEyes(FakeEyes):
    """Knows the one who is there."""

    def appearance(self, _frame: int, _landmarks: FaceLandmarks) -> NDArray[np.float32]:
        return np.eye(APPEARANCE_LENGTH, dtype=np.float32)[0]


def somebody(place: int, *, others: tuple[NDArray[np.float32], ...] = ()) -> KnownPerson:
    return KnownPerson(appearance=np.eye(APPEARANCE_LENGTH, dtype=np.float32)[place], others=others)


def people_of(cache: TrackCache, eyes: KnowingEyes, wanted: Wanted) -> list[list[Followed[int]]]:
    together = list(cache.follow_people(frames(), eyes, wanted))
    return [[f.alone(index) for f in together] for index in range(len(wanted.who))]


def test_people_are_followed_again_to_the_last_bit_without_looking(
    cache: TrackCache, wanted: Wanted
) -> None:
    both = replace(wanted, who=(somebody(1), somebody(0)))
    plain = list(follow_people(frames(), KnowingEyes(), both.who, both.config))
    first = people_of(cache, KnowingEyes(), both)
    assert all(f.face is None for f in first[0])  # somebody who never shows
    assert sum(f.face is not None for f in first[1]) > 50
    eyes = KnowingEyes(seed=1)
    again = people_of(cache, eyes, both)
    assert (eyes.num_detected, eyes.num_located) == (0, 0)
    for index in (0, 1):
        assert_same(first[index], [f.alone(index) for f in plain])
        assert_same(again[index], first[index])


def test_whom_a_track_follows_makes_it_another_one(
    cache: TrackCache, wanted: Wanted, tracks: Path
) -> None:
    followed_until(cache, FakeEyes(), wanted)
    slightly = somebody(0).appearance.copy()
    slightly[40] = 1e-6
    jobs: list[tuple[Who, ...]] = [
        ("rightmost",),
        ("largest", "leftmost"),
        (somebody(0),),
        (KnownPerson(appearance=slightly),),
        (somebody(0, others=(slightly,)),),
        (somebody(0), somebody(1)),
        (somebody(1), somebody(0)),
    ]
    for number, who in enumerate(jobs, start=2):
        eyes = KnowingEyes()
        people_of(cache, eyes, replace(wanted, who=who))
        assert eyes.num_detected > 0
        assert len(kept(tracks)) == number


def test_the_track_of_two_people_is_as_bounded_as_that_of_one(
    cache: TrackCache, wanted: Wanted, tracks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackcache, "MAX_FRAMES", 30)
    both = replace(wanted, who=(somebody(0), somebody(1)))
    assert len(people_of(cache, KnowingEyes(), both)[0]) == 60
    assert num_frames(*kept(tracks)) == 15
