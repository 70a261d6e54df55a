"""Evaluate pairs: render, look, score, report; goes on where an earlier call stopped."""

import hashlib
import importlib.metadata
import json
import logging
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from lipwright.checkpoints import (
    DEFAULT_EXPERT,
    DEFAULT_LANDMARKS,
    DEFAULT_MODEL,
    model_path,
    sha256_of,
)
from lipwright.corpus import CROP_MARGIN
from lipwright.corpus.offset import open_meter
from lipwright.corpus.pool import run_jobs
from lipwright.errors import ConfigError, EvaluationError, LipwrightError, require
from lipwright.evaluation.judge import SyncNetJudge
from lipwright.evaluation.measure import (
    Judges,
    Measured,
    measure,
    read_measured,
    still_of,
    write_measured,
)
from lipwright.evaluation.observe import FACE_SIZE, NUM_VIEWS, MeshPoints, OwnPoints
from lipwright.evaluation.pairs import Pair
from lipwright.evaluation.picture import FaceEmbedding, Lpips
from lipwright.evaluation.results import Failure, Report
from lipwright.evaluation.score import METRICS, SET_METRICS, clip_result, set_scores
from lipwright.faces import Mtcnn
from lipwright.inference import OpenVinoGenerator, SyncOptions, sync
from lipwright.inference.model import runnable_model

log = logging.getLogger(__name__)

