"""Rows to calibrate on are what the generator sees when it renders."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipwright.corpus import load_clips
from lipwright.corpus.calibration import GeneratorInputs
from lipwright.corpus.ledger import Accepted, Ledger
from lipwright.errors import CorpusError
from lipwright.speech import aligned_starts, cut_windows


def test_rows_are_masked_faces_and_windows_of_their_clips_speech(pack_corpus: Path) -> None:
    inputs = GeneratorInputs(pack_corpus, "val", resolution=96)
    rows = inputs.draw(5, rng=np.random.default_rng(0))
    assert rows["faces"].shape == (5, 6, 96, 96)
    assert rows["faces"].dtype == rows["mel"].dtype == np.float32
    assert (rows["faces"][:, :3, 48:] == 0).all()
    assert rows["faces"][:, :3, :48].std() > 0.05
    assert rows["faces"].min() >= 0
    assert 0.4 < rows["faces"].max() <= 1
    clip = load_clips(pack_corpus, "val").open(0)
    starts = aligned_starts((Fraction(i, 25) for i in range(clip.num_frames)), "centred")
    windows = cut_windows(clip.mel, starts)
    for window in rows["mel"]:
        assert (windows == window).all(axis=(1, 2, 3)).any()


def test_blue_comes_first_for_a_generator_that_takes_it_so(pack_corpus: Path) -> None:
    rgb, bgr = (
        GeneratorInputs(pack_corpus, resolution=96, is_bgr=is_bgr).draw(
            2, rng=np.random.default_rng(0)
        )["faces"]
        for is_bgr in (False, True)
    )
    assert np.array_equal(bgr, rgb[:, [2, 1, 0, 5, 4, 3]])
    assert not np.array_equal(bgr, rgb)


def test_the_windows_follow_the_generators_alignment(pack_corpus: Path) -> None:
    drawn = [
        GeneratorInputs(pack_corpus, resolution=96, alignment=alignment).draw(
            3, rng=np.random.default_rng(0)
        )["mel"]
        for alignment in ("centred", "released")
    ]
    assert not np.array_equal(*drawn)


def test_checks_are_of_other_people_and_the_same_each_time(pack_corpus: Path) -> None:
    pairs = [
        GeneratorInputs(pack_corpus, resolution=96).calibration_and_checks(
            num_calibration=6, num_checks=4
        )
        for _ in range(2)
    ]
    (calibration, checks), (again, checks_again) = pairs
    assert (len(calibration["mel"]), len(checks["faces"])) == (6, 4)
    assert np.array_equal(calibration["faces"], again["faces"])
    assert np.array_equal(checks["mel"], checks_again["mel"])
    # Each clip of this corpus is of another brightness; those of one speaker are far from the rest.
    seen = {round(float(face[3:].max()), 1) for face in calibration["faces"]}
    assert not seen & {round(float(face[3:].max()), 1) for face in checks["faces"]}


def test_one_clip_is_too_few(pack_corpus: Path) -> None:
    with pytest.raises(CorpusError, match="calibrated on some clips and checked on others"):
        GeneratorInputs(pack_corpus, "val", resolution=96).calibration_and_checks()


def test_one_person_is_enough(pack_corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "clips").symlink_to(pack_corpus / "clips")
    mine = [e for e in Ledger(pack_corpus).lines() if isinstance(e, Accepted) and e.speaker == "a"]
    Ledger(folder).append(*mine)
    inputs = GeneratorInputs(folder, resolution=96)
    calibration, checks = inputs.calibration_and_checks(num_calibration=3, num_checks=2)
    assert (len(calibration["mel"]), len(checks["mel"])) == (3, 2)


def test_no_more_rows_are_drawn_than_there_are_frames(pack_corpus: Path) -> None:
    calibration, checks = GeneratorInputs(pack_corpus, resolution=96).calibration_and_checks()
    assert {len(calibration["mel"]), len(checks["mel"])} <= {40, 80}
    assert len(calibration["mel"]) + len(checks["mel"]) == 120
