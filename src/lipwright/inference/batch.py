"""Render many videos side by side, with networks that are loaded once; what is done stays done.

Beside the list of jobs stands a record of the outputs that were finished, each under a key of
everything that decided on it. A job is skipped as long as its key and its output are the same.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Literal

from lipwright.checkpoints.home import written_whole
from lipwright.errors import ConfigError, DownloadError, LipwrightError, MediaError
from lipwright.inference.casting import Voice
from lipwright.inference.identity import job_key
from lipwright.inference.job import Progress, SyncResult
from lipwright.inference.joblist import BatchJob
from lipwright.inference.lipsync import LipSync
from lipwright.inference.machine import Machine, this_machine
from lipwright.inference.model import runnable_model
from lipwright.media import probe

log = logging.getLogger(__name__)

CORES_PER_JOB = 2  # that it keeps busy: the drawing, and decoding, following and encoding around it
# Bytes that a job holds, beside the networks: a few dozen frames in each stage, and the encoder's.
# Measured: 0.5 GB at 1920x1080, 2 GB at 3840x2160.
MEMORY_PER_PIXEL, MEMORY_PER_JOB = 256, 128 << 20
_SIGNAL_SECONDS = 0.2  # within which a signal is noticed
_FORMAT = "lipwright-batch-1"
Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchResult:
    """What became of a job."""

    job: BatchJob
    """Which one."""
    status: Status
    """Rendered; made before from the same; or not made."""
    seconds: float
    """Wall clock time that it took, all attempts together."""
    attempts: int
    """How often it was begun; 0 if it was skipped."""
    made: SyncResult | None = None
    """What was rendered."""
    error: str | None = None
    """Why it failed."""


def default_parallel(machine: Machine, faces: Iterable[str | Path] = ()) -> int:
    """How many jobs run at once where nobody says: as cores and free memory allow.

    Drawing is done in turns and has all threads, so more than one job for two cores gains nothing.
    Each job is counted as large as the one with the largest picture.

    Args:
        machine: What there is.
        faces: Of the jobs; those that are no readable files do not count.
    """
    by_cores = machine.cores // CORES_PER_JOB
    if by_cores <= 1:
        return 1
    if machine.memory_free is None:
        return by_cores
    pixels = max((_pixels(face) for face in set(faces)), default=0)
    by_memory = machine.memory_free // (MEMORY_PER_JOB + MEMORY_PER_PIXEL * pixels)
    return max(1, min(by_cores, by_memory))


def _pixels(face: str | Path) -> int:
    """Of a picture; 0 where it is not known."""
    if not Path(face).is_file():
        return 0
    try:
        about = probe(Path(face))
    except MediaError:  # which the job itself will tell
        return 0
    return about.width * about.height


def record_path(jobs: Path) -> Path:
    """Where it stands what is finished of a list of jobs; removing it renders all anew."""
    return jobs.with_suffix(".done.json")


def run_batch(
    jobs: Sequence[BatchJob],
    *,
    record: Path,
    parallel: int | None = None,
    retries: int = 0,
    on_progress: Callable[[BatchJob, Progress], None] | None = None,
) -> list[BatchResult]:
    """Render jobs; one that fails does not stop the others.

    Jobs of one model share its networks. An interrupt stops all of them, and what is half-written
    is removed.

    Args:
        jobs: Each writes something else.
        record: Of what is finished, see `record_path`; written after every job.
        parallel: Jobs at once; by default `default_parallel`.
        retries: How often a job is tried again whose inputs could not be read or fetched, or
            whose output could not be written. Other failures would only repeat themselves.
        on_progress: Called after every frame rendered, in the thread of the job.

    Returns:
        One result for each job, in that order.

    Raises:
        ConfigError: If a number is out of range.
    """
    if parallel is None:
        parallel = default_parallel(this_machine(), [job.face for job in jobs])
    if parallel < 1 or retries < 0:
        raise ConfigError(
            f"jobs at once must be at least 1 and retries at least 0, got {parallel} and {retries}"
        )
    crew = _Crew(_Record(record), retries=retries, report=on_progress)
    with ThreadPoolExecutor(min(parallel, max(1, len(jobs))), "lipwright-job") as pool:
        try:
            waiting = [pool.submit(crew.work_on, job) for job in jobs]
            return [_result_of(future) for future in waiting]
        except BaseException:
            crew.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _result_of(future: Future[BatchResult]) -> BatchResult:
    """Wait for a job in small pieces.

    The system may hand a signal to any thread, but only this one acts on it, and does not while it
    waits for nothing else than the job.
    """
    while not future.done():
        wait([future], timeout=_SIGNAL_SECONDS)
    return future.result()


class _StoppedError(BaseException):
    """Ends a job in its own thread, as an interrupt would."""


class _Record:
    """Which outputs are finished, and what they were made from."""

    def __init__(self, path: Path) -> None:
        self._path, self._turn = path, Lock()
        self._outputs: dict[str, dict[str, object]] = {}
        if not path.exists():
            return
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if held["format"] == _FORMAT:
                self._outputs = dict(held["outputs"])
        except (OSError, ValueError, KeyError, TypeError):
            log.warning("%s is damaged: all jobs are rendered anew", path)

    def has(self, out: Path, key: str) -> bool:
        """Whether an output stands there as it was made by a job of this key."""
        known = self._outputs.get(str(out.absolute()))
        return known is not None and out.is_file() and known == {"key": key, **_look_of(out)}

    def add(self, out: Path, key: str) -> None:
        """Say that an output is finished; pictures and the like are not known again."""
        if not out.is_file():
            return
        with self._turn:
            self._outputs[str(out.absolute())] = {"key": key, **_look_of(out)}
            try:
                with written_whole(self._path) as temporary:
                    held = {"format": _FORMAT, "outputs": self._outputs}
                    temporary.write_text(json.dumps(held, indent=1), encoding="utf-8")
            except OSError as err:
                log.warning(
                    "cannot write '%s' (%s): all is rendered anew", self._path, err.strerror
                )


class _Crew:
    """Does jobs, with what they share."""

    def __init__(
        self,
        record: _Record,
        *,
        retries: int,
        report: Callable[[BatchJob, Progress], None] | None,
    ) -> None:
        self._record, self._retries, self._report = record, retries, report
        self._loading = Lock()
        self._loaded: dict[tuple[str | None, ...], LipSync] = {}
        self.stop = Event()

    def work_on(self, job: BatchJob) -> BatchResult:
        """Do one job, whatever becomes of it."""
        started = time.monotonic()
        attempts, made, error = 0, None, None
        while True:
            try:
                key = _key_of(job)
                if key is not None and self._record.has(job.out, key):
                    break
                attempts += 1
                made = self._render(job)
                if key is not None:
                    self._record.add(job.out, key)
            except (MediaError, DownloadError) as err:
                error = str(err)
                if 0 < attempts <= self._retries:
                    log.info("%s is tried again: %s", job.out, err)
                    continue
            except LipwrightError as err:
                error = str(err)
            except Exception as err:  # a fault in one job must not stop the others
                log.info("%s", job.out, exc_info=True)
                error = f"unexpected {type(err).__name__}: {err}; please report it"
            break
        return BatchResult(
            job=job,
            status="done" if made else "failed" if error else "skipped",
            seconds=time.monotonic() - started,
            attempts=attempts,
            made=made,
            error=None if made else error,
        )

    def _render(self, job: BatchJob) -> SyncResult:
        def report(progress: Progress) -> None:
            if self.stop.is_set():
                raise _StoppedError
            if self._report is not None:
                self._report(job, progress)

        return self._lip_sync(job).sync(
            job.face,
            job.speech,
            job.out,
            options=job.options,
            encoding=job.encoding,
            on_progress=report,
        )

    def _lip_sync(self, job: BatchJob) -> LipSync:
        options = job.options
        kind = (job.model, options.device, options.precision, options.accept_licence)
        with self._loading:
            if kind not in self._loaded:
                self._loaded[kind] = LipSync(
                    job.model,
                    device=options.device,
                    precision=options.precision,
                    accept_licence=options.accept_licence,
                )
            return self._loaded[kind]


def _key_of(job: BatchJob) -> str | None:
    """The key of a job; None where it is not known without fetching what it is made from."""
    voices = job.speech if isinstance(job.speech, tuple) else (Voice(speech=job.speech),)
    face, *speeches = (Path(source) for source in (job.face, *(v.speech for v in voices)))
    if not all(path.is_file() for path in (face, *speeches)):
        return None
    model = runnable_model(job.model)
    return job_key(face, voices, options=job.options, encoding=job.encoding, model=model)


def _look_of(out: Path) -> dict[str, object]:
    """What changes when somebody writes to an output."""
    about = out.stat()
    return {"num_bytes": about.st_size, "changed_ns": about.st_mtime_ns}
