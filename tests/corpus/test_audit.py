"""The audit: what is measured of a data set, what is advised, and what preparation makes of it."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clip_makers import FixedFace, babble, talking, write_clip
from hypothesis import given
from hypothesis import strategies as st

from lipwright.cli.audit import audit_command
from lipwright.cli.prepare import prepare_command
from lipwright.corpus import Accepted, Ledger, PrepareConfig, Rejection, load_clips
from lipwright.corpus.audit import (
    Audit,
    AuditedClip,
    AuditRule,
    audit_clips,
    read_audit,
    write_audit,
)
from lipwright.corpus.offset import Offset
from lipwright.corpus.sources import ClipSource
from lipwright.corpus.stages import prepare_clip
from lipwright.errors import CheckpointError, ConfigError, CorpusError
from lipwright.media import read_speech
from lipwright.speech import mel_spectrogram

SURE, UNSURE = 0.4, 0.05


def measured(clip: str, offset: int, confidence: float = SURE) -> AuditedClip:
    return AuditedClip(clip=clip, offset_frames=offset, confidence=confidence)


def folder(name: str, offsets: tuple[int, ...], confidence: float = SURE) -> list[AuditedClip]:
    return [
        measured(f"{name}/{number:02d}", offset, confidence)
        for number, offset in enumerate(offsets)
    ]


def audit(*clips: AuditedClip, rule: AuditRule | None = None) -> Audit:
    return Audit(clips=clips, rule=rule or AuditRule())


def test_a_folder_that_is_off_by_a_constant_is_given_a_shift() -> None:
    made = audit(*folder("a", (5, 5, 4, 6, 5)), *folder("b", (-3, -3, -3)))
    advice = made.advice()
    assert {name: item.shift_frames for name, item in advice.items()} == {"a": 5, "b": -3}
    assert (advice["a"].num_clips, advice["a"].num_sure, advice["a"].agreement) == (5, 5, 1.0)
    assert made.to_drop() == {}
    assert made.corrections()["a/02"] == (5, Offset(frames=-1, confidence=SURE))
    assert made.corrections()["b/00"] == (-3, Offset(frames=0, confidence=SURE))


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_folder_that_is_as_good_as_right_is_left_alone(offset: int) -> None:
    made = audit(*folder("a", (offset,) * 4))
    assert made.advice()["a"].shift_frames == 0
    assert made.to_drop() == {}


def test_a_clip_that_disagrees_with_its_folder_is_left_out() -> None:
    made = audit(*folder("a", (5, 5, 5, 5, 0, 8, 7, 3, 5, 5, 5)))
    assert made.advice()["a"].shift_frames == 5
    dropped = made.to_drop()
    assert sorted(dropped) == ["a/04", "a/05"]  # the others are off by two at most
    assert dropped["a/04"] == "out of sync: sound is -5 frames off, confidence 0.40"
    assert dropped["a/05"] == "out of sync: sound is +3 frames off, confidence 0.40"


def test_a_folder_whose_clips_do_not_agree_is_given_no_shift_and_its_wild_clips_are_left_out() -> (
    None
):
    made = audit(*folder("a", (-9, -4, 0, 1, 6, 6, 11)))
    advice = made.advice()["a"]
    assert (advice.shift_frames, advice.num_sure) == (0, 7)
    assert advice.agreement == pytest.approx(2 / 7)  # 0 and 1 about the median of 1
    assert sorted(made.to_drop()) == ["a/00", "a/01", "a/04", "a/05", "a/06"]


def test_unsure_clips_neither_decide_nor_are_they_left_out() -> None:
    outlier = measured("a/99", -11, UNSURE)
    made = audit(*folder("a", (4, 4, 4)), outlier, *folder("b", (7, -9, 12, 12), UNSURE))
    advice = made.advice()
    assert advice["a"].shift_frames == 4
    assert (advice["a"].num_clips, advice["a"].num_sure, advice["a"].agreement) == (4, 3, 1.0)
    assert (advice["b"].num_clips, advice["b"].num_sure, advice["b"].shift_frames) == (4, 0, 0)
    assert advice["b"].agreement == 0.0
    assert made.to_drop() == {}
    # They are moved with the rest of their folder.
    assert made.corrections()["a/99"] == (4, Offset(frames=-15, confidence=UNSURE))


def test_clips_that_could_not_be_measured_are_left_out_for_their_own_reason() -> None:
    made = audit(*folder("a", (5, 5, 5)), AuditedClip(clip="a/silent", reason="silent: no sound"))
    assert made.to_drop() == {"a/silent": "silent: no sound"}
    assert made.advice()["a"].num_clips == 3
    assert "a/silent" not in made.corrections()
    assert audit(AuditedClip(clip="b/silent", reason="silent")).advice() == {}


def test_the_shift_is_the_one_that_most_clips_agree_with() -> None:
    made = audit(*folder("a", (4, 4, 4, 6, 6, 6)))
    assert made.advice()["a"].shift_frames == 5
    assert made.to_drop() == {}


def test_two_clips_are_too_few_to_move_a_folder() -> None:
    assert audit(*folder("a", (5, 5))).advice()["a"].shift_frames == 0
    rule = AuditRule(min_sure=2)
    assert audit(*folder("a", (5, 5)), rule=rule).advice()["a"].shift_frames == 5


def test_the_rule_sets_the_limits() -> None:
    clips = folder("a", (5, 5, 5, 9, 2), 0.2)
    strict = audit(*clips, rule=AuditRule(min_confidence=0.25))
    assert (strict.advice()["a"].num_sure, strict.to_drop()) == (0, {})
    wide = audit(*clips, rule=AuditRule(max_offset=4))
    assert (wide.advice()["a"].shift_frames, wide.to_drop()) == (5, {})
    agreed = audit(*clips, rule=AuditRule(min_agreement=0.7))
    assert agreed.advice()["a"].shift_frames == 0
    with pytest.raises(ConfigError, match=r"min_agreement .* got 1\.5 and 2"):
        AuditRule(min_agreement=1.5)
    with pytest.raises(ConfigError, match=r"max_offset at least 0, got 0\.6 and -1"):
        AuditRule(max_offset=-1)


@given(
    shift=st.integers(-12, 12),
    errors=st.lists(st.integers(-1, 1), min_size=2, max_size=6),
    num_unsure=st.integers(0, 3),
)
def test_any_constant_is_found_and_what_is_left_is_small(
    shift: int, errors: list[int], num_unsure: int
) -> None:
    offsets = [shift + error for error in (*errors, *[0] * len(errors))]  # half are exact
    clips = folder("a", tuple(int(np.clip(offset, -12, 12)) for offset in offsets))
    unsure = [measured(f"a/unsure{number}", 12, UNSURE) for number in range(num_unsure)]
    made = audit(*clips, *unsure)
    found = made.advice()["a"].shift_frames
    assert abs(found - shift) <= (1 if found else 2)
    assert made.to_drop() == {}
    for moved, left in made.corrections().values():
        assert moved in {0, found}
        assert abs(left.frames) <= 2 or left.confidence == UNSURE


def test_the_histogram_counts_sure_clips_alone() -> None:
    text = audit(*folder("a", (5, 5, 5, 5, -12)), *folder("b", (0, 0), UNSURE)).histogram()
    rows = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert list(rows) == [f"{offset:+d}" for offset in range(-12, 13)]
    assert rows["+5"] == f"4 {'#' * 40}"
    assert rows["-12"] == f"1 {'#' * 10}"
    assert rows["+0"].strip() == "0"
    assert audit().histogram().count("#") == 0


MADE = audit(
    *folder("a", (5, 5, 4, 0)),
    AuditedClip(clip="b/broken", reason="unreadable: no \udce9"),
    rule=AuditRule(min_confidence=0.2, max_offset=3, min_agreement=0.5),
)


def test_an_audit_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "audit.json"
    write_audit(MADE, path)
    assert read_audit(path) == MADE
    assert [file.name for file in path.parent.iterdir()] == ["audit.json"]
    record = json.loads(path.read_text())
    assert record["folders"]["a"]["shift_frames"] == 4
    assert sorted(record["drop"]) == ["a/03", "b/broken"]


def test_an_audit_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="cannot write"):
        write_audit(MADE, tmp_path / "file" / "audit.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[: len(text) // 2], "run the audit again"),
        (lambda _: "", "run the audit again"),
        (lambda _: "[]", "run the audit again"),
        (lambda text: text.replace("lipwright-audit-1", "lipwright-audit-0"), "of this version"),
        (lambda text: text.replace('"clips"', '"clip"'), "run the audit again"),
        (lambda text: text.replace('"offset_frames"', '"offset"'), "run the audit again"),
        (lambda text: text.replace('"rule"', '"law"'), "run the audit again"),
    ],
)
def test_a_damaged_audit_is_refused(tmp_path: Path, change, words: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "audit.json"
    write_audit(MADE, path)
    path.write_text(change(path.read_text()))
    with pytest.raises(CorpusError, match=words):
        read_audit(path)


def test_a_missing_audit_is_said(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"cannot read the audit .*gone\.json"):
        read_audit(tmp_path / "gone.json")


def test_wrong_arguments_are_refused_before_any_work(expert: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(ConfigError, match="num_workers must be at least 1, got 0"):
        audit_clips([tmp_path], expert=expert, num_workers=0)
    with pytest.raises(CorpusError, match="no such folder"):
        audit_clips([tmp_path / "gone"], expert=expert)
    with pytest.raises(CheckpointError, match="no such model file"):
        audit_clips([tmp_path], expert=tmp_path / "gone.onnx")


def heard(path: Path, shift_frames: int) -> np.ndarray:
    """Mel of a clip of 40 frames after a shift."""
    outcome = prepare_clip(
        ClipSource(clip="anna/clip", picture=path, sound=path),
        FixedFace(),
        None,
        config=PrepareConfig(resolution=64, detect_every=1),
        speaker="anna",
        shift_frames=shift_frames,
    )
    assert not isinstance(outcome, Rejection), outcome.reason
    return outcome[0].mel


@pytest.mark.parametrize("frames", [-5, -1, 1, 3, 5])
def test_a_shift_moves_the_sound_by_whole_frames_exactly(talking_clip: Path, frames: int) -> None:
    speech = read_speech(talking_clip)
    silence = np.zeros(abs(frames) * 640, dtype=np.float32)  # 40 ms at 16 kHz are 640 samples
    moved = np.concatenate([silence, speech]) if frames > 0 else speech[silence.size :]
    expected = mel_spectrogram(moved)
    mel = heard(talking_clip, frames)
    np.testing.assert_array_equal(mel, expected[:, : mel.shape[1]])


def test_a_shift_of_five_frames_is_one_of_sixteen_columns(talking_clip: Path) -> None:
    plain, later, earlier = (heard(talking_clip, frames) for frames in (0, 5, -5))
    edge = 3  # columns whose window reaches beyond the end of the sound
    np.testing.assert_allclose(later[:, 16 + edge : 120], plain[:, edge : 120 - 16], atol=1e-5)
    np.testing.assert_allclose(earlier[:, edge : 120 - 16 - edge], plain[:, 16 + edge : 120 - edge])
    assert (later[:, : 16 - edge] == -4).all()  # silence came in
    assert np.abs(later[:, 20:100] - plain[:, 20:100]).mean() > 0.1


def test_a_clip_whose_sound_is_moved_away_is_turned_down(talking_clip: Path) -> None:
    outcome = prepare_clip(
        ClipSource(clip="anna/clip", picture=talking_clip, sound=talking_clip),
        FixedFace(),
        None,
        config=PrepareConfig(),
        speaker="anna",
        shift_frames=-1000,
    )
    assert isinstance(outcome, Rejection)
    assert "no sound is left after moving it by -1000 frames" in outcome.reason


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good clips and two that say nothing."""
    source = tmp_path_factory.mktemp("audit") / "recordings"
    write_clip(source / "anna" / "one.mp4", talking(40), babble(1.6))
    write_clip(source / "anna" / "two.mp4", talking(30), babble(1.2, seed=1))
    write_clip(source / "berta" / "silent.mp4", talking(27), np.zeros(20_000, dtype=np.float32))
    (source / "berta" / "broken.mp4").write_bytes(b"no video")
    return source


