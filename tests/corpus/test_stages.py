import os
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clip_makers import (
    FixedFace,
    babble,
    levels,
    number_of,
    talking,
    write_clip,
    write_released,
)
from mesh_makers import in_crop, mesh_face, write_mesh_network

from lipwright.corpus import CORPUS_FPS, CROP_MARGIN, PrepareConfig, Rejection
from lipwright.corpus.offset import ExpertOffsetMeter, Offset, OffsetMeter
from lipwright.corpus.pack import PackedClip
from lipwright.corpus.sources import ClipSource
from lipwright.corpus.stages import prepare_clip
from lipwright.errors import ConfigError, NoFaceError
from lipwright.faces import Detection, FaceDetector, FaceMesh
from lipwright.media import read_speech
from lipwright.speech import MEL_RATE, mel_spectrogram


def prepared(
    path: Path,
    *,
    detector: FaceDetector | None = None,
    meter: OffsetMeter | None = None,
    mesh: FaceMesh | None = None,
    config: PrepareConfig | None = None,
) -> tuple[PackedClip, Offset | None] | Rejection:
    sound = path / "audio.wav" if path.is_dir() else path
    return prepare_clip(
        ClipSource(clip="anna/clip", picture=path, sound=sound),
        detector or FixedFace(),
        meter,
        mesh=mesh,
        config=config or PrepareConfig(resolution=64, detect_every=1),
        speaker="anna",
    )


def taken(path: Path, *, detector: FaceDetector | None = None) -> PackedClip:
    outcome = prepared(path, detector=detector)
    assert not isinstance(outcome, Rejection), outcome.reason
    assert outcome[1] is None
    return outcome[0]


def refusal(path: Path, *, detector: FaceDetector | None = None) -> str:
    outcome = prepared(path, detector=detector)
    assert isinstance(outcome, Rejection)
    assert outcome.clip == "anna/clip"
    return outcome.reason


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)


def test_good_clip_is_packed_whole(talking_clip: Path) -> None:
    clip = taken(talking_clip)
    assert (clip.speaker, clip.source) == ("anna", "anna/clip")
    assert len(clip.jpegs) == len(clip.boxes) == 40
    assert np.isfinite(clip.boxes).all()
    assert decoded(clip.jpegs[0]).shape == (80, 80, 3)  # 64 and a quarter of margin
    assert clip.mel.dtype == np.float32
    np.testing.assert_array_equal(clip.mel, mel_spectrogram(read_speech(talking_clip))[:, :129])


def test_points_are_stored_where_the_crop_shows_them(talking_clip: Path, tmp_path: Path) -> None:
    mesh = FaceMesh(write_mesh_network(tmp_path / "mesh.xml"), num_threads=1)
    outcome = prepared(talking_clip, mesh=mesh)
    assert not isinstance(outcome, Rejection)
    points = outcome[0].points
    assert points is not None
    assert points.shape == (len(outcome[0].jpegs), 468, 2)
    # The network puts the face where the crop rule does, whatever it sees.
    where = in_crop(mesh_face(), size=1, margin=CROP_MARGIN)
    np.testing.assert_allclose(points, np.broadcast_to(where, points.shape), atol=1e-3)
    assert taken(talking_clip).points is None


