"""Execution of jobs, on threads of this machine or on the workers of a Dask cluster.

A task is a batch of shards of one job. Its size is found while the run goes on, so that it lasts about a second, and
only a few tasks for each worker are handed out at a time: neither memory nor the scheduler's load grows with the number
of shards, and a run that is stopped has little to wait for.
"""

import logging
import resource
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from unetprep.engine.dask_cluster import connected, end_tasks, first_finished, num_threads, patiently, told
from unetprep.engine.memory import Worker, give_back_memory
from unetprep.engine.pending import JobPlan, missing_shards, plan_jobs
from unetprep.engine.scheduler import Scheduler as Scheduler
from unetprep.engine.thread_tasks import TASKS_A_WORKER, OnProgress
from unetprep.errors import Failure, UnetprepError
from unetprep.format.boxes import Index
from unetprep.parameter import Params
from unetprep.stages.base import Job, Stage
from unetprep.storage.lock import locked
from unetprep.store import Store

TASK_S = 1.0
LARGEST_BATCH = 1024
TRIES = 3  # to write what a server then loses
DOCUMENT_THREADS = 16

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """What a run did."""

    stage: str
    shards_total: int
    shards_written: int
    megapixels: float
    seconds: float
    peak_bytes: int  # of the process that needed the most memory
    retries: int  # tasks that were begun anew, since their worker was lost

    @staticmethod
    def of(stage: str, total: int, done: "Done", start: float) -> "Summary":
        """From what the tasks reported, and when the run began (time.perf_counter)."""
        seconds = time.perf_counter() - start
        found = Summary(
            stage,
            total,
            done.num_shards,
            done.num_pixels / 1e6,
            seconds,
            max(done.peak_bytes, peak_bytes()),
            done.retries,
        )
        log.info("%s", found)
        return found

    def __str__(self) -> str:
        if not self.shards_written:
            return f"{self.stage}: nothing to do, all {self.shards_total} shards are there"
        return (
            f"{self.stage}: wrote {self.shards_written} of {self.shards_total} shards in {self.seconds:.1f} s"
            + (f", {self.megapixels / self.seconds:.3g} MP/s" if self.megapixels else "")
            + f", at most {self.peak_bytes / 2**20:.0f} MiB of memory"
            + (f", {self.retries} tasks begun anew" if self.retries else "")
        )


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
    retries: int = 0

    def __add__(self, other: "Done") -> "Done":
        return Done(
            self.num_shards + other.num_shards,
            self.num_pixels + other.num_pixels,
            self.seconds + other.seconds,
            max(self.peak_bytes, other.peak_bytes),
            self.retries + other.retries,
        )


def run_stage(
    store: Store,
    stage: Stage,
    params: Params,
    scheduler: Scheduler,
    *,
    overwrite: bool = False,
    on_progress: OnProgress = lambda done, total, **shown: None,
) -> Summary:
    """Bring all arrays of a stage up to date. What is finished is kept; with nothing left, nothing is done."""
    start, total, done = time.perf_counter(), 0, Done()
    with locked(store.storage, store.url):
        store = Store.open(store.url)  # as it is now that nobody else writes it
        for step in stage.steps:
            plans = plan_jobs(store, step(store, params), overwrite)
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
    todo = sum(plan.missing.size for plan in plans)
    with pool_of(scheduler) if todo else nullcontext() as pool:
        fitting = within_memory(plans, pool.worker) if pool else []
        _each_image(plans, lambda plan: _prepare(store, plan))
        describe()
        done = _compute(store, fitting, pool, on_progress) if pool else Done()
    _each_image(plans, lambda plan: _finish(store, plan))
    return done


def _compute(store: Store, plans: Sequence[JobPlan], pool: "Pool", on_progress: OnProgress) -> Done:
    """Compute all missing shards; those that are lost afterwards once more."""
    todo, total, start = sum(plan.missing.size for plan in plans), Done(), time.perf_counter()
    for tries_left in reversed(range(TRIES)):
        for done in pool.run(store, Queue(plans)):
            total += done
            rate = total.num_pixels / 1e6 / (time.perf_counter() - start)
            on_progress(total.num_shards, max(todo, total.num_shards), **({"MP/s": rate} if rate else {}))
        plans = _lost(store, plans, tries_left)
        if not plans:
            break
    if retries := pool.retries():  # a worker that is killed leaves what it was writing
        for key in list(store.storage.leftovers()):
            store.storage.delete(key)
    return replace(total, retries=retries)


def _lost(store: Store, plans: Sequence[JobPlan], tries_left: int) -> list[JobPlan]:
    """What was written and is not there any more, as when a server that had acknowledged it died; to be done again."""
    if store.storage.keeps:
        return []
    again = [replace(plan, missing=missing_shards(store, plan.job)) for plan in plans]
    again = [plan for plan in again if plan.missing.size]
    for plan in again:
        log.warning("%s: %d shards were written and are not there", plan.job.outputs[0].path, plan.missing.size)
    if again and not tries_left:
        raise Failure(
            f"{store.url} does not keep what is written: {again[0].missing.size} shards of"
            f" {again[0].job.outputs[0].path} were written {TRIES} times and are not there",
            hint="see what is wrong with the server, and repeat the command: it goes on where it stopped",
        )
    return again


