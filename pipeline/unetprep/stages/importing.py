"""Import: images and labels of any file format become the store's own arrays.

Every source is read twice: first whole, checking its values, taking a digest of its pixels and finding connected
pieces, before anything is written; then shard by shard into the store. So bad input leaves nothing behind, and a rerun
knows what it continues.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import Conflict, InvalidInput
from unetprep.grid import Box, Index, box_shape
from unetprep.layout import SPLITS, Provenance, labels_path, pixel_array, pixel_chunks, pixels_path
from unetprep.params import ImportParams, num_neighbours
from unetprep.sources import Source, find_pairs
from unetprep.sources.pieces import Joiner, Names, label_shard
from unetprep.sources.scan import LARGEST_LABEL, Scan, scan_image, scan_labels, stored_dtype, stored_labels
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
        return (self.read(index).astype(self.outputs[0].dtype),)

    def read(self, index: Index) -> NDArray[Any]:
        """The pixels of one shard as the source has them."""
        (box,) = self.boxes(index)
        whole = (slice(0, 1),) * (4 - len(box)) + box
        where = tuple(slice(b.start + o, b.stop + o) for b, o in zip(whole, self.origin, strict=True))
        return self.source.read(where).reshape(box_shape(box))


@dataclass(frozen=True)
class LabelsJob(ImportJob):
    """The same for labels; where a connectivity is given, their connected pieces, each called as `names` say."""

    ignore_label: int | None
    connectivity: int | None
    names: Mapping[Index, Names]

    def of(self, indices: Iterable[Index]) -> "LabelsJob":
        """With the names of some shards alone, for all of them may be large."""
        return replace(self, names={index: self.names[index] for index in indices if index in self.names})

    def compute(self, store: Store, index: Index) -> Blocks:
        """One shard."""
        labels = stored_labels(self.read(index), self.ignore_label)
        if self.connectivity:
            pieces = self.names[index].rename(label_shard(labels > 0, self.connectivity))
            labels = np.where(labels < 0, labels, pieces.astype(np.int32))
        return (labels,)


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
    parts = split_parts(find_pairs(images, labels, params.axes), params)
    seen = _scan_parts(parts, params)
    groups: dict[str, dict[str, object]] = {}
    jobs: list[ImportJob] = []
    for part, labels_seen in zip(parts, seen, strict=True):
        attributes, planned = _plan_part(part, labels_seen, params)
        groups[part.name] = attributes
        jobs += planned
    return Import(groups, tuple(jobs))


def plan_labels(parts: Sequence[Part], params: ImportParams) -> list[LabelsJob]:
    """Read and check the labels of parts, and plan their arrays alone. Raises InvalidInput as `plan_import` does."""
    seen = _scan_parts(parts, params)
    return [
        _labels_job(part, labels_seen, params, {"dims": int(params.dims), "split": part.split})
        for part, labels_seen in zip(parts, seen, strict=True)
    ]


def _scan_parts(parts: Sequence[Part], params: ImportParams) -> "list[LabelScan]":
    seen = [_scan_labels(part.labels, part.box, params, params.instances == "components") for part in parts]
    for source, parts_of_it in groupby(zip(parts, seen, strict=True), lambda pair: pair[0].labels):
        _check_labels(source, [labels for _, labels in parts_of_it], params)
    return seen


@dataclass(frozen=True)
class LabelScan:
    """What a first reading of labels has shown: also up to two of their numbers, and what their pieces are called."""

    scan: Scan
    ids: NDArray[np.int64]
    num_pieces: int
    names: Mapping[Index, Names]


def _scan_labels(source: Source, box: Box, params: ImportParams, pieces: bool) -> LabelScan:
    shape = box_shape(box[1:])
    shard = pixel_chunks(shape, int(params.dims))[1]
    joiner = Joiner(shape, shard, num_neighbours(params.dims, params.connectivity)) if pieces else None
    scan, ids = scan_labels(source, (slice(0, 1), *box[1:]), shard, params.ignore_label, joiner)
    num_pieces, names = joiner.names() if joiner else (0, {})
    if num_pieces > LARGEST_LABEL:
        raise InvalidInput(
            f"{source.path} has {num_pieces} connected pieces",
            allowed=f"up to {LARGEST_LABEL} cells in an image",
            hint="it is noise rather than a mask of cells, or should be cut into several images",
        )
    return LabelScan(scan, ids, num_pieces, names)


def _check_labels(source: Source, parts: Sequence[LabelScan], params: ImportParams) -> None:
    """Refuse labels without a cell, and what looks like a mask: both seen on the whole, for a strip may well be so."""
    ids = np.unique(np.concatenate([part.ids for part in parts]))
    if not len(ids):
        unless = "" if params.ignore_label is None else f" or {params.ignore_label}, which is ignored"
        raise InvalidInput(f"{source.path} is empty: every label is 0{unless}", allowed="at least one cell")
    if params.instances == "auto" and len(ids) == 1:
        _refuse_mask(source, params, int(ids[0]))


def _refuse_mask(source: Source, params: ImportParams, label: int) -> None:
    """One number in several pieces is a mask: without instances there is no second nearest cell."""
    pieces = _scan_labels(source, tuple(slice(0, n) for n in source.shape), params, pieces=True).num_pieces
    if pieces > 1:
        raise InvalidInput(
            f"{source.path} looks like a binary mask: its only label is {label}, in {pieces} separate pieces",
            allowed="a number of its own for each cell; without it no border between two cells is known",
            hint="--instances components numbers the connected pieces; --instances ids takes them as one cell",
        )


def _plan_part(part: Part, seen: LabelScan, params: ImportParams) -> tuple[dict[str, object], list[ImportJob]]:
    dims = int(params.dims)
    attributes: dict[str, object] = {"dims": dims, "split": part.split}
    about = dict(attributes)
    jobs: list[ImportJob] = [_labels_job(part, seen, params, attributes)]
    files = [part.labels.path]
    if part.image is not None:
        pixels = scan_image(part.image, part.box, pixel_chunks(box_shape(part.box[1:]), dims)[1])
        low, high = _intensity(part.image, (pixels.low, pixels.high), params.intensity)
        about = {**attributes, "intensity": [low, high], "intensity_rule": params.intensity}
        path, dtype, shape = pixels_path(part.name), stored_dtype(part.image), box_shape(part.box)
        output = pixel_array(path, shape, dtype, dims, _made(dtype, shape, about, pixels.digest))
        jobs.append(ImportJob((output,), part.image.at_absolute_path(), _origin(part.box)))
        files.insert(0, part.image.path)
    return {**about, "source": [file.rstrip("/").rpartition("/")[2] for file in files]}, jobs


def _labels_job(part: Part, seen: LabelScan, params: ImportParams, about: dict[str, object]) -> LabelsJob:
    """The digest is that of the labels as they were; what is made of them are parameters."""
    dims = int(params.dims)
    connectivity = num_neighbours(params.dims, params.connectivity) if params.instances == "components" else None
    rule = {
        "instances": "components" if connectivity else "ids",
        "connectivity": connectivity,
        "ignore_label": params.ignore_label,
    }
    shape = box_shape(part.box[1:])
    made = _made("int32", shape, {**about, **rule}, seen.scan.digest)
    return LabelsJob(
        (pixel_array(labels_path(part.name, "instances"), shape, "int32", dims, made),),
        part.labels.at_absolute_path(),
        _origin((slice(0, 1), *part.box[1:])),
        params.ignore_label,
        connectivity,
        seen.names,
    )


def _made(dtype: str, shape: tuple[int, ...], about: dict[str, object], digest: str) -> Provenance:
    """What is said of the image counts as a parameter, so that what was made of it is stale once it changes."""
    return Provenance("import", KERNEL_VERSION, {"dtype": dtype, "shape": list(shape), **about}, {"pixels": digest})


def _origin(box: Box) -> tuple[int, ...]:
    return tuple(b.start for b in box)


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
