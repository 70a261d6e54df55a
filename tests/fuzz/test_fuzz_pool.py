"""What must not happen is seen, and the next file is still read."""

from pathlib import Path

import pytest
from fuzz_pool import Pool
from hostile_exercises import exercise_badly
from mutation import mutant


def test_what_must_not_happen_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    expected = {
        "mute": "without a word",
        "raise": "ZeroDivisionError",
        "die": "the interpreter died: exit code -11",
        "hang": "hangs: no answer within 10 s",
        "swell": "MiB of memory",
        "beside": "reached outside",
        "call": "reached outside",
    }
    with Pool(exercise_badly, tmp_path, seconds=10, largest=500 << 20) as pool:
        tally = pool.run((f"{kind}-1", b"x") for kind in ("well", *expected, "refuse"))
    assert tally.outcomes == {"step ok": 1, "step MediaError": 1, "failure": len(expected)}, str(
        tally
    )
    for (kind, said), failure in zip(expected.items(), tally.failures, strict=True):
        assert failure.startswith(f"{kind}-")
        assert said in failure
    assert {path.name for path in (tmp_path / "files").iterdir()} == {f"{k}-1" for k in expected}


def test_a_mutant_is_the_same_for_the_same_number_only() -> None:
    seeds = [bytes(range(256)) * 8, b"moov" * 200]
    first = [mutant(number, seeds, of=0) for number in range(50)]
    assert first == [mutant(number, seeds, of=0) for number in range(50)]
    assert len(set(first)) > 45
    assert seeds[0] not in first


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17])
def test_small_files_are_damaged_too(size: int) -> None:
    for number in range(100):
        assert len(mutant(number, [bytes(size), b"x"], of=0)) <= 9 * 17 + 16
