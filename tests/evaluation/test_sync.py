"""LSE-D and LSE-C on embeddings whose answers are known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipwright.errors import ConfigError
from lipwright.evaluation.sync import LSE_SHIFT, Beyond, shifted_distances, sync_score

Rows = NDArray[np.float64]


def spoken(num_rows: int, *, seed: int = 0, width: int = 32) -> Rows:
    return np.random.default_rng(seed).normal(size=(num_rows, width))


def unit(rows: Rows) -> Rows:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_distances_and_score_are_those_computed_by_hand() -> None:
    lips = np.array([[0.0], [3], [10]])
    speech = np.array([[1.0], [3], [6]])
    # Shifts of -1, 0, 1; beyond the ends is 0.
    expected = [[0, 1, 3], [2, 0, 3], [7, 4, 10]]
    assert shifted_distances(speech, lips, max_shift=1).tolist() == expected
    # Means 3, 5/3, 16/3: the least 5/3, the median 3.
    score = sync_score(speech, lips, max_shift=1)
    assert score.distance == pytest.approx(5 / 3)
    assert score.confidence == pytest.approx(3 - 5 / 3)
    assert score.offset_frames == 0
    # Left out: (2 + 7) / 2, 5/3, (3 + 3) / 2: the median 3.
    score = sync_score(speech, lips, max_shift=1, beyond="left out")
    assert score.distance == pytest.approx(5 / 3)
    assert score.confidence == pytest.approx(3 - 5 / 3)
    # Lips one frame later than their speech: the speech of a frame before fits.
    score = sync_score(np.array([[1.0], [5], [9]]), np.array([[0.0], [1], [5]]), max_shift=1)
    # Means of (0, 0, 0), (1, 4, 4) and (5, 8, 5).
    assert (score.distance, score.confidence, score.offset_frames) == (0, 3, 1)


def test_distances_are_those_of_the_protocol_written_with_torch() -> None:
    """Pad the speech with zeros, and hold every window against 2 S + 1 rows of it."""
    speech, lips = spoken(40, seed=1), spoken(40, seed=2)
    padded = torch.nn.functional.pad(torch.from_numpy(speech), (0, 0, LSE_SHIFT, LSE_SHIFT))
    expected = torch.stack(
        [
            torch.nn.functional.pairwise_distance(
                torch.from_numpy(lips[i : i + 1]), padded[i : i + 2 * LSE_SHIFT + 1]
            )
            for i in range(40)
        ]
    )
    # torch adds a millionth to every difference.
    np.testing.assert_allclose(shifted_distances(speech, lips), expected.numpy(), atol=1e-5)
    mean = expected.mean(dim=0)
    score = sync_score(speech, lips)
    assert score.distance == pytest.approx(float(mean.min()), abs=1e-5)
    assert score.confidence == pytest.approx(float(mean.median() - mean.min()), abs=1e-5)
    assert score.offset_frames == LSE_SHIFT - int(mean.argmin())


@given(
    early=st.integers(-LSE_SHIFT, LSE_SHIFT),
    num_windows=st.integers(2 * LSE_SHIFT, 80),
    beyond=st.sampled_from(["zeros", "left out"]),
    seed=st.integers(0, 1000),
)
def test_the_shift_of_the_sound_is_found(
    early: int, num_windows: int, beyond: Beyond, seed: int
) -> None:
    text = spoken(num_windows + 2 * LSE_SHIFT, seed=seed)
    lips = text[LSE_SHIFT:][:num_windows]
    speech = text[LSE_SHIFT + early :][:num_windows]  # comes too early by so much
    score = sync_score(speech, lips, beyond=beyond)
    assert score.offset_frames == early
    assert score.confidence > 1
    if beyond == "left out":
        assert score.distance == pytest.approx(0, abs=1e-9)


def test_moving_the_sound_later_by_the_offset_puts_it_right() -> None:
    lips = spoken(60)
    speech = np.concatenate([lips[4:], spoken(4, seed=9)])
    assert sync_score(speech, lips).offset_frames == 4
    later = np.concatenate([spoken(4, seed=8), speech[:-4]])
    assert sync_score(later, lips).offset_frames == 0


def test_distances_of_unit_vectors_say_what_cosines_do() -> None:
    speech, lips = unit(spoken(50, seed=1)), unit(spoken(50, seed=2))
    cosines = np.einsum("we,we->w", speech, lips)
    np.testing.assert_allclose(
        shifted_distances(speech, lips, max_shift=0)[:, 0], np.sqrt(2 - 2 * cosines)
    )


def test_zeros_beyond_the_ends_draw_weak_unit_vectors_outward_and_leaving_out_does_not() -> None:
    """Why the expert's embeddings are judged without them."""
    lips = unit(spoken(40, width=256))
    speech = unit(0.2 * lips + unit(spoken(40, seed=5, width=256)))
    assert abs(sync_score(speech, lips).offset_frames) == LSE_SHIFT
    assert sync_score(speech, lips, beyond="left out").offset_frames == 0


def test_speech_that_never_changes_gives_no_confidence() -> None:
    still = np.ones((30, 4))
    score = sync_score(still, still, beyond="left out")
    assert (score.distance, score.confidence) == (0, 0)


def test_nothing_is_modified() -> None:
    speech, lips = spoken(30), spoken(30, seed=1)
    before = speech.copy(), lips.copy()
    sync_score(speech, lips)
    assert np.array_equal(speech, before[0])
    assert np.array_equal(lips, before[1])


def test_embeddings_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"of one shape, got \(3, 4\) and \(2, 4\)"):
        sync_score(np.zeros((3, 4)), np.zeros((2, 4)))
    with pytest.raises(ConfigError, match=r"of one shape, got \(0, 4\) and \(0, 4\)"):
        sync_score(np.zeros((0, 4)), np.zeros((0, 4)))
    with pytest.raises(ConfigError, match="NaN or infinite"):
        sync_score(np.full((3, 4), np.nan), np.zeros((3, 4)))
    with pytest.raises(ConfigError, match="max_shift must be at least 0, got -1"):
        sync_score(np.zeros((3, 4)), np.zeros((3, 4)), max_shift=-1)
    with pytest.raises(ConfigError, match="15 windows are too few for shifts of 15"):
        sync_score(spoken(15), spoken(15), beyond="left out")
