"""Stacks: which images of an import are stored many to an array, and the jobs that fill these arrays.

Small images of one kind (channels, dtype and pixel size) share a stack, if there are enough of them. An image that is
in a stack of the store already stays in its slice; all others form new stacks, so what is there is not written again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from json import dumps
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import Conflict, Failure
from unetprep.format.boxes import Box, Index, box_shape
from unetprep.format.layout import (
    PIXEL_SHARD,
    STACKS,
    ArraySpec,
    Provenance,
    images_a_shard,
    stack_array,
    stack_path,
)
from unetprep.format.places import TABLE, ImagePlace, places_in
from unetprep.sources import Source
from unetprep.sources.class_table import ClassOfLabel
from unetprep.sources.connected_components import label_shard
from unetprep.sources.first_pass import UNKNOWN, cell_values, stored_dtype, stored_labels
from unetprep.sources.kept_pixels import KeptPixels
from unetprep.stages.base import Blocks, Job
from unetprep.stages.import_jobs import classes_of
from unetprep.stages.pixel_sizes import ImageScale
from unetprep.stages.splits import Part
from unetprep.store import Store

FEWEST = 16  # images of one kind that make the first stack of a store
FEWEST_MORE = 2  # that make a further one
LARGEST_SIDE = PIXEL_SHARD[2][-1]


@dataclass(frozen=True)
class Member:
    """An image of a stack: its size, and the part that is imported; None if it is not given this time.

    The pixels of an image that was `removed` are written with those of its shard, but it stays in no split.
    """

    name: str
    size: tuple[int, int]
    part: Part | None
    removed: bool = False


@dataclass(frozen=True)
class Stack:
    """A stack of the store or a new one, with its images by slice."""

    path: str
    members: tuple[Member, ...]

    @cached_property
    def given(self) -> dict[int, Part]:
        """The parts that are imported, by slice."""
        return {k: member.part for k, member in enumerate(self.members) if member.part}

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The sides of the images, (image, 2), as y, x."""
        return np.array([member.size for member in self.members], np.int64)

    def array(self, path: str, channels: tuple[int, ...], dtype: str, made: Provenance) -> ArraySpec:
        """Specification of an array of this stack."""
        return array_of_stack(path, self.sizes, channels, dtype, made)


def array_of_stack(
    path: str, sizes: NDArray[np.int64], channels: tuple[int, ...], dtype: str, made: Provenance
) -> ArraySpec:
    """Specification of an array of a stack of images of these sizes, (image, 2)."""
    num_images, num_pixels = len(sizes), int(sizes.prod(axis=1).sum())
    shape = (*channels, num_images, *map(int, sizes.max(axis=0)))
    return stack_array(path, shape, dtype, images_a_shard(num_images, num_pixels), made)


def arrange(parts: Sequence[Part], dims: int, store: Store | None) -> tuple[list[Part], list[Stack]]:
    """The parts that get arrays of their own, and the stacks of all others."""
    numbers = range(store.record(STACKS).get("count", 0) if store else 0)
    by_name = {part.name: part for part in parts}
    stacks, in_stacks = [], set()
    for path in map(stack_path, numbers):
        assert store
        store.table(path)  # raises InvalidInput if it is lost
        places = list(places_in(path, store.record(path), removed=True))
        stack = Stack(path, tuple(_member(place, by_name, store) for place in places))
        in_stacks |= {place.name for place in places}
        if any(member.part and not member.removed for member in stack.members):
            _refuse_other_kinds(stack, dims, store)
            stacks.append(stack)
    known = set(store.places if store else ()) | in_stacks
    kinds: dict[tuple[int, str, ImageScale], list[Part]] = {}
    next_number = len(numbers)
    for part in parts:
        if part.name not in known and is_small(box_shape(part.box), dims):
            kinds.setdefault(_kind(part), []).append(part)
    for alike in kinds.values():
        if len(alike) >= (FEWEST_MORE if numbers else FEWEST):
            members = (Member(part.name, _size(part), part) for part in alike)
            stacks.append(Stack(stack_path(next_number), tuple(members)))
            in_stacks |= {part.name for part in alike}
            next_number += 1
    return [part for part in parts if part.name not in in_stacks], stacks


