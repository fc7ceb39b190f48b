"""Two things timed side by side in one run, and the machine they ran on."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def ratio(ours: Callable[[], Any], theirs: Callable[[], Any], pairs: int) -> dict[str, float]:
    """Time both in turn; the median of ours / theirs over the pairs, its range, and the median seconds of each.

    Both have been called once before, so that nothing is compiled or loaded while the clock runs.
    """
    ours(), theirs()
    runs = [(seconds(ours), seconds(theirs)) for _ in range(pairs)]
    ratios = [a / b for a, b in runs]
    return {
        "ratio": round(statistics.median(ratios), 4),
        "ratio_min": round(min(ratios), 4),
        "ratio_max": round(max(ratios), 4),
        "ours_seconds": round(statistics.median(a for a, _ in runs), 6),
        "theirs_seconds": round(statistics.median(b for _, b in runs), 6),
        "pairs": pairs,
    }


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def run_process(words: Sequence[str]) -> dict[str, float]:
    """Run a command as a process of its own: its wall seconds, and the most memory that it held at a time."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(words)} failed:\n{said}")
    return {"seconds": time.perf_counter() - start, "peak_mib": usage.ru_maxrss / 1024}


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
