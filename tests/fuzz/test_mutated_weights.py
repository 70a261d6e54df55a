"""Damaged files of weights end in a network or in a clear error, and nothing in them is run.

The long run is started, and a file that failed is made again, as in `test_mutated_media`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz_pool import Pool, Tally
from mutation import mutant
from weights_exercise import exercise_weights
from weights_seeds import weights_seeds

NUM_QUICK = 48
NUM_LONG = 1600


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return weights_seeds(tmp_path_factory.mktemp("seeds"))


def mutants(seeds: dict[str, bytes], numbers: range) -> Iterator[tuple[str, bytes]]:
    """Each seed in turn, damaged."""
    names, contents = list(seeds), list(seeds.values())
    for number in numbers:
        of = number % len(names)
        yield f"{number}-{names[of]}", mutant(number, contents, of=of)


def run(folder: Path, seeds: dict[str, bytes], numbers: range) -> Tally:
    with Pool(exercise_weights, folder) as pool:
        return pool.run(mutants(seeds, numbers))


def test_what_is_honest_is_read_before_it_is_damaged(
    seeds: dict[str, bytes], tmp_path: Path
) -> None:
    with Pool(exercise_weights, tmp_path) as pool:
        for name in ("own.safetensors", "generator.onnx"):
            path = tmp_path / name
            path.write_bytes(seeds[name])
            answer = pool.ask(path)
            assert not answer.failure
            assert answer.outcomes["metadata"] == answer.outcomes["load"] == "ok"


def test_mutated_weights_end_in_a_network_or_a_clear_error(
    seeds: dict[str, bytes], tmp_path: Path
) -> None:
    tally = run(tmp_path, seeds, range(NUM_QUICK))
    assert not tally.failures, str(tally)
    assert len(tally.outcomes) > 2  # both results and errors, or nothing was tried


@pytest.mark.fuzz
def test_mutated_weights_of_the_long_run(seeds: dict[str, bytes], tmp_path: Path) -> None:
    tally = run(tmp_path, seeds, range(NUM_QUICK, NUM_QUICK + NUM_LONG))
    print(tally)  # noqa: T201 - pytest -rP shows it
    assert not tally.failures, str(tally)
