"""Recomputation of shards: weights by the other backend, everything else by its own stage."""

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
        boxes, blocks = job.boxes(index), job.compute(store, job.boxes(index))
        found = {
            spec.path: _say(store.read(spec.path, box) != block, box)
            for spec, box, block in zip(job.outputs, boxes, blocks, strict=True)
        }
    boxes_of = dict(zip((spec.path for spec in job.outputs), job.boxes(index), strict=True))
    return {f"{path}/{store.shards(path).key_of(boxes_of[path])}": what for path, what in found.items() if what}


def _other_weights(store: Store, job: WeightsJob, index: Index) -> str:
    """Compare with the other engine, chunk by chunk, so that a shard of a volume and its halo fit into memory."""
    (spec,), (box,) = job.outputs, job.boxes(index)
    engine = next(name for name in ENGINES if name != job.engine)
    side = spec.chunk if job.sizes is None else (1, *spec.shard[1:])  # of a stack, image by image
    by_chunk, other = replace(job, outputs=(replace(spec, shard=side),)), replace(job, engine=engine)
    here = store.read(spec.path, box)
    wrong = np.zeros(here.shape, bool)
    for chunk in product(*(range(b.start // c, -(-b.stop // c)) for b, c in zip(box, side, strict=True))):
        (part,) = by_chunk.boxes(chunk)
        where = inside(part, box)
        wrong[where] = _far_apart(here[where], other.compute(store, (part,))[0])
    return _say(wrong, box, f" (by the engine {engine})")


def _far_apart(stored: NDArray[Any], computed: NDArray[Any]) -> NDArray[np.bool_]:
    allowed = np.maximum(WEIGHTS_MAY_DIFFER, FLOAT32_STEPS * np.abs(computed))
    return np.asarray(~(np.abs(stored.astype(float) - computed) <= allowed))


def _say(wrong: NDArray[np.bool_], box: Box, how: str = "") -> str:
    if not wrong.any():
        return ""
    first = tuple(int(i + b.start) for i, b in zip(np.argwhere(wrong)[0], box, strict=True))
    return f"recomputed{how}, {np.count_nonzero(wrong)} of its values differ, the first at {first}"
