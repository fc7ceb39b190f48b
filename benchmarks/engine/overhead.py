"""What the engine itself costs: time and memory of a job that does nothing, by the number of its shards.

    python -m benchmarks.engine.overhead            writes overhead.json beside this file

Each figure is of a process of its own. With `processes`, the scheduler runs in the client's process, so that the memory
is that of both.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine.jobs import nothing
from benchmarks.measure import machine, write
from unetprep.engine.batches import BatchQueue, peak_bytes
from unetprep.engine.pending import JobPlan
from unetprep.engine.pools import pool_of
from unetprep.engine.run import Scheduler
from unetprep.store import Store

HERE = Path(__file__).parent
REPEATS = 3
SIZES = (1_000, 100_000, 1_000_000)


def measure(kind: str, num_shards: int) -> dict[str, float]:
    """Microseconds a shard, without the start of the cluster, and the most memory of this process."""
    with pool_of(Scheduler(kind, workers=2)) as pool:
        warm_up(pool)
        start = time.perf_counter()
        job = nothing(num_shards)
        queue = BatchQueue([JobPlan(job, (), np.arange(num_shards))])
        done = sum(done.num_shards for done in pool.run(Store("nowhere"), queue))
        seconds = time.perf_counter() - start
    assert done == num_shards
    return {"us_a_shard": seconds / num_shards * 1e6, "peak_mib": peak_bytes() / 2**20}


def warm_up(pool: Any) -> None:
    """Let every worker import what it needs."""
    job = nothing(100)
    list(pool.run(Store("nowhere"), BatchQueue([JobPlan(job, (), np.arange(100))])))


def in_processes(kind: str, num_shards: int) -> dict[str, Any]:
    """The median of several processes."""
    runs = []
    for _ in range(REPEATS):
        words = [sys.executable, "-m", "benchmarks.engine.overhead", kind, str(num_shards)]
        found = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        runs.append(json.loads(found.splitlines()[-1]))
    return {name: round(float(np.median([run[name] for run in runs])), 2) for name in runs[0]} | {"shards": num_shards}


def main() -> None:
    """Measure on threads and on processes."""
    found: dict[str, Any] = {"machine": machine("numpy", "dask", "distributed"), "repeats": REPEATS, "workers": 2}
    for kind in ("local", "processes"):
        rows = [in_processes(kind, num_shards) for num_shards in SIZES]
        found[kind] = {"sizes": rows, "growth_mib": round(rows[-1]["peak_mib"] - rows[0]["peak_mib"], 1)}
    write(HERE / "overhead.json", found)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
