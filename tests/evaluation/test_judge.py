"""Both judges: what they are shown, and that they score what their networks say."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import python_speech_features
import torch
from numpy.typing import NDArray

from lipwright.checkpoints import DEFAULT_EXPERT, model_path
from lipwright.conversion.convert import convert
from lipwright.corpus import PackReader
from lipwright.errors import CheckpointError, MediaError
from lipwright.evaluation.judge import ExpertJudge, SyncJudge, SyncNetJudge, syncnet_faces
from lipwright.evaluation.sync import sync_score
from lipwright.faces.expert import LandmarkExpert
from lipwright.models.build import load_network
from lipwright.models.syncnet_v2 import SyncNetV2
from lipwright.speech import mel_spectrogram

Crops = list[NDArray[np.uint8]]
NUM_FRAMES = 46  # more windows than are embedded at a time


@pytest.fixture(scope="module")
def crops(long_corpus: Path) -> Crops:
    clip = PackReader(next(iter(sorted(long_corpus.rglob("*.safetensors")))))
    return [clip.frame(index) for index in range(NUM_FRAMES)]


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    loudness = np.repeat(rng.random(NUM_FRAMES), 640)
    return (0.3 * loudness * rng.normal(size=loudness.size)).astype(np.float32)


@pytest.fixture(scope="module")
def syncnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SyncNet v2 with random weights, converted from a bare state_dict as its authors' file is."""
    folder = tmp_path_factory.mktemp("syncnet")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        torch.save(SyncNetV2().state_dict(), folder / "syncnet_v2.model")
    done = convert(folder / "syncnet_v2.model", folder / "syncnet_v2")
    assert done.onnx is not None
    return done.onnx


def test_syncnet_embeds_and_scores_as_its_authors_code_does(
    syncnet: Path, crops: Crops, speech: NDArray[np.float32]
) -> None:
    network, _ = load_network(syncnet.with_suffix(".safetensors"), kind="expert")
    assert isinstance(network, SyncNetV2)
    judge = SyncNetJudge(syncnet)
    # Frame by frame: 0.2 s of cepstra from column 4 v on, five pictures of 224 px in BGR.
    samples = np.clip(np.rint(speech * 32768.0), -32768, 32767).astype(np.int16)
    cepstra = python_speech_features.mfcc(samples, 16_000).T
    pictures = [cv2.resize(cv2.cvtColor(c, cv2.COLOR_RGB2BGR), (224, 224)) for c in crops]
    of_speech, of_lips = [], []
    with torch.no_grad():
        for v in range(NUM_FRAMES - 5):
            heard = torch.from_numpy(cepstra[None, None, :, 4 * v : 4 * v + 20]).float()
            seen = torch.from_numpy(np.stack(pictures[v : v + 5])).permute(3, 0, 1, 2)[None].float()
            of_speech.append(network.embed_speech(heard).numpy()[0])
            of_lips.append(network.embed_lips(seen).numpy()[0])
    found_speech, found_lips = judge.embed(crops, speech)
    assert found_speech.shape == found_lips.shape == (NUM_FRAMES - 5, 1024)
    for found, expected in ((found_speech, np.stack(of_speech)), (found_lips, np.stack(of_lips))):
        assert np.ptp(expected, axis=0).max() > 1e-3, "the network should see a difference"
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    expected = sync_score(np.stack(of_speech), np.stack(of_lips))
    score = judge.score(crops, speech)
    assert score.distance == pytest.approx(expected.distance, rel=1e-4)
    assert score.confidence == pytest.approx(expected.confidence, abs=1e-4 * expected.distance)


def test_syncnet_sees_whole_faces_blue_first(crops: Crops) -> None:
    faces = syncnet_faces(crops[:7])
    assert (faces.shape, faces.dtype) == ((3, 3, 5, 224, 224), np.float32)
    assert 1 < faces.max() <= 255
    red = np.zeros((50, 50, 3), np.uint8)
    red[..., 0] = 200
    assert syncnet_faces([red] * 5)[0, :, 4, 100, 100].tolist() == [0, 0, 200]


def test_what_is_longer_is_cut(syncnet: Path, crops: Crops, speech: NDArray[np.float32]) -> None:
    judges: list[SyncJudge] = [SyncNetJudge(syncnet), ExpertJudge(model_path(DEFAULT_EXPERT))]
    for judge in judges:
        short = judge.score(crops[:42], speech[: 42 * 640])
        for more in (judge.score(crops, speech[: 42 * 640 + 639]), judge.score(crops[:42], speech)):
            assert more.offset_frames == short.offset_frames
            # Only the end of the last window of speech may hear a little of what follows.
            assert more.distance == pytest.approx(short.distance, rel=0.02)


def test_the_expert_scores_the_embeddings_of_its_meter(
    crops: Crops, speech: NDArray[np.float32]
) -> None:
    judge = ExpertJudge(model_path(DEFAULT_EXPERT))
    score = judge.score(crops, speech)
    assert score == judge.score_mel(crops, mel_spectrogram(speech))
    assert 0 <= score.distance <= 2
    assert score.confidence >= 0
    assert abs(score.offset_frames) <= 15


def test_clips_that_are_too_short_are_refused(
    syncnet: Path, crops: Crops, speech: NDArray[np.float32]
) -> None:
    with pytest.raises(MediaError, match="for 5 frames; at least 6"):
        SyncNetJudge(syncnet).score(crops[:5], speech)
    SyncNetJudge(syncnet).score(crops[:6], speech)
    # A window of the expert, and 15 shifts of it.
    needed = LandmarkExpert(model_path(DEFAULT_EXPERT)).frames + 15
    with pytest.raises(MediaError, match=f"for {needed - 1} frames; at least {needed}"):
        ExpertJudge(model_path(DEFAULT_EXPERT)).score(crops, speech[: needed * 640 - 1])
    ExpertJudge(model_path(DEFAULT_EXPERT)).score(crops[:needed], speech)


def test_each_judge_refuses_the_others_network(syncnet: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a judge, an expert is needed"):
        ExpertJudge(syncnet)
    with pytest.raises(CheckpointError, match="is no SyncNet v2: its kind is expert"):
        SyncNetJudge(model_path(DEFAULT_EXPERT))
