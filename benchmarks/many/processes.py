"""Whole commands as processes: their CPU time, wall time and memory, several variants in turn."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Command = tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """What commands took: user and system time, wall time, and the largest memory of one of their processes."""

    cpu_s: float
    wall_s: float
    peak_mib: float

    def rounded(self) -> dict[str, float]:
        """For JSON."""
        return {"cpu_s": round(self.cpu_s, 3), "wall_s": round(self.wall_s, 3), "peak_mib": round(self.peak_mib, 1)}


@dataclass(frozen=True)
class Variant:
    """Commands that are timed as one: one after the other, or all at once if `together`.

    `makes` is removed before each run, and after it unless `keep`. `before` runs between the two, and is not timed.
    """

    commands: Sequence[Command]
    makes: Sequence[Path] = ()
    keep: bool = False
    together: bool = False
    before: Callable[[], object] = lambda: None

    def run(self) -> Cost:
        """Run the commands once."""
        self._remove()
        self.before()
        os.sync()  # what others have written is on the disk, so that a command that syncs does not wait for it
        batches = [self.commands] if self.together else [[command] for command in self.commands]
        costs = [_run(batch) for batch in batches]
        if not self.keep:
            self._remove()
        return Cost(sum(c.cpu_s for c in costs), sum(c.wall_s for c in costs), max(c.peak_mib for c in costs))

    def _remove(self) -> None:
        for path in self.makes:
            shutil.rmtree(path, ignore_errors=True)


def in_turn(variants: Mapping[str, Variant], repeats: int) -> dict[str, Cost]:
    """Run the variants in turn, A B A B; the least CPU and wall time of each, and its largest memory."""
    runs: dict[str, list[Cost]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, variant in variants.items():
            runs[name].append(variant.run())
    return {
        name: Cost(min(c.cpu_s for c in costs), min(c.wall_s for c in costs), max(c.peak_mib for c in costs))
        for name, costs in runs.items()
    }


def _run(commands: Sequence[Command]) -> Cost:
    """Start the commands at once and wait for all. Raises RuntimeError if one fails.

    The kernel counts the memory of a process from that of its parent on, so the caller has to hold little memory.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["OMP_NUM_THREADS"] = "1"
    cpu_s, peak_kib = 0.0, 0
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        started = [subprocess.Popen(words, stdout=said, stderr=said, env=environment) for words in commands]
        for process in started:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu_s, peak_kib = cpu_s + used.ru_utime + used.ru_stime, max(peak_kib, used.ru_maxrss)
        wall_s = time.perf_counter() - start
        if any(process.returncode for process in started):
            said.seek(0)
            raise RuntimeError(f"{commands} failed:\n{said.read()}")
    return Cost(cpu_s, wall_s, peak_kib / 1024)
