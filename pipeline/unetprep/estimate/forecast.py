"""Estimate of a run before it starts: tasks, memory, files, bytes and time. Writes nothing.

The stages are planned on a store that is only imagined (`store.imagined`): its metadata are made as a run would make
them, and counted. Of every step a sample of blocks, spread over all its shards, is computed and compressed, which gives
bytes and time; what they read of arrays that are not there yet is computed too. Memory follows from the shapes
(`Job.working_set`) and from how well the sample compresses.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.engine.memory import Worker
from unetprep.engine.pending import JobPlan, plan_job
from unetprep.engine.run import Scheduler, within_memory
from unetprep.errors import InvalidInput
from unetprep.estimate.dry_run_store import Imagined
from unetprep.estimate.sampled_scan import UNKNOWN, Glance
from unetprep.format.boxes import Box, box_shape, inside, shard_counts
from unetprep.format.layout import IMAGES, TILES, ArraySpec, image_path, pixel_chunks, pixels_path
from unetprep.parameter import Params
from unetprep.params import ImportParams
from unetprep.sources import find_pairs
from unetprep.sources.limits import check_shape
from unetprep.sources.synthetic import clock, generated_pair
from unetprep.stages import STAGES
from unetprep.stages.base import Job, Stage, preference
from unetprep.stages.importing import Import, first_readings_bytes, plan_parts
from unetprep.stages.splits import Part, split_parts
from unetprep.storage.local import Folder
from unetprep.storage.output import check_sources
from unetprep.store import Store

SAMPLE_S = 2.0  # for the arrays of a kind
LEAST_SAMPLES, MOST_SAMPLES = 4, 64
SAMPLE_VALUES = 2**21  # of a block of the sample at most
GOLDEN = (sqrt(5) - 1) / 2  # multiples of it, modulo 1, are spread evenly however many are taken
INDEX_BYTES = 16  # of a chunk, in the index of its shard
CRC_BYTES = 4


@dataclass(frozen=True)
class ArrayForecast:
    """Arrays of one kind, such as the weights of all images."""

    path: str
    arrays: int
    shards: int
    there: int  # shards that are finished already
    bytes: int  # to be written, as shards


@dataclass(frozen=True)
class StageForecast:
    """What a stage would do. Shards, files and the bytes of metadata are counted, all else is predicted."""

    stage: str
    arrays: tuple[ArrayForecast, ...]
    shards_total: int
    shards_there: int
    tasks: int  # shards to be computed together, one task each
    files: int
    bytes: int
    metadata_bytes: int  # of these, all that are not shards
    block: tuple[int, ...]  # what a task computes at a time, of the largest job
    working_set_bytes: int  # of a task
    peak_bytes: int  # of a worker process
    seconds: float
    sampled: int  # blocks
    guesses: tuple[str, ...]


@dataclass(frozen=True)
class Forecast:
    """What a command would do."""

    store: str
    stages: tuple[StageForecast, ...]
    workers: int
    threads: int  # of each worker process
    memory_bytes: int | None

    @property
    def bytes(self) -> int:
        """Of all stages."""
        return sum(stage.bytes for stage in self.stages)

    @property
    def files(self) -> int:
        """Of all stages."""
        return sum(stage.files for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def peak_bytes(self) -> int:
        """Of the stage that needs the most."""
        return max((stage.peak_bytes for stage in self.stages), default=0)


@dataclass(frozen=True)
class Before:
    """What a stage does before its tasks."""

    peak_bytes: int = 0
    seconds: float = 0.0
    guesses: tuple[str, ...] = ()


class Forecaster:
    """Forecasts stage after stage, each on what those before it would leave.

    With `measure` False nothing is computed: it is only seen whether the stages would be refused.
    """

    def __init__(
        self, url: str, scheduler: Scheduler, *, create: bool, overwrite: bool = False, measure: bool = True
    ) -> None:
        self.url = url
        self.store = self._open(url, create)
        self._measure = measure
        self._scheduler, self._overwrite = scheduler, overwrite
        self._stages: list[StageForecast] = []
        self._needed_bytes = 0
        self._counted: dict[str, bytes] = {}  # what was written up to the last stage

    @staticmethod
    def _open(url: str, create: bool) -> Imagined:
        store = Imagined.open_or_create(url) if create else Imagined.open(url)
        assert isinstance(store, Imagined)
        store.clock = clock
        return store

    def result(self) -> Forecast:
        """All that was forecast. InvalidInput if it does not fit into memory, naming what would."""
        worker = self._scheduler.worker
        worker.refuse(self._needed_bytes)
        num_processes = 1 if self._scheduler.address == "local" else max(1, self._scheduler.workers)
        return Forecast(self.url, tuple(self._stages), num_processes, worker.threads, self._scheduler.memory_bytes)

    def importing(self, images: Sequence[str], labels: Sequence[str], params: ImportParams) -> None:
        """Forecast an import of files."""
        check_sources(self.url, (*images, *labels))
        self.parts(split_parts(find_pairs(images, labels, params.axes), params), params)

    def parts(self, parts: Sequence[Part], params: ImportParams) -> None:
        """Forecast an import of parts of sources."""
        worker = self._scheduler.worker
        reader = worker.for_one_thread()
        reading_bytes = reader.fixed_bytes + first_readings_bytes(parts, params)
        self._needed_bytes = max(self._needed_bytes, reading_bytes)
        glance = Glance()
        planned = _as_there(self.store, plan_parts(parts, params, glance))
        planned.refuse_leakage(self.store)
        with_pixels = {name for name in planned.images if self.store.record(pixels_path(name))}
        has_images = any(part.image for part in parts)

        def describe() -> None:
            new = {n: about for n, about in planned.images.items() if has_images or n not in with_pixels}
            self.store.add_images(new)

        plans = [plan_job(self.store, job, self._overwrite) for job in planned.jobs]
        counter = _Counter(self.store, self._counted)
        describe()
        steps = self._steps(plans)
        self._add("import", steps, counter, Before(reading_bytes, glance.seconds_for_all(), tuple(glance.guesses)))

    def stage(self, stage: Stage, params: Params) -> None:
        """Forecast a stage."""
        counter = _Counter(self.store, self._counted)
        steps: list[_Step] = []
        for make in stage.steps:
            plans = [plan_job(self.store, job, self._overwrite) for job in make(self.store, params)]
            steps += self._steps(plans)
            if any(plan.missing.size for plan in plans):
                stage.describe(self.store, params)
        self._add(stage.name, steps, counter, Before())

    def _steps(self, plans: Sequence[JobPlan]) -> "list[_Step]":
        """One for all arrays of a kind; a sample of one tells nothing of another."""
        worker = self._scheduler.worker
        for plan in plans:
            for spec in plan.create:
                self.store.create(spec)
        self._expect(plans)
        kinds: dict[tuple[str, ...], list[JobPlan]] = {}
        for plan in plans:
            kinds.setdefault(tuple(_name(spec) for spec in plan.job.outputs), []).append(plan)
        steps = []
        for alike in kinds.values():
            sample = Sample(self.store, self._within_memory(alike))
            if self._measure:
                sample.take()
            num_tasks = sum(plan.missing.size for plan in alike)
            steps.append(_Step(alike, sample, worker, self._parallel(num_tasks)))
        for plan in plans:
            for spec in plan.job.outputs:
                self.store.set_complete(spec.path, True)
        return steps

    def _within_memory(self, plans: Sequence[JobPlan]) -> list[JobPlan]:
        """The plans in blocks that fit; where none does, what would do is noted, for `result` to name the most."""
        worker = self._scheduler.worker
        if worker.memory_bytes is not None:
            needed = max((worker.smallest_bytes(plan.job) for plan in plans if plan.missing.size), default=0)
            self._needed_bytes = max(self._needed_bytes, needed)
            if needed > worker.memory_bytes:
                return [plan for plan in plans if plan.missing.size]
        return within_memory(plans, worker)

    def _expect(self, plans: Sequence[JobPlan]) -> None:
        for plan in plans:
            there = np.ones(plan.num_shards, bool)
            there[plan.missing] = False
            if plan.missing.size:
                self.store.expect(plan.job, there)
                for spec in plan.job.outputs:
                    if plan.job.is_sum(spec):
                        self.store.set_mean(spec.path, np.ones(spec.shape[-1]))

    def _parallel(self, num_tasks: int) -> int:
        """How many tasks run at a time."""
        scheduler = self._scheduler
        return max(1, min(num_tasks, scheduler.worker.threads if scheduler.address == "local" else scheduler.workers))

    def _add(self, name: str, steps: "Sequence[_Step]", counter: "_Counter", before: "Before") -> None:
        counted = counter.stop(sum(step.sample.seconds for step in steps))
        self._counted = dict(self.store.overlay.written)
        jobs = [step for step in steps if step.sample.plans]
        main = max(jobs, key=lambda step: step.peak_bytes, default=None)
        arrays = _by_kind([array for step in steps for array in step.arrays()])
        num_shard_bytes = sum(array.bytes for array in arrays)
        num_files = sum(array.shards - array.there for array in arrays)
        put_s = self._put_seconds(steps, counted.num_puts)
        self._stages.append(
            StageForecast(
                name,
                tuple(arrays),
                sum(plan.num_shards for step in steps for plan in step.plans),
                sum(plan.num_shards - plan.missing.size for step in steps for plan in step.plans),
                sum(plan.missing.size for step in steps for plan in step.plans),
                num_files + counted.num_files,
                num_shard_bytes + counted.num_bytes,
                counted.num_bytes,
                main.largest.block_shape if main else (),
                main.working_set_bytes if main else 0,
                max([before.peak_bytes, *(step.peak_bytes for step in jobs)]),
                before.seconds + sum(step.seconds for step in steps) + put_s + counted.seconds,
                sum(len(step.sample.blocks) for step in steps),
                before.guesses,
            )
        )

    def _put_seconds(self, steps: "Sequence[_Step]", num_metadata: int) -> float:
        if not self._measure:
            return 0.0
        return sum(step.put_seconds() for step in steps) + num_metadata * _put_seconds(2000)


def _as_there(store: Store, planned: Import) -> Import:
    """What was not read whole is taken to be what is in the store already, where something of its kind is."""
    jobs = []
    for job in planned.jobs:
        (output,) = job.outputs
        record = store.record(output.path)
        made = output.provenance
        if made.inputs.get("pixels") == UNKNOWN and record.get("inputs"):
            seen = {k: record.get("parameters", {}).get(k, v) for k, v in made.parameters.items() if k == "intensity"}
            made = replace(made, inputs=record["inputs"], parameters={**made.parameters, **seen})
            output = replace(output, provenance=made)
        jobs.append(replace(job, outputs=(output,)))
    outputs = [job.outputs[0] for job in planned.jobs]
    unknown = {output.path for output in outputs if output.provenance.inputs.get("pixels") == UNKNOWN}
    images = {
        name: about | (_recorded_ranges(store, name) if pixels_path(name) in unknown else {})
        for name, about in planned.images.items()
    }
    return replace(planned, images=images, jobs=tuple(jobs))


def _recorded_ranges(store: Store, name: str) -> dict[str, Any]:
    record = store.record(image_path(name))
    return {key: record[key] for key in ("intensity", "percentiles") if key in record}


class _Counter:
    """Counts what is written that is no shard of a job, from now on."""

    def __init__(self, store: Imagined, before: dict[str, bytes]) -> None:
        self._store, self._before, self._puts = store, before, store.overlay.num_puts
        self._start = time.perf_counter()
        self.num_files = self.num_bytes = self.num_puts = 0
        self.seconds = 0.0

    def stop(self, other_seconds: float) -> "_Counter":
        """Count; `other_seconds` went by with something else."""
        overlay = self._store.overlay
        for key, data in overlay.written.items():
            if key not in self._store.imagined and self._before.get(key) != data:
                replaced = self._before.get(key) or overlay.get_below(key)
                self.num_files += replaced is None
                self.num_bytes += len(data) - len(replaced or b"")
        self.num_puts = overlay.num_puts - self._puts
        self.seconds = max(0.0, time.perf_counter() - self._start - other_seconds)
        return self


@dataclass(frozen=True)
class Block:
    """One block of the sample."""

    raw_bytes: tuple[int, ...]  # of each output
    packed_bytes: tuple[int, ...]
    pixels_read: float
    seconds: float


class Sample:
    """Blocks of the shards that are to be computed, spread over all of them, computed and compressed."""

    def __init__(self, store: Imagined, plans: Sequence[JobPlan]) -> None:
        self.store, self.plans = store, plans
        self.blocks: list[Block] = []
        self.seconds = 0.0  # that it took to take
        self.once_seconds = 0.0  # what the first block takes besides, in every process
        self._sums: dict[str, tuple[NDArray[Any], int]] = {}  # of arrays that are sums, and over how many pixels
        self._ends = np.cumsum([plan.missing.size for plan in plans])

    def take(self) -> None:
        """Compute block after block, until they are enough or time is up."""
        if not self.plans:
            return
        start = time.perf_counter()
        once = self._compute(0.5)  # compiles, and opens what stays open
        self._sums.clear()
        until = time.perf_counter() + SAMPLE_S
        while len(self.blocks) < MOST_SAMPLES and (time.perf_counter() < until or len(self.blocks) < LEAST_SAMPLES):
            self.blocks.append(self._compute((0.5 + GOLDEN * len(self.blocks)) % 1))
            if len(self.blocks) >= self._ends[-1] and self._is_whole:
                break
        self.once_seconds = max(0.0, once.seconds - self.blocks[0].seconds)
        self._tell_means()
        self.seconds = time.perf_counter() - start

    @property
    def _is_whole(self) -> bool:
        return all(_smaller(plan.job).block_shape == plan.job.outputs[0].shard for plan in self.plans)

    def _compute(self, at: float) -> Block:
        """The block at a place between 0 and 1."""
        place = at * int(self._ends[-1])
        which = int(np.searchsorted(self._ends, int(place), side="right"))
        plan = self.plans[which]
        shard = int(place) - (int(self._ends[which]) - plan.missing.size)
        index = tuple(map(int, np.unravel_index(plan.missing[shard], plan.job.num_shards)))
        job = _smaller(plan.job)
        boxes = job.boxes(index)
        parts = list(job.parts(boxes))
        return self._measure(job, boxes, parts[int(place % 1 * len(parts))])

    def _measure(self, job: Job, boxes: Sequence[Box], part: Sequence[Box]) -> Block:
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
                total, num = self._sums.get(_name(spec), (np.zeros(spec.shape[-1]), 0))
                self._sums[_name(spec)] = total + block.reshape(-1, spec.shape[-1]).sum(axis=0), num + _volume(part[0])
        read = prod(n + 2 * h for n, h in zip(box_shape(part[0]), job.halo, strict=True))
        return Block(tuple(block.nbytes for block in values), tuple(packed), read, seconds)

    def _tell_means(self) -> None:
        """Sums that later steps ask for are taken to be everywhere as they are in the sample."""
        for plan in self.plans:
            for spec in plan.job.outputs:
                if _name(spec) in self._sums:
                    total, num = self._sums[_name(spec)]
                    total = np.maximum(total, 1)  # a class that the sample lacks may be elsewhere
                    self.store.set_mean(spec.path, total / num * prod(plan.job.outputs[0].shape) / plan.num_shards)

    def packing(self) -> list[float]:
        """What becomes of a byte of each output."""
        raw = np.sum([block.raw_bytes for block in self.blocks], axis=0)
        return [float(r) for r in np.sum([block.packed_bytes for block in self.blocks], axis=0) / raw]

    def seconds_a_pixel(self) -> float:
        """Seconds for each pixel that is read."""
        return sum(block.seconds for block in self.blocks) / sum(block.pixels_read for block in self.blocks)


def _name(spec: ArraySpec) -> str:
    return spec.path.rpartition("/")[2]


def _volume(box: Box) -> int:
    return prod(box_shape(box))


def _smaller(job: Job) -> Job:
    """The job in blocks that are not too large for a sample."""
    if prod(map(min, job.block_shape, job.outputs[0].shape)) <= SAMPLE_VALUES:
        return job
    shapes = [shape for shape in job.block_shapes() if prod(shape) <= SAMPLE_VALUES] or list(job.block_shapes())[:1]
    return min((replace(job, block=shape) for shape in shapes), key=preference)


class _Step:
    """What a step of a stage comes to."""

    def __init__(self, plans: Sequence[JobPlan], sample: Sample, worker: Worker, parallel: int) -> None:
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
        """Every array with what would be written of it."""
        found = []
        for plan in self.plans:
            for spec, ratio in zip(plan.job.outputs, self._packing, strict=True):
                raw = prod(spec.shape) * np.dtype(spec.dtype).itemsize * _share_missing(plan)
                index = prod(s // c for s, c in zip(spec.shard, spec.chunk, strict=True)) * INDEX_BYTES + CRC_BYTES
                num = plan.missing.size
                found.append(
                    ArrayForecast(
                        spec.path, 1, plan.num_shards, plan.num_shards - num, round(raw * ratio + index * num)
                    )
                )
        return found

    def put_seconds(self) -> float:
        """Writing the shards."""
        arrays = self.arrays()
        num_files = sum(array.shards - array.there for array in arrays)
        size = sum(array.bytes for array in arrays) / max(1, num_files)
        return num_files * _put_seconds(size) / self._parallel if num_files else 0.0


def _share_missing(plan: JobPlan) -> float:
    return plan.missing.size / plan.num_shards


def _pixels_read(job: Job) -> float:
    """Of all shards: a whole one's, by how much of the array lies in them."""
    first = job.outputs[0]
    return job.pixels_read() / prod(first.shard) * prod(first.shape)