MIN_FACE = 0.15


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """What is evaluated, and who judges."""

    model: str = DEFAULT_MODEL
    """The generator: a name, or a path."""
    accept_licence: str | None = None
    """Licence that the user accepts for a model that is not permissively licensed."""
    expert: str = DEFAULT_EXPERT
    """The expert that judges sync: a name, or the path of an ONNX file."""
    landmarks: Path | None = None
    """MediaPipe's face mesh; by default Lipwright's own landmark network."""
    syncnet: str | None = None
    """SyncNet v2 as ``lipwright convert`` made it: a name, or the path of an ONNX file."""
    lpips: Path | None = None
    """ONNX file, see ``evaluation.picture.Lpips``."""
    identity: Path | None = None
    """ONNX file of a face embedding, see ``evaluation.picture.FaceEmbedding``."""
    inception: Path | None = None
    """ONNX file whose features make an FID, see ``evaluation.picture.FaceEmbedding``."""
    max_seconds: float = 20.0
    """Of each video; the rest is rendered but not looked at."""
    seed: int = 1
    """Chooses what says something else, and the pairs of the expert's accuracy."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_seconds < math.inf or self.seed < 0:
            raise ConfigError(
                f"max_seconds must be at least 1 and finite, and seed at least 0, got "
                f"{self.max_seconds} and {self.seed}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    pair: Pair
    folder: Path
    key: str


def evaluate(
    pairs: Sequence[Pair],
    folder: Path,
    *,
    config: EvaluationConfig | None = None,
    title: str = "",
    num_workers: int = 2,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Report:
    """Render and measure pairs.

    Args:
        pairs: What is rendered, or was, and what it is held against.
        folder: Where rendered videos, contact sheets and what was found are kept; made if need be.
            Pairs whose files, model and judges are the same as in an earlier call are not done
            again.
        config: What is evaluated, and who judges.
        title: Of the report.
        num_workers: Processes.
        on_progress: Called with pairs done and pairs in all.

    Returns:
        The report; see ``evaluation.report`` for files of it.

    Raises:
        ConfigError: If there are no pairs, two of one name, one with a file that cannot be read, or
            no workers.
        CheckpointError: If the model or a judge is missing, damaged or another network.
        CorpusError: If a worker process dies.
        EvaluationError: If the folder cannot be written, or no pair could be measured.
        MissingExtraError: If the evaluate extra is not installed.
    """
    config = config or EvaluationConfig()
    names = [pair.name for pair in pairs]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"pairs need names of their own, got {names or 'none'}")
    if num_workers < 1:
        raise ConfigError(f"num_workers must be at least 1, got {num_workers}")
    for library in ("skimage", "jinja2"):  # missed now, not after minutes of work
        require(library, extra="evaluate")
    started = time.monotonic()
    _load_judges(config)  # refused here, once, and not in every worker
    is_all_rendered = all(pair.rendered is not None for pair in pairs)
    if not is_all_rendered:
        OpenVinoGenerator(runnable_model(config.model))  # the same
    models = _hashes(config)
    if is_all_rendered:
        models["model"] = "none: the videos were rendered before"
    try:
        for name in ("videos", "sheets", "measured"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise EvaluationError(f"cannot make the report's folder {folder}: {err}") from err
    jobs = [_Job(pair=pair, folder=folder, key=_key(pair, config, models)) for pair in pairs]
    outcomes: dict[str, Measured | Failure] = {}
    results = run_jobs(
        jobs,
        _work,
        start=partial(_start_worker, config),
        name=lambda job: job.pair.name,
        num_workers=min(num_workers, len(jobs)),
    )
    for outcome in results:
        outcomes[outcome.name] = outcome
        on_progress(len(outcomes), len(jobs))
    measured = [m for name in names if isinstance(m := outcomes[name], Measured)]
    failures = tuple(f for name in names if isinstance(f := outcomes[name], Failure))
    if not measured:
        raise EvaluationError(
            f"none of {len(names)} pairs could be measured; the first: {failures[0].reason}"
        )
    log.info("measured %d pairs in %.0f s", len(measured), time.monotonic() - started)
    partners = _partners(measured, pairs, np.random.default_rng(config.seed))
    clips = tuple(
        clip_result(m, partner, sheet=f"sheets/{m.name}.jpg")
        for m, partner in zip(measured, partners, strict=True)
    )
    having = {name for clip in clips for scores in clip.scores.values() for name in scores}
    sets = set_scores(measured, np.random.default_rng(config.seed))
    drawn_by = "rendered videos" if is_all_rendered else config.model
    return Report(
        title=title or f"Evaluation of {drawn_by}",
        protocol=_protocol(config, models),
        metrics=tuple(metric for metric in METRICS if metric.name in having),
        clips=clips,
        failures=failures,
        sets=sets,
        set_metrics=tuple(metric for metric in SET_METRICS if metric.name in sets),
    )


def _partners(
    measured: Sequence[Measured], pairs: Sequence[Pair], rng: np.random.Generator
) -> list[Measured | None]:
    """For each pair another one, at random, whose base says something else."""
    said = {pair.name: {pair.speech, pair.truth or pair.motion} for pair in pairs}
    partners: list[Measured | None] = []
    for own in measured:
        others = [
            m for m in measured if "base_points" in m.arrays and not said[own.name] & said[m.name]
        ]
        partners.append(others[int(rng.integers(len(others)))] if others else None)
    return partners


def _hashes(config: EvaluationConfig) -> dict[str, str]:
    """Topic -> name and SHA-256 of each network."""
    own_landmarks = model_path(DEFAULT_LANDMARKS)
    paths = {
        "model": model_path(config.model),
        "expert": model_path(config.expert),
        "landmarks": config.landmarks or own_landmarks,
        "SyncNet v2": None if config.syncnet is None else model_path(config.syncnet),
        "LPIPS": config.lpips,
        "identity": config.identity,
        "inception": config.inception,
    }
    return {
        topic: f"{path.name}, SHA-256 {sha256_of(path)}"
        for topic, path in paths.items()
        if path is not None
    }


def _protocol(config: EvaluationConfig, models: dict[str, str]) -> dict[str, str]:
    versions = ("lipwright", "numpy", "opencv-python-headless", "openvino", "av", "scikit-image")
    return {
        **models,
        "crop": f"Lipwright's rule (a square of 2.4 times the distance from eyes to mouth) at "
        f"{FACE_SIZE} px, track smoothed over 0.12 s; lips for the expert with a margin of "
        f"{CROP_MARGIN}",
        "looks": f"landmarks are the mean of {NUM_VIEWS} looks, each from a box of its own",
        "rate": "25 frames a second, by time stamp; speech at 16 kHz mono",
        "shifts": "15 frames to either side",
        "length": f"the first {config.max_seconds:g} s of each video",
        "baselines": "true: the true video. static: its least open frame all the time. shifted: "
        "five frames late. other: the true video of another pair",
        "seed": str(config.seed),
        "versions": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in versions),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }


def _key(pair: Pair, config: EvaluationConfig, models: dict[str, str]) -> str:
    """Of everything that a measurement depends on."""
    try:
        files = {
            field: sha256_of(path)
            for field in ("face", "speech", "truth", "motion", "rendered")
            if (path := getattr(pair, field)) is not None
        }
    except OSError as err:
        raise ConfigError(f"{pair.name}: cannot read a file of the pair: {err}") from err
    version = importlib.metadata.version("lipwright")
    how = [models, NUM_VIEWS, config.max_seconds]
    record = [version, pair.name, pair.group, pair.at, files, *how]
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _load_judges(config: EvaluationConfig) -> Judges:
    if config.landmarks is None:
        finder: OwnPoints | MeshPoints = OwnPoints(model_path(DEFAULT_LANDMARKS), num_threads=1)
    else:
        finder = MeshPoints(config.landmarks, num_threads=1)
    return Judges(
        detector=Mtcnn(min_face=MIN_FACE, num_threads=1),
        finder=finder,
        expert=open_meter(model_path(config.expert)),
        syncnet=None if config.syncnet is None else SyncNetJudge(model_path(config.syncnet)),
        lpips=None if config.lpips is None else Lpips(config.lpips),
        identity=None if config.identity is None else FaceEmbedding(config.identity),
        inception=None if config.inception is None else FaceEmbedding(config.inception),
    )


class _Worker:
    """What a worker process keeps between pairs."""

    def __init__(self, config: EvaluationConfig) -> None:
        cv2.setNumThreads(1)
        self.config = config
        self.judges = _load_judges(config)

    def work(self, job: _Job) -> Measured | Failure:
        try:
            return self._measured(job)
        except LipwrightError as err:
            return Failure(name=job.pair.name, reason=str(err))

    def _measured(self, job: _Job) -> Measured:
        pair = job.pair
        kept = job.folder / "measured" / f"{pair.name}.safetensors"
        sheet = job.folder / "sheets" / f"{pair.name}.jpg"
        found = read_measured(kept, key=job.key)
        if found is not None and sheet.is_file():
            return found
        started = time.monotonic()
        drawn = pair.rendered or self._render(pair, job.folder / "videos" / f"{pair.name}.mp4")
        rendered = time.monotonic()
        found = measure(
            pair,
            drawn,
            sheet,
            judges=self.judges,
            max_frames=round(self.config.max_seconds * 25),
        )
        found = replace(
            found,
            seconds={
                "render": round(rendered - started, 2),
                "measure": round(time.monotonic() - rendered, 2),
            },
        )
        write_measured(found, kept, key=job.key)
        return found

    def _render(self, pair: Pair, out: Path) -> Path:
        # In fp32, so that a number does not depend on what the machine is made for.
        options = SyncOptions(accept_licence=self.config.accept_licence, precision="fp32")
        if pair.at is None:
            sync(pair.face, pair.speech, out, model=self.config.model, options=options)
            return out
        with TemporaryDirectory() as folder:
            still = Path(folder) / "face.png"
            cv2.imwrite(str(still), cv2.cvtColor(still_of(pair), cv2.COLOR_RGB2BGR))
            sync(still, pair.speech, out, model=self.config.model, options=options)
        return out


_worker: _Worker | None = None  # set once in each worker process, never in the caller's


def _start_worker(config: EvaluationConfig) -> None:
    global _worker  # noqa: PLW0603 - the pool offers no other way to keep something per process
    _worker = _Worker(config)


def _work(job: _Job) -> Measured | Failure:
    assert _worker is not None, "the pool's initializer has run"  # noqa: S101
    return _worker.work(job)
