"""Many jobs: networks are loaded once, nothing stops the others, what is done is not repeated."""

import json
import signal
import subprocess  # noqa: TID251 - what a signal leaves behind shows only from outside
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from lipwright.cli import main
from lipwright.errors import ConfigError, MediaError
from lipwright.inference import LipSync, Progress, SyncOptions, SyncResult, batch
from lipwright.inference.batch import BatchResult, default_parallel, record_path, run_batch
from lipwright.inference.joblist import BatchJob
from lipwright.inference.machine import Machine
from lipwright.media import probe, read_speech

RATE = 16_000
PATIENCE = 120  # seconds until a test gives up


def write_sound(path: Path, samples: NDArray[np.float32]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def word(demo_speech: Path, tmp_path: Path) -> Path:
    """0.8 s of speech."""
    return write_sound(tmp_path / "word.wav", read_speech(demo_speech)[: RATE * 4 // 5])


@pytest.fixture
def jobs(astronaut_file: Path, word: Path, tmp_path: Path) -> list[BatchJob]:
    return [
        BatchJob(face=astronaut_file, speech=word, out=tmp_path / f"{name}.mp4") for name in "abc"
    ]


def run(jobs: Sequence[BatchJob], folder: Path, **options: int) -> list[BatchResult]:
    return run_batch(jobs, record=folder / "jobs.done.json", **options)  # type: ignore[arg-type]


def statuses(results: Sequence[BatchResult]) -> list[str]:
    return [result.status for result in results]


def test_a_job_that_fails_does_not_stop_the_others(
    jobs: list[BatchJob], word: Path, tmp_path: Path
) -> None:
    jobs[1] = replace(jobs[1], face=word)
    results = run(jobs, tmp_path, parallel=2)
    assert statuses(results) == ["done", "failed", "done"]
    assert [result.job for result in results] == jobs
    assert results[1].error is not None
    assert "has no picture" in results[1].error
    assert results[0].made is not None
    assert results[0].made.num_frames == probe(jobs[0].out).num_frames == 20
    assert not jobs[1].out.exists()


def test_networks_are_loaded_once_for_all_jobs_of_a_model(
    jobs: list[BatchJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    class Counted(LipSync):
        def __init__(self, model: str, **options: object) -> None:
            made.append(model)
            super().__init__(model, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "LipSync", Counted)
    jobs[2] = replace(jobs[2], model="nobody")
    results = run(jobs, tmp_path, parallel=3)
    assert statuses(results) == ["done", "done", "failed"]
    assert sorted(made) == ["lipwright-160"]  # an unknown model is refused before that


def test_what_is_finished_is_skipped_until_something_changes(
    jobs: list[BatchJob], word: Path, tmp_path: Path
) -> None:
    assert statuses(run(jobs, tmp_path)) == ["done"] * 3
    stamps = [job.out.stat().st_mtime_ns for job in jobs]
    again = run(jobs, tmp_path)
    assert statuses(again) == ["skipped"] * 3
    assert [result.attempts for result in again] == [0] * 3
    assert [job.out.stat().st_mtime_ns for job in jobs] == stamps

    jobs[0] = replace(jobs[0], options=SyncOptions(amplitude=0.5))
    jobs[1].out.write_bytes(b"somebody else's")
    assert statuses(run(jobs, tmp_path)) == ["done", "done", "skipped"]
    jobs[2].out.unlink()
    assert statuses(run(jobs, tmp_path)) == ["skipped", "skipped", "done"]
    write_sound(word, read_speech(word)[: RATE * 3 // 5])
    assert statuses(run(jobs, tmp_path)) == ["done"] * 3


def test_a_damaged_record_costs_work_and_no_more(
    jobs: list[BatchJob], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(jobs[:1], tmp_path)
    (tmp_path / "jobs.done.json").write_text("{")
    assert statuses(run(jobs[:1], tmp_path)) == ["done"]
    assert "is damaged" in caplog.text
    assert statuses(run(jobs[:1], tmp_path)) == ["skipped"]


class Failing(LipSync):
    """Fails some times before it renders."""

    error: Exception = MediaError("the address does not answer")
    num_failures = 2

    def sync(self, *words: object, **options: object) -> SyncResult:
        if type(self).num_failures > 0:
            type(self).num_failures -= 1
            raise self.error
        return super().sync(*words, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "retries", "expected"),
    [
        (MediaError("the address does not answer"), 2, ("done", 3, None)),
        (MediaError("the address does not answer"), 1, ("failed", 2, "does not answer")),
        (ConfigError("no such setting"), 2, ("failed", 1, "no such setting")),
        (ZeroDivisionError("by zero"), 2, ("failed", 1, "unexpected ZeroDivisionError")),
    ],
)
def test_only_what_may_go_better_is_tried_again(
    error: Exception,
    retries: int,
    expected: tuple[str, int, str | None],
    jobs: list[BatchJob],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Failing, "error", error)
    monkeypatch.setattr(Failing, "num_failures", 2)
    monkeypatch.setattr(batch, "LipSync", Failing)
    (result,) = run(jobs[:1], tmp_path, retries=retries)
    status, attempts, told = expected
    assert (result.status, result.attempts) == (status, attempts)
    assert (told is None) == (result.error is None)
    assert told is None or told in str(result.error)


def test_jobs_run_side_by_side(jobs: list[BatchJob], tmp_path: Path) -> None:
    together = Barrier(3, timeout=PATIENCE)

    def meet(_job: BatchJob, progress: Progress) -> None:
        if progress.done == 1:
            together.wait()  # breaks unless all three are under way

    results = run_batch(jobs, record=tmp_path / "r.json", parallel=3, on_progress=meet)
    assert statuses(results) == ["done"] * 3


@pytest.mark.parametrize("options", [{"parallel": 0}, {"retries": -1}])
def test_numbers_out_of_range_are_refused(
    options: dict[str, int], jobs: list[BatchJob], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="at least"):
        run(jobs, tmp_path, **options)


def machine(cores: int, memory: int | None) -> Machine:
    return Machine(cpu="any", cores=cores, instructions=(), memory=memory, memory_free=memory)


def test_cores_and_memory_say_how_many_run_at_once(
    astronaut: NDArray[np.uint8], astronaut_file: Path, tmp_path: Path
) -> None:
    assert default_parallel(machine(1, None)) == 1
    assert default_parallel(machine(2, 1 << 40)) == 1
    assert default_parallel(machine(16, 1 << 40), [astronaut_file]) == 8
    assert default_parallel(machine(16, None), [astronaut_file]) == 8
    small = default_parallel(machine(16, 800 << 20), [astronaut_file, "http://example.org/a"])
    assert 1 < small < 8
    assert default_parallel(machine(16, 1 << 20), [astronaut_file]) == 1


@pytest.fixture
def listed(astronaut_file: Path, word: Path, tmp_path: Path) -> Path:
    path = tmp_path / "jobs.toml"
    path.write_text(
        f'[defaults]\nspeech = "word.wav"\n'
        f'[[job]]\nface = "{astronaut_file}"\nout = "one.mp4"\n'
        f'[[job]]\nface = "word.wav"\nout = "other.mp4"\n'
    )
    return path


def test_the_command_tells_what_became_of_each_and_leaves_with_one(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["batch", str(listed)])
    assert left.value.code == 1
    told = capsys.readouterr()
    rows = told.out.splitlines()
    assert rows[0].startswith("done")
    assert "20 of 20 frames synced" in rows[0]
    assert rows[1].startswith("failed")
    assert "has no picture" in rows[1]
    assert rows[2] == "1 done, 0 skipped, 1 failed"
    assert "error: 1 of 2 jobs failed" in told.err
    assert record_path(listed).exists()

    with pytest.raises(SystemExit):
        main(["batch", str(listed), "--json", "--jobs", "2", "--retries", "1"])
    held = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in held] == ["skipped", "failed"]
    assert [row["attempts"] for row in held] == [0, 2]

    listed.write_text(listed.read_text().split('[[job]]\nface = "word')[0])
    main(["batch", str(listed)])  # nothing has failed: no exit code
    assert "0 done, 1 skipped, 0 failed" in capsys.readouterr().out


def test_an_interrupt_stops_all_jobs_and_leaves_nothing_half_written(
    astronaut_file: Path, demo_speech: Path, tmp_path: Path
) -> None:
    write_sound(tmp_path / "long.wav", np.tile(read_speech(demo_speech), 60))
    rows = [f'[[job]]\nface = "{astronaut_file}"\nout = "{name}.mp4"\n' for name in "abc"]
    (tmp_path / "jobs.toml").write_text('[defaults]\nspeech = "long.wav"\n' + "".join(rows))
    process = subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", "lipwright", "batch", str(tmp_path / "jobs.toml"), "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while len([f for f in tmp_path.glob(".lipwright-*") if f.stat().st_size]) < 2:
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(process.communicate())
    process.send_signal(signal.SIGTERM)
    told = time.monotonic()
    _, said = process.communicate(timeout=PATIENCE)
    took = time.monotonic() - told
    assert process.returncode == 143
    assert b"interrupted" in said
    assert b"Traceback" not in said
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == ["jobs.toml", "long.wav"], f"it went on for {took:.1f} s: {said.decode()}"


def test_an_interrupt_is_noticed_whichever_thread_the_system_gives_it_to(
    jobs: list[BatchJob], tmp_path: Path
) -> None:
    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    def interrupt(_job: BatchJob, progress: Progress) -> None:
        if progress.done == 1:
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)  # the thread of the job

    write_sound(tmp_path / "long.wav", np.zeros(RATE * 120, np.float32))
    jobs = [replace(job, speech=tmp_path / "long.wav") for job in jobs]
    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_batch(jobs[:1], record=tmp_path / "jobs.done.json", on_progress=interrupt)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not (tmp_path / "a.mp4").exists()
