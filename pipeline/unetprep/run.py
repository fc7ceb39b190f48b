"""The engine: it brings the arrays of jobs up to date, on threads of this machine or on the workers of a Dask cluster.

A task is a batch of shards of one job. Its size is found while the run goes on, so that it lasts about a second, and
only a few tasks for each worker are handed out at a time: neither memory nor the scheduler's load grows with the number
of shards, and a run that is stopped has little to wait for.
"""

import logging
import os
import resource
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from unetprep.budget import Worker, give_back_memory
from unetprep.errors import Failure, InvalidInput, UnetprepError
from unetprep.grid import Index
from unetprep.params import Params
from unetprep.plan import JobPlan, plan_job
from unetprep.stage import Job, Stage
from unetprep.store import Store
from unetprep.store.lock import locked

TASK_S = 1.0
LARGEST_BATCH = 1024
TASKS_A_WORKER = 2  # in flight at a time

log = logging.getLogger("unetprep")

OnProgress = Callable[[int, int], None]  # shards done, shards to do


@dataclass(frozen=True)
class Scheduler:
    """Where tasks run: `local`, threads of this process, or the address of a Dask scheduler."""

    address: str = "local"
    workers: int = 0  # threads of the local scheduler; 0: one for each core
    memory_bytes: int | None = None  # of a process that works; None: not bounded

    @property
    def worker(self) -> Worker:
        """A process of the local scheduler: all its threads are in this one."""
        return Worker(self.memory_bytes, self.workers or os.cpu_count() or 1)

    def __post_init__(self) -> None:
        if self.address != "local" and not self.address.startswith(("tcp://", "tls://", "inproc://")):
            raise InvalidInput(
                f"scheduler is {self.address!r}", allowed="local, or the address of a Dask scheduler, tcp://HOST:PORT"
            )


@dataclass(frozen=True)
class Summary:
    """What a run did."""

    stage: str
    shards_total: int
    shards_written: int
    megapixels: float
    seconds: float
    peak_bytes: int  # of the process that needed the most memory

    @staticmethod
    def of(stage: str, total: int, done: "Done", start: float) -> "Summary":
        """From what the tasks reported, and when the run began (time.perf_counter)."""
        seconds = time.perf_counter() - start
        found = Summary(stage, total, done.num_shards, done.num_pixels / 1e6, seconds, max(done.peak_bytes, _peak()))
        log.info("%s: %s", stage, found)
        return found


@dataclass(frozen=True)
class Batch:
    """Some shards of a job."""

    job: Job
    indices: tuple[Index, ...]


@dataclass(frozen=True)
class Done:
    """What a task reports, and what all of them add up to."""

    num_shards: int = 0
    num_pixels: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0

    def __add__(self, other: "Done") -> "Done":
        return Done(
            self.num_shards + other.num_shards,
            self.num_pixels + other.num_pixels,
            self.seconds + other.seconds,
            max(self.peak_bytes, other.peak_bytes),
        )


def run_stage(
    store: Store,
    stage: Stage,
    params: Params,
    scheduler: Scheduler,
    *,
    overwrite: bool = False,
    on_progress: OnProgress = lambda done, total: None,
) -> Summary:
    """Bring all arrays of a stage up to date. What is finished is kept; with nothing left, nothing is done."""
    start, total, done = time.perf_counter(), 0, Done()
    with locked(store.storage, store.url):
        store = Store.open(store.url)  # as it is now that nobody else writes it
        for step in stage.steps:
            plans = [plan_job(store, job, overwrite) for job in step(store, params)]
            done += run_plans(store, plans, scheduler, on_progress, lambda: stage.describe(store, params))
            total += sum(plan.num_shards for plan in plans)
    return Summary.of(stage.name, total, done, start)


def run_plans(
    store: Store,
    plans: Sequence[JobPlan],
    scheduler: Scheduler,
    on_progress: OnProgress,
    describe: Callable[[], None] = lambda: None,
) -> Done:
    """Create the arrays, compute the missing shards, mark the arrays complete.

    `describe` writes what else belongs to the arrays; it is called once they stand there unfinished.
    """
    todo, total = sum(plan.missing.size for plan in plans), Done()
    with _pool(scheduler) if todo else _nothing() as pool:
        queue = Queue(within_memory(plans, pool.worker))
        for plan in plans:
            for spec in plan.create:
                store.create(spec)
            for spec in plan.job.outputs if plan.missing.size else ():
                store.set_complete(spec.path, False)
        if todo:
            describe()
        for done in pool.run(store, queue):
            total += done
            on_progress(total.num_shards, todo)
    for plan in plans:
        for spec in plan.job.outputs:
            store.set_complete(spec.path, True)
    return total


def within_memory(plans: Sequence[JobPlan], worker: Worker) -> list[JobPlan]:
    """The plans in blocks that fit into a worker; nothing has been written when it is refused."""
    todo = [plan for plan in plans if plan.missing.size]
    return [replace(plan, job=job) for plan, job in zip(todo, worker.fit([p.job for p in todo]), strict=True)]


