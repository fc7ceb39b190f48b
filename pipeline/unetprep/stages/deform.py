"""Deform: random elastic deformations, kept as the coarse grids that decide them (72 bytes each at 3 x 3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from unetprep.grid import Box
from unetprep.kernels.grids import draw_grids
from unetprep.layout import GRIDS, ArraySpec, Provenance
from unetprep.params import DeformParams
from unetprep.stage import Blocks, Job, Stage
from unetprep.store import Store

KERNEL_VERSION = 1
CHUNK, SHARD = 64, 4096
DRAWING_BYTES = 8 * 2**20


@dataclass(frozen=True)
class DeformJob(Job):
    """The grids of all fields."""

    params: DeformParams

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """Some fields; each depends on the seed and its own number alone."""
        (box,) = boxes
        p = self.params
        return (draw_grids(p.seed, range(box[0].start, box[0].stop), (p.grid, p.grid), p.sigma_px),)

    def compute_bytes(self) -> int:
        """The numbers, and what it takes to draw some of them at a time."""
        return 4 * self.num_values(self.outputs[0]) + DRAWING_BYTES


def plan_fields(store: Store, params: DeformParams) -> Sequence[Job]:
    """One array of grids (field, axis, gy, gx)."""
    made = Provenance(
        "deform",
        KERNEL_VERSION,
        {"fields": params.fields, "grid": params.grid, "sigma_px": params.sigma_px, "seed": params.seed},
        {},
    )
    chunk = (min(CHUNK, params.fields), 2, params.grid, params.grid)
    shard = (min(SHARD, -(-params.fields // chunk[0]) * chunk[0]), *chunk[1:])
    shape = (params.fields, *chunk[1:])
    output = ArraySpec(
        GRIDS,
        shape,
        "float32",
        ("field", "axis", "gy", "gx"),
        chunk,
        shard,
        made,
        extra={"interpolation": "cubic-bspline"},
    )
    return [DeformJob((output,), params)]


DEFORM = Stage("deform", DeformParams, (plan_fields,))
