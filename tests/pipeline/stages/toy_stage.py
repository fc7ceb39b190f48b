"""A stage for the tests of the table: one array of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unetprep.format.boxes import Box, box_shape
from unetprep.format.layout import ArraySpec, Provenance
from unetprep.parameter import Params, parameter
from unetprep.stages.base import Blocks, Job
from unetprep.store import Store

PATH = "fields/numbers"


@dataclass(frozen=True)
class ToyParams(Params):
    """Numbers."""

    count: int = parameter(8, "How many numbers.", least=1)


@dataclass(frozen=True)
class ToyJob(Job):
    """The numbers, from 0."""

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        (box,) = boxes
        return (np.arange(box[0].start, box[0].stop, dtype=np.float32).reshape(box_shape(box)),)

    def compute_bytes(self) -> int:
        return 4 * self.num_values(self.outputs[0])


def plan_numbers(store: Store, params: ToyParams) -> Sequence[Job]:
    made = Provenance("toy", 1, {"count": params.count}, {})
    return [ToyJob((ArraySpec(PATH, (params.count,), "float32", ("field",), (4,), (8,), made),))]


STEPS = (plan_numbers,)
