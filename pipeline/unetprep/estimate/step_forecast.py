"""Forecast of one step of a stage, from a sample of its blocks."""

import tempfile
import time
from collections.abc import Sequence
from math import ceil, prod

import numpy as np

from unetprep.engine.memory import Worker
from unetprep.engine.pending import JobPlan
from unetprep.estimate.forecast import ArrayForecast
from unetprep.estimate.sampled_blocks import SampledBlocks
from unetprep.format.layout import IMAGES
from unetprep.format.shard_layout import index_bytes
from unetprep.stages.base import Job
from unetprep.storage.local import LocalStorage


class StepForecast:
    """Time, memory and bytes of a step of a stage."""

    def __init__(self, plans: Sequence[JobPlan], sample: SampledBlocks, worker: Worker, parallel: int) -> None:
        self.plans, self.sample, self._parallel = plans, sample, parallel
        self._packing = sample.packing() if sample.blocks else [1.0] * len(plans[0].job.outputs)
        self.seconds = self._seconds() if sample.blocks else 0.0
        jobs = [plan.job for plan in sample.plans]
        if jobs:
            self.largest = max(jobs, key=lambda job: job.working_set(self._packing))
            self.working_set_bytes = self.largest.working_set(self._packing)
            self.peak_bytes = max(worker.peak_bytes(job, self._packing) for job in jobs)

    def _seconds(self) -> float:
        pixels = sum(_share_missing(plan) * _pixels_read(plan.job) for plan in self.sample.plans)
        return pixels * self.sample.seconds_a_pixel() / self._parallel + self.sample.once_seconds

    def arrays(self) -> list[ArrayForecast]:
        """Every array, and what would be written of it."""
        found = []
        for plan in self.plans:
            for spec, ratio in zip(plan.job.outputs, self._packing, strict=True):
                raw = plan.job.size(spec) * np.dtype(spec.dtype).itemsize * _share_missing(plan)
                index = index_bytes(prod(s // c for s, c in zip(spec.shard, spec.chunk, strict=True)))
                num = plan.missing.size
                num_bytes = round(raw * ratio + index * num)
                found.append(ArrayForecast(spec.path, 1, plan.num_shards, plan.num_shards - num, num_bytes))
        return found

    def put_seconds(self) -> float:
        """Time that writing the shards takes."""
        arrays = self.arrays()
        num_files = sum(array.shards - array.there for array in arrays)
        size = sum(array.bytes for array in arrays) / max(1, num_files)
        return num_files * put_seconds(size) / self._parallel if num_files else 0.0


def _share_missing(plan: JobPlan) -> float:
    return plan.missing.size / plan.num_shards


def _pixels_read(job: Job) -> float:
    """Pixels read for all shards: those of a whole shard, scaled to the size of the array."""
    first = job.outputs[0]
    return job.pixels_read() / prod(first.shard) * job.size(first)


def by_kind(arrays: Sequence[ArrayForecast]) -> list[ArrayForecast]:
    """Arrays of one kind added up, such as the weights of all images."""
    kinds: dict[str, ArrayForecast] = {}
    for array in arrays:
        parts = array.path.split("/")
        path = "/".join([parts[0], "*", *parts[2:]]) if parts[0] == IMAGES else array.path
        k = kinds.get(path, ArrayForecast(path, 0, 0, 0, 0))
        kinds[path] = ArrayForecast(
            path, k.arrays + 1, k.shards + array.shards, k.there + array.there, k.bytes + array.bytes
        )
    return list(kinds.values())


def put_seconds(num_bytes: float) -> float:
    """Time that writing an object of this size takes, measured in a temporary folder."""
    data = bytes(min(ceil(num_bytes), 2**25))
    with tempfile.TemporaryDirectory(prefix="unetprep-") as folder:
        storage, times = LocalStorage(folder), []
        for number in range(3):
            start = time.perf_counter()
            storage.put(f"c/{number}", data)
            times.append(time.perf_counter() - start)
    return sorted(times)[1] * num_bytes / max(1, len(data)) if num_bytes > len(data) else sorted(times)[1]
