"""First reading of the sources of an import: values, digests, connected components, and what cannot be imported."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, groupby
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, Index, box_shape
from unetprep.format.layout import labels_path, pixel_chunks, pixels_path
from unetprep.kernels.percentiles import WORKING_BYTES
from unetprep.params import ImportParams, num_neighbours
from unetprep.sources import Source
from unetprep.sources.connected_components import LabelMap, UnionFind
from unetprep.sources.first_pass import LARGEST_LABEL, Scan, scan_image, scan_labels, stored_dtype
from unetprep.sources.formats.tiff import SMALL_TIFF_BYTES
from unetprep.sources.kept_pixels import KeptPixels
from unetprep.sources.memory import kept_of_all, reading_bytes
from unetprep.stages.base import Shape
from unetprep.stages.splits import Part

T = TypeVar("T")
AT_ONCE = 16  # images of a stack that a thread reads in turn


@dataclass(frozen=True)
class LabelScan:
    """Result of a first reading of labels: also up to two of their numbers, and the label maps of their components."""

    scan: Scan
    ids: NDArray[np.int64]
    num_pieces: int
    names: Mapping[Index, LabelMap]


class FirstReading:
    """Reads sources as a whole. Those of the images of stacks are kept in `kept` for the second reading."""

    kept, num_threads = KeptPixels(), 1

    def __init__(self, kept: KeptPixels | None = None, num_threads: int = 1) -> None:
        self.kept, self.num_threads = kept or KeptPixels(), num_threads

    def all_in_stack(
        self, group: str, parts: Mapping[int, Part], params: ImportParams
    ) -> dict[int, tuple[LabelScan, Scan | None]]:
        """The labels and the values of the images of a stack, by slice. Raises the error of the first invalid one."""

        def read(some: Sequence[tuple[int, Part]]) -> list[tuple[int, tuple[LabelScan, Scan | None]]]:
            return [(k, self.in_stack(group, k, part, params)) for k, part in some]

        with ThreadPoolExecutor(self.num_threads) as executor:
            return dict(chain.from_iterable(executor.map(read, batched(list(parts.items()), AT_ONCE))))

    def in_stack(self, group: str, k: int, part: Part, params: ImportParams) -> tuple[LabelScan, Scan | None]:
        """The labels and the values of slice k of a stack, each of which is read and digested as a whole."""
        sides, pieces = box_shape(part.box[1:]), params.numbers_components
        labels = self.kept.read(part.labels, (labels_path(group, "instances"), k))
        seen = self._labels(labels, part.box, params, pieces, sides, None)
        if part.image is None:
            return seen, None
        return seen, scan_image(self.kept.read(part.image, (pixels_path(group), k)), part.box, sides, None)

    def image(self, source: Source, box: Box, dims: int) -> Scan:
        """The values of an image."""
        chunk, shard = pixel_chunks(box_shape(box[1:]), dims)
        return scan_image(source, box, shard, chunk)

    def labels(self, source: Source, box: Box, params: ImportParams, pieces: bool) -> LabelScan:
        """The labels, and with `pieces` their connected components."""
        chunk, shard = pixel_chunks(box_shape(box[1:]), params.dims)
        return self._labels(source, box, params, pieces, shard, chunk)

    def _labels(
        self, source: Source, box: Box, params: ImportParams, pieces: bool, shard: Shape, chunk: Shape | None
    ) -> LabelScan:
        shape = box_shape(box[1:])
        union_find = UnionFind(shape, shard, num_neighbours(params.dims, params.connectivity)) if pieces else None
        scan, ids = scan_labels(
            source, (slice(0, 1), *box[1:]), shard, chunk, params.ignore_label, union_find, params.labels_are_classes
        )
        if params.labels_are_classes:
            refuse_class(source, scan, params)
        num_pieces, names = union_find.label_maps() if union_find else (0, {})
        if num_pieces > LARGEST_LABEL:
            raise InvalidInput(
                f"{source.path} has {num_pieces} connected components",
                allowed=f"up to {LARGEST_LABEL} cells in an image",
                hint="it is noise rather than a mask of cells, or should be cut into several images",
            )
        return LabelScan(scan, ids, num_pieces, names)


def batched(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Values, some at a time."""
    return (values[at : at + size] for at in range(0, len(values), size))


