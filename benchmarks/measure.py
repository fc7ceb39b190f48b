"""Two things timed side by side in one run, and the machine they ran on."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def ratio(
    ours: Callable[[], Any],
    theirs: Callable[[], Any],
    pairs: int,
    before: Callable[[], Any] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Time both in turn; the median of ours / theirs over the pairs, its range, and the median seconds of each.

    Both have been called once before, so that nothing is compiled or loaded while the clock runs. `before` is called
    before each pair, and is not timed. `clock` may be time.process_time, where others use the machine too.
    """
    runs = []
    for _ in range(pairs + 1):
        before()
        runs.append((seconds(ours, clock), seconds(theirs, clock)))
    del runs[0]
    ratios = [a / b for a, b in runs]
    return {
        "ratio": round(statistics.median(ratios), 4),
        "ratio_min": round(min(ratios), 4),
        "ratio_max": round(max(ratios), 4),
        "ours_seconds": round(statistics.median(a for a, _ in runs), 6),
        "theirs_seconds": round(statistics.median(b for _, b in runs), 6),
        "pairs": pairs,
    }


def seconds(call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """How long a call takes."""
    start = clock()
    call()
    return clock() - start


def run_process(words: Sequence[str]) -> dict[str, float]:
    """Run a command as a process of its own: its wall seconds, and the most memory that it held at a time.

    The kernel's `ru_maxrss` would begin with what this process holds, so the peak is looked up every few milliseconds.
    """
    start, peak_kib = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=said)
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak_kib = max(peak_kib, *(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line), 0)
            time.sleep(0.005)
        seconds = time.perf_counter() - start
        said.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(words)} failed:\n{said.read()}")
    return {"seconds": seconds, "peak_mib": peak_kib / 1024}


def machine(*packages: str) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if not described.exists():
        return platform.processor()
    lines = described.read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def described(found: dict[str, Any]) -> str:
    """The machine of some results, in a line."""
    about = found["machine"]
    packages = ", ".join(f"{k} {v}" for k, v in about.items() if k not in ("processor", "cores", "system"))
    return f"{about['processor']}, {about['cores']} cores ({packages})"


def spread(found: dict[str, float]) -> str:
    """A ratio with its range, for a table."""
    return f"**{found['ratio']:.3g}** ({found['ratio_min']:.3g} to {found['ratio_max']:.3g})"


def page(title: str, module: str, source: str, about: str, columns: str, rows: Sequence[str], *after: str) -> str:
    """A page of results: a heading, where it comes from, what it is, a table, and what is said after that."""
    written = f"Written by `python -m {module}` from {source}."
    line = "|" + "---|" * (columns.count("|") - 1)
    return "\n".join([f"# {title}", "", written, "", about, "", columns, line, *rows, "", *after, *[""] * bool(after)])


def write(path: Path, results: dict[str, Any]) -> None:
    """Write the results, and print them."""
    text = json.dumps(results, indent=1)
    path.write_text(text + "\n")
    print(text)
