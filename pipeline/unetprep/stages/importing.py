"""Import: images and labels of any file format become the store's own arrays.

Every source is read twice: first whole, checking its values and taking a digest of its pixels, before anything is
written; then shard by shard into the store. So bad input leaves nothing behind, and a rerun knows what it continues.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetprep.errors import Conflict, InvalidInput
from unetprep.grid import Box, Index, box_shape
from unetprep.layout import SPLITS, Provenance, labels_path, pixel_array, pixel_chunks, pixels_path
from unetprep.params import ImportParams
from unetprep.sources import ArraySource, Source, find_pairs
from unetprep.sources.scan import scan_image, scan_labels, stored_dtype
from unetprep.stage import Blocks, Job
from unetprep.stages.splitting import Part, split_parts
from unetprep.store import Store

KERNEL_VERSION = 1


@dataclass(frozen=True)
class ImportJob(Job):
    """Copy the part of a source at `origin` (c, z, y, x) into one array."""

    source: Source
    origin: tuple[int, ...]

    def compute(self, store: Store, index: Index) -> Blocks:
        """One shard, read from the source and cast to the stored dtype."""
        (box,) = self.boxes(index)
        whole = (slice(0, 1),) * (4 - len(box)) + box
        where = tuple(slice(b.start + o, b.stop + o) for b, o in zip(whole, self.origin, strict=True))
        block = self.source.read(where).reshape(box_shape(box))
        return (block.astype(self.outputs[0].dtype),)


@dataclass(frozen=True)
class Import:
    """A planned import: what each image's group says, and the jobs that fill its arrays."""

    images: dict[str, dict[str, object]]
    jobs: tuple[ImportJob, ...]

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


def plan_import(images: Sequence[str], labels: Sequence[str], params: ImportParams) -> Import:
    """Read and check every source, and plan its arrays. Raises InvalidInput for whatever cannot be used."""
    pairs = find_pairs(images, labels, params.axes)
    groups: dict[str, dict[str, object]] = {}
    jobs: list[ImportJob] = []
    for _, _, source in pairs:
        _check_labels(source, params)
    for part in split_parts(pairs, params):
        attributes, planned = _plan_part(part, params)
        groups[part.name] = attributes
        jobs += planned
    return Import(groups, tuple(jobs))


def _check_labels(source: Source, params: ImportParams) -> None:
    """Refuse labels without a cell, and what looks like a mask: both seen on the whole, for a strip may well be so."""
    box = tuple(slice(0, n) for n in source.shape)
    dims = int(params.dims)
    scan, ids = scan_labels(source, box, pixel_chunks(source.shape[1:], dims)[1])
    if scan.high == 0:
        raise InvalidInput(f"{source.path} is empty: every label is 0", allowed="at least one cell")
    if params.instances == "auto" and len(ids) == 1:
        _refuse_mask(source, box, dims, int(ids[0]))


def _plan_part(part: Part, params: ImportParams) -> tuple[dict[str, object], list[ImportJob]]:
    dims = int(params.dims)
    shard = pixel_chunks(box_shape(part.box[1:]), dims)[1]
    label_box, labels = (slice(0, 1), *part.box[1:]), part.labels
    if params.instances == "components":
        labels, label_box = _components(part, label_box, dims)
    attributes: dict[str, object] = {"dims": dims, "split": part.split}
    digest = scan_labels(labels, label_box, shard)[0].digest
    about = dict(attributes)
    jobs = [_job(labels_path(part.name, "instances"), "int32", labels, label_box, dims, about, digest)]
    files = [part.labels.path]
    if part.image is not None:
        seen = scan_image(part.image, part.box, shard)
        low, high = _intensity(part.image, (seen.low, seen.high), params.intensity)
        about = {**attributes, "intensity": [low, high], "intensity_rule": params.intensity}
        dtype = stored_dtype(part.image)
        jobs.append(_job(pixels_path(part.name), dtype, part.image, part.box, dims, about, seen.digest))
        files.insert(0, part.image.path)
    return {**about, "source": [file.rstrip("/").rpartition("/")[2] for file in files]}, jobs


def _job(
    path: str, dtype: str, source: Source, box: Box, dims: int, about: dict[str, object], digest: str
) -> ImportJob:
    """What is said of the image counts as a parameter, so that what was made of it is stale once it changes."""
    shape = box_shape(box)
    shape = shape if path.endswith("/image") else shape[1:]
    provenance = Provenance(
        "import", KERNEL_VERSION, {"dtype": dtype, "shape": list(shape), **about}, {"pixels": digest}
    )
    return ImportJob(
        (pixel_array(path, shape, dtype, dims, provenance),), source.at_absolute_path(), tuple(b.start for b in box)
    )


def _components(part: Part, box: Box, dims: int) -> tuple[Source, Box]:
    """The connected pieces of a mask, as labels of the part alone."""
    labels = _pieces(part.labels, box, dims)
    source = ArraySource(part.labels.path, "zyx", labels.shape, "int32", labels)
    return source, (slice(0, 1), *(slice(0, n) for n in labels.shape))


def _pieces(source: Source, box: Box, dims: int) -> NDArray[np.int32]:
    """Number the pieces that hang together by pixel sides, through all slices of a stack without joining them."""
    sides = ndimage.generate_binary_structure(3, 1)
    if dims == 2:
        sides[[0, 2]] = False
    labels = np.empty(box_shape(box[1:]), np.int32)
    ndimage.label(source.read(box)[0] != 0, sides, output=labels)
    return labels


def _refuse_mask(source: Source, box: Box, dims: int, label: int) -> None:
    """One number in several pieces is a mask: without instances there is no second nearest cell."""
    pieces = int(_pieces(source, box, dims).max())
    if pieces > 1:
        raise InvalidInput(
            f"{source.path} looks like a binary mask: its only label is {label}, in {pieces} separate pieces",
            allowed="a number of its own for each cell; without it no border between two cells is known",
            hint="--instances components numbers the connected pieces; --instances ids takes them as one cell",
        )


def _intensity(image: Source, seen: tuple[float, float], rule: str) -> tuple[float, float]:
    kind = np.dtype(image.dtype)
    if rule == "dtype" or (rule == "auto" and kind == np.uint8):
        if kind.kind not in "ui":
            raise InvalidInput(
                f"{image.path} has dtype {image.dtype}, which has no natural range", hint="use --intensity minmax"
            )
        return float(np.iinfo(kind).min), float(np.iinfo(kind).max)
    low, high = seen
    return low, high if high > low else low + 1
