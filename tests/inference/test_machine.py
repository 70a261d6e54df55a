"""What a process may use of its machine, read from made-up files of a system."""

import os
from pathlib import Path

import pytest

from lipwright.inference import machine
from lipwright.inference.machine import available_cores, cpu_instructions, this_machine

GIB = 2**30


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_limits_all_cores_that_the_process_is_bound_to_are_used(tmp_path: Path) -> None:
    assert available_cores(tmp_path) == 8


def test_a_process_bound_to_some_cores_uses_those(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 5}, raising=False)
    assert available_cores(tmp_path) == 2


def test_where_nobody_is_bound_the_machine_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_cores(tmp_path) == 6


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8)],
)
def test_a_quota_of_version_2_limits_the_cores(tmp_path: Path, quota: str, expected: int) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{quota}\n"}
    assert available_cores(write(tmp_path, files)) == expected


def test_the_tightest_quota_of_all_groups_above_holds(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/pods/one\n",
        "sys/fs/cgroup/pods/one/cpu.max": "max 100000\n",
        "sys/fs/cgroup/pods/cpu.max": "300000 100000\n",
        "sys/fs/cgroup/cpu.max": "max 100000\n",
    }
    assert available_cores(write(tmp_path, files)) == 3


@pytest.mark.parametrize(("quota", "expected"), [("400000", 4), ("-1", 8)])
@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_a_quota_of_version_1_limits_the_cores(
    tmp_path: Path, quota: str, expected: int, mount: str
) -> None:
    """In a container, the path is the host's, and the group is the topmost folder."""
    files = {
        "proc/self/cgroup": "5:memory:/docker/f00\n4:cpu,cpuacct:/docker/f00\n",
        f"sys/fs/cgroup/{mount}/cpu.cfs_quota_us": f"{quota}\n",
        f"sys/fs/cgroup/{mount}/cpu.cfs_period_us": "100000\n",
    }
    assert available_cores(write(tmp_path, files)) == expected


def test_memory_is_that_of_the_group_where_it_has_a_limit(tmp_path: Path) -> None:
    meminfo = f"MemTotal: {16 * GIB // 1024} kB\nMemAvailable: {9 * GIB // 1024} kB\n"
    root = write(tmp_path, {"proc/meminfo": meminfo})
    assert (this_machine(root=root).memory, this_machine(root=root).memory_free) == (
        16 * GIB,
        9 * GIB,
    )
    write(root, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{2 * GIB}\n"})
    assert (this_machine(root=root).memory, this_machine(root=root).memory_free) == (
        2 * GIB,
        2 * GIB,
    )


def test_no_limit_of_version_1_is_a_number_larger_than_any_memory(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": f"MemTotal: {4 * GIB // 1024} kB\n",
        "proc/self/cgroup": "3:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    assert machine.memory_limit(write(tmp_path, files)) == 4 * GIB


@pytest.mark.parametrize(
    ("flags", "expected", "has_int8", "has_bf16"),
    [
        ("fpu avx2 avx512f avx512_vnni", ("avx2", "avx512", "vnni"), True, False),
        ("avx2 avx_vnni", ("avx2", "vnni"), True, False),
        ("avx2 avx512f amx_bf16 amx_int8", None, True, True),
        ("avx2 avx512f avx512_bf16", None, False, True),
        ("sse2 avx2", ("avx2",), False, False),
    ],
)
def test_instructions_say_what_is_fast(
    tmp_path: Path,
    flags: str,
    expected: tuple[str, ...] | None,
    has_int8: bool,
    has_bf16: bool,
) -> None:
    root = write(tmp_path, {"proc/cpuinfo": f"model name\t: A CPU\nflags\t\t: {flags}\n"})
    found = this_machine(root=root, capabilities=("INT8", "BF16"))  # the system's word counts
    assert found.cpu == "A CPU"
    assert expected is None or found.instructions == expected
    assert (found.has_fast_int8, found.has_fast_bf16) == (has_int8, has_bf16)


def test_where_the_system_does_not_tell_openvino_does(tmp_path: Path) -> None:
    capabilities = ("FP32", "INT8", "BF16", "BIN")
    assert cpu_instructions(tmp_path, capabilities=capabilities) == ("bf16", "int8")
    found = this_machine(root=tmp_path, capabilities=capabilities)
    assert found.has_fast_int8
    assert found.has_fast_bf16
    assert found.cpu
