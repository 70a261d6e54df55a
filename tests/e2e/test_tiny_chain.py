"""From a folder of clips to a lip-synced video, through the command line, with the tiny recipes."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.checkpoints import read_onnx_metadata
from lipwright.cli import main
from lipwright.corpus import Ledger, Rejection
from lipwright.media import VideoWriter, read_frames
from lipwright.media.sound import SPEECH_RATE, read_speech

RECIPES = Path(__file__).parents[2] / "recipes"


def lipwright(*words: str | Path) -> int:
    """Run a command line; its exit code."""
    try:
        main([str(word) for word in words])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def write_clip(path: Path, face: NDArray[np.uint8], speech: Path, *, num_frames: int) -> None:
    """A talking head of sorts: a picture that drifts, with sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = 240, 240
    with VideoWriter(
        path, width=width, height=height, fps=Fraction(25), speech=speech, preset="ultrafast"
    ) as writer:
        for index in range(num_frames):
            x, y = 100 + index // 8, 5 + index // 16
            pixels = np.ascontiguousarray(face[y : y + height, x : x + width])
            writer.write(pixels, Fraction(index, 25))


@pytest.fixture
def clips(
    astronaut: NDArray[np.uint8],
    demo_speech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "clips"
    for speaker, brightness in (("anna", 1.0), ("ben", 0.8), ("cleo", 0.6)):
        face = (astronaut * brightness).astype(np.uint8)
        write_clip(folder / speaker / "hello.mp4", face, demo_speech, num_frames=40)
    (folder / "ben" / "broken.mp4").write_bytes(b"not a video at all")
    (tmp_path / "split.toml").write_text('val = ["cleo"]\n')
    return folder


def test_the_tiny_recipes_make_a_model_that_sync_can_use(
    clips: Path, astronaut_file: Path, demo_speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lipwright("prepare", clips, "--to", "corpus", "--split", "split.toml") == 0
    told = capsys.readouterr().out
    assert "train: 2 clips" in told
    assert "val: 1 clips" in told
    assert "rejected: 1 clips" in told
    rejected = [line for line in Ledger(Path("corpus")).lines() if isinstance(line, Rejection)]
    assert [line.clip for line in rejected] == ["ben/broken"]

    expert, generator = RECIPES / "tiny_expert.toml", RECIPES / "tiny_generator.toml"
    assert lipwright("train", "expert", expert, "-o", "runs/tiny_expert") == 0
    assert "held_out/forced_choice" in capsys.readouterr().out
    assert lipwright("train", "generator", generator, "-o", "runs/tiny_generator") == 0
    assert "held_out/l1" in capsys.readouterr().out

    weights = Path("runs/tiny_generator/generator.safetensors")
    assert lipwright("export", weights, "-o", "tiny.onnx") == 0
    assert "agrees with torch" in capsys.readouterr().out
    assert read_onnx_metadata(Path("tiny.onnx"))["resolution"] == "96"

    short = Path("short.wav")
    _cut(demo_speech, short, seconds=1)
    made = lipwright("sync", astronaut_file, short, "-o", "out.mp4", "--model", "tiny.onnx")
    assert made == 0
    assert "25 of 25 frames synced" in capsys.readouterr().out
    assert len(list(read_frames(Path("out.mp4")))) == 25


def test_training_stops_and_goes_on_at_the_same_place(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lipwright("prepare", clips, "--to", "corpus", "--split", "split.toml") == 0
    recipe = Path("recipe.toml")
    shutil.copy(RECIPES / "tiny_expert.toml", recipe)
    recipe.write_text(recipe.read_text().replace("steps = 12", "steps = 6"))
    assert lipwright("train", "expert", recipe, "-o", "run") == 0
    recipe.write_text(recipe.read_text().replace("steps = 6", "steps = 8"))
    assert lipwright("train", "expert", recipe, "-o", "run") == 0
    capsys.readouterr()
    lines = Path("run/metrics.jsonl").read_text().splitlines()
    assert '"step": 8' in lines[-1]


def _cut(speech: Path, out: Path, *, seconds: int) -> None:
    samples = read_speech(speech)[: seconds * SPEECH_RATE]
    with av.open(str(out), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=SPEECH_RATE, layout="mono")
        pcm = (samples * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = SPEECH_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
