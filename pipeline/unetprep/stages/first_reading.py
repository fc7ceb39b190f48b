"""First reading of the sources of an import: values, digests, connected components, and what cannot be imported."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import Faults, InvalidInput
from unetprep.format.boxes import Box, Index, box_shape
from unetprep.format.layout import labels_path, pixel_chunks, pixels_path
from unetprep.kernels.percentiles import WORKING_BYTES
from unetprep.params import ImportParams, num_neighbours
from unetprep.sources import Source
from unetprep.sources.connected_components import LabelMap, UnionFind
from unetprep.sources.first_pass import LARGEST_LABEL, Scan, scan_image, scan_labels, stored_dtype
from unetprep.sources.formats.tiff import SMALL_TIFF_BYTES
from unetprep.sources.kept_pixels import KeptPixels
from unetprep.sources.label_screen import LEAST_MASK_TOP, UNLABELLED, LabelScreen
from unetprep.sources.memory import kept_of_all, reading_bytes
from unetprep.stages.base import Shape
from unetprep.stages.splits import Part

T = TypeVar("T")
MOST_NOTES = 10
SEVERAL = 2  # numbers
EDITED = (
    "correct the file: relabel has no options for its values, and reads it as the first labels were imported; or import"
    " the image again with --overwrite and other options: "
)
AT_ONCE = 16  # images of a stack that a thread reads in turn


@dataclass(frozen=True)
class LabelScan:
    """Result of a first reading of labels: also up to two of their numbers, and the label maps of their components."""

    scan: Scan
    ids: NDArray[np.int64]
    num_pieces: int
    names: Mapping[Index, LabelMap]
    has_ignored: bool = False
    odd: str = ""  # what `check_values` has to look at: "gradual" values or "pieces" of numbers


Seen = tuple[LabelScan, Scan | None]  # what was found in labels and image


class FirstReading:
    """Reads sources as a whole. Those of the images of stacks are kept in `kept` for the second reading."""

    kept, num_threads = KeptPixels(), 1

    def __init__(self, kept: KeptPixels | None = None, num_threads: int = 1) -> None:
        self.kept, self.num_threads = kept or KeptPixels(), num_threads

    def all_in_stack(
        self, group: str, parts: Mapping[int, Part], params: ImportParams, faults: Faults
    ) -> dict[int, Seen]:
        """The labels and the values of the images of a stack, by slice, without those that cannot be used."""

        def read(some: Sequence[tuple[int, Part]]) -> list[tuple[int, Seen | str]]:
            return [(k, result_or_message(partial(self.in_stack, group, k, part, params))) for k, part in some]

        seen: dict[int, Seen] = {}
        with ThreadPoolExecutor(self.num_threads) as executor:
            found = executor.map(read, batched(list(parts.items()), AT_ONCE))
            for k, result in chain.from_iterable(found):
                if isinstance(result, str):
                    faults.add(result)
                else:
                    seen[k] = result
        return seen

    def in_stack(self, group: str, k: int, part: Part, params: ImportParams) -> Seen:
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
        screen, where = LabelScreen(), (slice(0, 1), *box[1:])
        mask = union_find, params.by_value, params.label_threshold or 0
        scan, ids = scan_labels(source, where, shard, chunk, params.ignore_label, *mask, screen)
        if params.labels_are_classes:
            refuse_class(source, scan, params)
        num_pieces, names = union_find.label_maps() if union_find else (0, {})
        if num_pieces > LARGEST_LABEL:
            raise InvalidInput(
                f"{source.path} has {num_pieces} connected components",
                allowed=f"up to {LARGEST_LABEL} cells in an image",
                hint="it is noise rather than a mask of cells, or should be cut into several images",
            )
        return LabelScan(scan, ids, num_pieces, names, screen.has_ignored, screen.odd)


def result_or_message(function: Callable[[], T]) -> T | str:
    """What a function returns, or the message of the InvalidInput that it raises."""
    try:
        return function()
    except InvalidInput as error:
        return str(error)


def batched(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Values, some at a time."""
    return (values[at : at + size] for at in range(0, len(values), size))


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


