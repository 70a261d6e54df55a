"""Scores: known answers for each metric, and baselines that come out worse than the true video."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.evaluation.baselines import SHIFT
from lipwright.evaluation.measure import Measured
from lipwright.evaluation.results import ClipResult, Version
from lipwright.evaluation.score import METRICS, SET_METRICS, clip_result, set_scores
from lipwright.faces.points import EYE_CORNERS, LIPS, MESH_INDICES, NUM_LANDMARKS, STABLE

Curve = NDArray[np.float64]
Rows = NDArray[np.float32]

NUM_FRAMES = 60
WINDOWS, SYNCNET_WINDOWS = NUM_FRAMES - 4, NUM_FRAMES - 5
EYES = 100.0  # pixels between the outer corners
UPPER, LOWER, LEFT, RIGHT = (MESH_INDICES.index(place) for place in (13, 14, 61, 291))
OF_PICTURES = {"psnr", "ssim", "mouth_l1", "sharpness_ratio", "seam_excess", "lpips", "identity"}
PICTURES = {
    "drawn": {"ssim": 0.9, "mouth_l1": 0.02, "seam_excess": 0.1},
    "static": {"ssim": 0.7, "mouth_l1": 0.04},
    "shifted": {"ssim": 0.8, "mouth_l1": 0.03},
}


def speaking(seed: int, num_frames: int = NUM_FRAMES) -> Curve:
    """A mouth that opens and closes without a period, about every eight frames."""
    steps = np.random.default_rng(seed).random(num_frames + 7)
    return np.convolve(steps, np.hanning(10)[1:-1] / 4, mode="valid") * 0.3


def face(opening: Curve, width: Curve | None = None) -> Rows:
    """Landmarks anywhere but for the eyes' corners and a mouth that opens and widens."""
    points = np.random.default_rng(0).uniform(0, 300, size=(NUM_LANDMARKS, 2))
    points[list(EYE_CORNERS)] = [[100, 120], [100 + EYES, 120]]
    frames = np.repeat(points[None], len(opening), axis=0)
    frames[:, [UPPER, LOWER]] = 150, 200
    frames[:, LOWER, 1] += EYES * opening
    frames[:, [LEFT, RIGHT]] = 150, 200
    frames[:, RIGHT, 0] += EYES * (0.5 + opening / 2 if width is None else width)
    return frames.astype(np.float32)