def _by_kind(arrays: Sequence[ArrayForecast]) -> list[ArrayForecast]:
    """The arrays of all images together."""
    kinds: dict[str, ArrayForecast] = {}
    for array in arrays:
        parts = array.path.split("/")
        path = "/".join([parts[0], "*", *parts[2:]]) if parts[0] == IMAGES else array.path
        k = kinds.get(path, ArrayForecast(path, 0, 0, 0, 0))
        kinds[path] = ArrayForecast(
            path, k.arrays + 1, k.shards + array.shards, k.there + array.there, k.bytes + array.bytes
        )
    return list(kinds.values())


def _put_seconds(num_bytes: float) -> float:
    """How long it takes to write an object of this size, tried in a folder for temporary files."""
    data = bytes(min(ceil(num_bytes), 2**25))
    with tempfile.TemporaryDirectory(prefix="unetprep-") as folder:
        storage, times = Folder(folder), []
        for number in range(3):
            start = time.perf_counter()
            storage.put(f"c/{number}", data)
            times.append(time.perf_counter() - start)
    return sorted(times)[1] * num_bytes / max(1, len(data)) if num_bytes > len(data) else sorted(times)[1]


GENERATED = "the images are generated cells, which compress as cells of a noisy microscope do; reading takes no time"
PX_A_CELL = 1300  # where nobody says how many cells there are
LARGEST_IMAGE_SHARDS = 2**18
LEAST_PX_A_CELL = 16
IMAGES_PLANNED, SHARDS_PLANNED = 50, 2**17  # of many images of one shape: all others are as they are