class Queue:
    """The shards that are to be computed, handed out in batches."""

    def __init__(self, plans: Sequence[JobPlan]) -> None:
        self.num_left = sum(plan.missing.size for plan in plans)
        self._plans = (plan for plan in plans if plan.missing.size)
        self._plan: JobPlan | None = None
        self._at = 0

    def take(self, size: int) -> Batch | None:
        """Up to so many shards of one job; None when there are no more."""
        if self._plan is None or self._at == self._plan.missing.size:
            self._plan, self._at = next(self._plans, None), 0
        if self._plan is None:
            return None
        numbers = self._plan.missing[self._at : self._at + size]
        self._at += len(numbers)
        self.num_left -= len(numbers)
        places = np.unravel_index(numbers, self._plan.job.num_shards)
        indices = tuple(zip(*(place.tolist() for place in places), strict=True))
        return Batch(self._plan.job.of(indices), indices)


def run_batch(store: Store, batch: Batch, stop: threading.Event | None = None) -> Done:
    """What a worker does: compute each shard and write it, once and whole. Between two shards it can be stopped."""
    start, num_shards, num_pixels = time.perf_counter(), 0, 0
    if batch.job.block:  # chosen for a bound
        give_back_memory()
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
                hint="mend the cause and repeat the command: it goes on where it stopped",
            ) from error
        num_shards += 1
    return Done(num_shards, num_pixels, time.perf_counter() - start, _peak())


class Pool(ABC):
    """Workers, and how tasks reach them."""

    num_workers: int
    worker: Worker

    def run(self, store: Store, queue: Queue) -> Iterator[Done]:
        """Compute all shards of a queue. When one fails, or this is interrupted, nothing more is begun."""
        running: set[Any] = set()
        size = 1
        try:
            while True:
                while len(running) < self.num_workers * TASKS_A_WORKER and queue.num_left:
                    share = ceil(queue.num_left / (self.num_workers * TASKS_A_WORKER))
                    batch = queue.take(min(size, share))
                    assert batch
                    running.add(self.submit(store, batch))
                if not running:
                    return
                finished, running = self.wait(running)
                for future in finished:
                    done = future.result()
                    fitting = int(TASK_S * done.num_shards / max(done.seconds, 1e-6))
                    size = max(1, min(2 * size, fitting, LARGEST_BATCH))
                    yield done
        except BaseException:
            self.stop(running)
            raise

    @abstractmethod
    def submit(self, store: Store, batch: Batch) -> Any:
        """Hand a task to a worker; what is returned has a method result()."""

    @abstractmethod
    def wait(self, running: set[Any]) -> tuple[set[Any], set[Any]]:
        """Wait until a task is finished. Returns those that are and those that are not."""

    @abstractmethod
    def stop(self, running: set[Any]) -> None:
        """Begin none of these any more, and let those that run come to an end."""


class Threads(Pool):
    """Threads of this process: numba and the codecs let go of the GIL."""

    def __init__(self, executor: ThreadPoolExecutor, worker: Worker) -> None:
        self.num_workers = worker.threads
        self.worker = worker
        self._executor = executor
        self._stop = threading.Event()

    def submit(self, store: Store, batch: Batch) -> Any:
        """Hand it to a thread."""
        return self._executor.submit(run_batch, store, batch, self._stop)

    def wait(self, running: set[Any]) -> tuple[set[Any], set[Any]]:
        """Wait for the first."""
        finished, rest = wait(running, return_when=FIRST_COMPLETED)
        return finished, rest

    def stop(self, running: set[Any]) -> None:
        """Wait for the shards that are being written."""
        self._stop.set()
        for future in running:
            future.cancel()
        wait(running)


class Cluster(Pool):
    """The workers of a Dask cluster."""

    def __init__(self, client: Any, memory_bytes: int | None) -> None:
        self._client = client
        self.num_workers = max(1, sum(client.nthreads().values()))
        self.worker = Worker(memory_bytes, max(client.nthreads().values(), default=1), on_cluster=True)

    def submit(self, store: Store, batch: Batch) -> Any:
        """Hand it to the scheduler."""
        return self._client.submit(run_batch, store, batch, pure=False)

    def wait(self, running: set[Any]) -> tuple[set[Any], set[Any]]:
        """Wait for the first. The cluster may have grown or shrunk meanwhile."""
        from dask.distributed import wait

        found = wait(running, return_when="FIRST_COMPLETED")
        self.num_workers = max(1, sum(self._client.nthreads().values()))
        return found.done, found.not_done

    def stop(self, running: set[Any]) -> None:
        """Those that run already go on until they have written their shards, which are right in any case."""
        self._client.cancel(list(running))


@contextmanager
def _nothing() -> Iterator[Pool]:
    yield Threads(ThreadPoolExecutor(1), Worker(None, 1))


@contextmanager
def _pool(scheduler: Scheduler) -> Iterator[Pool]:
    if scheduler.address == "local":
        with ThreadPoolExecutor(scheduler.worker.threads) as executor:
            yield Threads(executor, scheduler.worker)
        return
    from dask.distributed import Client  # two seconds to import: only for those who use a cluster

    try:
        client = Client(scheduler.address, timeout="10s")
    except (OSError, TimeoutError) as error:
        raise Failure(
            f"no Dask scheduler answers at {scheduler.address}: {error}", hint="start one with: dask scheduler"
        ) from error
    with client:
        yield Cluster(client, scheduler.memory_bytes)


def _peak() -> int:
    """The most memory that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)
