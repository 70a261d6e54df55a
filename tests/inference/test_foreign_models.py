"""Checkpoints of others as models: converted on the fly, kept, licensed, rendered both ways."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import lipwright
from lipwright.errors import CheckpointError, ConfigError, LicenceError, NoFaceError
from lipwright.faces import Mtcnn
from lipwright.inference import OpenVinoGenerator, SyncOptions
from lipwright.inference.model import runnable_model
from lipwright.inference.released import padded_box, released_windows
from lipwright.media import SPEECH_RATE, read_frames, read_speech
from lipwright.models.wav2lip import Wav2LipConfig, Wav2LipGenerator
from lipwright.speech import mel_spectrogram

ACCEPTED = SyncOptions(accept_licence="research-only")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = Wav2LipGenerator(Wav2LipConfig(layout="compressed")).eval()
    path = tmp_path_factory.mktemp("foreign") / "wav2lip_nota.pth"
    torch.save({"state_dict": network.state_dict(), "global_step": 9}, path)
    return path


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _home(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPWRIGHT_HOME", str(kept))


@pytest.fixture(scope="module")
def word(demo_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.6 s of the demo's speech."""
    samples = read_speech(demo_speech)[: SPEECH_RATE * 6 // 10]
    path = tmp_path_factory.mktemp("word") / "word.wav"
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    header = (
        b"RIFF"
        + (36 + len(pcm)).to_bytes(4, "little")
        + b"WAVEfmt "
        + bytes([16, 0, 0, 0, 1, 0, 1, 0])
        + SPEECH_RATE.to_bytes(4, "little")
        + (2 * SPEECH_RATE).to_bytes(4, "little")
    )
    path.write_bytes(header + bytes([2, 0, 16, 0]) + b"data" + len(pcm).to_bytes(4, "little") + pcm)
    return path


def test_a_licence_is_asked_for_once(
    checkpoint: Path, astronaut_file: Path, word: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    with pytest.raises(LicenceError, match="--accept-licence research-only"):
        lipwright.sync(astronaut_file, word, out, model=checkpoint)
    assert not out.exists()
    with pytest.raises(LicenceError, match="not MIT"):
        lipwright.sync(
            astronaut_file, word, out, model=checkpoint, options=SyncOptions(accept_licence="MIT")
        )
    first = lipwright.sync(astronaut_file, word, out, model=checkpoint, options=ACCEPTED)
    assert first.num_synced == first.num_frames == 15
    again = lipwright.sync(astronaut_file, word, out, model=checkpoint)
    assert again.num_frames == 15


def test_a_checkpoint_is_converted_once_and_kept_under_its_hash(
    checkpoint: Path, kept: Path, tmp_path: Path
) -> None:
    first = runnable_model(checkpoint)
    assert first.parent == kept / "converted"
    written = first.stat().st_mtime_ns
    renamed = tmp_path / "another name.pth"
    renamed.write_bytes(checkpoint.read_bytes())
    assert runnable_model(renamed) == first
    assert first.stat().st_mtime_ns == written
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    backend = OpenVinoGenerator(first)
    assert (backend.alignment, backend.crop, backend.licence) == (
        "trained",
        "released",
        "research-only",
    )


def test_a_checkpoint_that_is_no_generator_is_said(kept: Path, tmp_path: Path) -> None:
    from lipwright.models.discriminator import QualityDiscriminator  # noqa: PLC0415

    path = tmp_path / "disc.pth"
    torch.save(QualityDiscriminator().state_dict(), path)
    with pytest.raises(CheckpointError, match="visual quality discriminator; a generator is need"):
        runnable_model(path)
    assert not list((kept / "converted").glob("tmp*"))


def test_the_released_way_puts_a_hard_box_around_what_was_drawn(
    checkpoint: Path, astronaut_file: Path, astronaut: NDArray[np.uint8], word: Path, tmp_path: Path
) -> None:
    out = tmp_path / "released.mkv"
    options = SyncOptions(mode="released", accept_licence="research-only")
    result = lipwright.sync(astronaut_file, word, out, model=checkpoint, options=options)
    mel = mel_spectrogram(read_speech(word))
    windows = released_windows(mel, 25.0)
    assert result.engine.precision == "fp32"
    assert result.num_frames == len(windows) < 15  # the released way ends early
    assert result.duration == Fraction(len(windows), 25)
    x0, y0, x1, y1 = padded_box(Mtcnn().detect(astronaut)[0].box, width=512, height=512)
    face = cv2.resize(astronaut[y0:y1, x0:x1], (96, 96))
    backend = OpenVinoGenerator(runnable_model(checkpoint))
    drawn = backend.draw(face[None], face[None], windows[5:6])[0]
    expected = astronaut.copy()
    expected[y0:y1, x0:x1] = cv2.resize((drawn * 255).astype(np.uint8), (x1 - x0, y1 - y0))
    frame = list(read_frames(out))[5].pixels
    # The codec's loss is all that parts them: the face's box is random colours on purpose.
    assert np.abs(frame.astype(int) - expected).mean() < 3
    assert np.abs(frame.astype(int) - astronaut)[y0:y1, x0:x1].mean() > 10


def test_the_released_way_gives_up_without_a_face(
    checkpoint: Path, word: Path, tmp_path: Path
) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((200, 200, 3), 90, np.uint8))
    options = SyncOptions(mode="released", accept_licence="research-only")
    with pytest.raises(NoFaceError, match="frame 0"):
        lipwright.sync(blank, word, tmp_path / "out.mp4", model=checkpoint, options=options)
    assert [path.name for path in tmp_path.iterdir()] == ["blank.png"]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of lipwright, released; got 'fast'"):
        SyncOptions(mode="fast")  # type: ignore[arg-type]
