"""From folders of videos to a corpus: one driver over all clips, in several processes."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lipwright.corpus.audit import Audit
from lipwright.corpus.ledger import Accepted, Ledger, LedgerLine, Rejection, Split
from lipwright.corpus.offset import Offset, open_meter
from lipwright.corpus.pack import write_pack
from lipwright.corpus.pool import run_jobs
from lipwright.corpus.sources import ClipSource, find_clips
from lipwright.corpus.split import SplitRule, require_disjoint
from lipwright.corpus.stages import PrepareConfig, prepare_clip
from lipwright.errors import ConfigError, CorpusError
from lipwright.faces import FaceMesh, Mtcnn

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # clips done, clips in all


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    source: ClipSource
    speaker: str
    split: Split
    corpus: Path
    shift_frames: int = 0
    offset: Offset | None = None
    """As an audit has it."""


def prepare_corpus(
    folders: Sequence[Path],
    corpus: Path,
    *,
    rule: SplitRule | None = None,
    config: PrepareConfig | None = None,
    offsets: Path | Audit | None = None,
    num_workers: int = 1,
    on_progress: Progress | None = None,
) -> list[LedgerLine]:
    """Prepare every clip below some folders for training; goes on where an earlier call stopped.

    Args:
        folders: Where the clips are.
        corpus: Folder to write; made if need be. Clips in its ledger are not done again.
        rule: How clips are shared out; by default from folders called train, val and test.
        config: What is asked of a clip and how it is stored.
        offsets: Who says by how much sound and picture are apart. ONNX file of an expert: it
            measures each clip. An audit of these folders: clips that it says to leave out are
            turned down, the sound of the others is moved as it advises. None leaves that out.
        num_workers: Processes.
        on_progress: Called with clips done and clips in all.

    Returns:
        The ledger: a line for every clip.

    Raises:
        CorpusError: If nothing is found, no clip is on a list of the rule, or the corpus cannot be
            written.
        ConfigError: If a speaker would stand in two splits.
        CheckpointError: If the expert or the landmark network is missing, damaged or another one.
    """
    if num_workers < 1:
        raise ConfigError(f"num_workers must be at least 1, got {num_workers}")
    rule = rule or SplitRule()
    sources = find_clips(folders)
    require_disjoint(rule, (source.clip for source in sources))
    _require_listed(rule, sources)
    audit = offsets if isinstance(offsets, Audit) else None
    expert = offsets if isinstance(offsets, Path) else None
    if expert is not None:
        open_meter(expert)  # refused here, once, and not in every worker
    config = config or PrepareConfig()
    if config.landmarks is not None:
        FaceMesh(config.landmarks)
    try:
        corpus.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise CorpusError(f"cannot make the corpus folder {corpus}: {err}") from err
    ledger = Ledger(corpus)
    ledger.drop_torn_line()
    done = {line.clip for line in ledger.lines()}
    jobs = _jobs(sources, rule=rule, corpus=corpus, audit=audit)
    for rejection in _turned_down([job for job in jobs if job.source.clip not in done], audit):
        ledger.append(rejection)
        done.add(rejection.clip)
    jobs = [job for job in jobs if job.source.clip not in done]
    num_done = len(done)
    lines = run_jobs(
        jobs,
        _work,
        start=partial(_start_worker, config, expert),
        name=lambda job: job.source.clip,
        num_workers=num_workers,
    )
    for line in lines:
        ledger.append(line)
        num_done += 1
        if isinstance(line, Rejection):
            log.info("rejected %s: %s", line.clip, line.reason)
        if on_progress is not None:
            on_progress(num_done, len(done) + len(jobs))
    return sorted(ledger.lines(), key=lambda line: line.clip)


def _jobs(
    sources: list[ClipSource], *, rule: SplitRule, corpus: Path, audit: Audit | None
) -> list[_Job]:
    """One for every clip that is on a list of the rule."""
    corrections = {} if audit is None else audit.corrections()
    jobs = []
    for source in sources:
        split = rule.split(source.clip)
        if split is None:
            continue
        shift, offset = corrections.get(source.clip, (0, None))
        jobs.append(
            _Job(
                source=source,
                speaker=rule.speaker(source.clip),
                split=split,
                corpus=corpus,
                shift_frames=shift,
                offset=offset,
            )
        )
    return jobs


def _turned_down(jobs: list[_Job], audit: Audit | None) -> list[Rejection]:
    dropped = {} if audit is None else audit.to_drop()
    clips = [job.source.clip for job in jobs]
    return [Rejection(clip=clip, reason=dropped[clip]) for clip in clips if clip in dropped]


def _require_listed(rule: SplitRule, sources: list[ClipSource]) -> None:
    num_left_out = sum(rule.split(source.clip) is None for source in sources)
    if num_left_out == len(sources):
        raise CorpusError(
            f"none of {len(sources)} clips is on a list of the split; the first is called "
            f"{sources[0].clip!r}: prepare the folder that the lists' names begin in"
        )
    if num_left_out:
        log.warning("%d of %d clips are on no list of the split", num_left_out, len(sources))


class _Worker:
    """What a worker process keeps between clips."""

    def __init__(self, config: PrepareConfig, expert: Path | None) -> None:
        self.config = config
        self.mesh = None
        if config.landmarks is not None:
            self.mesh = FaceMesh(config.landmarks, num_threads=1)
        self.detector = Mtcnn(min_face=config.min_face, num_threads=1)
        self.meter = None if expert is None else open_meter(expert)

    def work(self, job: _Job) -> LedgerLine:
        outcome = prepare_clip(
            job.source,
            self.detector,
            self.meter,
            mesh=self.mesh,
            config=self.config,
            speaker=job.speaker,
            shift_frames=job.shift_frames,
        )
        if isinstance(outcome, Rejection):
            return outcome
        clip, offset = outcome
        offset = offset or job.offset
        file = Path("clips") / f"{job.source.clip}.safetensors"
        write_pack(clip, job.corpus / file)
        return Accepted(
            clip=job.source.clip,
            speaker=job.speaker,
            split=job.split,
            num_frames=len(clip.jpegs),
            file=file.as_posix(),
            offset_frames=None if offset is None else offset.frames,
            confidence=None if offset is None else round(offset.confidence, 4),
        )


_worker: _Worker | None = None  # set once in each worker process, never in the caller's


def _start_worker(config: PrepareConfig, expert: Path | None) -> None:
    global _worker  # noqa: PLW0603 - the pool offers no other way to keep something per process
    _worker = _Worker(config, expert)


def _work(job: _Job) -> LedgerLine:
    assert _worker is not None, "the pool's initializer has run"  # noqa: S101
    return _worker.work(job)
