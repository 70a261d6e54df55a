"""From portraits to talking identities: driver of the puppetry over a corpus, several processes."""

import logging
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipwright.corpus.clips import Clips, load_clips
from lipwright.corpus.ledger import Accepted, Ledger, LedgerLine, Rejection, Split
from lipwright.corpus.pack import (
    CROP_MARGIN,
    PackedClip,
    PackReader,
    encode_crop,
    write_pack,
)
from lipwright.corpus.pool import run_jobs
from lipwright.corpus.puppetry import Driver, Portrait, puppet_points, render_puppet
from lipwright.corpus.split import SplitRule
from lipwright.errors import ConfigError, CorpusError, LipwrightError
from lipwright.faces import FaceMesh, Mtcnn, crop_box, crop_face, mouth_opening, widen
from lipwright.media import is_still_picture, read_frames

log = logging.getLogger(__name__)

_CANVAS_MARGIN = 1.2  # of the picture that is warped over what is stored: room to move
_CHECK_EVERY = 3  # frames, when a puppet is judged
Progress = Callable[[int, int], None]  # portraits done, portraits in all


@dataclass(frozen=True, kw_only=True, slots=True)
class PuppetConfig:
    """Which portraits are taken, and what is made of each."""

    clips_per_portrait: int = 4
    """Drivers that each portrait is given."""
    max_opening: float = 0.06
    """Widest mouth of a portrait, in distances of the outer eye corners: a smile that bares the
    teeth cannot be closed by warping."""
    min_face: float = 0.15
    """Height of the smallest face, as a share of the picture's shorter side."""
    min_crop: int = 96
    """Smallest side of the crop rule's square in the portrait's pixels."""
    min_agreement: float = 0.8
    """Correlation of the mouth that the landmark network sees with the one that was meant."""
    seed: int = 1
    """Of the choice of drivers."""

    def __post_init__(self) -> None:
        if self.clips_per_portrait < 1:
            raise ConfigError(
                f"clips_per_portrait must be at least 1, got {self.clips_per_portrait}"
            )
        if not self.max_opening > 0 or not -1 <= self.min_agreement <= 1:
            raise ConfigError(
                f"max_opening must be above 0 and min_agreement from -1 to 1, got "
                f"{self.max_opening} and {self.min_agreement}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    picture: Path
    name: str
    split: Split
    drivers: tuple[Accepted, ...]
    corpus: Path


def add_puppets(
    portraits: Path,
    corpus: Path,
    *,
    landmarks: Path,
    rule: SplitRule | None = None,
    config: PuppetConfig | None = None,
    num_workers: int = 1,
    on_progress: Progress | None = None,
) -> list[LedgerLine]:
    """Let portraits say what the clips of a corpus say; goes on where an earlier call stopped.

    Args:
        portraits: Folder of pictures, each of somebody else.
        corpus: What ``prepare_corpus`` wrote with landmarks; the puppets are added to it. A
            portrait is driven by clips of its own split only.
        landmarks: MediaPipe's face mesh network.
        rule: How portraits are shared out; by default all are trained on.
        config: Which are taken.
        num_workers: Processes.
        on_progress: Called with portraits done and portraits in all.

    Returns:
        The ledger's lines of puppets: one for each clip made, or for each portrait turned down.

    Raises:
        CorpusError: If there are no pictures, or no clips with landmarks to drive them.
        CheckpointError: If the landmark network is missing or another one.
    """
    if num_workers < 1:
        raise ConfigError(f"num_workers must be at least 1, got {num_workers}")
    config, rule = config or PuppetConfig(), rule or SplitRule()
    FaceMesh(landmarks)  # refused here, once, and not in every worker
    pictures = sorted(path for path in _files(portraits) if is_still_picture(path))
    if not pictures:
        raise CorpusError(f"no pictures in {str(portraits)!r}")
    ledger = Ledger(corpus)
    ledger.drop_torn_line()
    jobs = []
    for picture in pictures:
        name = f"{portraits.resolve().name}/{picture.stem}"
        if (split := rule.split(name)) is not None:
            jobs.append((picture, name, split))
    drivers = {split: _drivers(corpus, split) for split in {split for _, _, split in jobs}}
    done = {name for line in ledger.lines() for name in (line.clip, line.clip.rpartition("/")[0])}
    todo = [
        _Job(
            picture=picture,
            name=name,
            split=split,
            drivers=_choose(drivers[split], name, config=config),
            corpus=corpus,
        )
        for picture, name, split in jobs
        if name not in done
    ]
    outcomes = run_jobs(
        todo,
        _work,
        start=partial(_start_worker, config, landmarks),
        name=lambda job: job.name,
        num_workers=num_workers,
    )
    for number, lines in enumerate(outcomes, start=len(jobs) - len(todo) + 1):
        ledger.append(*lines)
        if on_progress is not None:
            on_progress(number, len(jobs))
    names = {name for _, name, _ in jobs}
    return [
        line
        for line in sorted(ledger.lines(), key=lambda line: line.clip)
        if line.clip in names or line.clip.rpartition("/")[0] in names
    ]


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CorpusError(f"no such folder of portraits: {str(folder)!r}")
    return [path for path in folder.iterdir() if path.is_file() and path.stat().st_size]


def _drivers(corpus: Path, split: Split) -> Clips:
    clips = load_clips(corpus, split, with_puppets=False)
    if clips.open(0).points is None:
        raise CorpusError(
            f"the clips of {corpus} have no landmarks; prepare it with --landmarks "
            f"face_landmark.tflite"
        )
    return clips


def _choose(clips: Clips, name: str, *, config: PuppetConfig) -> tuple[Accepted, ...]:
    """Drivers of a portrait: speakers of few clips more often than their share."""
    rng = np.random.default_rng([config.seed, zlib.crc32(name.encode())])
    counts = Counter(entry.speaker for entry in clips.entries)
    weights = np.array([counts[entry.speaker] ** -0.5 for entry in clips.entries])
    count = min(config.clips_per_portrait, len(clips))
    chosen = rng.choice(len(clips), count, replace=False, p=weights / weights.sum())
    return tuple(clips.entries[i] for i in sorted(chosen))


class _Worker:
    """What a worker process keeps between portraits."""

    def __init__(self, config: PuppetConfig, landmarks: Path) -> None:
        self.config = config
        self.detector = Mtcnn(min_face=config.min_face, num_threads=1)
        self.mesh = FaceMesh(landmarks, num_threads=1)

    def work(self, job: _Job) -> list[LedgerLine]:
        try:
            frame, box = self._face(job.picture)
            points = self.mesh.points(frame, box)
            if (opening := mouth_opening(points)) > self.config.max_opening:
                return [Rejection(clip=job.name, reason=f"mouth open: {opening:.3f}")]
            return [self._puppet(job, driver, frame, box, points) for driver in job.drivers]
        except _Unfit as unfit:
            return [Rejection(clip=job.name, reason=str(unfit))]
        except LipwrightError as err:
            return [Rejection(clip=job.name, reason=f"unusable: {err}")]

    def _face(self, picture: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        frame = next(read_frames(picture)).pixels
        detections = self.detector.detect(frame)
        if not detections:
            raise _Unfit("no face: in the picture")
        boxes = [crop_box(detection.landmarks) for detection in detections]
        box = max(boxes, key=lambda box: float(box[2] - box[0]))
        if (side := float(box[2] - box[0])) < self.config.min_crop:
            raise _Unfit(f"face too small: the crop is {side:.0f} px wide")
        return frame, box

    def _puppet(
        self,
        job: _Job,
        driver: Accepted,
        frame: NDArray[np.uint8],
        box: NDArray[np.float32],
        points: NDArray[np.float32],
    ) -> LedgerLine:
        clip = f"{job.name}/{driver.clip.replace('/', '_')}"
        moving, mel = _load(job.corpus / driver.file)
        size = moving.crops[0].shape[0]
        portrait = _on_canvas(frame, box, points, size=round(size * _CANVAS_MARGIN))
        moved = puppet_points(moving.points, portrait)
        pictures = render_puppet(moving, portrait, moved, size=size)
        edge = (portrait.canvas.shape[0] - size) / 2
        shares = ((moved - edge + 0.5) / size).astype(np.float32)
        agreement = self._agreement(pictures, shares)
        if agreement < self.config.min_agreement:
            return Rejection(clip=clip, reason=f"does not follow: correlation {agreement:.2f}")
        file = Path("clips") / f"{clip}.safetensors"
        write_pack(
            PackedClip(
                jpegs=tuple(encode_crop(picture) for picture in pictures),
                mel=mel,
                boxes=np.tile(box, (len(pictures), 1)),
                speaker=job.name,
                source=f"{job.name} driven by {driver.clip}",
                points=shares,
            ),
            job.corpus / file,
        )
        return Accepted(
            clip=clip,
            speaker=job.name,
            split=job.split,
            num_frames=len(pictures),
            file=file.as_posix(),
            driver=driver.clip,
        )

    def _agreement(
        self, pictures: Sequence[NDArray[np.uint8]], points: NDArray[np.float32]
    ) -> float:
        """How well the mouth that is seen follows the one that was meant."""
        size = pictures[0].shape[0]
        box = widen(np.array([0, 0, size, size], dtype=np.float32), 1 / CROP_MARGIN)
        chosen = range(0, len(pictures), _CHECK_EVERY)
        seen = [mouth_opening(self.mesh.points(pictures[i], box)) for i in chosen]
        meant = [mouth_opening(points[i]) for i in chosen]
        if np.ptp(seen) == 0 or np.ptp(meant) == 0:
            return 0.0
        return float(np.corrcoef(seen, meant)[0, 1])


class _Unfit(Exception):  # noqa: N818 - not an error: an outcome, caught where it is raised
    """A portrait is turned down; the text is the reason."""


def _load(path: Path) -> tuple[Driver, NDArray[np.float32]]:
    pack = PackReader(path)
    if pack.points is None:
        raise CorpusError(f"{path} has no landmarks; prepare the corpus again with --landmarks")
    crops = tuple(pack.frame(index) for index in range(pack.num_frames))
    points = (pack.points * crops[0].shape[0] - 0.5).astype(np.float32)
    return Driver(crops=crops, points=points), pack.mel


def _on_canvas(
    frame: NDArray[np.uint8], box: NDArray[np.float32], points: NDArray[np.float32], *, size: int
) -> Portrait:
    wide = widen(box, CROP_MARGIN * _CANVAS_MARGIN)
    scaled = (points - wide[:2]) / (wide[2:] - wide[:2]) * size - 0.5
    return Portrait(canvas=crop_face(frame, wide, size=size), points=scaled.astype(np.float32))


_worker: _Worker | None = None  # set once in each worker process, never in the caller's


def _start_worker(config: PuppetConfig, landmarks: Path) -> None:
    global _worker  # noqa: PLW0603 - the pool offers no other way to keep something per process
    _worker = _Worker(config, landmarks)


def _work(job: _Job) -> list[LedgerLine]:
    assert _worker is not None, "the pool's initializer has run"  # noqa: S101
    return _worker.work(job)
