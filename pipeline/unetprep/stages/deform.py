"""Stage `deform`: random elastic deformations, stored as coarse displacement grids (72 bytes each at 3 x 3)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, box_shape
from unetprep.format.layout import DENSE, FOLDING, GRIDS, ArraySpec, Provenance
from unetprep.kernels.folding import folded_shares
from unetprep.kernels.random_fields import draw_grids
from unetprep.kernels.spline import displacement_field
from unetprep.params import DeformParams
from unetprep.stages.base import COMPILED_BYTES, Blocks, Job
from unetprep.store import Store

KERNEL_VERSION = 1
CHUNK, SHARD = 64, 4096
DENSE_SHARD = 16
VALUES_AT_ONCE = 2**16  # numbers that are drawn at a time
DRAWING_BYTES = 128 * VALUES_AT_ONCE
ATTEMPTS = 100


@dataclass(frozen=True)
class DeformJob(Job):
    """The grids of all fields, and the share of a tile at which each folds."""

    params: DeformParams

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """Some fields; each depends only on the seed and its own number."""
        made = tuple(np.empty(box_shape(box), np.float32) for box in boxes)
        at = 0
        for some in self.drawn(range(boxes[0][0].start, boxes[0][0].stop)):
            for out, values in zip(made, some, strict=True):
                out[at : at + len(values)] = values
            at += len(some[0])
        return made

    def drawn(self, fields: range) -> Iterator[Blocks]:
        """Grids and shares, a bounded number of fields at a time."""
        at_once = max(1, VALUES_AT_ONCE // (2 * prod(self.params.nodes())))
        for first in range(0, len(fields), at_once):
            yield self._draw(fields[first : first + at_once])

    def _draw(self, fields: Sequence[int]) -> Blocks:
        """Grids and shares of some fields. Raises InvalidInput if every attempt at a field folds too much."""
        p, side = self.params, (self.params.tile_px, self.params.tile_px)
        grids = np.empty((len(fields), 2, *p.nodes()), np.float32)
        shares, again = np.empty(len(fields), np.float32), np.arange(len(fields))
        for attempt in range(ATTEMPTS):
            grids[again] = draw_grids(p.seed, [fields[int(k)] for k in again], p.nodes(), p.sigma_px, attempt)
            shares[again] = folded_shares(grids[again], side, p.interpolation)
            again = np.flatnonzero(shares > p.max_folding)
            if not again.size:
                return grids, shares
        raise InvalidInput(
            f"sigma is {p.sigma_px:g}: each of {ATTEMPTS} attempts at field {fields[int(again[0])]}"
            f" folds at more than {p.max_folding:g} of a tile of {p.tile_px}",
            allowed="a smaller sigma, fewer nodes, or a greater max-folding",
        )

    def resident_bytes(self) -> int:
        """Memory of the compiled kernels."""
        return COMPILED_BYTES

    def compute_bytes(self) -> int:
        """Memory for the values, and for sampling some of them at a time."""
        return 4 * sum(self.num_values(spec) for spec in self.outputs) + DRAWING_BYTES


@dataclass(frozen=True)
class DenseJob(Job):
    """The fields with one displacement a pixel."""

    interpolation: str

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """Some fields, from their grids."""
        (box,) = boxes
        made = np.empty(box_shape(box), self.outputs[0].dtype)
        for k, grid in enumerate(store.read(GRIDS, (box[0], *(slice(None) for _ in range(3))))):
            made[k] = displacement_field(grid, made.shape[2:], self.interpolation)
        return (made,)

    def resident_bytes(self) -> int:
        """Memory of the compiled kernels."""
        return COMPILED_BYTES

    def compute_bytes(self) -> int:
        """Memory for the values, and for those of one field in float64 with an intermediate product."""
        spec = self.outputs[0]
        return self.num_values(spec) * np.dtype(spec.dtype).itemsize + 3 * 8 * prod(spec.shape[1:])


def plan_fields(store: Store, params: DeformParams) -> Sequence[Job]:
    """One array of grids (field, axis, gy, gx), and one value a field."""
    nodes = params.nodes()
    made = Provenance(
        "deform",
        KERNEL_VERSION,
        {
            "fields": params.fields,
            "grid": list(nodes),
            "sigma_px": params.sigma_px,
            "seed": params.seed,
            "interpolation": params.interpolation,
            "tile_px": params.tile_px,
            "max_folding": params.max_folding,
        },
        {},
    )
    chunk = min(CHUNK, params.fields)
    shard = min(SHARD, -(-params.fields // chunk) * chunk)
    outputs = tuple(
        ArraySpec(path, (params.fields, *rest), "float32", dims, (chunk, *rest), (shard, *rest), made, extra=extra)
        for path, rest, dims, extra in (
            (GRIDS, (2, *nodes), ("field", "axis", "gy", "gx"), {"interpolation": f"cubic-{params.interpolation}"}),
            (FOLDING, (), ("field",), {}),
        )
    )
    job = DeformJob(outputs, params)
    if params.max_folding < 1 and store.record(GRIDS).get("fingerprint") != made.fingerprint:
        for _ in job.drawn(range(params.fields)):  # raises, if a field cannot be sampled, before anything is replaced
            pass
    return [job]


def plan_dense(store: Store, params: DeformParams) -> Sequence[Job]:
    """One array of fields (field, axis, y, x), if `dense` asks for it."""
    if params.dense == "none":
        return []
    side = (2, params.tile_px, params.tile_px)
    inputs = {GRIDS: store.record(GRIDS)["fingerprint"]}
    made = Provenance("deform", KERNEL_VERSION, {"dense": params.dense, "tile_px": params.tile_px}, inputs)
    shard = min(DENSE_SHARD, params.fields)
    dims = ("field", "axis", "y", "x")
    spec = ArraySpec(DENSE, (params.fields, *side), params.dense, dims, (1, *side), (shard, *side), made)
    return [DenseJob((spec,), params.interpolation)]


def describe(store: Store, params: DeformParams) -> None:
    """Remove dense fields that were made from grids which have been replaced."""
    inputs = store.record(DENSE).get("inputs", {})
    if params.dense == "none" and inputs and inputs[GRIDS] != store.record(GRIDS)["fingerprint"]:
        store.remove(DENSE)


STEPS = (plan_fields, plan_dense)
