"""Pools of workers: threads of this process, or the workers of a Dask cluster."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from math import ceil
from typing import Any

from unetprep.engine.batches import BatchQueue, BatchResult, ShardBatch, run_batch
from unetprep.engine.dask_cluster import connected, end_tasks, first_finished, num_threads, patiently, translate_errors
from unetprep.engine.memory import Worker
from unetprep.engine.scheduler import Scheduler
from unetprep.engine.thread_tasks import TASKS_A_WORKER
from unetprep.errors import Failure
from unetprep.store import Store

TASK_S = 1.0
LARGEST_BATCH = 1024


class Pool(ABC):
    """Workers that compute batches. `worker` describes one of their processes."""

    worker: Worker

    @property
    @abstractmethod
    def num_workers(self) -> int:
        """How many batches run at a time."""

    def run(self, store: Store, queue: BatchQueue) -> Iterator[BatchResult]:
        """Compute all shards of a queue. After a failure or an interruption no further batch starts."""
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
    def submit(self, store: Store, batch: Sequence[ShardBatch]) -> Any:
        """Hand a batch to a worker."""

    @abstractmethod
    def wait(self, running: set[Any]) -> tuple[set[Any], set[Any]]:
        """Wait until a batch is finished. Returns those that are and those that are not."""

    @abstractmethod
    def result(self, future: Any) -> BatchResult:
        """The result of a finished batch. Raises the error that it ended with."""

    def retries(self) -> int:
        """How many batches were retried because their worker was lost."""
        return 0

    @abstractmethod
    def stop(self, running: set[Any]) -> None:
        """Cancel the batches that wait, and wait for those that run."""


class ThreadPool(Pool):
    """Threads of this process: numba and the codecs release the GIL."""

    def __init__(self, executor: ThreadPoolExecutor, worker: Worker) -> None:
        self._executor, self.worker = executor, worker
        self._stop = threading.Event()

    @property
    def num_workers(self) -> int:
        """The number of threads."""
        return self.worker.threads

    def result(self, future: Any) -> BatchResult:
        """The result of a finished batch."""
        done: BatchResult = future.result()
        return done

    def submit(self, store: Store, batch: Sequence[ShardBatch]) -> Any:
        """Hand a batch to a thread."""
        return self._executor.submit(run_batch, store, batch, self._stop)

    def wait(self, running: set[Any]) -> tuple[set[Any], set[Any]]:
        """Wait until a batch is finished."""
        finished, rest = wait(running, return_when=FIRST_COMPLETED)
        return finished, rest

    def stop(self, running: set[Any]) -> None:
        """Cancel the batches that wait, and wait for the shards that are being written."""
        self._stop.set()
        for future in running:
            future.cancel()
        wait(running)


class ClusterPool(Pool):
    """The workers of a Dask cluster."""

    def __init__(self, client: Any, scheduler: Scheduler) -> None:
        self._client, self._scheduler = client, scheduler
        self.worker = replace(scheduler.worker, threads=max(client.nthreads().values(), default=1))
        self._earlier = self._lost()

    @property
    def num_workers(self) -> int:
        """The number of threads of all workers, which may grow and shrink."""
        return num_threads(self._client, self._scheduler)

    def submit(self, store: Store, batch: Sequence[ShardBatch]) -> Any:
        """Hand a batch to the scheduler."""
        return self._client.submit(run_batch, store, batch, pure=False)

    def wait(self, running: set[Any]) -> tuple[set[Any], set[Any]]:
        """Wait until a batch is finished. Raises Failure where no worker is left."""
        return first_finished(self._client, running, self._scheduler)

    def result(self, future: Any) -> BatchResult:
        """The result of a finished batch. Raises Failure where no worker is left."""
        done: BatchResult = patiently(self._client, self._scheduler, future.result)
        return done

    def retries(self) -> int:
        """How many batches were retried because their worker was lost unexpectedly."""
        return max(0, self._lost() - self._earlier)  # the scheduler keeps only its last events

    def _lost(self) -> int:
        events = [event for _, event in self._client.get_events("all") if event.get("action") == "remove-worker"]
        keys = [str(key) for event in events if not event["expected"] for key in event["processing-tasks"]]
        return sum(key.startswith(run_batch.__name__) for key in keys)

    def stop(self, running: set[Any]) -> None:
        """Cancel the batches that wait, and wait for those that run, so that none writes once the lock is released.

        Errors are suppressed: the error that led here is reported.
        """
        with (
            suppress(Failure, OSError),
            translate_errors(self._client, self._scheduler),
        ):
            end_tasks(self._client, running, run_batch.__name__)


@contextmanager
def pool_of(scheduler: Scheduler) -> Iterator[Pool]:
    """The workers of a scheduler."""
    if scheduler.address == "local":
        with ThreadPoolExecutor(scheduler.num_workers) as executor:
            yield ThreadPool(executor, scheduler.worker)
    else:
        with connected(scheduler) as client:
            yield ClusterPool(client, scheduler)