def _member(place: ImagePlace, by_name: Mapping[str, Part], store: Store) -> Member:
    """An image of a stack of the store; if it is given, with the size that it has now."""
    part, removed = by_name.get(place.name), place.name not in store.places
    assert place.sides
    if removed and part and _size(part) != place.sides:
        part = None  # another image of that name, which is not imported
    return Member(place.name, _size(part) if part else place.sides, part, removed)


def is_small(shape: tuple[int, ...], dims: int) -> bool:
    """Whether an image (c, z, y, x) is stored in a stack, if there are enough of its kind."""
    _, slices, height, width = shape
    return dims == 2 and slices == 1 and max(height, width) <= LARGEST_SIDE


def _kind(part: Part) -> tuple[int, str, ImageScale]:
    """Channels, dtype and pixel size of an image, which those of a stack share."""
    return (part.box[0].stop, stored_dtype(part.image), part.scale) if part.image else (0, "", part.scale)


def _refuse_other_kinds(stack: Stack, dims: int, store: Store) -> None:
    """Raise Conflict for an image of a stack of the store that is now of another kind than the others."""
    given = list(stack.given.values())
    for part in given:
        if not is_small(box_shape(part.box), dims) or _kind(part) != _kind(given[0]):
            raise Conflict(
                f"{(part.image or part.labels).path} is in {store.url} already, as image {part.name!r} of {stack.path},"
                " and has other channels, slices, dtype or pixel size than the images stored with it",
                hint=f"remove it: unetprep remove {store.url} {part.name}, and import it under another name; or import"
                " all of them into another store",
            )


def _size(part: Part) -> tuple[int, int]:
    height, width = box_shape(part.box)[2:]
    return height, width


def digest_of_all(members: Iterable[tuple[str, Sequence[int]]], digests: Sequence[str]) -> str:
    """Digest of an array of a stack: of the names, sizes and digests of its images."""
    listed = [[name, *size, digest] for (name, size), digest in zip(members, digests, strict=True)]
    return sha256(dumps(listed).encode()).hexdigest()


def recorded_digests(store: Store | None, path: str) -> list[str] | None:
    """The digests of the images in an array of a stack; None if it does not exist."""
    found = store.record(path).get("digests") if store else None
    return list(found) if found else None


def merged_digests(
    stack: Stack, given: Mapping[int, str], store: Store | None, path: str, *, overwrite: bool
) -> list[str]:
    """The digests of all images of an array: those of the images that are given, and of the others those recorded.

    Raises Conflict for an image whose pixels are not those that are recorded, unless `overwrite` replaces them all.
    """
    absent = [member.name for member in stack.members if member.part is None]
    if overwrite and not absent:  # also where the document of the array is damaged
        return [given[k] for k in range(len(stack.members))]
    there, sizes = recorded_digests(store, path), store.sizes(stack.path) if store else None
    resized = [] if sizes is None else np.flatnonzero((sizes != stack.sizes).any(axis=1)).tolist()
    if there and not overwrite:  # a removed image stays as it is
        given = {k: there[k] if stack.members[k].removed else digest for k, digest in given.items()}
    changed = [k for k, digest in given.items() if there and (digest not in (there[k], UNKNOWN) or k in resized)]
    if changed:
        assert store
        part = stack.members[changed[0]].part
        more = f", and {len(changed) - 1} more" if changed[1:] else ""
        others = f", together with the other images of {stack.path}, such as {absent[0]}" if absent else ""
        raise Conflict(
            f"{_file(part, path)} is in {store.url} already, as image {stack.members[changed[0]].name!r}, with other"
            f" pixels{more}",
            hint=f"for edited labels: unetprep relabel; else repeat the command with --overwrite{others}, or write to"
            " another store",
        )
    if not there and absent:
        raise Conflict(
            f"{stack.path} of {store.url if store else ''} also holds {absent[0]!r}, which is not given",
            hint="give all images of the stack at once",
        )
    known = {k: digest for k, digest in given.items() if digest != UNKNOWN or not there}
    return [known[k] if k in known or not there else there[k] for k in range(len(stack.members))]


def _file(part: Part | None, path: str) -> str:
    source = part and (part.image if path.endswith("/image") else part.labels)
    return source.path if source else path


