"""Jobs that only the benchmarks have: one that does nothing, and one that copies an array."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from unetprep.format.boxes import Box, Index, grow, inside
from unetprep.format.layout import ArraySpec, Provenance
from unetprep.stages.base import Blocks, Job
from unetprep.store import Store

HALO_PX = 32


@dataclass(frozen=True)
class Nothing(Job):
    """Shards of which nothing is made."""

    def run(self, store: Store, index: Index) -> int:
        """Nothing."""
        return 1

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """Nothing."""
        return ()

    def compute_bytes(self) -> int:
        """None."""
        return 0


@dataclass(frozen=True)
class Copy(Job):
    """Read each shard of an array (y, x) with a halo, write it without."""

    source: str

    @property
    def halo(self) -> tuple[int, ...]:
        """Around a block."""
        return (HALO_PX, HALO_PX)

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """One block."""
        (box,) = boxes
        outer = grow(box, self.halo, self.outputs[0].shape)
        return (store.read(self.source, outer)[inside(box, outer)],)

    def compute_bytes(self) -> int:
        """The block with its halo."""
        return 2 * prod(self.extent())


def nothing(num_shards: int) -> Nothing:
    """A job of so many shards."""
    return Nothing((array("fields/nothing", (num_shards,), (1,), (1,), "nothing"),))


def array(path: str, shape: tuple[int, ...], chunk: tuple[int, ...], shard: tuple[int, ...], stage: str) -> ArraySpec:
    """An array of 16 bits."""
    dims = ("y", "x")[: len(shape)]
    return ArraySpec(path, shape, "uint16", dims, chunk, shard, Provenance(stage, 1, {}, {}))
