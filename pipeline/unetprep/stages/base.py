"""Base class of jobs: arrays whose shards are computed together.

A task computes one shard, as a whole or in blocks of whole chunks. It keeps only the compressed chunks of finished
blocks, so the size of a block determines its memory:

    +-----------------+
    |  compressed     |
    +-----------------+  one shard: finished blocks, the block that is being computed with its halo,
    |  block          |  and pending blocks. The shard's bytes are the same for every block.
    +-----------------+
    |                 |
    +-----------------+
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box, Index, box_shape, grow, inside, shard_box, shard_counts
from unetprep.format.layout import ArraySpec

if TYPE_CHECKING:
    from unetprep.format.sharding import Chunks, Shards
    from unetprep.store import Store

Blocks = tuple[NDArray[Any], ...]
Shape = tuple[int, ...]
Sizes = NDArray[np.int64]  # (image, 2): sides y, x of the images of a stack
COMPILED_BYTES = 44 * 2**20  # of LLVM and the kernels, once loaded; compiling them, once after installation, takes more
ENCODER_BYTES = 3 * 2**20  # what the codecs, the index of a shard and small objects need besides


@dataclass(frozen=True)
class Job(ABC):
    """Arrays whose shards are computed together, one task a shard. Jobs are sent to workers, and hold no open files.

    The outputs share the number of shards along their first axes; where they have several arrays, task k writes shard k
    of each. Axes of one name are one axis. `block`, whole chunks of the first output, is what a task computes at a
    time; without one it is the whole shard, or one image of a stack.
    """

    outputs: tuple[ArraySpec, ...]
    block: Shape | None = field(default=None, kw_only=True)
    sizes: Sizes | None = field(default=None, kw_only=True, compare=False)  # of the images of a stack

    @property
    def num_shards(self) -> Index:
        """Shards along each axis of the first output."""
        return shard_counts(self.outputs[0].shape, self.outputs[0].shard)

    def boxes(self, index: Index) -> tuple[Box, ...]:
        """The box that task `index` writes, for each output."""
        return tuple(shard_box((index + (0,) * len(o.shape))[: len(o.shape)], o.shape, o.shard) for o in self.outputs)

    def of(self, indices: Iterable[Index]) -> "Job":
        """The job with the data for some of its shards only, which is sent to a worker."""
        return self

    def run(self, store: "Store", index: Index) -> int:
        """Compute the boxes of task `index`, and write each as one shard.

        Returns the pixels of the first output; 0 for a one-dimensional output.
        """
        boxes = self.boxes(index)
        for spec, box, chunks in zip(self.outputs, boxes, self.encode(store, boxes), strict=True):
            store.write(spec, box, chunks)
        shape = box_shape(boxes[0])
        return prod(shape) if len(shape) > 1 else 0

    def encode(self, store: "Store", boxes: Sequence[Box]) -> "list[Chunks]":
        """The compressed chunks of the boxes of one shard, for each output."""
        store = store if self.sizes is None else store.by_objects()  # of a stack, a task reads whole shards
        made = [
            _EncodedOutput(store.shards(spec.path), box, self.is_divided(spec))
            for spec, box in zip(self.outputs, boxes, strict=True)
        ]
        for part in self.parts(boxes):
            self._add(made, part, store)
        return [output.finish() for output in made]

    def _add(self, made: "Sequence[_EncodedOutput]", part: Sequence[Box], store: "Store") -> None:
        """Compute and encode a block. Its values are freed on return."""
        for output, box, values in zip(made, part, self.compute(store, part), strict=True):
            output.add(box, values)

    @abstractmethod
    def compute(self, store: "Store", boxes: Sequence[Box]) -> Blocks:
        """The values of a block, one array for each output, in the shape of its box.

        An output of which a block does not give whole chunks is the sum of the values of all blocks.
        """

    # -- blocks -------------------------------------------------------------------------------------------------------

    @property
    def block_shape(self) -> Shape:
        """The block that a task computes at a time, of the first output."""
        shard = self.outputs[0].shard
        whole = shard if self.sizes is None else (*shard[:-3], 1, *shard[-2:])
        return self.block or whole

    @property
    def halo(self) -> Shape:
        """How far around a block a task reads, along each axis of the first output."""
        return (0,) * len(self.outputs[0].shape)

    def around(self, box: Box) -> Box:
        """A block with its halo, within the array; an image of a stack is read alone."""
        return grow(box, self.margin, self.outputs[0].shape)

    @property
    def margin(self) -> Shape:
        """How far around a block a task reads: the halo, or nothing around an image of a stack."""
        return self.halo if self.sizes is None else (0,) * len(self.halo)

    def block_shapes(self) -> Iterator[Shape]:
        """Every block that a shard may be computed in, the shard itself included; of a stack, one image."""
        first = self.outputs[0]
        if self.sizes is not None:
            return iter([self.block_shape])
        return product(*(range(c, s + 1, c) for c, s in zip(first.chunk, first.shard, strict=True)))

    def parts(self, boxes: Sequence[Box]) -> Iterator[tuple[Box, ...]]:
        """The boxes of the blocks of a shard, for each output; along the axes of the first output they are divided.

        In a stack these are the images, without padding.
        """
        first = boxes[0]
        if self.sizes is not None:
            for k, (height, width) in enumerate(self.sizes[first[-3]].tolist(), first[-3].start):
                image = (*first[:-3], slice(k, k + 1), slice(0, height), slice(0, width))
                yield self.boxes_along(image, boxes)
            return
        steps = (range(b.start, b.stop, n) for b, n in zip(first, self.block_shape, strict=True))
        for starts in product(*steps):
            stops = (min(b.stop, a + n) for a, b, n in zip(starts, first, self.block_shape, strict=True))
            yield self.boxes_along(tuple(map(slice, starts, stops)), boxes)

    def boxes_along(self, part: Box, boxes: Sequence[Box]) -> tuple[Box, ...]:
        """For each output, the box that belongs to a part of the first; `boxes` are those of the shard."""
        axes = dict(zip(self.outputs[0].dims, part, strict=True))
        return tuple(
            tuple(axes.get(d, b) for d, b in zip(spec.dims, box, strict=True))
            for spec, box in zip(self.outputs, boxes, strict=True)
        )

    def is_divided(self, spec: ArraySpec) -> bool:
        """Whether every block gives whole chunks of an output; else the output is the sum of all blocks."""
        sides = dict(zip(self.outputs[0].dims, self.block_shape, strict=True))
        shared = [(sides[d], c) for d, c in zip(spec.dims, spec.chunk, strict=True) if d in sides]
        return bool(shared) and all(n % c == 0 for n, c in shared)

    def is_sum(self, spec: ArraySpec) -> bool:
        """Whether an output counts pixels over all blocks, instead of having values for each of them."""
        return spec.dims[-1] not in self.outputs[0].dims

    def stored_share(self, spec: ArraySpec) -> float:
        """Largest share of a shard that images fill; less than 1 where the images of a stack differ in size."""
        if self.sizes is None or spec.dims[-3:] != ("z", "y", "x"):
            return 1.0
        filled = np.add.reduceat(self.sizes.prod(axis=1), range(0, len(self.sizes), spec.shard[-3]))
        return float(filled.max() / prod(spec.shard[-3:]))

    def size(self, spec: ArraySpec) -> int:
        """The number of values of an output, without the padding of a stack."""
        if self.sizes is None or spec.dims[-3:] != ("z", "y", "x"):
            return prod(spec.shape)
        return prod(spec.shape[:-3]) * int(self.sizes.prod(axis=1).sum())

    # -- memory -------------------------------------------------------------------------------------------------------

    def extent(self, around: Shape | None = None) -> Shape:
        """Sides of the largest block with its halo, or with `around`, within the array."""
        grown = (n + 2 * h for n, h in zip(self.block_shape, around or self.margin, strict=True))
        return tuple(map(min, grown, self.outputs[0].shape))

    def num_values(self, spec: ArraySpec) -> int:
        """How many values of an output the largest block gives."""
        sides = dict(zip(self.outputs[0].dims, self.extent((0,) * len(self.outputs[0].dims)), strict=True))
        return prod(sides.get(d, min(n, s)) for d, n, s in zip(spec.dims, spec.shape, spec.shard, strict=True))

    @abstractmethod
    def compute_bytes(self) -> int:
        """Peak memory of computing a block, including its results."""

    def resident_bytes(self) -> int:
        """Memory that the process keeps for this job between tasks."""
        return 0

    def working_set(self, packing: Sequence[float] | None = None) -> int:
        """Peak memory of a task, in bytes.

        `packing` is the compressed size of a byte of each output; 1 is the worst case.
        """
        packed, divided, values, held = [], 0.0, 0, 0.0
        for spec, ratio in zip(self.outputs, packing or [1.0] * len(self.outputs), strict=True):
            itemsize = np.dtype(spec.dtype).itemsize
            shard = prod(map(min, spec.shard, spec.shape)) * itemsize * min(1.0, self.stored_share(spec))
            packed.append(shard * ratio)
            block = self.num_values(spec) * itemsize
            values += block
            if self.is_divided(spec):
                divided += (shard - block) * ratio  # of the blocks before the last one
            else:
                held += shard
        while_computing = self.compute_bytes() + divided + held
        while_encoding = values + sum(packed) + held
        while_writing = sum(packed) + max(packed)
        return round(max(while_computing, while_encoding, while_writing)) + ENCODER_BYTES

    def within(self, room_bytes: float) -> "Job | None":
        """The job with the best block whose working set fits; None if none does.

        The best block is the whole shard, else the one with which the fewest pixels are read twice, as part of a halo;
        then the one with the longest rows, since files and arrays are stored by rows, and then the largest.
        """
        for job in sorted((replace(self, block=block) for block in self.block_shapes()), key=preference):
            if job.working_set() <= room_bytes:
                return job
        return None

    def smallest_working_set(self) -> int:
        """The smallest working set of a task."""
        return min(replace(self, block=block).working_set() for block in self.block_shapes())

    def pixels_read(self) -> int:
        """Pixels that a task reads for a whole shard; those in the halo of two blocks count twice."""
        sides = zip(self.outputs[0].shard, self.block_shape, self.margin, strict=True)
        return prod(shard + 2 * halo * -(-shard // block) for shard, block, halo in sides)


def preference(job: Job) -> tuple[int, ...]:
    """Sort key of blocks, the best first; see Job.within."""
    return job.pixels_read(), *(-n for n in reversed(job.block_shape))


class _EncodedOutput:
    """One output of a task, block by block."""

    def __init__(self, shards: "Shards", box: Box, is_divided: bool) -> None:
        self._shards, self._box = shards, box
        self._chunks: Chunks = {}
        self._values = None if is_divided else np.zeros(box_shape(box), shards.dtype)

    def add(self, box: Box, values: NDArray[Any]) -> None:
        """Add the values of a block."""
        where = inside(box, self._box)
        if self._values is not None:
            self._values[where] += values
        else:
            first = tuple(w.start // c for w, c in zip(where, self._shards.chunk, strict=True))
            self._chunks |= self._shards.encode_chunks(values, first)

    def finish(self) -> "Chunks":
        """All chunks of the shard."""
        if self._values is not None:
            self._chunks = self._shards.encode_chunks(self._values, (0,) * len(self._box))
        return self._chunks
