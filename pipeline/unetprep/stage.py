"""What a stage is. Adding one is a file in `stages/`, its parameters in `params.py`, and a line in `stages.STAGES`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from unetprep.grid import Box, Index, box_shape, shard_box, shard_counts
from unetprep.layout import ArraySpec
from unetprep.params import Params

if TYPE_CHECKING:
    from unetprep.store import Store

Blocks = tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Job(ABC):
    """Arrays whose shards are computed together, one task a shard. Sent to workers, so it holds no open files.

    The outputs share the number of shards along their first axes; where they have several arrays, task k writes shard k
    of each.
    """

    outputs: tuple[ArraySpec, ...]

    @property
    def num_shards(self) -> Index:
        """Shards along each axis of the first output."""
        return shard_counts(self.outputs[0].shape, self.outputs[0].shard)

    def boxes(self, index: Index) -> tuple[Box, ...]:
        """The box that task `index` writes, for each output."""
        return tuple(shard_box((index + (0,) * len(o.shape))[: len(o.shape)], o.shape, o.shard) for o in self.outputs)

    def of(self, indices: Iterable[Index]) -> "Job":
        """The same job with what it needs for some of its shards alone: this is what a worker is sent."""
        return self

    def run(self, store: "Store", index: Index) -> int:
        """Task `index`: compute its boxes and write each as one shard. Returns how many pixels the first has."""
        boxes = self.boxes(index)
        for spec, box, block in zip(self.outputs, boxes, self.compute(store, index), strict=True):
            store.write(spec, box, block)
        return prod(box_shape(boxes[0]))

    @abstractmethod
    def compute(self, store: "Store", index: Index) -> Blocks:
        """The values of the boxes that task `index` writes, one array for each output."""


@dataclass(frozen=True)
class Stage:
    """A command: its parameters, and its steps, each planned only when the one before it is in the store."""

    name: str
    params: type[Params]
    steps: tuple[Callable[["Store", Any], Sequence[Job]], ...]
    describe: Callable[["Store", Any], None] = lambda store, params: None
