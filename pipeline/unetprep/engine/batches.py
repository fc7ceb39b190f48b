"""Batches of shards: what a worker is given at a time, and what it reports."""

import resource
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetprep.engine.memory import lower_mmap_threshold
from unetprep.engine.pending import JobPlan
from unetprep.errors import Failure, UnetprepError
from unetprep.format.boxes import Index
from unetprep.stages.base import Job
from unetprep.store import Store


@dataclass(frozen=True)
class ShardBatch:
    """Some shards of a job."""

    job: Job
    indices: tuple[Index, ...]


@dataclass(frozen=True)
class BatchResult:
    """Result of a batch, or the sum of the results of many."""

    num_shards: int = 0
    num_pixels: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0
    retries: int = 0

    def __add__(self, other: "BatchResult") -> "BatchResult":
        return BatchResult(
            self.num_shards + other.num_shards,
            self.num_pixels + other.num_pixels,
            self.seconds + other.seconds,
            max(self.peak_bytes, other.peak_bytes),
            self.retries + other.retries,
        )


class BatchQueue:
    """The pending shards of some plans, handed out in batches."""

    def __init__(self, plans: Sequence[JobPlan]) -> None:
        self.num_left = sum(plan.missing.size for plan in plans)
        self._plans = (plan for plan in plans if plan.missing.size)
        self._plan: JobPlan | None = None
        self._at = 0

    def take(self, size: int) -> ShardBatch | None:
        """Up to `size` shards of one job; None when none are left."""
        if self._plan is None or self._at == self._plan.missing.size:
            self._plan, self._at = next(self._plans, None), 0
        if self._plan is None:
            return None
        numbers = self._plan.missing[self._at : self._at + size]
        self._at += len(numbers)
        self.num_left -= len(numbers)
        places = np.unravel_index(numbers, self._plan.job.num_shards)
        indices = tuple(zip(*(place.tolist() for place in places), strict=True))
        return ShardBatch(self._plan.job.of(indices), indices)


def run_batch(store: Store, batch: ShardBatch, stop: threading.Event | None = None) -> BatchResult:
    """Compute and write the shards of a batch, each as one object. `stop` ends the batch between two shards."""
    start, num_shards, num_pixels = time.perf_counter(), 0, 0
    if batch.job.block:  # chosen for a memory limit
        lower_mmap_threshold()
    for index in batch.indices:
        if stop and stop.is_set():
            break
        try:
            num_pixels += batch.job.run(store, index)
        except UnetprepError:
            raise
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            raise Failure(
                f"shard {index} of {batch.job.outputs[0].path} could not be read or written:"
                f" {error or type(error).__name__}",
                hint="remove the cause and repeat the command: it continues where it stopped",
            ) from error
        num_shards += 1
    return BatchResult(num_shards, num_pixels, time.perf_counter() - start, peak_bytes())


def peak_bytes() -> int:
    """Peak memory of this process, in bytes.

    On Linux it is not taken from getrusage, which counts the process that started this one, up to its exec.
    """
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)
