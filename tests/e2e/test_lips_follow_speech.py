"""The shipped model on people it was not trained on: their lips follow the speech."""

from pathlib import Path

import numpy as np
import pytest

from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.corpus import load_split
from lipwright.corpus.sources import find_clips
from lipwright.evaluation.observe import MeshPoints
from lipwright.faces import Mtcnn

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared"


@pytest.mark.corpus
@pytest.mark.skipif(not SHARED.is_dir(), reason="the corpus and the landmark network are not here")
def test_lips_of_held_out_speakers_follow_their_speech(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    from mouth_motion import measure  # noqa: PLC0415 - a script, found only now

    mesh = MeshPoints(SHARED / "models" / "face_landmark.tflite", num_threads=1)
    detector = Mtcnn(min_face=0.15, num_threads=1)
    rule = load_split(REPOSITORY / "recipes" / "open_corpus.split.toml")
    clips = find_clips([SHARED / "corpus" / "grid" / "mixed"])
    clips = [clip for clip in clips if rule.split(clip.clip) == "val"]
    assert len(clips) == 3
    motions = [
        measure(clip, tmp_path, mesh=mesh, detector=detector, model=DEFAULT_MODEL) for clip in clips
    ]
    # A guard against losing what was reached on these three (0.71 and 1.01), not the target: that
    # is over all thirteen held-out clips, by benchmarks/mouth_motion.py, and in the model card.
    assert np.mean([motion.correlation for motion in motions]) >= 0.63
    assert np.median([motion.amplitude for motion in motions]) >= 0.6
