"""Sample of the blocks of a step: some are computed and compressed, which gives bytes and time of all."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.engine.pending import JobPlan
from unetprep.estimate.dry_run_store import DryRunStore
from unetprep.format.boxes import Box, box_shape, inside
from unetprep.format.layout import ArraySpec
from unetprep.sources.synthetic import clock
from unetprep.stages.base import Job, preference

SAMPLE_S = 2.0  # for the arrays of a kind
LEAST_SAMPLES, MOST_SAMPLES = 4, 64
SAMPLE_VALUES = 2**21  # of a block of the sample at most
GOLDEN = (sqrt(5) - 1) / 2  # multiples of it, modulo 1, are spread evenly however many are taken


@dataclass(frozen=True)
class MeasuredBlock:
    """A block of the sample: its bytes before and after compression, and its time."""

    raw_bytes: tuple[int, ...]  # of each output
    packed_bytes: tuple[int, ...]
    pixels_read: float
    seconds: float


class SampledBlocks:
    """A sample of the pending blocks of some plans, spread over all shards, computed and compressed."""

    def __init__(self, store: DryRunStore, plans: Sequence[JobPlan]) -> None:
        self.store, self.plans = store, plans
        self.blocks: list[MeasuredBlock] = []
        self.seconds = 0.0  # of the whole measurement
        self.once_seconds = 0.0  # what the first block of every process takes in addition
        self._sums: dict[str, tuple[NDArray[Any], int]] = {}  # of arrays that are sums, and over how many pixels
        self._ends = np.cumsum([plan.missing.size for plan in plans])

    def measure(self) -> None:
        """Compute block after block, until there are enough or the time is up."""
        if not self.plans:
            return
        start = time.perf_counter()
        once = self._compute(0.5)  # compiles, and fills caches
        self._sums.clear()
        until = time.perf_counter() + SAMPLE_S
        while len(self.blocks) < MOST_SAMPLES and (time.perf_counter() < until or len(self.blocks) < LEAST_SAMPLES):
            self.blocks.append(self._compute((0.5 + GOLDEN * len(self.blocks)) % 1))
            if len(self.blocks) >= self._ends[-1] and self._is_whole:
                break
        self.once_seconds = max(0.0, once.seconds - self.blocks[0].seconds)
        self._set_means()
        self.seconds = time.perf_counter() - start

    @property
    def _is_whole(self) -> bool:
        return all(_smaller(plan.job).block_shape == plan.job.outputs[0].shard for plan in self.plans)

    def _compute(self, at: float) -> MeasuredBlock:
        """Compute the block at a position between 0 and 1."""
        place = at * int(self._ends[-1])
        which = int(np.searchsorted(self._ends, int(place), side="right"))
        plan = self.plans[which]
        shard = int(place) - (int(self._ends[which]) - plan.missing.size)
        index = tuple(map(int, np.unravel_index(plan.missing[shard], plan.job.num_shards)))
        job = _smaller(plan.job)
        boxes = job.boxes(index)
        parts = list(job.parts(boxes))
        return self._measure_block(job, boxes, parts[int(place % 1 * len(parts))])

    def _measure_block(self, job: Job, boxes: Sequence[Box], part: Sequence[Box]) -> MeasuredBlock:
        before, start = self.store.seconds, clock()
        values = job.compute(self.store, part)
        packed = []
        for spec, whole, box, block in zip(job.outputs, boxes, part, values, strict=True):
            shards = self.store.shards(spec.path)
            first = tuple(w.start // c for w, c in zip(inside(box, whole), shards.chunk, strict=True))
            chunks = shards.encode_chunks(block, first)
            packed.append(sum(map(len, chunks.values())))
        seconds = clock() - start - (self.store.seconds - before)
        for spec, block in zip(job.outputs, values, strict=True):
            if job.is_sum(spec):
                total, num = self._sums.get(kind_of(spec), (np.zeros(spec.shape[-1]), 0))
                self._sums[kind_of(spec)] = (
                    total + block.reshape(-1, spec.shape[-1]).sum(axis=0),
                    num + _volume(part[0]),
                )
        read = prod(n + 2 * h for n, h in zip(box_shape(part[0]), job.margin, strict=True))
        return MeasuredBlock(tuple(block.nbytes for block in values), tuple(packed), read, seconds)

    def _set_means(self) -> None:
        """Give later steps the sums of the sample, scaled to each shard."""
        for plan in self.plans:
            for spec in plan.job.outputs:
                if kind_of(spec) in self._sums:
                    total, num = self._sums[kind_of(spec)]
                    total = np.maximum(total, 1)  # a class that the sample lacks may occur elsewhere
                    self.store.set_mean(
                        spec.path, total / num * prod(plan.job.outputs[0].shape) / prod(spec.shape[:-1])
                    )

    def packing(self) -> list[float]:
        """Compressed bytes per byte, of each output."""
        raw = np.sum([block.raw_bytes for block in self.blocks], axis=0)
        return [float(r) for r in np.sum([block.packed_bytes for block in self.blocks], axis=0) / raw]

    def seconds_a_pixel(self) -> float:
        """Seconds for each pixel that is read."""
        return sum(block.seconds for block in self.blocks) / sum(block.pixels_read for block in self.blocks)


def kind_of(spec: ArraySpec) -> str:
    """The name of an array, which arrays of all images share."""
    return spec.path.rpartition("/")[2]


def _volume(box: Box) -> int:
    return prod(box_shape(box))


def _smaller(job: Job) -> Job:
    """The job in blocks that are small enough for a sample."""
    if prod(map(min, job.block_shape, job.outputs[0].shape)) <= SAMPLE_VALUES:
        return job
    shapes = [shape for shape in job.block_shapes() if prod(shape) <= SAMPLE_VALUES] or list(job.block_shapes())[:1]
    return min((replace(job, block=shape) for shape in shapes), key=preference)
