"""Damaged media files end in a result or in a clear error, never in a crash, hang or flood.

The long run: ``pytest -m fuzz tests/fuzz``. To repeat the failure of one file, whose name begins
with its number: ``pytest tests/fuzz/test_mutated_media.py -m fuzz -k long``, and look at the file
that was kept, or make it again with `mutant(number, ...)`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz_pool import Pool, Tally
from media_exercise import exercise_media
from media_seeds import media_seeds
from mutation import mutant

NUM_QUICK = 70
NUM_LONG = 2400


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return media_seeds(tmp_path_factory.mktemp("seeds"))


def mutants(seeds: dict[str, bytes], numbers: range) -> Iterator[tuple[str, bytes]]:
    """Each seed in turn, damaged."""
    names, contents = list(seeds), list(seeds.values())
    for number in numbers:
        of = number % len(names)
        yield f"{number}-{names[of]}", mutant(number, contents, of=of)


def run(folder: Path, seeds: dict[str, bytes], numbers: range) -> Tally:
    with Pool(exercise_media, folder) as pool:
        return pool.run(mutants(seeds, numbers))


def test_every_seed_is_read_before_it_is_damaged(seeds: dict[str, bytes], tmp_path: Path) -> None:
    with Pool(exercise_media, tmp_path) as pool:
        for name, raw in seeds.items():
            path = tmp_path / name
            path.write_bytes(raw)
            answer = pool.ask(path)
            assert not answer.failure, name
            outcomes = answer.outcomes
            assert "ok" in {outcomes["native"], outcomes["speech"]}, name
            assert outcomes["probe"] == outcomes["native"] == outcomes["rgb"], name


def test_mutated_media_end_in_a_result_or_a_clear_error(
    seeds: dict[str, bytes], tmp_path: Path
) -> None:
    tally = run(tmp_path, seeds, range(NUM_QUICK))
    assert not tally.failures, str(tally)
    assert len(tally.outcomes) > 2  # both results and errors, or nothing was tried


@pytest.mark.fuzz
def test_mutated_media_of_the_long_run(seeds: dict[str, bytes], tmp_path: Path) -> None:
    tally = run(tmp_path, seeds, range(NUM_QUICK, NUM_QUICK + NUM_LONG))
    print(tally)  # noqa: T201 - pytest -rP shows it
    assert not tally.failures, str(tally)