@pytest.mark.parametrize("first", [20, 21, 22, 23, 24])
def test_frame_i_is_packed_with_mel_column_three_point_two_i(tmp_path: Path, first: int) -> None:
    path = write_clip(tmp_path / "a.mp4", levels(60), babble(2.4))
    clip = taken(path, detector=FixedFace(first=first))
    numbers = [number_of(decoded(jpeg)) for jpeg in clip.jpegs]
    start = numbers[0]
    assert 0 < start <= first + 4
    assert start % 5 == 0  # where columns and frames meet: 5 frames are 16 columns
    assert numbers == list(range(start, 60))
    whole = mel_spectrogram(read_speech(path))
    column = start * MEL_RATE // CORPUS_FPS
    np.testing.assert_array_equal(clip.mel, whole[:, column : column + clip.mel.shape[1]])
    # Every frame's first column is there, and none of the frame after the last.
    assert clip.mel.shape[1] in (len(numbers) * 16 // 5, len(numbers) * 16 // 5 + 1)


@pytest.mark.parametrize(
    "fps", [Fraction(15), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(50)]
)
def test_any_frame_rate_becomes_25(tmp_path: Path, fps: Fraction) -> None:
    pictures = talking(round(fps * Fraction(8, 5)))
    clip = taken(write_clip(tmp_path / "a.mp4", pictures, babble(1.6), fps=fps))
    assert 39 <= len(clip.jpegs) <= 41  # 48 frames at 29.97 last 1.6016 s


def test_released_layout_is_packed_like_a_video(tmp_path: Path) -> None:
    clip = taken(write_released(tmp_path / "00001", talking(30), babble(1.2)))
    assert len(clip.jpegs) == 30
    assert clip.mel.shape == (80, 97)


def test_stretch_ends_where_the_sound_ends(tmp_path: Path) -> None:
    clip = taken(write_released(tmp_path / "00001", talking(40), babble(1.2)))
    assert len(clip.jpegs) == 30
    assert clip.mel.shape == (80, 97)


def test_clip_without_sound_is_turned_down(tmp_path: Path) -> None:
    reason = refusal(write_clip(tmp_path / "a.mp4", talking(30), None))
    assert reason.startswith("unreadable: ")
    assert "no sound" in reason


def test_silent_clip_is_turned_down(tmp_path: Path) -> None:
    silence = np.zeros(20_000, dtype=np.float32)
    assert refusal(write_clip(tmp_path / "a.mp4", talking(30), silence)).startswith("silent: ")


def test_sound_without_picture_is_turned_down(tmp_path: Path) -> None:
    reason = refusal(write_clip(tmp_path / "a.mp4", [], babble(1.2)))
    assert reason.startswith("unreadable: ")
    assert "no picture" in reason


def test_clip_in_which_no_face_is_found_is_turned_down(talking_clip: Path) -> None:
    reason = refusal(talking_clip, detector=FixedFace(first=1000))
    assert reason == "no face: in none of 40 frames"


def test_face_that_comes_after_the_sound_is_turned_down(tmp_path: Path) -> None:
    path = write_released(tmp_path / "00001", talking(50), babble(0.4))
    reason = refusal(path, detector=FixedFace(first=30))
    assert reason == "no face: none while there is sound"


def test_short_clip_is_turned_down(tmp_path: Path) -> None:
    reason = refusal(write_released(tmp_path / "00001", talking(24), babble(2.0)))
    assert reason == "too short: 0.96 s with face and sound"
    assert refusal(write_released(tmp_path / "00002", talking(2), babble(2.0))).startswith("too sh")


def test_small_face_is_turned_down(talking_clip: Path) -> None:
    reason = refusal(talking_clip, detector=FixedFace(scale=0.5))
    assert reason.startswith("face too small: the crop is 3")


def test_damage_anywhere_is_an_outcome_and_never_an_exception(
    talking_clip: Path, tmp_path: Path
) -> None:
    whole = talking_clip.read_bytes()
    rng = np.random.default_rng(0)
    reasons = set()
    for number in range(24):
        damaged = bytearray(whole)
        if number % 2:
            del damaged[int(rng.integers(len(whole))) :]
        else:
            begin = int(rng.integers(len(whole)))
            garbage = rng.bytes(int(rng.integers(1, 2000)))
            damaged[begin : begin + len(garbage)] = garbage
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(damaged)
        outcome = prepared(path)
        if isinstance(outcome, Rejection):
            reasons.add(outcome.reason.partition(":")[0])
    assert "unreadable" in reasons


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_file_that_is_no_video_is_turned_down(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    assert refusal(tmp_path / "a.mp4").startswith("unreadable: ")
    assert "a.mp4" in refusal(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["7.jpg", "audio.wav"])
@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_damaged_released_clip_is_turned_down(tmp_path: Path, name: str, content: bytes) -> None:
    folder = write_released(tmp_path / "00001", talking(30), babble(1.2))
    (folder / name).write_bytes(content)
    reason = refusal(folder)
    assert reason.startswith("unreadable: ")
    assert name in reason


def test_name_that_is_no_text_is_turned_down(talking_clip: Path) -> None:
    # Neither the ledger nor a pack could be read by others under such a name.
    clip = os.fsdecode(b"caf\xe9/un")
    outcome = prepare_clip(
        ClipSource(clip=clip, picture=talking_clip, sound=talking_clip),
        FixedFace(),
        None,
        config=PrepareConfig(),
        speaker="a",
    )
    assert isinstance(outcome, Rejection)
    assert outcome.reason.startswith("name is not UTF-8: ")


class Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def detect(self, pixels: np.ndarray) -> list[Detection]:
        raise self._error


def test_every_error_raised_on_purpose_turns_the_clip_down(talking_clip: Path) -> None:
    reason = refusal(talking_clip, detector=Failing(NoFaceError("no face in the fog")))
    assert reason == "unusable: no face in the fog"
    reason = refusal(talking_clip, detector=Failing(ConfigError("a box of no width")))
    assert reason == "unusable: a box of no width"


def test_mistakes_in_the_program_are_not_taken_for_bad_clips(talking_clip: Path) -> None:
    for error in (TypeError("oops"), ValueError("oops"), IndexError("oops")):
        with pytest.raises(type(error), match="oops"):
            prepared(talking_clip, detector=Failing(error))


def test_offset_turns_a_clip_down_only_when_it_is_large_and_sure(
    talking_clip: Path, expert: Path
) -> None:
    meter = ExpertOffsetMeter(expert)
    lenient = PrepareConfig(resolution=96, detect_every=1, max_offset=12)
    outcome = prepared(talking_clip, meter=meter, config=lenient)
    assert not isinstance(outcome, Rejection)
    offset = outcome[1]
    assert offset is not None
    assert offset.frames != 0, "this network's answer must be an offset for the test to work"
    allowed = abs(offset.frames) - 1
    strict = PrepareConfig(
        resolution=96, detect_every=1, max_offset=allowed, min_confidence=offset.confidence
    )
    outcome = prepared(talking_clip, meter=meter, config=strict)
    assert isinstance(outcome, Rejection)
    assert outcome.reason.startswith(f"out of sync: sound is {offset.frames:+d} frames off")
    unsure = PrepareConfig(
        resolution=96, detect_every=1, max_offset=allowed, min_confidence=offset.confidence + 0.01
    )
    assert not isinstance(prepared(talking_clip, meter=meter, config=unsure), Rejection)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"resolution": 0}, "resolution must be at least 1, got 0"),
        ({"detect_every": 0}, "detect_every must be at least 1, got 0"),
        ({"min_crop": -1}, "min_crop must be at least 1, got -1"),
        ({"min_face": 0.0}, r"min_face must be above 0 and at most 1, got 0\.0"),
        ({"min_face": 1.5}, "min_face"),
        ({"min_seconds": 0.1}, r"min_seconds must be at least 0\.2 .*got 0\.1"),
        ({"min_seconds": float("nan")}, "got nan"),
        ({"max_offset": -1}, "max_offset at least 0"),
    ],
)
def test_config_is_checked(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PrepareConfig(**wrong)  # type: ignore[arg-type]


def test_shortest_allowed_stretch_can_be_measured(tmp_path: Path, expert: Path) -> None:
    path = write_released(tmp_path / "00001", talking(5), babble(2.0))
    outcome = prepared(
        path,
        meter=ExpertOffsetMeter(expert),
        config=PrepareConfig(min_seconds=0.2, max_offset=12, detect_every=1),
    )
    assert not isinstance(outcome, Rejection)
    assert len(outcome[0].jpegs) == 5


def test_a_meter_that_looks_further_asks_for_longer_clips(tmp_path: Path) -> None:
    class FarSeeing:
        """Looks at 15 frames."""

        frames = 15

        def measure(self, crops: list[np.ndarray], mel: np.ndarray) -> Offset:
            assert len(crops) >= self.frames
            return Offset(frames=0, confidence=0.0)

    config = PrepareConfig(min_seconds=0.2, detect_every=1)
    for number, is_taken in ((14, False), (15, True)):
        path = write_released(tmp_path / f"{number:05}", talking(number), babble(2.0))
        outcome = prepared(path, meter=FarSeeing(), config=config)  # type: ignore[arg-type]
        assert isinstance(outcome, Rejection) != is_taken
        if isinstance(outcome, Rejection):
            assert outcome.reason == "too short: 0.56 s with face and sound"
