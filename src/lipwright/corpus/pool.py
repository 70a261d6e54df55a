"""Many jobs over several processes, with outcomes as they are finished."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from lipwright.errors import CorpusError

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


def run_jobs(
    jobs: Iterable[Job],
    work: Callable[[Job], Outcome],
    *,
    start: Callable[[], None],
    name: Callable[[Job], str],
    num_workers: int,
) -> Iterator[Outcome]:
    """Do jobs in worker processes.

    Args:
        jobs: Taken as workers come free, never all at once.
        work: Does one; runs in a worker.
        start: Called once in each worker before its first job.
        name: What a job is called, for messages.
        num_workers: Processes.

    Yields:
        What ``work`` gave, in the order in which jobs are finished.

    Raises:
        CorpusError: If a worker dies; names the jobs that were under way.
    """
    # Spawned, not forked: OpenVINO's and OpenCV's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context, initializer=start) as pool:
        waiting = iter(jobs)
        running: dict[Future[Outcome], Job] = {}
        try:
            while True:
                for job in islice(waiting, 2 * num_workers - len(running)):
                    running[pool.submit(work, job)] = job
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    outcome = future.result()
                    running.pop(future)  # after a success: the message below names the others
                    yield outcome
        except BrokenProcessPool as err:
            raise CorpusError(
                f"a worker process died, perhaps for want of memory, near: "
                f"{', '.join(map(name, running.values()))}; what was finished is kept, run the "
                f"command again to go on"
            ) from err