def _check_labels(source: Source, parts: Sequence[LabelScan], params: ImportParams, reading: FirstReading) -> None:
    """Refuse labels that look like a mask. All strips of an image count, since one strip may hold a single number."""
    ids = np.unique(np.concatenate([part.ids for part in parts]))
    if params.instances == "auto" and not params.labels_are_classes and len(ids) == 1:
        _refuse_mask(source, params, int(ids[0]), reading)


def _refuse_mask(source: Source, params: ImportParams, label: int, reading: FirstReading) -> None:
    """Refuse one number in several components: without instances there is no second nearest cell."""
    pieces = reading.labels(source, tuple(slice(0, n) for n in source.shape), params, pieces=True).num_pieces
    if pieces > 1:
        raise InvalidInput(
            f"{source.path} looks like a binary mask: its only label is {label}, in {pieces} separate pieces",
            allowed="a number of its own for each cell; without it no border between two cells is known",
            hint="--instances components numbers the connected pieces; --instances ids takes them as one cell",
        )


def refuse_class(source: Source, scan: Scan, params: ImportParams) -> None:
    """Raise InvalidInput for labels that are classes and hold a greater number."""
    if params.num_classes is not None and scan.high >= params.num_classes:
        raise InvalidInput(
            f"{source.path} holds the label {scan.high:.0f} with num-classes {params.num_classes}",
            allowed=f"classes 0 (background) to {params.num_classes - 1}",
            hint=f"if it marks pixels to be left out: --ignore-label {scan.high:.0f}; if the labels number the cells:"
            " --class-table",
        )


def read_labels(parts: Sequence[Part], params: ImportParams, reading: FirstReading) -> list[LabelScan]:
    """Read and check the labels of all parts."""
    seen = [reading.labels(part.labels, part.box, params, params.numbers_components) for part in parts]
    check_labels(parts, seen, params, reading)
    return seen


def check_labels(parts: Sequence[Part], seen: Sequence[LabelScan], params: ImportParams, reading: FirstReading) -> None:
    """Refuse labels that look like a mask. The strips of an image count together."""
    for source, parts_of_it in groupby(zip(parts, seen, strict=True), lambda pair: pair[0].labels):
        _check_labels(source, [labels for _, labels in parts_of_it], params, reading)


def first_readings_bytes(parts: Sequence[Part], params: ImportParams) -> int:
    """Memory that a first reading of parts takes, one after the other."""
    sources = [source for part in parts for source in (part.labels, part.image) if source is not None]
    kinds = {(box_shape(part.box), _kind(part.labels), part.image and _kind(part.image)): part for part in parts}
    return max(first_reading_bytes(part, params) for part in kinds.values()) + kept_of_all(sources)


def _kind(source: Source) -> tuple[object, ...]:
    """What the memory for reading a source depends on."""
    is_large = prod(source.file_shape) * np.dtype(source.dtype).itemsize > SMALL_TIFF_BYTES
    return type(source), source.axes, source.file_shape, source.dtype, source.path if is_large else ""


def first_reading_bytes(part: Part, params: ImportParams) -> int:
    """Memory that a first reading of a part takes, a shard at a time.

    Labels: as in the file, without ignored ones too, and then those of the cells, or as stored, with a mask; for
    components also their numbers in 32 and in 64 bits. Image: as in the file, as stored, which pixels are finite, and
    histograms.
    """
    shape = box_shape(part.box[1:])
    shard = tuple(map(min, pixel_chunks(shape, params.dims)[1], shape))
    needs = []
    for source, channels in ((part.labels, 1), (part.image, part.box[0].stop - part.box[0].start)):
        if source is not None:
            there, here = np.dtype(source.dtype).itemsize, np.dtype(stored_dtype(source)).itemsize
            pieces = 4 + 8 if params.numbers_components else 0
            known = there * (1 if params.ignore_label is None else 2)
            each = there + here + 1 if source is part.image else known + max(there, 4 + pieces) + 1
            counted = WORKING_BYTES if source is part.image else 0
            needs.append(channels * prod(shard) * each + reading_bytes(source, (channels, *shard)) + counted)
    return max(needs)