@dataclass(frozen=True)
class StackImportJob(Job):
    """Copy many sources into the slices of one array of a stack.

    `digests` are those of the stored pixels; a slice that differs is not written. `labels` says how labels are read.
    """

    sources: Mapping[int, Source] = field(compare=False)  # by slice
    digests: Sequence[str] = field(compare=False)
    labels: "LabelRule | ClassRule | None" = None
    kept: KeptPixels = field(default_factory=KeptPixels, compare=False)

    def of(self, indices: Iterable[Index]) -> "StackImportJob":
        """The job with the sources of some shards alone."""
        axis, num = len(self.outputs[0].shape) - 3, self.outputs[0].shard[-3]
        slices = {k for index in indices for k in range(index[axis] * num, (index[axis] + 1) * num)}
        return replace(self, sources={k: source for k, source in self.sources.items() if k in slices})

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """One image, read from its source. Raises Failure if the source is not given or has changed."""
        return (self._image(boxes[0][-3].start),)

    def _image(self, k: int) -> NDArray[Any]:
        path = self.outputs[0].path
        if k not in self.sources:
            raise Failure(
                f"slice {k} of {path} has to be written again, and its file is not among those that are imported",
                hint="repeat the import with all files",
            )
        source = self.sources[k]
        kept = self.kept.take((path, k))
        pixels = source.read((slice(None),) * 4) if kept is None else kept
        values = self.labels.stored(pixels[0]) if self.labels else pixels.astype(self.outputs[0].dtype, copy=False)
        if kept is None and self.digests[k] not in (UNKNOWN, pixel_digest(values)):
            raise Failure(
                f"{source.path} has changed since it was read for the first time; {path} stays unfinished",
                allowed="files that stay as they are until the command has ended",
                hint="see what writes the file, then repeat the command",
            )
        return self.labels.finished(k, values) if self.labels else values

    def compute_bytes(self) -> int:
        """A block as stored, and one image as in the file, as stored, and with its numbers of components."""
        (output,) = self.outputs
        one = int(np.prod(output.shape[-2:])) * int(np.prod(output.shape[:-3]))
        return self.num_values(output) * np.dtype(output.dtype).itemsize + one * (8 + 8 + 24 * bool(self.labels))


@dataclass(frozen=True)
class LabelRule:
    """How labels of a stack are stored: `ignore_label` and, for connected components, their `connectivity`.

    Components are those of all cells, which are above a threshold, or `by_value` those of each number.
    """

    ignore_label: int | None
    connectivity: int | None
    by_value: bool = False
    threshold: int = 0

    def stored(self, labels: NDArray[Any]) -> NDArray[np.int32]:
        """Labels (z, y, x) as their digest is taken."""
        return stored_labels(labels, self.ignore_label)

    def finished(self, k: int, labels: NDArray[np.int32]) -> NDArray[Any]:
        """The labels of an image, with their connected components numbered."""
        if not self.connectivity:
            return labels
        pieces = label_shard(cell_values(labels, self.by_value, self.threshold), self.connectivity)
        return np.where(labels < 0, labels, pieces.astype(np.int32))


@dataclass(frozen=True)
class ClassRule(LabelRule):
    """How the classes of a stack follow from its labels, or from the `tables` of its images, by slice."""

    tables: Mapping[int, ClassOfLabel] = field(default_factory=dict)

    def finished(self, k: int, labels: NDArray[np.int32]) -> NDArray[Any]:
        """The classes of the pixels of an image."""
        return classes_of(labels, self.tables.get(k))


def pixel_digest(values: NDArray[Any]) -> str:
    """Digest of stored pixels, as `Scan.digest` of an image of one shard."""
    return sha256(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data).hexdigest()


def merged_table(stack: Stack, columns: Mapping[str, Mapping[int, Any]], store: Store | None) -> dict[str, list[Any]]:
    """The table of a stack: of the given images what `columns` say by slice, of the others what is recorded."""
    there = store.record(stack.path).get(TABLE, {}) if store else {}
    table: dict[str, list[Any]] = {
        "names": [member.name for member in stack.members],
        "sizes": [list(member.size) for member in stack.members],
    }
    for key in {**columns, **there}.keys() - table.keys():
        values = [
            columns.get(key, {}).get(k, there[key][k] if key in there else None) for k in range(len(stack.members))
        ]
        table[key] = values
    return dict(sorted(table.items()))