def forecast_generated(
    shape: tuple[int, int, int, int],
    num_images: int,
    num_cells: int | None,
    dims: str,
    dtype: str,
    scheduler: Scheduler,
) -> Forecast:
    """Forecast everything for images (c, z, y, x) of generated cells, with the default parameters."""
    check_shape("the image of --shape", shape)
    image, labels = generated_pair(shape, num_cells or max(1, prod(shape[1:]) // PX_A_CELL), int(dims), dtype)
    if (num_cells or 0) * LEAST_PX_A_CELL > prod(shape[1:]):
        raise InvalidInput(
            f"cells is {num_cells}, in images of {prod(shape[1:])} pixels",
            allowed=f"up to one in {LEAST_PX_A_CELL} pixels, {prod(shape[1:]) // LEAST_PX_A_CELL}",
        )
    shards = prod(shard_counts(shape[1:], pixel_chunks(shape[1:], int(dims))[1]))
    if shards > LARGEST_IMAGE_SHARDS:
        raise InvalidInput(
            f"an image of shape {','.join(map(str, shape))} has {shards} shards",
            allowed=f"images of up to {LARGEST_IMAGE_SHARDS} shards",
            hint="plan for a part of it, and multiply",
        )
    num_planned = min(num_images, IMAGES_PLANNED, max(1, SHARDS_PLANNED // shards))
    whole = tuple(slice(0, n) for n in shape)
    parts = [Part(f"image-{n:07}", image, labels, whole, "train") for n in range(num_planned)]
    with tempfile.TemporaryDirectory(prefix="unetprep-") as folder:
        forecaster = Forecaster(f"{folder}/ds.zarr", scheduler, create=True)
        forecaster.parts(parts, ImportParams(dims=dims))
        for stage in STAGES.values():
            forecaster.stage(stage, stage.params())
        found = forecaster.result()
    stages = tuple(_times(stage, num_images / num_planned, GENERATED) for stage in found.stages)
    return replace(found, store="", stages=stages)


def _times(stage: StageForecast, factor: float, guess: str) -> StageForecast:
    """The same for so many times the images; the fields do not depend on them."""
    guesses = (*stage.guesses, guess)
    if factor == 1 or stage.stage == "deform":
        return replace(stage, guesses=guesses)
    counts = ("shards_total", "shards_there", "tasks", "files", "bytes", "metadata_bytes")
    more = {name: round(getattr(stage, name) * factor) for name in counts}
    arrays = tuple(_more(array, 1 if array.path.startswith(TILES) else factor, factor) for array in stage.arrays)
    return replace(stage, arrays=arrays, seconds=stage.seconds * factor, guesses=guesses, **more)


def _more(array: ArrayForecast, arrays: float, factor: float) -> ArrayForecast:
    counts = {name: round(getattr(array, name) * factor) for name in ("shards", "there", "bytes")}
    return replace(array, arrays=round(array.arrays * arrays), **counts)