def test_the_audit_of_a_folder_measures_every_clip(
    recordings: Path, expert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.json"
    audit_command(recordings, to=path, expert=str(expert), max_offset=3, workers=1)
    made = read_audit(path)
    assert (made.rule.min_confidence, made.rule.max_offset) == (0.15, 3)
    clips = {clip.clip: clip for clip in made.clips}
    assert list(clips) == ["anna/one", "anna/two", "berta/broken", "berta/silent"]
    for name in ("anna/one", "anna/two"):
        offset, confidence = clips[name].offset_frames, clips[name].confidence
        assert offset is not None
        assert -12 <= offset <= 12  # turned down for no offset, however large
        assert confidence is not None
        assert clips[name].reason == ""
    assert clips["berta/broken"].reason.startswith("unreadable: ")
    assert clips["berta/silent"].reason.startswith("silent: ")
    assert set(made.to_drop()) >= {"berta/broken", "berta/silent"}
    told = capsys.readouterr().out
    assert "anna: 2, " in told
    assert "of 4 clips" in told
    assert "  berta/silent: silent: " in told
    assert f"written: {path}" in told


def test_preparing_with_an_audit_moves_and_turns_down_as_it_advises(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = audit(
        *(measured(f"anna/{name}", 5) for name in ("four", "one", "three")),
        measured("anna/two", -7),
        AuditedClip(clip="berta/broken", reason="unreadable: says the audit"),
    )  # and nobody audited berta/silent
    write_audit(made, tmp_path / "audit.json")
    corpus = tmp_path / "corpus"
    prepare_command(recordings, to=corpus, workers=1, resolution=96, audit=tmp_path / "audit.json")
    assert "rejected: 3 clips" in capsys.readouterr().out
    lines = {line.clip: line for line in Ledger(corpus).lines()}
    reasons = {name: line.reason for name, line in lines.items() if isinstance(line, Rejection)}
    assert reasons.pop("berta/silent").startswith("silent: ")
    assert reasons == {
        "anna/two": "out of sync: sound is -12 frames off, confidence 0.40",
        "berta/broken": "unreadable: says the audit",
    }
    taken = lines["anna/one"]
    assert isinstance(taken, Accepted)
    assert (taken.offset_frames, taken.confidence) == (0, SURE)
    mel = load_clips(corpus, "train").open(0).mel
    speech = read_speech(recordings / "anna" / "one.mp4")
    later = mel_spectrogram(np.pad(speech, (5 * 640, 0)))
    assert mel.shape[1] == round(taken.num_frames * Fraction(16, 5)) + 1
    np.testing.assert_array_equal(mel, later[:, : mel.shape[1]])
