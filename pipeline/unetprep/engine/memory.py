"""Memory budget of a worker process, and the largest task blocks that fit into it.

A worker is a process. Its memory is a fixed part (interpreter and libraries), what a job keeps in it (compiled kernels,
decoded pictures), and one working set for each of its threads, since each works on a task of its own:

    memory >= process_bytes() + kept + threads * working set of a task

With threads of one process that is all there is; with several processes, as on a cluster, each has as much.
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
    """Cores that this process may use, of which a job on a shared machine has only a part."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def share_memory() -> None:
    """Have all threads take their memory from one heap; once for a process, before it has threads.

    By itself the C library of Linux has a heap for each thread, and what one of them has freed is not there for the
    others: 40 to 100 MiB more, and never the same. It costs no time that we could measure.
    """
    _tell_allocator(M_ARENA_MAX, 1)


@cache
def give_back_memory() -> None:
    """Have large arrays give their memory back as soon as they are gone; once for a process.

    By itself the C library of Linux keeps those of up to 32 MiB, which no formula foresees. It costs some time, so only
    a process whose memory is bounded does it.
    """
    _tell_allocator(M_MMAP_THRESHOLD, LARGE_ARRAY_BYTES)


def _tell_allocator(option: int, value: int) -> None:
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
    """A process that works on tasks: how much memory it may have, if that is bounded, and its threads."""

    memory_bytes: int | None
    threads: int
    on_cluster: bool = False

    @property
    def fixed_bytes(self) -> int:
        """What it has before it does anything: measured of this process, a constant for workers elsewhere."""
        return PROCESS_BYTES + CLUSTER_BYTES if self.on_cluster else process_bytes()

    def peak_bytes(self, job: Job, packing: Sequence[float] | None = None) -> int:
        """How much memory it needs for tasks of a job, `packing` being what becomes of a byte; see Job.working_set."""
        return self._around(job) + self.threads * job.working_set(packing)

    def smallest_bytes(self, job: Job) -> int:
        """The least memory that it can do with."""
        return self._around(job) + self.threads * job.smallest_working_set()

    def _around(self, job: Job) -> int:
        return self.fixed_bytes + job.resident_bytes()

    def fit(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs with the best blocks that fit. InvalidInput, naming the least memory that would do, if none does."""
        if self.memory_bytes is None:
            return list(jobs)
        fitting = [job.within((self.memory_bytes - self._around(job)) / self.threads) for job in jobs]
        if None in fitting:
            self.refuse(max(self.smallest_bytes(job) for job in jobs))
        return [job for job in fitting if job]

    def refuse(self, needed_bytes: int) -> None:
        """InvalidInput if that is more than it may have."""
        if self.memory_bytes is not None and needed_bytes > self.memory_bytes:
            least = ceil(needed_bytes / STEP_BYTES) * STEP_BYTES
            threads = f" and its {self.threads} threads" if self.threads > 1 else ""
            raise InvalidInput(
                f"memory is {format_bytes(self.memory_bytes)}, which is too little for a worker{threads}",
                allowed=f"--memory {format_bytes(least)} or more",
                hint="fewer threads in a process (--workers) need less" if self.threads > 1 else "",
            )

    def threads_for(self, task_bytes: int) -> int:
        """How many of its threads can work side by side on tasks that need so much; InvalidInput if not even one."""
        self.for_one_thread().refuse(self.fixed_bytes + task_bytes)
        if self.memory_bytes is None:
            return self.threads
        return min(self.threads, (self.memory_bytes - self.fixed_bytes) // task_bytes)

    def for_one_thread(self) -> "Worker":
        """The same process when but one of its threads works."""
        return replace(self, threads=1)