def read_labels(
    parts: Sequence[Part], params: ImportParams, reading: FirstReading, checks: "LabelChecks"
) -> list[LabelScan]:
    """Read and check the labels of parts. Those of the images that cannot be used are left out."""
    found: list[LabelScan] = []
    for _, strips in groupby(parts, lambda part: part.labels):
        of_image = list(strips)
        with checks.faults.collected():
            seen = [reading.labels(part.labels, part.box, params, params.numbers_components) for part in of_image]
            checks.check(of_image[0], seen)
            found += seen
    return found


def read_images(
    parts: Sequence[Part], params: ImportParams, reading: FirstReading, faults: Faults
) -> list[Scan | None]:
    """Read the images of parts, without those that cannot be used; None for a part of labels alone."""
    found: list[Scan | None] = []
    for image, strips in groupby(parts, lambda part: part.image):
        with faults.collected():
            found += [image and reading.image(image, part.box, params.dims) for part in strips]
    return found


class LabelChecks:
    """Checks of the labels of an import, once they are read. Collects what cannot be used, and notes on what is odd.

    `edited` labels are read as those were that they replace, without options of an import.
    """

    def __init__(
        self, params: ImportParams, reading: FirstReading, faults: Faults | None = None, *, edited: bool = False
    ) -> None:
        self.faults = faults or Faults()
        self._edited = edited
        self._params, self._reading = params, reading
        self._notes: list[str] = []
        self._num_notes, self._num_images, self._num_empty, self._has_ignored = 0, 0, 0, False

    def check(self, part: Part, seen: Sequence[LabelScan]) -> None:
        """Refuse labels that are no numbers of cells. `seen` are all strips, since one may hold a single number."""
        try:
            self._check(part, seen)
        except InvalidInput as error:
            if not self._edited:
                raise
            raise InvalidInput(error.problem, allowed=error.allowed, hint=EDITED + error.hint) from None

    def _check(self, part: Part, seen: Sequence[LabelScan]) -> None:
        ids = np.unique(np.concatenate([labels.ids for labels in seen]))
        self._num_images += 1
        self._num_empty += not len(ids)
        self._has_ignored |= any(labels.has_ignored for labels in seen)
        if part.labels.is_of_objects:
            return
        if self._params.instances == "auto" and not self._params.labels_are_classes and len(ids) == 1:
            _refuse_mask(part.labels, self._params, int(ids[0]), self._reading)
        odd = any(self._is_odd(labels) for labels in seen)
        if not odd or len(ids) < SEVERAL or self._params.label_threshold is not None:
            return
        if self._params.instances == "ids" and self._num_notes >= MOST_NOTES:  # taken anyway
            self._num_notes += 1
        else:
            from unetprep.stages.label_guard import check_values  # needs scipy

            self._note(check_values(part.labels, part.image, self._params))

    def _is_odd(self, labels: LabelScan) -> bool:
        """Whether labels need the slower rules. Pieces of several numbers are usual where components are numbered."""
        pieces_count = not self._params.numbers_components or labels.scan.high >= LEAST_MASK_TOP
        return labels.odd == "gradual" or labels.scan.high in UNLABELLED or (labels.odd == "pieces" and pieces_count)

    def _note(self, note: str) -> None:
        self._num_notes += bool(note)
        if note and len(self._notes) < MOST_NOTES:
            self._notes.append(note)

    def notes(self) -> tuple[str, ...]:
        """Sentences on labels that are taken although they look odd."""
        notes, more, ignored = list(self._notes), self._num_notes - len(self._notes), self._params.ignore_label
        if more:
            notes.append(f"{more} more label images look odd")
        if ignored is not None and not self._has_ignored:
            notes.append(f"--ignore-label {ignored} occurs in no label image ({self._num_images} read)")
        if self._num_empty == self._num_images > 0:
            notes.append("no label image has a cell: check that these are the right labels")
        return tuple(notes)


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
