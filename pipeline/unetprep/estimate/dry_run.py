"""Dry run: an import and stages are planned on a store that is only in memory, and their memory is added up."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from unetprep.engine.memory import Worker
from unetprep.engine.pending import JobPlan, plan_job
from unetprep.estimate.dry_run_store import DryRunStore
from unetprep.parameter import Params
from unetprep.sources.synthetic import clock
from unetprep.stages.importing import Import
from unetprep.stages.leakage import refuse_leakage
from unetprep.stages.table import Stage


class DryRun:
    """Plans an import and stages one after the other, each on the metadata that those before it would write.

    Raises whatever planning raises: Conflict for arrays made with other parameters, InvalidInput for missing inputs.
    """

    def __init__(self, url: str, worker: Worker, *, create: bool, overwrite: bool) -> None:
        store = DryRunStore.open_or_create(url) if create else DryRunStore.open(url)
        assert isinstance(store, DryRunStore)
        self.store = store
        self.store.clock = clock
        self._worker, self.overwrite = worker, overwrite
        self._needed_bytes = 0

    def plan_import(self, planned: Import, has_images: bool) -> Iterator[list[JobPlan]]:
        """The pending shards of an import, as one step. The caller measures them while the generator waits."""
        refuse_leakage(planned, self.store, overwrite=self.overwrite)
        planned.refuse_other_classes(self.store)
        planned.refuse_other_channels(self.store)
        added = planned.groups_to_write(self.store, has_images)
        plans = [plan_job(self.store, job, self.overwrite) for job in planned.jobs]
        self.store.add_groups(added)
        with self._step(plans):
            yield plans

    def plan_stage(self, stage: Stage, params: Params) -> Iterator[list[JobPlan]]:
        """The pending shards of a stage, step by step."""
        for step in stage.steps:
            plans = [plan_job(self.store, job, self.overwrite) for job in step(self.store, params)]
            with self._step(plans):
                yield plans
            if any(plan.missing.size for plan in plans):
                stage.describe(self.store, params)

    def add_memory(self, needed_bytes: int) -> None:
        """Count the memory of a process that needs so much at one time."""
        self._needed_bytes = max(self._needed_bytes, needed_bytes)

    def refuse(self) -> None:
        """Raise InvalidInput, naming the least memory that would do, if a worker has less."""
        self._worker.refuse(self._needed_bytes)

    @contextmanager
    def _step(self, plans: Sequence[JobPlan]) -> Iterator[None]:
        """The arrays of a step exist inside of the block, and are complete behind it."""
        for plan in plans:
            for spec in plan.create:
                self.store.create(spec)
        for plan in plans:
            self._expect(plan)
        needed = (self._worker.smallest_bytes(plan.job) for plan in plans if plan.missing.size)
        if self._worker.memory_bytes is not None:
            self.add_memory(max(needed, default=0))
        yield
        for plan in plans:
            for spec in plan.job.outputs:
                self.store.set_complete(spec.path, True)

    def _expect(self, plan: JobPlan) -> None:
        if not plan.missing.size:
            return
        exists = np.ones(plan.num_shards, bool)
        exists[plan.missing] = False
        self.store.expect(plan.job, exists)
        for spec in plan.job.outputs:
            if plan.job.is_sum(spec):
                self.store.set_mean(spec.path, np.ones(spec.shape[-1]))
