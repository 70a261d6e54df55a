"""``lipwright batch``: render many videos that a file lists."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lipwright.cli.progress import bars
from lipwright.errors import LipwrightError
from lipwright.inference import Progress
from lipwright.inference.batch import BatchResult, record_path, run_batch
from lipwright.inference.joblist import BatchJob, read_jobs


def batch_command(
    jobs: Path,
    /,
    *,
    parallel: Annotated[int | None, Parameter(name="--jobs")] = None,
    retries: int = 0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Render many videos that a file lists.

    Parameters
    ----------
    jobs:
        TOML file: a table [[job]] each, with face, speech (or map) and out, and perhaps model and
        any option of lipwright sync, such as min-face = 0.05 or cache = false (--face is
        whose-face here). A table [defaults] holds what they share. Paths count from the file's
        folder. What is finished is written down beside it (jobs.done.json) and not rendered again
        while inputs and settings stay the same.
    parallel:
        Jobs at once; by default one for every two cores, as far as memory is free for them.
    retries:
        How often a job is tried again whose inputs or output cannot be read, fetched or written.
    as_json:
        Print what became of each job as JSON.
    """
    listed = read_jobs(jobs)
    with bars() as advance:

        def show(job: BatchJob, progress: Progress) -> None:
            advance(str(job.out), progress.done, progress.total)

        results = run_batch(
            listed, record=record_path(jobs), parallel=parallel, retries=retries, on_progress=show
        )
    print(_as_json(results) if as_json else _in_words(results))
    num_failed = sum(result.status == "failed" for result in results)
    if num_failed:
        raise LipwrightError(f"{num_failed} of {len(results)} jobs failed; run it again for these")


def _in_words(results: Sequence[BatchResult]) -> str:
    width = max(len(str(result.job.out)) for result in results)
    lines = [
        f"{result.status:9}{result.job.out!s:{width}}  {result.seconds:7.1f} s  {_told(result)}"
        for result in results
    ]
    counts = [
        f"{sum(result.status == status for result in results)} {status}"
        for status in ("done", "skipped", "failed")
    ]
    return "\n".join([*lines, ", ".join(counts)])


def _told(result: BatchResult) -> str:
    if result.made is not None:
        return f"{result.made.num_synced} of {result.made.num_frames} frames synced"
    return result.error or "made before from the same"


def _as_json(results: Sequence[BatchResult]) -> str:
    return json.dumps(
        [
            {
                "out": str(result.job.out),
                "status": result.status,
                "seconds": round(result.seconds, 3),
                "attempts": result.attempts,
                "error": result.error,
                "num_frames": result.made.num_frames if result.made else None,
                "num_synced": result.made.num_synced if result.made else None,
            }
            for result in results
        ],
        indent=2,
    )
