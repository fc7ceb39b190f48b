"""A process of its own that measures how much memory tasks take, job after job, block after block.

python -m tests.pipeline.engine.measuring STORE STAGE ...

It prints, as JSON, what was measured and what was said before.
"""

import ctypes
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from unetprep.engine.memory import lower_mmap_threshold
from unetprep.engine.pending import plan_job
from unetprep.format.boxes import box_shape
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.stages.base import Job
from unetprep.stages.importing import plan_import
from unetprep.store import Store

CHOSEN: dict[str, Any] = {
    "weights": WeightsParams(class_weights=(1, 2)),
    "edt": WeightsParams(class_weights=(1, 2), engine="edt"),
    "deform": DeformParams(fields=4096, grid=(24, 24), sigma_px=0.5),  # no field is searched for folds
    "tiles": TilesParams(tile_px=316),
}


def status(key: str) -> int:
    """A figure of this process in bytes: VmRSS, what it has in memory now, or VmHWM, the most that it had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))


def peak_above(call: Any) -> int:
    """How much more memory than before a call takes at most."""
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not there to be taken again
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what there is
    before = status("VmRSS")
    call()
    return status("VmHWM") - before


def blocks_of(job: Job) -> list[Job]:
    """The job with its shard whole, with a block in the middle, and with the smallest block."""
    shapes = sorted(job.block_shapes(), key=lambda shape: replace(job, block=shape).pixels_read())
    return [replace(job, block=shape) for shape in dict.fromkeys((shapes[0], shapes[len(shapes) // 2], shapes[-1]))]


def measure(store: Store, job: Job, index: tuple[int, ...]) -> dict[str, Any]:
    """One task."""
    job.run(store, index)  # compiles, and opens what stays open
    peak = peak_above(lambda: job.run(store, index))
    packing = []
    for spec, box in zip(job.outputs, job.boxes(index), strict=True):
        shards = store.shards(spec.path)
        raw = shards.dtype.itemsize * prod(box_shape(box))
        packing.append(len(store.storage.get(f"{spec.path}/{shards.key_of(box)}")) / raw)
    return {
        "array": job.outputs[0].path,
        "block": job.block_shape,
        "measured": peak,
        "said": job.working_set(packing),
        "at_most": job.working_set(),
    }


def steps_of(store: Store, name: str, files: str) -> Iterator[Sequence[Job]]:
    """The jobs of a stage, planned step by step as a command would."""
    dims = store.dims(store.groups[0])
    labels = [str(p) for p in Path(files).glob("labels.*")]
    if name == "import":
        yield plan_import([str(p) for p in Path(files).glob("image.*")], labels, ImportParams(dims=dims)).jobs
    elif name == "components":
        planned = plan_import([], labels, ImportParams(dims=dims, instances="components"))
        store.add_groups(planned.groups)
        yield planned.jobs
    else:
        yield from (step(store, CHOSEN[name]) for step in STAGES["weights" if name == "edt" else name].steps)


def main(url: str, files: str, names: list[str]) -> None:
    """Measure in turn."""
    lower_mmap_threshold()  # as a process does whose memory is bounded
    store, found = Store.open(url), []
    for name in names:
        for jobs in steps_of(store, name, files):
            for job in jobs:
                for spec in plan_job(store, job, overwrite=True).create:
                    store.create(spec)
                for index in product(*map(range, job.num_shards)):
                    job.run(store, index)
                first = (0,) * len(job.num_shards)
                found += [{"stage": name, **measure(store, divided, first)} for divided in blocks_of(job)]
                for spec in job.outputs:
                    store.set_complete(spec.path, True)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
