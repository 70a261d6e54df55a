"""How good an expert is: on embeddings whose answers are known, and on the shipped one."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_EXPERT, model_path
from lipwright.corpus import load_clips
from lipwright.corpus.offset import ExpertOffsetMeter, OffsetMeter, open_meter
from lipwright.errors import ConfigError, CorpusError
from lipwright.evaluation.expert import (
    MOVES,
    expert_accuracy,
    offset_after,
    pair_accuracy,
    pair_cosines,
)

CORPUS = Path.home() / "lipwright-runs" / "corpus"


def unit(num_rows: int, *, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(num_rows, 64))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def expert() -> OffsetMeter:
    return open_meter(model_path(DEFAULT_EXPERT))


def test_the_best_threshold_is_that_found_by_hand() -> None:
    in_sync, off_sync = np.array([0.9, 0.8, 0.05, 0.7]), np.array([0.1, 0.85, 0.2, 0.6])
    found = pair_accuracy(in_sync, off_sync)
    # From 0.7 on: three of the four in sync, and three of the four others are below it.
    assert (found.accuracy, found.threshold) == (0.75, 0.7)
    assert found.forced_choice == 0.5  # 0.8 loses to 0.85, 0.05 to 0.2


def test_pairs_that_are_alike_are_told_by_chance() -> None:
    same = np.full(10, 0.4)
    found = pair_accuracy(same, same)
    assert (found.accuracy, found.forced_choice) == (0.5, 0.5)


def test_pairs_far_apart_are_all_told() -> None:
    found = pair_accuracy(np.array([0.5, 0.9]), np.array([-0.5, 0.4]))
    assert (found.accuracy, found.threshold, found.forced_choice) == (1, 0.5, 1)


def test_pairs_that_do_not_match_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"must match, got \(2,\) and \(3,\)"):
        pair_accuracy(np.zeros(2), np.zeros(3))


@pytest.mark.parametrize("num_windows", [6, 9, 16])
def test_other_speech_is_at_least_five_frames_away(num_windows: int) -> None:
    apart = np.abs(np.subtract.outer(np.arange(num_windows), np.arange(num_windows)))
    speech = np.eye(num_windows, dtype=np.float32)
    lips = apart.astype(np.float32)  # times row j of the speech, row i is |i - j|
    in_sync, off_sync = pair_cosines(speech, lips, num_pairs=300, rng=np.random.default_rng(1))
    assert (in_sync == 0).all()
    assert off_sync.min() == 5
    assert set(off_sync) == set(range(5, num_windows))


@pytest.mark.parametrize("move", [-11, -3, -1, 0, 1, 4, 11])
def test_the_offset_of_moved_sound_is_the_move(move: int) -> None:
    rows = unit(40)
    assert offset_after(rows, rows, move=move) == move


def test_a_perfect_expert_is_always_right(pack_corpus: Path) -> None:
    class Knowing(ExpertOffsetMeter):
        """Embeds lips as their speech."""

        def __init__(self) -> None:
            pass

        def embed(
            self, crops: list[NDArray[np.uint8]], mel: object
        ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            rows = unit(len(crops) - 4)
            return rows, rows

    clips = load_clips(pack_corpus, "train")
    found = expert_accuracy(clips, Knowing(), rng=np.random.default_rng(0))
    assert found.pairs.accuracy == found.pairs.forced_choice == 1
    assert found.offset_by_move == dict.fromkeys(MOVES, 1.0)
    assert (found.num_clips, found.num_pairs, found.offset) == (3, 150, 1.0)


def test_accuracy_is_a_function_of_the_seed(pack_corpus: Path, expert: OffsetMeter) -> None:
    clips = load_clips(pack_corpus, "val")
    first, again, other = (
        expert_accuracy(clips, expert, rng=np.random.default_rng(seed), moves=(2,))
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first.pairs != other.pairs
    assert list(first.offset_by_move) == [0, 2]


def test_impossible_measurements_are_refused(pack_corpus: Path, expert: OffsetMeter) -> None:
    clips, rng = load_clips(pack_corpus, "val"), np.random.default_rng(0)
    with pytest.raises(ConfigError, match="within 12 frames; sound cannot be moved by 12"):
        expert_accuracy(clips, expert, rng=rng, moves=(12,))
    with pytest.raises(ConfigError, match="pairs_per_clip must be at least 1, got 0"):
        expert_accuracy(clips, expert, rng=rng, pairs_per_clip=0)


def test_a_clip_that_is_too_short_is_named(
    pack_corpus_without_landmarks: Path, expert: OffsetMeter
) -> None:
    clips = load_clips(pack_corpus_without_landmarks, "val")
    needed = 12 + 10 + expert.frames
    with pytest.raises(CorpusError, match=rf"3\.safetensors has 20 frames; .* {needed} are needed"):
        expert_accuracy(clips, expert, rng=np.random.default_rng(0))


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the prepared corpus is not here")
def test_the_shipped_expert_hears_speakers_it_was_not_trained_on(expert: OffsetMeter) -> None:
    found = expert_accuracy(load_clips(CORPUS, "val"), expert, rng=np.random.default_rng(0))
    assert found.pairs.accuracy > 0.88
    assert found.pairs.forced_choice > 0.94
    assert found.offset > 0.9
    assert min(found.offset_by_move.values()) > 0.9
