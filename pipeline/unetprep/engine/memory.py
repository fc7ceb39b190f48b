"""Memory budget of a worker process, and the largest task blocks that fit into it.

A worker is a process. Its memory is a fixed part (interpreter and libraries), what a job keeps in it (compiled kernels,
decoded pictures), and one working set for each of its threads, since each works on a task of its own:

    memory >= process_bytes() + kept + threads * working set of a task

Threads of one process share this memory; several processes, as on a cluster, have as much each.
"""

import ctypes
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from pathlib import Path

from unetprep.errors import InvalidInput
from unetprep.params import format_bytes
from unetprep.stages.base import Job

PROCESS_BYTES = 176 * 2**20  # measured once all libraries are imported: 158 to 172 MiB; and what grows later
GROWTH_BYTES = 8 * 2**20  # of a process while it works, besides kernels and working sets: threads, small objects
STEP_OF_PROCESS_BYTES = 8 * 2**20  # so that two runs of a command find one figure, though resident pages differ
CLUSTER_BYTES = 60 * 2**20  # what Dask's `distributed` adds to that in a worker of a cluster
STEP_BYTES = 2**20  # a refusal names whole steps

LARGE_ARRAY_BYTES = 2**20
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of malloc.h


def num_cores() -> int:
    """Cores that this process may use; on a shared machine a job may have only a part of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def limit_malloc_arenas() -> None:
    """Have all threads allocate from one malloc arena; once for a process, before it has threads.

    By default glibc has an arena for each thread, and memory that one thread frees is not available to the others: 40
    to 100 MiB more, which vary from run to run. One arena costs no time that we could measure.
    """
    _set_malloc_option(M_ARENA_MAX, 1)


@cache
def lower_mmap_threshold() -> None:
    """Return the memory of large arrays to the system when they are freed; once for a process.

    By default glibc keeps freed blocks of up to 32 MiB, which no formula predicts. The setting costs some time, so
    it is made only in a process whose memory is limited.
    """
    _set_malloc_option(M_MMAP_THRESHOLD, LARGE_ARRAY_BYTES)


def _set_malloc_option(option: int, value: int) -> None:
    with suppress(AttributeError, OSError, TypeError):  # another system, which has another library
        ctypes.CDLL(None).mallopt(option, value)


@cache
def process_bytes() -> int:
    """Memory of this process before it works, measured at the first call, once libraries are loaded.

    At least PROCESS_BYTES, which is all that is known on systems without /proc.
    """
    with suppress(OSError, ValueError):
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        measured = ceil((resident + GROWTH_BYTES) / STEP_OF_PROCESS_BYTES) * STEP_OF_PROCESS_BYTES
        return max(PROCESS_BYTES, measured)
    return PROCESS_BYTES


@dataclass(frozen=True)
class Worker:
    """A worker process: its memory limit, if it has one, and its threads."""

    memory_bytes: int | None
    threads: int
    on_cluster: bool = False

    @property
    def fixed_bytes(self) -> int:
        """Memory before any task: measured for this process, a constant for workers elsewhere."""
        return PROCESS_BYTES + CLUSTER_BYTES if self.on_cluster else process_bytes()

    def peak_bytes(self, job: Job, packing: Sequence[float] | None = None) -> int:
        """Peak memory for tasks of a job; `packing` is the compressed size of a byte, see Job.working_set."""
        return self._around(job) + self.threads * job.working_set(packing)

    def smallest_bytes(self, job: Job) -> int:
        """The least memory that tasks of a job need, in the smallest blocks."""
        return self._around(job) + self.threads * job.smallest_working_set()

    def _around(self, job: Job) -> int:
        return self.fixed_bytes + job.resident_bytes()

    def fit(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs with the best blocks that fit. Raises InvalidInput, naming the least memory, if none fits."""
        if self.memory_bytes is None:
            return list(jobs)
        fitting = [job.within((self.memory_bytes - self._around(job)) / self.threads) for job in jobs]
        if None in fitting:
            self.refuse(max(self.smallest_bytes(job) for job in jobs))
        return [job for job in fitting if job]

    def refuse(self, needed_bytes: int) -> None:
        """Raise InvalidInput, naming the least memory that would do, if the worker has less than `needed_bytes`."""
        if self.memory_bytes is not None and needed_bytes > self.memory_bytes:
            least = ceil(needed_bytes / STEP_BYTES) * STEP_BYTES
            threads = f" and its {self.threads} threads" if self.threads > 1 else ""
            raise InvalidInput(
                f"memory is {format_bytes(self.memory_bytes)}, which is too little for a worker{threads}",
                allowed=f"--memory {format_bytes(least)} or more",
                hint="fewer threads in a process (--workers) need less" if self.threads > 1 else "",
            )

    def threads_for(self, task_bytes: int) -> int:
        """How many threads can run tasks of `task_bytes` each at a time. Raises InvalidInput if not even one can."""
        self.for_one_thread().refuse(self.fixed_bytes + task_bytes)
        if self.memory_bytes is None:
            return self.threads
        return min(self.threads, (self.memory_bytes - self.fixed_bytes) // task_bytes)

    def for_one_thread(self) -> "Worker":
        """The process when a single thread works."""
        return replace(self, threads=1)
