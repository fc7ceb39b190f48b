"""Running jobs: on threads of this machine, or on a Dask cluster. Connections to a cluster are made by `clusters`.

A task is a batch of shards of one job. Only a bounded number of tasks is handed to Dask at a time, so that neither
memory nor the scheduler's load grows with the number of shards.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from dask.base import compute
from dask.callbacks import Callback
from dask.delayed import delayed

from unetprep.clusters import Scheduler as Scheduler
from unetprep.clusters import as_failure, connected, num_threads
from unetprep.errors import Failure
from unetprep.grid import Index
from unetprep.params import Params
from unetprep.plan import JobPlan, plan_job
from unetprep.stage import Job, Stage
from unetprep.store import Store

LARGEST_BATCH = 64
TASKS_A_WORKER = 8  # in flight at a time

Batch = tuple[Job, tuple[Index, ...]]
Task = Callable[[], int]  # computes and writes a batch, returns the number of its shards
OnProgress = Callable[[int, int], None]  # shards done, shards to do


@dataclass(frozen=True)
class Summary:
    """What a run did."""

    stage: str
    shards_total: int
    shards_written: int
    seconds: float


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
    start, total, written = time.perf_counter(), 0, 0
    for step in stage.steps:
        plans = [plan_job(store, job, overwrite) for job in step(store, params)]
        written += run_plans(store, plans, scheduler, on_progress, lambda: stage.describe(store, params))
        total += sum(plan.num_shards for plan in plans)
    return Summary(stage.name, total, written, time.perf_counter() - start)


def run_plans(
    store: Store,
    plans: Sequence[JobPlan],
    scheduler: Scheduler,
    on_progress: OnProgress,
    describe: Callable[[], None] = lambda: None,
) -> int:
    """Create the arrays, compute the missing shards, mark the arrays complete. Returns how many were computed.

    `describe` writes what else belongs to the arrays; it is called once they stand there unfinished.
    """
    todo = sum(len(plan.missing) for plan in plans)
    workers = scheduler.num_workers
    size = max(1, min(LARGEST_BATCH, todo // (workers * TASKS_A_WORKER)))
    for plan in plans:
        for spec in plan.create:
            store.create(spec)
        for spec in plan.job.outputs if plan.missing else ():
            store.set_complete(spec.path, False)
    if todo:
        describe()
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        on_progress(done, todo)

    tasks = (partial(_run_batch, store, batch) for batch in _batches(plans, size))
    if scheduler.address == "local":
        _run_local(tasks, workers, advance)
    else:
        _run_on_cluster(tasks, scheduler, advance)
    for plan in plans:
        for spec in plan.job.outputs:
            store.set_complete(spec.path, True)
    return done


def _batches(plans: Sequence[JobPlan], size: int) -> Iterator[Batch]:
    for plan in plans:
        indices = iter(plan.missing)
        while batch := tuple(islice(indices, size)):
            yield plan.job.of(batch), batch


def _run_batch(store: Store, batch: Batch) -> int:
    """What a worker does: compute each shard and write it, once and whole."""
    job, indices = batch
    for index in indices:
        try:
            blocks = job.compute(store, index)
            for spec, box, block in zip(job.outputs, job.boxes(index), blocks, strict=True):
                store.write(spec.path, box, block)
        except (OSError, ValueError, RuntimeError) as error:
            raise Failure(
                f"shard {index} of {job.outputs[0].path} could not be read or written: {error}",
                hint="mend the cause and repeat the command: it goes on where it stopped",
            ) from error
    return len(indices)


def _run_local(tasks: Iterator[Task], workers: int, advance: Callable[[int], None]) -> None:
    def finished(key: str, count: int, *_: Any) -> None:
        advance(count)

    with Callback(posttask=finished):
        while window := [delayed(task, pure=False)() for task in islice(tasks, workers * TASKS_A_WORKER)]:
            compute(*window, scheduler="threads", num_workers=workers)


def _run_on_cluster(tasks: Iterator[Task], scheduler: Scheduler, advance: Callable[[int], None]) -> None:
    from dask.distributed import as_completed  # two seconds to import: only for those who use a cluster

    with connected(scheduler) as client:
        window = num_threads(client, scheduler) * TASKS_A_WORKER
        pending = as_completed([client.submit(task, pure=False) for task in islice(tasks, window)])
        for future in pending:
            try:
                advance(future.result())
            except Exception as error:
                if failure := as_failure(error, scheduler):
                    raise failure from error
                raise
            for task in islice(tasks, 1):
                pending.add(client.submit(task, pure=False))
