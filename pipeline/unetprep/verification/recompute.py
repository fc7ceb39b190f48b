"""Recomputation of shards: weights by the other backend, everything else by its own stage."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box, Index, inside
from unetprep.stages.base import Job
from unetprep.stages.weight_backends import ENGINES
from unetprep.stages.weights import WeightsJob
from unetprep.store import Store

WEIGHTS_MAY_DIFFER = 2e-6
FLOAT32_STEPS = 2.5e-7  # two engines round large weights to neighbouring numbers


def differences(store: Store, job: Job, index: Index) -> dict[str, str]:
    """Recompute task `index`. Returns how its shards differ, by object; empty if they are equal."""
    if isinstance(job, WeightsJob):
        found = {job.outputs[0].path: _other_weights(store, job, index)}
    else:
        found = {}
        for boxes in [job.boxes(index)] if job.sizes is None else job.parts(job.boxes(index)):
            for spec, box, block in zip(job.outputs, boxes, job.compute(store, boxes), strict=True):
                found[spec.path] = found.get(spec.path) or _say(store.read(spec.path, box) != block, box)
    boxes_of = dict(zip((spec.path for spec in job.outputs), job.boxes(index), strict=True))
    return {f"{path}/{store.shards(path).key_of(boxes_of[path])}": what for path, what in found.items() if what}


def _other_weights(store: Store, job: WeightsJob, index: Index) -> str:
    """Compare with the other engine, chunk by chunk, so that a shard of a volume and its halo fit into memory.

    Stacks are compared image by image.
    """
    (spec,), (box,) = job.outputs, job.boxes(index)
    engine = next(name for name in ENGINES if name != job.engine)
    other = replace(job, engine=engine)
    here = store.read(spec.path, box)
    wrong = np.zeros(here.shape, bool)
    for (part,) in _by_chunk(job, index):
        where = inside(part, box)
        wrong[where] = _far_apart(here[where], other.compute(store, (part,))[0])
    return _say(wrong, box, f" (by the engine {engine})")


def _by_chunk(job: Job, index: Index) -> Iterator[tuple[Box, ...]]:
    """The boxes of the chunks of a shard; of a stack, of its images."""
    if job.sizes is not None:
        return job.parts(job.boxes(index))
    (spec,), (box,) = job.outputs, job.boxes(index)
    by_chunk = replace(job, outputs=(replace(spec, shard=spec.chunk),))
    places = product(*(range(b.start // c, -(-b.stop // c)) for b, c in zip(box, spec.chunk, strict=True)))
    return map(by_chunk.boxes, places)


def _far_apart(stored: NDArray[Any], computed: NDArray[Any]) -> NDArray[np.bool_]:
    allowed = np.maximum(WEIGHTS_MAY_DIFFER, FLOAT32_STEPS * np.abs(computed))
    return np.asarray(~(np.abs(stored.astype(float) - computed) <= allowed))


def _say(wrong: NDArray[np.bool_], box: Box, how: str = "") -> str:
    if not wrong.any():
        return ""
    first = tuple(int(i + b.start) for i, b in zip(np.argwhere(wrong)[0], box, strict=True))
    return f"recomputed{how}, {np.count_nonzero(wrong)} of its values differ, the first at {first}"
