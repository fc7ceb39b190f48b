"""Jobs of the import: boxes of a source are copied into arrays, and compared with the first reading."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import Failure
from unetprep.format.boxes import Box, Index, box_shape
from unetprep.sources import Source
from unetprep.sources.class_table import ClassOfLabel
from unetprep.sources.connected_components import LabelMap, label_shard
from unetprep.sources.digest import ShardDigest, ShardDigests
from unetprep.sources.first_pass import cell_values, stored_labels
from unetprep.sources.memory import kept_bytes, reading_bytes
from unetprep.stages.base import Blocks, Job, Shape
from unetprep.store import Store

if TYPE_CHECKING:
    from unetprep.format.sharding import Chunks


@dataclass(frozen=True)
class ImportJob(Job):
    """Copy the part of a source at `origin` (c, z, y, x) into one array.

    `digests` are those of the first reading; a shard that differs from it is not written.
    """

    source: Source
    origin: tuple[int, ...]
    digests: ShardDigests = field(default_factory=ShardDigests, kw_only=True, compare=False)
    kept: int = field(default=0, kw_only=True)  # bytes that readers keep of all sources of the import
    seen: ShardDigest | None = field(default=None, kw_only=True, compare=False)  # of the shard that is being read

    def of(self, indices: Iterable[Index]) -> "ImportJob":
        """The job with the digests of some shards alone, since those of all may be large."""
        return replace(self, digests=self.digests.select(map(self._number, indices)))

    def encode(self, store: Store, boxes: Sequence[Box]) -> "list[Chunks]":
        """The compressed chunks of a shard. Raises Failure if its pixels are not those of the first reading."""
        task = self.watching()
        chunks = Job.encode(task, store, boxes)
        task.refuse_changes(boxes[0])
        return chunks

    def watching(self) -> Self:
        """The job, which takes the digest of one shard while it computes it."""
        return replace(self, seen=ShardDigest(self.outputs[0].chunk))

    def refuse_changes(self, box: Box) -> None:
        """Raise Failure if the shard at a box, computed since `watching`, differs from the first reading."""
        shard = self.outputs[0].shard
        expected = self.digests.get(self._number(tuple(b.start // n for b, n in zip(box, shard, strict=True))))
        if self.seen and expected is not None and self.seen.value() != expected:
            raise Failure(
                f"{self.source.path} has changed since it was read for the first time;"
                f" {self.outputs[0].path} stays unfinished",
                allowed="files that stay as they are until the command has ended",
                hint="see what writes the file, then repeat the command; it asks for --overwrite if other pixels of it"
                " are in the store already",
            )

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """A block, read from the source and cast to the stored dtype."""
        values = self.read(boxes[0]).astype(self.outputs[0].dtype, copy=False)
        self._watch(boxes[0], values)
        return (values,)

    def _watch(self, box: Box, values: NDArray[Any]) -> None:
        if self.seen:
            self.seen.add(values, tuple(b.start % n for b, n in zip(box, self.outputs[0].shard, strict=True)))

    def _number(self, index: Index) -> int:
        return int(np.ravel_multi_index(index, self.num_shards))

    def read(self, box: Box) -> NDArray[Any]:
        """The pixels of a box, in the dtype of the source."""
        whole = (slice(0, 1),) * (4 - len(box)) + box
        where = tuple(slice(b.start + o, b.stop + o) for b, o in zip(whole, self.origin, strict=True))
        return self.source.read(where).reshape(box_shape(box))

    def compute_bytes(self) -> int:
        """The pixels in the dtypes of the file and of the store, and the memory for decoding them."""
        (output,) = self.outputs
        here, there = np.dtype(output.dtype), np.dtype(self.source.dtype)
        num = self.num_values(output)
        return num * (there.itemsize + (here.itemsize if here != there else 0)) + self.reading_bytes()

    def reading_bytes(self) -> int:
        """Memory that reading a block takes in addition to its pixels."""
        sides = self.extent()
        return reading_bytes(self.source, (1,) * (4 - len(sides)) + sides)

    def resident_bytes(self) -> int:
        """Memory that readers keep of the sources of all jobs, which share the process."""
        return max(self.kept, kept_bytes(self.source))


@dataclass(frozen=True)
class LabelsJob(ImportJob):
    """Copy labels; with a `connectivity`, number their connected components by the label map of each shard."""

    ignore_label: int | None
    connectivity: int | None
    names: Mapping[Index, LabelMap]
    by_value: bool = False  # whether components are those of equal labels, which are classes
    threshold: int = 0  # above which labels are the cells whose components are numbered

    def of(self, indices: Iterable[Index]) -> "LabelsJob":
        """The job with the label maps and digests of some shards alone, since those of all may be large."""
        indices = tuple(indices)
        digests = self.digests.select(map(self._number, indices))
        return replace(self, digests=digests, names={i: self.names[i] for i in indices if i in self.names})

    def block_shapes(self) -> Iterator[Shape]:
        """The blocks of a shard; connected components are numbered in the shard as a whole."""
        return iter([self.outputs[0].shard]) if self.connectivity else super().block_shapes()

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """A block of labels."""
        (box,) = boxes
        labels = stored_labels(self.read(box), self.ignore_label)
        self._watch(box, labels)
        if self.connectivity:
            index = tuple(b.start // n for b, n in zip(box, self.outputs[0].shard, strict=True))
            pieces = label_shard(cell_values(labels, self.by_value, self.threshold), self.connectivity)
            pieces = self.names[index].relabel(pieces)
            labels = np.where(labels < 0, labels, pieces.astype(np.int32))
        return (labels,)

    def compute_bytes(self) -> int:
        """The labels and which are ignored; for components the mask, and their numbers in 32 and twice in 64 bits."""
        num, there = self.num_values(self.outputs[0]), np.dtype(self.source.dtype).itemsize
        if self.connectivity:
            return max(num * (4 + 1 + 4 + 2 * 8), num * (there + 4 + 1) + self.reading_bytes())
        return num * (there + 4 + (self.ignore_label is not None)) + self.reading_bytes()


@dataclass(frozen=True)
class ClassesJob(ImportJob):
    """The class of every pixel, from labels that are classes, or from a table of the cells; ignored pixels get 0."""

    ignore_label: int | None
    table: ClassOfLabel | None

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """A block of classes."""
        (box,) = boxes
        labels = stored_labels(self.read(box), self.ignore_label)
        self._watch(box, labels)
        return (classes_of(labels, self.table),)

    def compute_bytes(self) -> int:
        """The labels and their classes; with a table also the row of each pixel."""
        num, there = self.num_values(self.outputs[0]), np.dtype(self.source.dtype).itemsize
        return num * (there + 4 + 2 + (8 + 8 + 8) * (self.table is not None)) + self.reading_bytes()


def classes_of(labels: NDArray[np.int32], table: ClassOfLabel | None) -> NDArray[np.uint8]:
    """The class of every pixel: its label, or what the table says of it; 0 for ignored pixels."""
    return np.maximum(labels, 0).astype(np.uint8) if table is None else table.of(labels)
