"""A job that calls a function for each shard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unetprep.format import layout
from unetprep.format.boxes import Box, Index, box_shape
from unetprep.stages.base import Blocks, Job
from unetprep.store import Store

MADE = layout.Provenance("noop", 1, {}, {})


@dataclass(frozen=True)
class Calling(Job):
    """A job that calls a function for each shard instead of computing it."""

    call: Callable[[Index], None]

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        self.call(tuple(b.start // n for b, n in zip(boxes[0], self.outputs[0].shard, strict=True)))
        return (np.ones(box_shape(boxes[0]), np.uint8),)

    def compute_bytes(self) -> int:
        return 0


def calling(call: Callable[[Index], None], rows: int = 60, columns: int = 50) -> Calling:
    spec = layout.ArraySpec("fields/noop", (rows, columns), "uint8", ("y", "x"), (1, 1), (2, 5), MADE)
    return Calling((spec,), call)