def _prepare(store: Store, plan: JobPlan) -> None:
    for spec in plan.job.outputs:
        if spec in plan.create:
            store.create(spec)
        else:
            store.describe(spec)
    for spec in plan.job.outputs if plan.missing.size else ():
        store.set_complete(spec.path, False)


def _finish(store: Store, plan: JobPlan) -> None:
    for spec in plan.job.outputs:
        store.set_complete(spec.path, True)


def _each_image(plans: Sequence[JobPlan], work: Callable[[JobPlan], None]) -> None:
    """Do the same for many images side by side: it is all waiting for the disk or for a server."""
    images = [list(of_image) for _, of_image in groupby(plans, lambda plan: plan.job.outputs[0].path.split("/")[:2])]

    def in_turn(of_image: list[JobPlan]) -> None:
        for plan in of_image:
            work(plan)

    with ThreadPoolExecutor(DOCUMENT_THREADS) as executor:
        list(executor.map(in_turn, images))


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
    return Done(num_shards, num_pixels, time.perf_counter() - start, peak_bytes())


class Pool(ABC):
    """Workers, and how tasks reach them. `worker` is one of their processes."""

    worker: Worker

    @property
    @abstractmethod
    def num_workers(self) -> int:
        """How many tasks can be worked on at a time."""

    def run(self, store: Store, queue: Queue) -> Iterator[Done]:
        """Compute all shards of a queue. When one fails, or this is interrupted, nothing more is begun."""
        running: set[Any] = set()
        size = 1
        try:
            while True:
                in_flight = self.num_workers * TASKS_A_WORKER
                while len(running) < in_flight and (batch := queue.take(min(size, ceil(queue.num_left / in_flight)))):
                    running.add(self.submit(store, batch))
                if not running:
                    return
                finished, running = self.wait(running)
                for future in finished:
                    done = self.result(future)
                    fitting = int(TASK_S * done.num_shards / max(done.seconds, 1e-6))
                    size = max(1, min(2 * size, fitting, LARGEST_BATCH))
                    yield done
        except BaseException:
            self.stop(running)
            raise

    @abstractmethod
    def submit(self, store: Store, batch: Batch) -> Any:
        """Hand a task to a worker."""

    @abstractmethod
    def wait(self, running: set[Any]) -> tuple[set[Any], set[Any]]:
        """Wait until a task is finished. Returns those that are and those that are not."""

    @abstractmethod
    def result(self, future: Any) -> Done:
        """What a finished task reports, or the error that it ended with."""

    def retries(self) -> int:
        """How many tasks were begun anew, since their worker was lost."""
        return 0

    @abstractmethod
    def stop(self, running: set[Any]) -> None:
        """Begin none of these any more, and let those that run come to an end."""


class Threads(Pool):
    """Threads of this process: numba and the codecs let go of the GIL."""

    def __init__(self, executor: ThreadPoolExecutor, worker: Worker) -> None:
        self._executor, self.worker = executor, worker
        self._stop = threading.Event()

    @property
    def num_workers(self) -> int:
        """Threads."""
        return self.worker.threads

    def result(self, future: Any) -> Done:
        """What it reports."""
        done: Done = future.result()
        return done

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

    def __init__(self, client: Any, scheduler: Scheduler) -> None:
        self._client, self._scheduler = client, scheduler
        self.worker = replace(scheduler.worker, threads=max(client.nthreads().values(), default=1))
        self._earlier = self._lost()

    @property
    def num_workers(self) -> int:
        """The cluster may grow and shrink."""
        return num_threads(self._client, self._scheduler)

    def submit(self, store: Store, batch: Batch) -> Any:
        """Hand it to the scheduler."""
        return self._client.submit(run_batch, store, batch, pure=False)

    def wait(self, running: set[Any]) -> tuple[set[Any], set[Any]]:
        """Wait for the first. Raises Failure where no worker is left."""
        return first_finished(self._client, running, self._scheduler)

    def result(self, future: Any) -> Done:
        """What it reports. Raises Failure where no worker is left."""
        done: Done = patiently(self._client, self._scheduler, future.result)
        return done

    def retries(self) -> int:
        """Tasks that were with a worker which went away unexpectedly."""
        return max(0, self._lost() - self._earlier)  # the scheduler keeps only its last events

    def _lost(self) -> int:
        events = [event for _, event in self._client.get_events("all") if event.get("action") == "remove-worker"]
        keys = [str(key) for event in events if not event["expected"] for key in event["processing-tasks"]]
        return sum(key.startswith(run_batch.__name__) for key in keys)

    def stop(self, running: set[Any]) -> None:
        """Those that run already are waited for, so that nobody writes any more once the store is let go."""
        with suppress(Failure, OSError), told(self._client, self._scheduler):  # what led here is what is to be said
            end_tasks(self._client, running, run_batch.__name__)


@contextmanager
def pool_of(scheduler: Scheduler) -> Iterator[Pool]:
    """The workers that a scheduler names."""
    if scheduler.address == "local":
        with ThreadPoolExecutor(scheduler.num_workers) as executor:
            yield Threads(executor, scheduler.worker)
    else:
        with connected(scheduler) as client:
            yield Cluster(client, scheduler)


def peak_bytes() -> int:
    """The most memory that this process has had, in bytes.

    On Linux not what getrusage says: that counts the process that started this one, up to its exec.
    """
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)
