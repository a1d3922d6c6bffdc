"""What every measurement here shares: the machine in a line, and commands with their time and peak memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """Wall seconds, processor seconds and the largest resident memory of a command and its children together."""

    wall_s: float
    cpu_s: float
    peak_gib: float
    code: int

    def __str__(self) -> str:
        return f"{self.wall_s:6.1f} s wall, {self.cpu_s:6.1f} s cpu, peak {self.peak_gib:.2f} GiB, exit {self.code}"


def machine() -> str:
    """Describe this machine as results quote it."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next(
            (x.split(":")[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")), model
        )
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {model}, Python {platform.python_version()}, load {load:.1f}"


def firstscan(*arguments: object) -> Measured:
    """Run the command line program and wait for it."""
    command = [str(Path(sys.executable).with_name("firstscan")), *map(str, arguments)]
    start, before = time.perf_counter(), os.times()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = [0]
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, over))
    watcher.start()
    code = process.wait()
    over.set()
    watcher.join()
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Measured(time.perf_counter() - start, cpu, peak[0] / 2**30, code)


def family_seconds(pid: int) -> float:
    """Return the processor seconds that a process and its living descendants have used so far."""
    ticks = 0
    for member in _family(pid):
        with suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _watch(pid: int, peak: list[int], over: threading.Event) -> None:
    """Note the largest sum of proportional set sizes over a process and its descendants, five times a second."""
    while not over.wait(0.2):
        peak[0] = max(peak[0], sum(_proportional_bytes(p) for p in _family(pid)))


def _family(pid: int) -> list[int]:
    members = [pid]
    for member in members:
        try:
            tasks = Path(f"/proc/{member}/task").iterdir()
            members += [int(c) for t in tasks for c in (t / "children").read_text().split()]
        except OSError:
            continue
    return members


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
