"""No refactor changes a digit: outputs for golden weights are those that were written down."""

import numpy as np
import pytest
from make_golden import golden_outputs, golden_path
from parity_cases import CASES

# Values in [0, 1]; the order in which a machine's vector units add up changes the seventh digit.
TOLERANCE = 2e-6


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_that_were_written_down(name: str) -> None:
    case = CASES[name]
    with np.load(golden_path(case)) as written:
        found = golden_outputs(case)
        assert found.keys() == set(written.files)
        for key, values in found.items():
            np.testing.assert_allclose(values, written[key], rtol=0, atol=TOLERANCE)


def test_golden_files_stay_small() -> None:
    for case in CASES.values():
        assert golden_path(case).stat().st_size < 40_000
