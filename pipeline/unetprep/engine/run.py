"""Execution of a stage: its pending shards are computed on threads or on the workers of a Dask cluster.

Workers are given batches of shards of one job. The size of a batch is adapted during the run, so that it takes about a
second, and each worker has only a few at a time: neither memory nor the scheduler's load grows with the number of
shards, and a run that is stopped ends soon.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from itertools import groupby

from unetprep.engine.batches import BatchQueue, BatchResult
from unetprep.engine.memory import Worker
from unetprep.engine.pending import JobPlan, missing_shards, plan_jobs
from unetprep.engine.pools import Pool, pool_of
from unetprep.engine.scheduler import Scheduler as Scheduler
from unetprep.engine.summary import Summary as Summary
from unetprep.engine.thread_tasks import OnProgress
from unetprep.errors import Failure
from unetprep.parameter import Params
from unetprep.stages.table import Stage
from unetprep.storage.lock import locked
from unetprep.store import Store

TRIES = 3  # to write what a server then loses
DOCUMENT_THREADS = 16

log = logging.getLogger(__name__)


def run_stage(
    store: Store,
    stage: Stage,
    params: Params,
    scheduler: Scheduler,
    *,
    overwrite: bool = False,
    on_progress: OnProgress = lambda done, total, **shown: None,
) -> Summary:
    """Compute the pending shards of a stage. Finished shards are kept; without pending ones nothing is written."""
    start, total, done = time.perf_counter(), 0, BatchResult()
    with locked(store.storage, store.url):
        store = Store.open(store.url)  # read again, now that no other run writes
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
) -> BatchResult:
    """Create the arrays, compute the pending shards, mark the arrays complete.

    `describe` writes what else belongs to the arrays; it is called once they exist, unfinished.
    """
    todo = sum(plan.missing.size for plan in plans)
    with pool_of(scheduler) if todo else nullcontext() as pool:
        fitting = within_memory(plans, pool.worker) if pool else []
        _each_image(plans, lambda plan: _prepare(store, plan))
        describe()
        done = _compute(store, fitting, pool, on_progress) if pool else BatchResult()
    _each_image(plans, lambda plan: _finish(store, plan))
    return done


def _compute(store: Store, plans: Sequence[JobPlan], pool: "Pool", on_progress: OnProgress) -> BatchResult:
    """Compute all pending shards, and those again that a server loses afterwards."""
    todo, total, start = sum(plan.missing.size for plan in plans), BatchResult(), time.perf_counter()
    for tries_left in reversed(range(TRIES)):
        for done in pool.run(store, BatchQueue(plans)):
            total += done
            rate = total.num_pixels / 1e6 / (time.perf_counter() - start)
            on_progress(total.num_shards, max(todo, total.num_shards), **({"MP/s": rate} if rate else {}))
        plans = _lost(store, plans, tries_left)
        if not plans:
            break
    if retries := pool.retries():  # a worker that is killed leaves what it was writing
        for key in list(store.storage.orphaned_temporaries()):
            store.storage.delete(key)
    return replace(total, retries=retries)


def _lost(store: Store, plans: Sequence[JobPlan], tries_left: int) -> list[JobPlan]:
    """Shards that were written and do not exist any more, as when a server died that had acknowledged them."""
    if store.storage.durable:
        return []
    again = [replace(plan, missing=missing_shards(store, plan.job)) for plan in plans]
    again = [plan for plan in again if plan.missing.size]
    for plan in again:
        log.warning("%s: %d shards were written and do not exist", plan.job.outputs[0].path, plan.missing.size)
    if again and not tries_left:
        raise Failure(
            f"{store.url} loses what is written: {again[0].missing.size} shards of"
            f" {again[0].job.outputs[0].path} were written {TRIES} times and do not exist",
            hint="see what is wrong with the server, and repeat the command: it continues where it stopped",
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
    """Do some work for many images concurrently: it mostly waits for the disk or for a server."""
    images = [list(of_image) for _, of_image in groupby(plans, lambda plan: plan.job.outputs[0].path.split("/")[:2])]

    def in_turn(of_image: list[JobPlan]) -> None:
        for plan in of_image:
            work(plan)

    with ThreadPoolExecutor(DOCUMENT_THREADS) as executor:
        list(executor.map(in_turn, images))


def within_memory(plans: Sequence[JobPlan], worker: Worker) -> list[JobPlan]:
    """The plans in blocks that fit into a worker. Raises InvalidInput, before anything is written, if none do."""
    todo = [plan for plan in plans if plan.missing.size]
    return [replace(plan, job=job) for plan, job in zip(todo, worker.fit([p.job for p in todo]), strict=True)]
