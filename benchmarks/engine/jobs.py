"""Jobs that only the benchmarks have: one that does nothing, and one that copies an array."""

from dataclasses import dataclass

from unetprep.grid import Index, grow, inside
from unetprep.layout import ArraySpec, Provenance
from unetprep.stage import Blocks, Job
from unetprep.store import Store

HALO_PX = 32


@dataclass(frozen=True)
class Nothing(Job):
    """Shards of which nothing is made."""

    def run(self, store: Store, index: Index) -> int:
        """Nothing."""
        return 1

    def compute(self, store: Store, index: Index) -> Blocks:
        """Nothing."""
        return ()


@dataclass(frozen=True)
class Copy(Job):
    """Read each shard of an array (y, x) with a halo, write it without."""

    source: str

    def compute(self, store: Store, index: Index) -> Blocks:
        """One shard."""
        (box,) = self.boxes(index)
        outer = grow(box, (HALO_PX, HALO_PX), self.outputs[0].shape)
        return (store.read(self.source, outer)[inside(box, outer)],)


def nothing(num_shards: int) -> Nothing:
    """A job of so many shards."""
    return Nothing((array("fields/nothing", (num_shards,), (1,), (1,), "nothing"),))


def array(path: str, shape: tuple[int, ...], chunk: tuple[int, ...], shard: tuple[int, ...], stage: str) -> ArraySpec:
    """An array of 16 bits."""
    dims = ("y", "x")[: len(shape)]
    return ArraySpec(path, shape, "uint16", dims, chunk, shard, Provenance(stage, 1, {}, {}))
