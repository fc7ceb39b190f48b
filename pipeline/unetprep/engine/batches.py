"""Batches of shards: what a worker is given at a time, and what it reports."""

import resource
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.engine.memory import lower_mmap_threshold
from unetprep.engine.pending import JobPlan
from unetprep.errors import Failure, UnetprepError
from unetprep.format.boxes import Box, Index
from unetprep.format.layout import ArraySpec
from unetprep.format.sharding import Chunks
from unetprep.stages.base import Job
from unetprep.store import Store

WRITING_THREADS = 16  # of a batch of small shards
SMALL_BYTES = 256 * 1024  # a shard that takes less time to compute than to reach the disk


@dataclass(frozen=True)
class ShardBatch:
    """Some shards of a job; a worker is given one or several at a time."""

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

    def take(self, size: int) -> tuple[ShardBatch, ...]:
        """Up to `size` shards, of one job or, where jobs have only a few, of several; () when none are left."""
        taken: list[ShardBatch] = []
        while size:
            if self._plan is None or self._at == self._plan.missing.size:
                self._plan, self._at = next(self._plans, None), 0
            if self._plan is None:
                break
            numbers = self._plan.missing[self._at : self._at + size]
            self._at += len(numbers)
            self.num_left -= len(numbers)
            size -= len(numbers)
            places = np.unravel_index(numbers, self._plan.job.num_shards)
            indices = tuple(zip(*(place.tolist() for place in places), strict=True))
            taken.append(ShardBatch(self._plan.job.of(indices), indices))
        return tuple(taken)


class _WriteBehind(Store):
    """A store that writes small shards on other threads, since a disk or a server takes many of them at a time."""

    def __init__(self, store: Store, executor: ThreadPoolExecutor) -> None:
        super().__init__(store.url, store.storage)
        self._documents = store._documents
        self._executor = executor
        self._pending: list[tuple[str, Future[None]]] = []

    def write(self, spec: ArraySpec, box: Box, block: NDArray[Any] | Chunks) -> None:
        """Write a shard; a small one is written when `finish` returns."""
        if not isinstance(block, dict) or sum(map(len, block.values())) > SMALL_BYTES:
            super().write(spec, box, block)
            return
        if len(self._pending) == WRITING_THREADS:
            self._finish_first()
        index = tuple(b.start // n for b, n in zip(box, spec.shard, strict=True))
        self._pending.append((f"shard {index} of {spec.path}", self._executor.submit(super().write, spec, box, block)))

    def finish(self) -> None:
        """Wait until all shards are written. Raises Failure for one that was not."""
        while self._pending:
            self._finish_first()

    def _finish_first(self) -> None:
        what, written = self._pending.pop(0)
        with _named(what):
            written.result()


def run_batch(store: Store, batch: Sequence[ShardBatch], stop: threading.Event | None = None) -> BatchResult:
    """Compute and write the shards of a batch, each as one object. `stop` ends the batch between two shards."""
    start, num_shards, num_pixels = time.perf_counter(), 0, 0
    is_limited = any(part.job.block for part in batch)  # blocks are chosen for a memory limit
    if is_limited:
        lower_mmap_threshold()
    with ThreadPoolExecutor(WRITING_THREADS) as executor:
        writer = _WriteBehind(store, executor)
        for job, index in ((part.job, index) for part in batch for index in part.indices):
            if stop and stop.is_set():
                break
            with _named(f"shard {index} of {job.outputs[0].path}"):
                num_pixels += job.run(store if is_limited else writer, index)
            num_shards += 1
        writer.finish()
    return BatchResult(num_shards, num_pixels, time.perf_counter() - start, peak_bytes())


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Translate errors of reading, computing or writing a shard into a Failure that names it."""
    try:
        yield
    except UnetprepError:
        raise
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        raise Failure(
            f"{what} could not be read or written: {error or type(error).__name__}",
            hint="remove the cause and repeat the command: it continues where it stopped",
        ) from error


def peak_bytes() -> int:
    """Peak memory of this process, in bytes.

    On Linux it is not taken from getrusage, which counts the process that started this one, up to its exec.
    """
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)
