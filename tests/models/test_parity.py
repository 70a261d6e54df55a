"""Networks compute what the papers' tables say, on every engine; see ``benchmarks/parity.py``."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from parity_cases import (
    CASES,
    Case,
    Inputs,
    Outputs,
    by_graph,
    by_openvino,
    by_reference,
    by_torch,
    compiled,
    exported,
    inputs_of,
    largest_difference,
    network_of,
    quantised,
    weights_of,
)

NUM_INPUTS = 20
FULL, REDUCED = 1e-5, 2e-2  # of values in [0, 1]
LARGE = {"generator 256", "generator 288"}  # in float64 these take seconds for each input
EXPORTED = [n for n, case in CASES.items() if case.kind != "discriminator" and n not in LARGE]


@pytest.fixture(scope="module", autouse=True)
def _threads() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parity")


@cache
def expected(name: str) -> tuple[Case, Inputs, Outputs]:
    """A case, its inputs, and what the plain float64 reference makes of them."""
    case = CASES[name]
    inputs = inputs_of(case, 2 if name in LARGE else NUM_INPUTS)
    return case, inputs, by_reference(case, weights_of(case), inputs)


@cache
def graph(name: str, folder: Path) -> Path:
    return exported(CASES[name], weights_of(CASES[name]), folder)


@pytest.mark.parametrize("name", CASES)
def test_golden_weights_keep_a_network_awake(name: str) -> None:
    """Outputs that are all alike, or all at the ends, would agree on anything."""
    case, inputs, reference = expected(name)
    assert len(inputs.mel) == (2 if name in LARGE else 20)
    for output in reference:
        assert output.std() > 0.01
        assert output.std(axis=0).mean() > 0.01  # from one input to another, too
        if case.kind != "expert":
            assert ((output > 0.02) & (output < 0.98)).mean() > 0.8


@pytest.mark.parametrize("name", CASES)
def test_torch_computes_what_the_plain_reference_does(name: str) -> None:
    case, inputs, reference = expected(name)
    found = by_torch(case, network_of(case, weights_of(case)), inputs)
    assert largest_difference(found, reference) <= FULL


@pytest.mark.parametrize("name", EXPORTED)
def test_openvino_computes_what_the_plain_reference_does(name: str, folder: Path) -> None:
    case, inputs, reference = expected(name)
    found = by_openvino(case, graph(name, folder), inputs, "fp32")
    assert largest_difference(found, reference) <= FULL


@pytest.mark.parametrize("name", EXPORTED)
def test_bf16_stays_near_the_plain_reference(name: str, folder: Path) -> None:
    case, inputs, reference = expected(name)
    found = by_openvino(case, graph(name, folder), inputs, "bf16")
    assert largest_difference(found, reference) <= REDUCED


@pytest.mark.parametrize("name", ["compact generator", "compact expert"])
def test_bf16_gives_the_same_again_whatever_the_memory_held(name: str, folder: Path) -> None:
    """oneDNN's bf16 convolutions read memory that is not theirs on very narrow maps."""
    case, inputs, _ = expected(name)
    first = by_openvino(case, graph(name, folder), inputs, "bf16")
    for size in (10_000, 300_000, 2_000_000):
        poison = [np.full(size, np.nan, dtype=np.float32) for _ in range(20)]
        del poison
        again = by_openvino(case, graph(name, folder), inputs, "bf16")
        for a, b in zip(first, again, strict=True):
            assert np.isfinite(b).all()
            assert np.array_equal(a, b)


@pytest.mark.parametrize("name", ["generator 96", "expert", "compact generator", "compact expert"])
def test_int8_stays_near_the_plain_reference(name: str, folder: Path) -> None:
    case, inputs, reference = expected(name)
    made = quantised(case, graph(name, folder), num_calibration=24, num_checks=8)
    assert made.int8_share > 0.9
    assert largest_difference(by_graph(compiled(made.model, "f32"), inputs), reference) <= REDUCED
