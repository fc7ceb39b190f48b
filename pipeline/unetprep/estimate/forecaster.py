"""Estimate of a run before it starts: tasks, memory, files, bytes and time. Nothing is written.

An import and stages are planned by a dry run, which counts their metadata. Of every step a sample of blocks, spread
over all its shards, is computed and compressed, which gives bytes and time; pending arrays that these blocks read are
computed too. Memory follows from the shapes (`Job.working_set`) and from how well the sample compresses.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from unetprep.engine.pending import JobPlan
from unetprep.engine.run import within_memory
from unetprep.engine.scheduler import Scheduler
from unetprep.estimate.dry_run import DryRun
from unetprep.estimate.dry_run_store import DryRunStore
from unetprep.estimate.forecast import Forecast, StageForecast
from unetprep.estimate.sampled_blocks import SampledBlocks, kind_of
from unetprep.estimate.sampled_scan import SampledScan, with_known_values
from unetprep.estimate.step_forecast import StepForecast, by_kind, put_seconds
from unetprep.parameter import Params
from unetprep.params import ImportParams, LayoutParams
from unetprep.sources import Source
from unetprep.sources.layouts.data_set import DataSet, refuse_mixed_channels
from unetprep.sources.layouts.pairs import of_inputs
from unetprep.stages.first_reading import first_readings_bytes
from unetprep.stages.importing import plan_parts
from unetprep.stages.splits import Part, known_splits, split_parts
from unetprep.stages.table import Stage
from unetprep.storage.output import check_sources

METADATA_BYTES = 2000  # of a document, usually


@dataclass(frozen=True)
class FirstPassForecast:
    """What an import does before its tasks: it reads all sources."""

    peak_bytes: int = 0
    seconds: float = 0.0
    guesses: tuple[str, ...] = ()


class Forecaster:
    """Forecasts an import and stages one after the other, each on what those before it would leave."""

    def __init__(self, url: str, scheduler: Scheduler, *, create: bool, overwrite: bool = False) -> None:
        self.url = url
        self._scheduler, self._worker = scheduler, scheduler.worker
        self._dry_run = DryRun(url, self._worker, create=create, overwrite=overwrite)
        self._stages: list[StageForecast] = []
        self._counted: dict[str, bytes] = {}  # what was written up to the last stage

    def result(self) -> Forecast:
        """The forecast of all stages. Raises InvalidInput, naming the least memory, if a worker has too little."""
        self._dry_run.refuse()
        num_processes = 1 if self._scheduler.address == "local" else max(1, self._scheduler.workers)
        return Forecast(self.url, tuple(self._stages), num_processes, self._worker.threads, self._worker.memory_bytes)

    def importing(
        self,
        images: Sequence[str | Source],
        labels: Sequence[str | Source],
        params: ImportParams,
        data_set: DataSet | None = None,
    ) -> None:
        """Forecast an import of files or arrays, or of a data set."""
        check_sources(self.url, [path for path in (*images, *labels) if isinstance(path, str)])
        data_set = data_set or of_inputs(images, labels, LayoutParams())
        data_set.refuse_classes(params)
        known, pairs = known_splits(self._dry_run.store, params), data_set.open(params)
        refuse_mixed_channels(pairs)
        self.parts(split_parts(pairs, params, known | data_set.splits), params)

    def parts(self, parts: Sequence[Part], params: ImportParams) -> None:
        """Forecast an import of parts of sources."""
        reading_bytes = self._worker.for_one_thread().fixed_bytes + first_readings_bytes(parts, params)
        self._dry_run.add_memory(reading_bytes)
        scan = SampledScan()
        store, overwrite = self._dry_run.store, self._dry_run.overwrite
        planned = with_known_values(store, plan_parts(parts, params, scan, store, overwrite=overwrite))
        counter = MetadataCounter(self._dry_run.store, self._counted)
        steps: list[StepForecast] = []
        for plans in self._dry_run.plan_import(planned, any(part.image for part in parts)):
            steps += self._forecast_step(plans)
        before = FirstPassForecast(reading_bytes, scan.seconds_for_all(), tuple(scan.guesses))
        self._add("import", steps, counter, before)

    def stage(self, stage: Stage, params: Params) -> None:
        """Forecast a stage."""
        counter = MetadataCounter(self._dry_run.store, self._counted)
        steps: list[StepForecast] = []
        for plans in self._dry_run.plan_stage(stage, params):
            steps += self._forecast_step(plans)
        self._add(stage.name, steps, counter, FirstPassForecast())

    def _forecast_step(self, plans: Sequence[JobPlan]) -> list[StepForecast]:
        """One forecast for all arrays of a kind, since a sample of one kind says nothing about another."""
        kinds: dict[tuple[str, ...], list[JobPlan]] = {}
        for plan in plans:
            kinds.setdefault(tuple(map(kind_of, plan.job.outputs)), []).append(plan)
        steps = []
        for alike in kinds.values():
            sample = SampledBlocks(self._dry_run.store, self._within_memory(alike))
            sample.measure()
            num_tasks = sum(plan.missing.size for plan in alike)
            steps.append(StepForecast(alike, sample, self._worker, self._num_parallel(num_tasks)))
        return steps

    def _within_memory(self, plans: Sequence[JobPlan]) -> list[JobPlan]:
        """The plans in blocks that fit; where none does, `result` raises later, and names the largest need of all."""
        pending = [plan for plan in plans if plan.missing.size]
        needed = max((self._worker.smallest_bytes(plan.job) for plan in pending), default=0)
        fits = self._worker.memory_bytes is None or needed <= self._worker.memory_bytes
        return within_memory(plans, self._worker) if fits else pending

    def _num_parallel(self, num_tasks: int) -> int:
        """How many tasks run at a time."""
        is_local = self._scheduler.address == "local"
        return max(1, min(num_tasks, self._worker.threads if is_local else self._scheduler.workers))

    def _add(
        self, name: str, steps: Sequence[StepForecast], counter: "MetadataCounter", before: FirstPassForecast
    ) -> None:
        counter.stop(sum(step.sample.seconds for step in steps))
        self._counted = dict(self._dry_run.store.overlay.written)
        pending = [step for step in steps if step.sample.plans]
        main = max(pending, key=lambda step: step.peak_bytes, default=None)
        plans = [plan for step in steps for plan in step.plans]
        arrays = by_kind([array for step in steps for array in step.arrays()])
        put_s = sum(step.put_seconds() for step in steps) + counter.num_puts * put_seconds(METADATA_BYTES)
        self._stages.append(
            StageForecast(
                stage=name,
                arrays=tuple(arrays),
                shards_total=sum(plan.num_shards for plan in plans),
                shards_there=sum(plan.num_shards - plan.missing.size for plan in plans),
                tasks=sum(plan.missing.size for plan in plans),
                files=sum(array.shards - array.there for array in arrays) + counter.num_files,
                bytes=sum(array.bytes for array in arrays) + counter.num_bytes,
                metadata_bytes=counter.num_bytes,
                block=main.largest.block_shape if main else (),
                working_set_bytes=main.working_set_bytes if main else 0,
                peak_bytes=max([before.peak_bytes, *(step.peak_bytes for step in pending)]),
                seconds=before.seconds + sum(step.seconds for step in steps) + put_s + counter.seconds,
                sampled=sum(len(step.sample.blocks) for step in steps),
                guesses=before.guesses,
            )
        )


class MetadataCounter:
    """Counts the files that are written and that are no shards, from its creation on."""

    def __init__(self, store: DryRunStore, before: dict[str, bytes]) -> None:
        self._store, self._before, self._puts = store, before, store.overlay.num_puts
        self._start = time.perf_counter()
        self.num_files = self.num_bytes = self.num_puts = 0
        self.seconds = 0.0

    def stop(self, other_seconds: float) -> None:
        """Count; `other_seconds` of the time since the creation were spent on something else."""
        overlay = self._store.overlay
        for key, data in overlay.written.items():
            if key not in self._store.computed_shards and self._before.get(key) != data:
                replaced = self._before.get(key) or overlay.get_below(key)
                self.num_files += replaced is None
                self.num_bytes += len(data) - len(replaced or b"")
        self.num_puts = overlay.num_puts - self._puts
        self.seconds = max(0.0, time.perf_counter() - self._start - other_seconds)