def directions(seed: int, num_rows: int, *, length: float = 1.0) -> Rows:
    rows = np.random.default_rng(seed).normal(size=(num_rows, 24))
    return (length * rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def near(rows: Rows, seed: int, share: float = 0.3) -> Rows:
    """The same with noise, of the same length."""
    length = float(np.linalg.norm(rows[0]))
    noisy = rows + share * directions(seed, len(rows), length=length)
    return (length * noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)


def clip(seed: int = 0, *, drawn: Rows | None = None, name: str = "a") -> Measured:
    """A speaking person and a drawn copy, in every way that is measured."""
    true = face(speaking(seed), speaking(seed + 100))
    speech = directions(seed, WINDOWS)
    heard = directions(seed + 50, SYNCNET_WINDOWS, length=10)
    lips, seen = near(speech, seed + 1), near(heard, seed + 2)
    return Measured(
        name=name,
        group="g",
        arrays={
            "drawn_points": true if drawn is None else drawn,
            "base_points": true,
            "speech": speech,
            "drawn_lips": lips,
            "base_lips": lips,
            "static_lips": lips[:2],
            "syncnet_speech": heard,
            "syncnet_drawn_lips": seen,
            "syncnet_base_lips": seen,
            "syncnet_static_lips": seen[:1],
            "is_silent": np.repeat([0, 1], NUM_FRAMES // 2).astype(np.float32),
        },
        pictures={version: dict(scores) for version, scores in PICTURES.items()},
        is_same_person=True,
        seconds={"render": 1.5},
    )


def with_arrays(measured: Measured, **arrays: Rows) -> Measured:
    return replace(measured, arrays=measured.arrays | arrays)


def with_rows(measured: Measured, speech: Rows, drawn_lips: Rows) -> Measured:
    """With other embeddings; those of the base are in sync."""
    return with_arrays(
        measured,
        speech=speech,
        drawn_lips=drawn_lips,
        base_lips=speech,
        static_lips=speech[:2],
    )


def without_base(measured: Measured) -> Measured:
    kept = {
        name: array
        for name, array in measured.arrays.items()
        if "base" not in name and "static" not in name
    }
    pictures = {"drawn": {"seam_excess": 0.1}}
    return replace(measured, arrays=kept, pictures=pictures, is_same_person=False)


def scored(measured: Measured, another: Measured | None = None) -> ClipResult:
    return clip_result(measured, another, sheet="sheets/a.jpg")


def drawn(measured: Measured) -> dict[str, float]:
    return dict(scored(measured).scores["drawn"])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("name", "version"),
    [
        (metric.name, version)
        for metric in METRICS
        if metric.name not in OF_PICTURES  # of those, test_measure
        for version in metric.orders
    ],
)
def test_every_metric_puts_the_true_video_before_its_baselines(
    name: str, version: Version, seed: int
) -> None:
    metric = next(metric for metric in METRICS if metric.name == name)
    scores = scored(clip(seed), clip(seed + 1000)).scores
    assert metric.badness(scores[version][name]) > metric.badness(scores["true"][name])


def test_a_drawn_video_that_is_the_true_one_is_perfect() -> None:
    scores = scored(clip(), clip(1)).scores
    perfect = {
        "opening_correlation": 1.0,
        "opening_amplitude": 1.0,
        "lag_within_1": 1.0,
        "width_correlation": 1.0,
        "lip_distance": 0.0,
        "jitter_ratio": 1.0,
        "expert_offset_within_1": 1.0,
    }
    # A head at rest does not tremble, so there is nothing to compare trembling with.
    still = perfect.pop("jitter_ratio")
    for name, value in perfect.items():
        assert scores["drawn"][name] == pytest.approx(value, abs=1e-6), name
    assert "jitter_ratio" not in scores["drawn"]
    for name, value in scores["true"].items():
        assert scores["drawn"][name] == value, name
    trembling = clip().arrays["base_points"].copy()
    trembling[::2, list(STABLE)] += 1
    found = drawn(with_arrays(clip(), base_points=trembling, drawn_points=trembling))
    assert found["jitter_ratio"] == pytest.approx(still)


def test_a_mouth_that_opens_half_as_far_has_half_the_amplitude() -> None:
    found = drawn(clip(drawn=face(speaking(0) / 2, speaking(100))))
    assert found["opening_amplitude"] == pytest.approx(0.5, abs=1e-5)
    assert found["opening_correlation"] == pytest.approx(1, abs=1e-5)
    assert found["width_correlation"] == pytest.approx(1, abs=1e-5)


def test_a_mouth_that_opens_when_it_should_close_correlates_negatively() -> None:
    found = drawn(clip(drawn=face(0.5 - speaking(0), 0.9 - speaking(100))))
    assert found["opening_correlation"] == pytest.approx(-1, abs=1e-5)
    assert found["width_correlation"] == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize(("late", "is_near"), [(0, 1), (1, 1), (2, 0), (-1, 1), (-3, 0)])
def test_a_lag_of_one_frame_is_forgiven(late: int, is_near: int) -> None:
    points = np.roll(clip().arrays["base_points"], late, axis=0)
    assert drawn(clip(drawn=points))["lag_within_1"] == is_near


def test_a_mouth_that_does_not_move_has_no_lag_and_no_amplitude() -> None:
    found = drawn(clip(drawn=face(np.full(NUM_FRAMES, 0.1), np.full(NUM_FRAMES, 0.6))))
    assert found["lag_within_1"] == 0
    assert found["opening_amplitude"] == 0
    assert found["opening_correlation"] == 0
    assert "silence_leak" not in found, "there is no motion that silence could be compared with"


def test_lips_elsewhere_are_told_as_a_share_of_the_eyes() -> None:
    points = clip().arrays["base_points"].copy()
    points[:, list(LIPS), 1] += 5
    assert drawn(clip(drawn=points))["lip_distance"] == pytest.approx(5 / EYES, rel=1e-4)


def test_trembling_is_told_over_that_of_the_true_video() -> None:
    true = clip().arrays["base_points"]
    slight, strong = true.copy(), true.copy()
    slight[::2, list(STABLE)] += 1
    strong[::2, list(STABLE)] += 3
    found = drawn(with_arrays(clip(drawn=strong), base_points=slight))
    assert found["jitter_ratio"] == pytest.approx(3, rel=0.05)


def test_motion_in_silence_is_told_over_that_in_speech() -> None:
    openings = 0.1 + np.tile([0.0, 0.2], NUM_FRAMES // 2)
    openings[NUM_FRAMES // 2 :] = 0.1 + np.tile([0.0, 0.05], NUM_FRAMES // 4)
    found = drawn(clip(drawn=face(openings)))
    assert found["silence_leak"] == pytest.approx(0.25, rel=1e-4)


def test_lips_that_say_what_is_heard_are_at_no_distance_from_it() -> None:
    # Rows at right angles: whatever does not belong together is at the root of two.
    rows = np.eye(WINDOWS, dtype=np.float32)
    tall = 10 * np.eye(SYNCNET_WINDOWS, dtype=np.float32)
    measured = without_base(with_rows(clip(), rows, rows))
    found = drawn(with_arrays(measured, syncnet_speech=tall, syncnet_drawn_lips=tall))
    assert found["expert_lse_d"] == 0
    assert found["expert_lse_c"] == pytest.approx(np.sqrt(2))
    assert found["expert_offset_within_1"] == 1
    # SyncNet's protocol takes zeros beyond the clip: of 31 shifts the median is that of 8.
    beyond = 8 * 10 + (SYNCNET_WINDOWS - 8) * 10 * np.sqrt(2)
    assert found["syncnet_lse_d"] == 0
    assert found["syncnet_lse_c"] == pytest.approx(beyond / SYNCNET_WINDOWS)


@pytest.mark.parametrize(("late", "is_near"), [(0, 1), (1, 1), (-1, 1), (2, 0), (-6, 0)])
def test_an_offset_of_one_frame_is_forgiven(late: int, is_near: int) -> None:
    rows = np.eye(WINDOWS, dtype=np.float32)
    measured = with_rows(clip(), rows, np.roll(rows, late, axis=0))
    assert drawn(measured)["expert_offset_within_1"] == is_near


def test_late_lips_are_at_the_same_distance_so_that_only_the_offset_tells_them() -> None:
    rows = np.eye(WINDOWS, dtype=np.float32)
    scores = scored(with_rows(clip(), rows, rows)).scores
    assert scores["shifted"]["expert_lse_d"] == scores["true"]["expert_lse_d"] == 0
    assert scores["shifted"]["expert_offset_within_1"] == 0
    assert SHIFT > 1
    for metric in METRICS:
        if metric.name in ("expert_lse_d", "expert_lse_c"):
            assert "shifted" not in metric.orders


def test_what_was_measured_of_pictures_is_told_as_it_is() -> None:
    scores = scored(clip()).scores
    for version, expected in PICTURES.items():
        of_pictures = OF_PICTURES & scores[version].keys()
        assert {name: scores[version][name] for name in of_pictures} == expected


def test_every_score_is_that_of_a_known_metric_and_finite() -> None:
    measured = clip()
    measured.pictures["drawn"] |= {"psnr": float("nan"), "sharpness_ratio": float("inf"), "new": 1}
    known = [metric.name for metric in METRICS]
    assert len(set(known)) == len(known)
    for scores in scored(measured, clip(1)).scores.values():
        assert list(scores) == [name for name in known if name in scores]
        assert np.isfinite(list(scores.values())).all()
        assert not {"psnr", "sharpness_ratio"} & scores.keys()


def test_a_result_says_what_it_is_of_and_how_far_the_mouth_was_open() -> None:
    result = scored(clip(drawn=face(speaking(7))))
    assert (result.name, result.group, result.num_frames) == ("a", "g", NUM_FRAMES)
    assert (result.sheet, result.seconds) == ("sheets/a.jpg", {"render": 1.5})
    np.testing.assert_allclose(result.curves["true"], speaking(0), atol=1e-4)
    np.testing.assert_allclose(result.curves["drawn"], speaking(7), atol=1e-4)


def test_a_pair_without_a_base_has_sync_and_leak_and_seam_only() -> None:
    result = scored(without_base(clip()), clip(1))
    assert set(result.scores) == {"drawn"}
    assert set(result.scores["drawn"]) == {
        "silence_leak",
        "expert_lse_d",
        "expert_lse_c",
        "expert_offset_within_1",
        "syncnet_lse_d",
        "syncnet_lse_c",
        "seam_excess",
    }
    assert set(result.curves) == {"drawn"}


def test_somebody_elses_motion_is_followed_but_not_looked_like() -> None:
    measured = replace(clip(), pictures={"drawn": {"seam_excess": 0.1}}, is_same_person=False)
    result = scored(measured, clip(1))
    assert set(result.scores) == {"drawn", "true", "static", "shifted", "other"}
    for scores in result.scores.values():
        assert not (OF_PICTURES - {"seam_excess"}) & scores.keys()
        assert not {"lip_distance", "jitter_ratio"} & scores.keys()
        assert "opening_correlation" in scores


@pytest.mark.parametrize("another", [None, without_base(clip(1))], ids=["none", "without base"])
def test_without_another_base_nothing_says_something_else(another: Measured | None) -> None:
    assert "other" not in scored(clip(), another).scores


def test_a_shorter_base_says_something_else_to_and_fro() -> None:
    short = clip(5)
    cut = {name: array[:30] for name, array in short.arrays.items()}
    scores = scored(clip(), replace(short, arrays=cut)).scores["other"]
    assert {"opening_correlation", "expert_lse_d", "syncnet_lse_d"} <= scores.keys()
    assert "lip_distance" not in scores, "these are other lips"


def test_without_a_network_of_the_users_there_are_no_scores_of_it() -> None:
    kept = {k: v for k, v in clip().arrays.items() if not k.startswith("syncnet")}
    for scores in scored(replace(clip(), arrays=kept), clip(1)).scores.values():
        assert not any(name.startswith("syncnet") for name in scores)


def test_scores_of_the_set_depend_on_nothing_but_the_seed() -> None:
    measured = [clip(seed, name=str(seed)) for seed in range(3)]
    first, again, other = (set_scores(measured, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first == again
    assert other.keys() == first.keys()
    assert set(first) == {m.name for m in SET_METRICS} - {"fid_drawn"}


def test_a_set_that_is_the_true_one_is_at_no_distance_and_the_static_one_far() -> None:
    measured = [clip(seed, name=str(seed)) for seed in range(3)]
    found = set_scores(measured, np.random.default_rng(1))
    assert found["frechet_lips_drawn"] == pytest.approx(0, abs=1e-6)
    assert found["frechet_lips_static"] > 0.1
    for name in ("expert_pair_accuracy", "expert_forced_choice", "expert_offset_within_1"):
        assert found[name] > 0.99, name


def test_a_set_without_a_base_has_no_scores() -> None:
    assert set_scores([without_base(clip())], np.random.default_rng(1)) == {}


def test_pairs_without_a_base_do_not_count_in_the_set() -> None:
    alone, both = [clip()], [clip(), without_base(clip(1))]
    one, two = (set_scores(pairs, np.random.default_rng(1)) for pairs in (alone, both))
    assert one == two


def test_an_fid_is_that_of_the_same_persons_only() -> None:
    own = with_arrays(clip(), features_drawn=directions(8, 9), features_base=directions(8, 9))
    far = directions(9, 9) + 5
    foreign = with_arrays(clip(1), features_drawn=directions(8, 9), features_base=far)
    foreign = replace(foreign, is_same_person=False)
    found = set_scores([own, foreign], np.random.default_rng(1))
    assert found["fid_drawn"] == pytest.approx(0, abs=1e-6)
    assert "fid_drawn" not in set_scores([foreign], np.random.default_rng(1))
