import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from clip_makers import babble, talking, write_clip
from mesh_makers import write_mesh_network

from lipwright.corpus import (
    LEDGER_NAME,
    Accepted,
    Ledger,
    LedgerLine,
    PrepareConfig,
    Rejection,
    SplitRule,
    load_clips,
    prepare_corpus,
    summary,
)
from lipwright.errors import CheckpointError, ConfigError, CorpusError
from lipwright.media import read_speech
from lipwright.speech import mel_spectrogram

RULE = SplitRule(patterns={"val": ("berta",)})
CONFIG = PrepareConfig(resolution=96)


@dataclass
class Run:
    """One call of `prepare_corpus` on the folder of good and bad clips."""

    source: Path
    corpus: Path
    lines: list[LedgerLine]
    calls: list[tuple[int, int]]


def make_tree(source: Path) -> None:
    """Two good clips and everything that is found among real ones."""
    good = write_clip(source / "anna" / "good.mp4", talking(40), babble(1.6))
    write_clip(source / "berta" / "good.mkv", talking(33), babble(1.32, rate=44_100), rate=44_100)
    bad = source / "bad"
    write_clip(bad / "silent.mp4", talking(30), np.zeros(20_000, dtype=np.float32))
    write_clip(bad / "mute.mp4", talking(30), None)
    flat = [np.full((192, 192, 3), 90, dtype=np.uint8)] * 30
    write_clip(bad / "faceless.mp4", flat, babble(1.2))
    write_clip(bad / "sound only.mp4", [], babble(1.2))
    write_clip(bad / "short.mp4", talking(12), babble(0.48))
    (bad / "truncated.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (bad / "garbage.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (bad / "notes.txt").write_text("no clip")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("prepare")
    make_tree(folder / "source")
    calls: list[tuple[int, int]] = []
    lines = prepare_corpus(
        [folder / "source"],
        folder / "new" / "corpus",
        rule=RULE,
        config=CONFIG,
        on_progress=lambda done, total: calls.append((done, total)),
    )
    return Run(folder / "source", folder / "new" / "corpus", lines, calls)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_clip_ends_in_the_ledger_with_its_reason(run: Run) -> None:
    assert [line.clip for line in run.lines] == sorted(line.clip for line in run.lines)
    reasons = {line.clip: line.reason for line in run.lines if isinstance(line, Rejection)}
    expected = {
        "bad/silent": "silent: ",
        "bad/mute": "unreadable: ",
        "bad/faceless": "no face: in none of 30 frames",
        "bad/sound only": "unreadable: ",
        "bad/short": "too short: 0.4",
        "bad/truncated": "unreadable: ",
        "bad/garbage": "unreadable: ",
    }
    assert set(reasons) == set(expected)
    for clip, start in expected.items():
        assert reasons[clip].startswith(start), reasons[clip]
    assert "no sound" in reasons["bad/mute"]
    assert "no picture" in reasons["bad/sound only"]
    assert sorted(Ledger(run.corpus).lines(), key=lambda line: line.clip) == run.lines


def test_good_clips_are_taken_with_speaker_and_split_of_the_rule(run: Run) -> None:
    taken = [line for line in run.lines if isinstance(line, Accepted)]
    assert taken == [
        Accepted(
            clip="anna/good",
            speaker="anna",
            split="train",
            num_frames=40,
            file="clips/anna/good.safetensors",
        ),
        Accepted(
            clip="berta/good",
            speaker="berta",
            split="val",
            num_frames=33,
            file="clips/berta/good.safetensors",
        ),
    ]


def test_packs_hold_the_face_and_its_speech(run: Run) -> None:
    clip = load_clips(run.corpus, "train").open(0)
    assert clip.num_frames == 40
    assert clip.mel.shape == (80, 129)
    speech = read_speech(run.source / "anna" / "good.mp4")
    np.testing.assert_array_equal(clip.mel, mel_spectrogram(speech)[:, :129])
    frames = [clip.frame(index) for index in range(40)]
    assert {frame.shape for frame in frames} == {(120, 120, 3)}
    # Skin in the middle of the face, red above green above blue, and steady as the face moves.
    skin = np.array([frame[50:70, 50:70].mean(axis=(0, 1)) for frame in frames])
    assert (skin[:, 0] > skin[:, 1] + 20).all()
    assert (skin[:, 1] > skin[:, 2]).all()
    assert skin.std(axis=0).max() < 6
    assert load_clips(run.corpus, "val").open(0).num_frames == 33


def test_progress_counts_every_clip(run: Run) -> None:
    assert run.calls == [(number, 9) for number in range(1, 10)]


def test_summary_of_the_run_counts_all(run: Run) -> None:
    text = summary(run.lines)
    assert "train: 1 clips, 0.0 minutes, 1 speakers" in text
    assert "rejected: 7 clips" in text
    assert "4 x unreadable" in text


def test_sources_are_left_alone_and_nothing_half_made_remains(run: Run, tmp_path: Path) -> None:
    make_tree(tmp_path)
    assert sorted(contents(run.source)) == sorted(contents(tmp_path))
    assert sorted(contents(run.corpus)) == [
        "clips/anna/good.safetensors",
        "clips/berta/good.safetensors",
        LEDGER_NAME,
    ]


def test_second_run_does_nothing_again(run: Run) -> None:
    before = contents(run.corpus)
    modified = {path: path.stat().st_mtime_ns for path in run.corpus.rglob("*")}
    calls: list[tuple[int, int]] = []
    lines = prepare_corpus(
        [run.source],
        run.corpus,
        rule=RULE,
        config=CONFIG,
        on_progress=lambda done, total: calls.append((done, total)),
    )
    assert lines == run.lines
    assert calls == []
    assert contents(run.corpus) == before
    assert {path: path.stat().st_mtime_ns for path in run.corpus.rglob("*")} == modified


def test_run_after_a_crash_redoes_the_torn_clip_and_adds_new_ones(run: Run, tmp_path: Path) -> None:
    source, corpus = tmp_path / "source", tmp_path / "corpus"
    shutil.copytree(run.source, source)
    shutil.copytree(run.corpus, corpus)
    ledger = corpus / LEDGER_NAME
    rows = ledger.read_bytes().splitlines(keepends=True)
    (number,) = [number for number, row in enumerate(rows) if b'"anna/good"' in row]
    torn = rows.pop(number)
    ledger.write_bytes(b"".join(rows) + torn[:30])
    (corpus / "clips" / "anna" / "good.safetensors").unlink()
    (source / "dora").mkdir()
    (source / "dora" / "new.mp4").write_bytes(b"not a video")
    untouched = (corpus / "clips" / "berta" / "good.safetensors").stat().st_mtime_ns
    calls: list[tuple[int, int]] = []
    lines = prepare_corpus(
        [source],
        corpus,
        rule=RULE,
        config=CONFIG,
        on_progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(9, 10), (10, 10)]
    assert [line for line in lines if line.clip != "dora/new"] == run.lines
    (new,) = [line for line in lines if line.clip == "dora/new"]
    assert isinstance(new, Rejection)
    redone, first = load_clips(corpus, "train").open(0), load_clips(run.corpus, "train").open(0)
    np.testing.assert_array_equal(redone.mel, first.mel)
    np.testing.assert_array_equal(redone.frame(20), first.frame(20))
    assert (corpus / "clips" / "berta" / "good.safetensors").stat().st_mtime_ns == untouched


def test_clips_on_no_list_are_left_out_and_counted(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rule = SplitRule(patterns={"val": ("bad/garbage",)}, default=None)
    with pytest.raises(CorpusError, match=r"none of 1 clips .*'anna/good'"):
        prepare_corpus([run.source / "anna"], tmp_path / "none", rule=rule)
    shutil.copytree(run.corpus, tmp_path / "corpus")  # where the one on the list is done
    prepare_corpus([run.source], tmp_path / "corpus", rule=rule)
    assert "8 of 9 clips are on no list of the split" in caplog.text


def test_speaker_in_two_splits_is_refused_before_any_work(run: Run, tmp_path: Path) -> None:
    rule = SplitRule(patterns={"val": ("bad/mute",)})
    with pytest.raises(ConfigError, match="speaker 'bad'"):
        prepare_corpus([run.source], tmp_path / "corpus", rule=rule)
    assert not (tmp_path / "corpus").exists()


def test_expert_that_is_none_is_refused_before_any_work(run: Run, tmp_path: Path) -> None:
    for expert in (tmp_path / "gone.onnx", run.source / "bad" / "notes.txt"):
        with pytest.raises(CheckpointError, match=expert.name):
            prepare_corpus([run.source], tmp_path / "corpus", rule=RULE, offsets=expert)
    assert not (tmp_path / "corpus").exists()


def test_landmark_network_that_is_none_is_refused_before_any_work(run: Run, tmp_path: Path) -> None:
    for landmarks in (tmp_path / "gone.tflite", run.source / "bad" / "notes.txt"):
        with pytest.raises(CheckpointError, match=landmarks.name):
            prepare_corpus(
                [run.source], tmp_path / "corpus", config=PrepareConfig(landmarks=landmarks)
            )
    assert not (tmp_path / "corpus").exists()


def test_points_are_stored_when_they_are_asked_for(run: Run, tmp_path: Path) -> None:
    config = PrepareConfig(landmarks=write_mesh_network(tmp_path / "mesh.xml"))
    prepare_corpus([run.source / "anna"], tmp_path / "corpus", config=config)
    points = load_clips(tmp_path / "corpus", "train").open(0).points
    assert points is not None
    assert points.shape == (40, 468, 2)
    assert load_clips(run.corpus, "train").open(0).points is None


def test_wrong_arguments_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_workers must be at least 1, got 0"):
        prepare_corpus([run.source], tmp_path / "corpus", num_workers=0)
    with pytest.raises(CorpusError, match="no such folder"):
        prepare_corpus([tmp_path / "gone"], tmp_path / "corpus")
    with pytest.raises(CorpusError, match="cannot make the corpus folder"):
        prepare_corpus([run.source], run.source / "bad" / "notes.txt", rule=RULE)


def test_worker_that_dies_is_reported_with_the_clip_it_died_of(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Spawned processes read this at their start: the worker cannot even import lipwright.
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(9)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(CorpusError, match=r"a worker process died.* near: anna/good; "):
        prepare_corpus([run.source / "anna"], tmp_path / "corpus")


def test_expert_measures_clips_in_the_worker(run: Run, expert: Path, tmp_path: Path) -> None:
    lenient = PrepareConfig(resolution=96, max_offset=12)
    (line,) = prepare_corpus(
        [run.source / "anna"], tmp_path / "corpus", config=lenient, offsets=expert
    )
    assert isinstance(line, Accepted)
    assert line.offset_frames is not None
    assert -12 <= line.offset_frames <= 12
    assert line.confidence is not None
    assert list(Ledger(tmp_path / "corpus").lines()) == [line]
