"""What this machine has, and how much of it this process may use.

A container sees all cores and all memory of its host; what it may use of them stands in the files
of its control groups, of which there are two versions.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path, PurePosixPath

ROOT = Path("/")
_INSTRUCTIONS = {  # as Linux calls them -> as they are called here
    "avx2": "avx2",
    "avx512f": "avx512",
    "avx512_vnni": "vnni",
    "avx_vnni": "vnni",
    "avx512_bf16": "avx512_bf16",
    "amx_bf16": "amx_bf16",
    "amx_int8": "amx_int8",
    "asimd": "neon",
    "asimddp": "dotprod",
}
# As OpenVINO calls its capabilities, for systems without /proc/cpuinfo.
_CAPABILITIES = {"INT8": "int8", "BF16": "bf16", "FP16": "fp16"}
_FAST_INT8 = frozenset({"vnni", "amx_int8", "int8"})
_FAST_BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What a machine has for running networks on its CPU."""

    cpu: str
    """Model of the CPU."""
    cores: int
    """That this process may use."""
    instructions: tuple[str, ...]
    """Those that matter to networks, such as ``avx2``, ``vnni``, ``amx_bf16``; sorted."""
    memory: int | None
    """Bytes that this process may use; None if nobody says."""
    memory_free: int | None
    """Of those, bytes that are free now."""

    @property
    def has_fast_int8(self) -> bool:
        """Whether int8 is faster than fp32: it has VNNI or AMX."""
        return not _FAST_INT8.isdisjoint(self.instructions)

    @property
    def has_fast_bf16(self) -> bool:
        """Whether bf16 is faster than fp32: it has AMX or the bf16 part of AVX-512."""
        return not _FAST_BF16.isdisjoint(self.instructions)


def this_machine(*, capabilities: tuple[str, ...] = (), root: Path = ROOT) -> Machine:
    """Look at this machine.

    Args:
        capabilities: What OpenVINO says that the CPU can do, for systems that do not say it
            themselves.
        root: Of the file system.

    Returns:
        What it has.
    """
    memory = memory_limit(root)
    free = _meminfo(root, "MemAvailable")
    return Machine(
        cpu=cpu_model(root),
        cores=available_cores(root),
        instructions=cpu_instructions(root, capabilities=capabilities),
        memory=memory,
        memory_free=free if memory is None or free is None else min(free, memory),
    )


def available_cores(root: Path = ROOT) -> int:
    """Cores that this process may keep busy: those it is bound to, or fewer under a quota.

    A quota of one and a half cores gives two: two threads do more under it than one.

    Args:
        root: Of the file system.

    Returns:
        At least 1.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # neither macOS nor Windows has it
        cores = os.cpu_count() or 1
    quotas = [quota for folder in _groups(root, "cpu") if (quota := _quota(folder)) is not None]
    return max(1, min([cores, *(ceil(quota) for quota in quotas)]))


def memory_limit(root: Path = ROOT) -> int | None:
    """Bytes of memory that this process may use.

    Args:
        root: Of the file system.

    Returns:
        The machine's, or fewer where a control group limits them; None if nobody says.
    """
    limits = [
        number
        for folder in _groups(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        if (number := _number(folder / name)) is not None
    ]
    total = _meminfo(root, "MemTotal")
    if total is None:
        with suppress(AttributeError, ValueError, OSError):  # Windows has none, others no such name
            total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if total is not None:
        limits.append(total)
    return min(limits, default=None)


def cpu_model(root: Path = ROOT) -> str:
    """What the CPU calls itself."""
    named = _cpuinfo(root, "model name")
    return named or platform.processor() or platform.machine() or "unknown"


def cpu_instructions(root: Path = ROOT, *, capabilities: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Instructions of the CPU that matter to networks.

    Args:
        root: Of the file system.
        capabilities: What OpenVINO says, asked where the system does not tell.

    Returns:
        Names, sorted: of ``/proc/cpuinfo``, else ``int8``, ``bf16``, ``fp16`` of OpenVINO.
    """
    flags = _cpuinfo(root, "flags") or _cpuinfo(root, "Features")  # x86, ARM
    if flags:
        return tuple(sorted({_INSTRUCTIONS[f] for f in flags.split() if f in _INSTRUCTIONS}))
    return tuple(sorted({_CAPABILITIES[c] for c in capabilities if c in _CAPABILITIES}))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, for one controller.

    A limit of any group above holds too. In a container the path may be the host's, which is not
    there; the container's own group is then the topmost folder, which is there.
    """
    mounts = root / "sys" / "fs" / "cgroup"
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:  # version 2
            tops = [mounts, mounts / "unified"]
        elif controller in controllers.split(","):
            tops = [mounts / controllers, mounts / controller]
        else:
            continue
        inner = PurePosixPath(path.lstrip("/"))
        for top in tops:
            yield from (top / part for part in (inner, *inner.parents) if (top / part).is_dir())


def _quota(group: Path) -> float | None:
    """Cores that a group may keep busy; None without a limit."""
    words = _text(group / "cpu.max").split()  # version 2: quota or "max", and period
    if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal():
        return int(words[0]) / max(1, int(words[1]))
    quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
    return None if quota is None or not period else quota / period  # -1, without a limit, is None


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _meminfo(root: Path, key: str) -> int | None:
    """Bytes of an entry of /proc/meminfo."""
    for line in _text(root / "proc" / "meminfo").splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == f"{key}:" and words[1].isdecimal():
            return int(words[1]) * 1024
    return None


def _cpuinfo(root: Path, key: str) -> str:
    """The first value of a key of /proc/cpuinfo; empty if there is none."""
    for line in _text(root / "proc" / "cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _text(path: Path) -> str:
    """Of a file of the system; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
