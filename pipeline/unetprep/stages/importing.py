"""Stage `import`: images and labels of any file format become arrays of the store.

Every source is read twice: first whole, checking its values, taking a digest of its pixels and finding connected
pieces, before anything is written; then shard by shard into the store. So bad input leaves nothing behind, and a rerun
knows what it continues.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from unetprep.credentials import mask_credentials
from unetprep.errors import Conflict, Failure, InvalidInput
from unetprep.format.boxes import Box, Index, box_shape
from unetprep.format.layout import SPLITS, Provenance, labels_path, pixel_array, pixel_chunks, pixels_path
from unetprep.kernels.percentiles import WORKING_BYTES, RobustRange, intensity_limits
from unetprep.params import ImportParams, num_neighbours
from unetprep.sources import Source, find_pairs
from unetprep.sources.connected_components import Joiner, Names, label_shard
from unetprep.sources.digest import ShardDigest, ShardDigests
from unetprep.sources.first_pass import LARGEST_LABEL, Scan, scan_image, scan_labels, stored_dtype, stored_labels
from unetprep.sources.memory import kept_bytes, kept_of_all, reading_bytes
from unetprep.stages.base import Blocks, Job, Shape
from unetprep.stages.ranges import ImageRange
from unetprep.stages.splits import Part, split_parts
from unetprep.store import Store

if TYPE_CHECKING:
    from unetprep.format.sharding import Chunks

KERNEL_VERSION = 1


@dataclass(frozen=True)
class ImportJob(Job):
    """Copy the part of a source at `origin` (c, z, y, x) into one array.

    `digests` are those of the first reading; a shard that is read otherwise now is not written.
    """

    source: Source
    origin: tuple[int, ...]
    digests: ShardDigests = field(default_factory=ShardDigests, kw_only=True, compare=False)
    kept: int = field(default=0, kw_only=True)  # bytes that readers keep of any source of the import
    seen: ShardDigest | None = field(default=None, kw_only=True, compare=False)  # of the shard that is being read

    def of(self, indices: Iterable[Index]) -> "ImportJob":
        """With the digests of some shards alone, for all of them may be large."""
        return replace(self, digests=self.digests.select(map(self._number, indices)))

    def encode(self, store: Store, boxes: Sequence[Box]) -> "list[Chunks]":
        """The compressed chunks of a shard. Raises Failure if its pixels are not those of the first reading."""
        task = self.watching()
        chunks = Job.encode(task, store, boxes)
        task.refuse_changes(boxes[0])
        return chunks

    def watching(self) -> Self:
        """This job, taking the digest of one shard while it is computed."""
        return replace(self, seen=ShardDigest(self.outputs[0].chunk))

    def refuse_changes(self, box: Box) -> None:
        """Failure if the shard at a box, computed since `watching`, is not what the first reading saw."""
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
        """The pixels of a box as the source has them."""
        whole = (slice(0, 1),) * (4 - len(box)) + box
        where = tuple(slice(b.start + o, b.stop + o) for b, o in zip(whole, self.origin, strict=True))
        return self.source.read(where).reshape(box_shape(box))

    def compute_bytes(self) -> int:
        """The pixels as they are in the file and as they are stored, and what decoding them takes."""
        (output,) = self.outputs
        here, there = np.dtype(output.dtype), np.dtype(self.source.dtype)
        num = self.num_values(output)
        return num * (there.itemsize + (here.itemsize if here != there else 0)) + self.reading_bytes()

    def reading_bytes(self) -> int:
        """What reading a block takes besides its pixels."""
        sides = self.extent()
        return reading_bytes(self.source, (1,) * (4 - len(sides)) + sides)

    def resident_bytes(self) -> int:
        """What readers keep of the sources of all jobs, since these share the process."""
        return max(self.kept, kept_bytes(self.source))


@dataclass(frozen=True)
class LabelsJob(ImportJob):
    """The same for labels; where a connectivity is given, their connected pieces, each called as `names` say."""

    ignore_label: int | None
    connectivity: int | None
    names: Mapping[Index, Names]

    def of(self, indices: Iterable[Index]) -> "LabelsJob":
        """With the names and digests of some shards alone, for all of them may be large."""
        indices = tuple(indices)
        digests = self.digests.select(map(self._number, indices))
        return replace(self, digests=digests, names={i: self.names[i] for i in indices if i in self.names})

    def block_shapes(self) -> Iterator[Shape]:
        """Connected pieces are numbered in a shard as a whole: then there is no other block."""
        return iter([self.outputs[0].shard]) if self.connectivity else super().block_shapes()

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """A block."""
        (box,) = boxes
        labels = stored_labels(self.read(box), self.ignore_label)
        self._watch(box, labels)
        if self.connectivity:
            index = tuple(b.start // n for b, n in zip(box, self.outputs[0].shard, strict=True))
            pieces = self.names[index].rename(label_shard(labels > 0, self.connectivity))
            labels = np.where(labels < 0, labels, pieces.astype(np.int32))
        return (labels,)

    def compute_bytes(self) -> int:
        """The same, and which pixels are ignored; for pieces the mask, and their numbers in 32 and twice in 64 bits."""
        num, there = self.num_values(self.outputs[0]), np.dtype(self.source.dtype).itemsize
        if self.connectivity:
            return max(num * (4 + 1 + 4 + 2 * 8), num * (there + 4 + 1) + self.reading_bytes())
        return num * (there + 4 + (self.ignore_label is not None)) + self.reading_bytes()


@dataclass(frozen=True)
class Import:
    """A planned import: attributes of each image, jobs that fill the arrays, images without cells, intensity ranges."""

    images: dict[str, dict[str, object]]
    jobs: tuple[ImportJob, ...]
    without_cells: tuple[str, ...] = ()
    ranges: Mapping[str, ImageRange] = field(default_factory=dict)

    def refuse_leakage(self, store: Store) -> None:
        """Conflict if the store holds an image whole of which strips are imported, or strips of one imported whole."""
        for name in self.images:
            whole, _, split = name.rpartition("-")
            relatives = [f"{name}-{s}" for s in SPLITS] + ([whole] if split in SPLITS else [])
            there = [relative for relative in relatives if relative in store.names]
            if there:
                raise Conflict(
                    f"{store.url} holds {there[0]!r}, and {name!r} would share pixels with it across the splits",
                    hint="import into another store",
                )


def plan_import(
    images: Sequence[str | Source],
    labels: Sequence[str | Source],
    params: ImportParams,
    before_reading: Callable[[Sequence[Part], ImportParams], None] = lambda parts, params: None,
) -> Import:
    """Read and check every source, and plan its arrays. Raises InvalidInput for whatever cannot be used.

    `before_reading` may refuse the first pass, if there is too little memory for it.
    """
    parts = split_parts(find_pairs(images, labels, params.axes), params)
    before_reading(parts, params)
    return plan_parts(parts, params, FirstReading())


def plan_parts(parts: Sequence[Part], params: ImportParams, reading: "FirstReading") -> Import:
    """Check what a first reading shows of every part, and plan its arrays."""
    seen = _scan_parts(parts, params, reading)
    groups: dict[str, dict[str, object]] = {}
    jobs: list[ImportJob] = []
    ranges: dict[str, ImageRange] = {}
    for part, labels_seen in zip(parts, seen, strict=True):
        attributes, planned = _plan_part(part, labels_seen, params, reading, ranges)
        groups[part.name] = attributes
        jobs += planned
    without_cells = tuple(part.name for part, labels in zip(parts, seen, strict=True) if not len(labels.ids))
    kept = kept_of_all(job.source for job in jobs)
    return Import(groups, tuple(replace(job, kept=kept) for job in jobs), without_cells, ranges)


def plan_labels(parts: Sequence[Part], params: ImportParams) -> list[LabelsJob]:
    """Read and check the labels of parts, and plan their arrays alone. Raises InvalidInput as `plan_import` does."""
    seen = _scan_parts(parts, params, FirstReading())
    return [
        _labels_job(part, labels_seen, params, _attributes(part, params))
        for part, labels_seen in zip(parts, seen, strict=True)
    ]


def _scan_parts(parts: Sequence[Part], params: ImportParams, reading: "FirstReading") -> "list[LabelScan]":
    seen = [reading.labels(part.labels, part.box, params, params.instances == "components") for part in parts]
    for source, parts_of_it in groupby(zip(parts, seen, strict=True), lambda pair: pair[0].labels):
        _check_labels(source, [labels for _, labels in parts_of_it], params, reading)
    return seen


def first_readings_bytes(parts: Sequence[Part], params: ImportParams) -> int:
    """How much memory it takes to read parts for the first time, one after the other."""
    sources = [source for part in parts for source in (part.labels, part.image) if source is not None]
    return max(first_reading_bytes(part, params) for part in parts) + kept_of_all(sources)


def first_reading_bytes(part: Part, params: ImportParams) -> int:
    """How much memory it takes to read a part for the first time, a shard at a time.

    Labels: as in the file, without ignored ones too, and then those of the cells, or as stored, with a mask; for pieces
    also their numbers in 32 and in 64 bits. Image: as in the file, as stored, which pixels are finite, and histograms.
    """
    shape = box_shape(part.box[1:])
    shard = tuple(map(min, pixel_chunks(shape, params.dims)[1], shape))
    needs = []
    for source, channels in ((part.labels, 1), (part.image, part.box[0].stop - part.box[0].start)):
        if source is not None:
            there, here = np.dtype(source.dtype).itemsize, np.dtype(stored_dtype(source)).itemsize
            pieces = 4 + 8 if params.instances == "components" else 0
            known = there * (1 if params.ignore_label is None else 2)
            each = there + here + 1 if source is part.image else known + max(there, 4 + pieces) + 1
            counted = WORKING_BYTES if source is part.image else 0
            needs.append(channels * prod(shard) * each + reading_bytes(source, (channels, *shard)) + counted)
    return max(needs)


@dataclass(frozen=True)
class LabelScan:
    """What a first reading of labels has shown: also up to two of their numbers, and what their pieces are called."""

    scan: Scan
    ids: NDArray[np.int64]
    num_pieces: int
    names: Mapping[Index, Names]


class FirstReading:
    """Reads sources whole."""

    def image(self, source: Source, box: Box, dims: int) -> Scan:
        """The values of an image."""
        chunk, shard = pixel_chunks(box_shape(box[1:]), dims)
        return scan_image(source, box, shard, chunk)

    def labels(self, source: Source, box: Box, params: ImportParams, pieces: bool) -> LabelScan:
        """The labels, and their connected pieces if they are asked for."""
        shape = box_shape(box[1:])
        chunk, shard = pixel_chunks(shape, params.dims)
        joiner = Joiner(shape, shard, num_neighbours(params.dims, params.connectivity)) if pieces else None
        scan, ids = scan_labels(source, (slice(0, 1), *box[1:]), shard, chunk, params.ignore_label, joiner)
        num_pieces, names = joiner.names() if joiner else (0, {})
        if num_pieces > LARGEST_LABEL:
            raise InvalidInput(
                f"{source.path} has {num_pieces} connected pieces",
                allowed=f"up to {LARGEST_LABEL} cells in an image",
                hint="it is noise rather than a mask of cells, or should be cut into several images",
            )
        return LabelScan(scan, ids, num_pieces, names)


def _check_labels(source: Source, parts: Sequence[LabelScan], params: ImportParams, reading: FirstReading) -> None:
    """Refuse what looks like a mask: seen on the whole image, since a strip may well hold a single number."""
    ids = np.unique(np.concatenate([part.ids for part in parts]))
    if params.instances == "auto" and len(ids) == 1:
        _refuse_mask(source, params, int(ids[0]), reading)


def _refuse_mask(source: Source, params: ImportParams, label: int, reading: FirstReading) -> None:
    """One number in several pieces is a mask: without instances there is no second nearest cell."""
    pieces = reading.labels(source, tuple(slice(0, n) for n in source.shape), params, pieces=True).num_pieces
    if pieces > 1:
        raise InvalidInput(
            f"{source.path} looks like a binary mask: its only label is {label}, in {pieces} separate pieces",
            allowed="a number of its own for each cell; without it no border between two cells is known",
            hint="--instances components numbers the connected pieces; --instances ids takes them as one cell",
        )


def _plan_part(
    part: Part, seen: LabelScan, params: ImportParams, reading: FirstReading, ranges: dict[str, ImageRange]
) -> tuple[dict[str, object], list[ImportJob]]:
    dims, attributes = params.dims, _attributes(part, params)
    about = dict(attributes)
    jobs: list[ImportJob] = [_labels_job(part, seen, params, attributes)]
    files = [part.labels.path]
    if part.image is not None:
        pixels = reading.image(part.image, part.box, dims)
        assert pixels.robust is not None
        low, high = _intensity(part.image, pixels.robust, params.intensity)
        ranges[part.name] = ImageRange(part.image.dtype, params.intensity, low, high, pixels.robust)
        about = {**attributes, "intensity": [low, high], "intensity_rule": params.intensity}
        path, dtype, shape = pixels_path(part.name), stored_dtype(part.image), box_shape(part.box)
        output = pixel_array(path, shape, dtype, dims, _made(dtype, shape, about, pixels.digest))
        origin, digests = _origin(part.box), pixels.shards
        jobs.append(ImportJob((output,), part.image.at_absolute_path(), origin, digests=digests))
        files.insert(0, part.image.path)
    source = [mask_credentials(file.rstrip("/").rpartition("/")[2]) for file in files]
    return {**about, **_percentiles(ranges.get(part.name)), "source": source}, jobs


def _percentiles(seen: ImageRange | None) -> dict[str, object]:
    return {"percentiles": [seen.robust.low, seen.robust.high]} if seen else {}


def _attributes(part: Part, params: ImportParams) -> dict[str, object]:
    """What the group of an image and its imported arrays record; the pixel size only where it is known."""
    sizes = params.pixel_sizes()
    spacing = {"spacing": list(sizes)} if sizes else {}
    unit = {"unit": params.unit} if params.unit else {}
    return {"dims": params.dims, "split": part.split, **spacing, **unit}


def _labels_job(part: Part, seen: LabelScan, params: ImportParams, about: dict[str, object]) -> LabelsJob:
    """The digest is that of the labels as they were; what is made of them are parameters."""
    dims = params.dims
    connectivity = num_neighbours(params.dims, params.connectivity) if params.instances == "components" else None
    rule = {
        "instances": "components" if connectivity else "ids",
        "connectivity": connectivity,
        "ignore_label": params.ignore_label,
    }
    shape = box_shape(part.box[1:])
    made = _made("int32", shape, {**about, **rule}, seen.scan.digest)
    largest = seen.num_pieces if connectivity else int(seen.scan.high)
    output = pixel_array(labels_path(part.name, "instances"), shape, "int32", dims, made)
    return LabelsJob(
        (replace(output, extra={"largest_label": largest}),),
        part.labels.at_absolute_path(),
        _origin((slice(0, 1), *part.box[1:])),
        params.ignore_label,
        connectivity,
        seen.names,
        digests=seen.scan.shards,
    )


def _made(dtype: str, shape: tuple[int, ...], about: dict[str, object], digest: str) -> Provenance:
    """What is said of the image counts as a parameter, so that what was made of it is stale once it changes."""
    return Provenance("import", KERNEL_VERSION, {"dtype": dtype, "shape": list(shape), **about}, {"pixels": digest})


def _origin(box: Box) -> tuple[int, ...]:
    return tuple(b.start for b in box)


def _intensity(image: Source, seen: RobustRange, rule: str) -> tuple[float, float]:
    """What becomes 0 and 1, by the rule. Raises InvalidInput for the range of a dtype that has none."""
    if rule == "dtype" and np.dtype(image.dtype).kind not in "ui":
        raise InvalidInput(
            f"{image.path} has dtype {image.dtype}, which has no natural range",
            allowed="integers with --intensity dtype",
            hint="use --intensity percentile",
        )
    return intensity_limits(rule, image.dtype, seen)
