"""What a process has used, from /proc: processor seconds, resident memory, and how often it woke up."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


def cpu_s(pid: int) -> float:
    """Processor seconds that the process has used, in user and system mode, all threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def wakeups(pid: int) -> int:
    """How often any of its threads has given up the processor to wait for something."""
    return sum(_status(task / "status", "voluntary_ctxt_switches") for task in Path(f"/proc/{pid}/task").iterdir())


def resident_mib(pid: int) -> float:
    """Memory that is resident now."""
    return _status_kib(pid, "VmRSS") / 1024


def peak_resident_mib(pid: int) -> float:
    """The most that has been resident since the process began."""
    return _status_kib(pid, "VmHWM") / 1024


def _status_kib(pid: int, name: str) -> int:
    return _status(Path(f"/proc/{pid}/status"), name)


def _status(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)
