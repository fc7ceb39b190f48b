"""One pass over labels, block by block, into tables of components, contacts and invalid values.

The tables do not depend on the blocks. A place is the flat index of a pixel in the image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, box_shape, grow, inside, shard_box, shard_counts
from unetprep.format.layout import pixel_chunks
from unetprep.sources.connected_components import UnionFind
from unetprep.sources.first_pass import LARGEST_LABEL
from unetprep.sources.source import Source

ODD_PLACES = 100  # largest number of places of odd values that are kept

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Odd:
    """Pixels whose value cannot be the number of a cell: their count, and the first of them."""

    count: int
    place: Ints
    value: NDArray[Any]

    def __add__(self, other: "Odd") -> "Odd":
        place = np.append(self.place, other.place)
        first = np.argsort(place)[:ODD_PLACES]
        return Odd(self.count + other.count, place[first], np.append(self.value, other.value)[first])


@dataclass(frozen=True)
class Components:
    """Table of the connected components of one value, in the order of their first pixels."""

    value: Ints
    size_px: Ints
    between_px: Ints  # number of its pixels with both a smaller and a larger value among their neighbours
    place: Ints  # of the first pixel


@dataclass(frozen=True)
class Contacts:
    """Table of pairs of cells that touch by a side or a corner, in the order of their first places."""

    low: Ints
    high: Ints
    place: Ints


@dataclass(frozen=True)
class Survey:
    """Result of a scan of labels. Odd and ignored values count as background in all fields but `odd`."""

    shape: tuple[int, ...]  # (z, y, x)
    odd: dict[str, Odd]  # by kind: "not finite", "fraction", "negative", "too large"
    components: Components
    contacts: Contacts
    outline_px: int  # pixels of cells with a neighbour of another value
    touching_px: int  # pixels of cells with a neighbour in another cell


def num_blocks(source: Source, dims: int) -> int:
    """Number of blocks that a survey reads."""
    shape = source.shape[1:]
    return int(np.prod(shard_counts(shape, pixel_chunks(shape, dims)[1])))


def survey(
    source: Source,
    dims: int,
    connectivity: int,
    ignore_label: int | None = None,
    on_block: Callable[[], None] = lambda: None,
    block: tuple[int, ...] = (),
) -> Survey:
    """Read labels once. With `dims` 2 the slices of a stack are independent images, each with its own cells.

    `block` (z, y, x) is read at once; by default a shard.

    Raises InvalidInput for dtypes other than integers and real numbers.
    """
    if np.dtype(source.dtype).kind not in "buif":
        raise InvalidInput(f"{source.path} has dtype {source.dtype}", allowed="integers or real numbers")
    shape = source.shape[1:]
    shard = tuple(map(min, block, shape)) if block else pixel_chunks(shape, dims)[1]
    union_find = UnionFind(shape, shard, connectivity)
    odd: dict[str, Odd] = {}
    components, contacts, outline_px, touching_px = [], [], 0, 0
    for index in np.ndindex(shard_counts(shape, shard)):
        here = _Block(source, shard_box(index, shape, shard), dims, ignore_label)
        for kind, found in here.odd.items():
            odd[kind] = odd[kind] + found if kind in odd else found
        components.append(here.components(union_find.add(index, here.cells)))
        pairs, touching = here.contacts()
        contacts.append(pairs)
        outline_px, touching_px = outline_px + len(here.outline), touching_px + touching
        on_block()
    num_components, names = union_find.label_maps()
    whole = [names[index].of(len(found[0]))[1:] - 1 for index, found in zip(names, components, strict=True)]
    joined = _joined(np.concatenate(components, axis=1), np.concatenate(whole), num_components)
    pairs = _once(np.concatenate(contacts, axis=1), shape[1] * shape[2] if dims == 2 else 0)
    return Survey(shape, odd, joined, Contacts(*pairs), outline_px, touching_px)


class _Block:
    """A block of labels with a halo of one pixel; outside the image, the pixels of its edge are repeated."""

    def __init__(self, source: Source, box: Box, dims: int, ignore_label: int | None) -> None:
        self._shape, self._box, self._halo = source.shape[1:], box, (1 if dims == 3 else 0, 1, 1)
        outer = grow(box, self._halo, self._shape)
        raw, core = source.read((slice(0, 1), *outer))[0], inside(box, outer)
        ignored = np.zeros(raw.shape, bool) if ignore_label is None else raw == ignore_label
        odd = _odd(raw, ~ignored)
        self.odd = {kind: self._odd_here(raw[core], which[core]) for kind, which in odd.items()}
        labels = np.where(np.logical_or.reduce([ignored, *odd.values()]), 0, raw).astype(np.int32)
        missing = [(h - c.start, h - (n - c.stop)) for h, c, n in zip(self._halo, core, raw.shape, strict=True)]
        self._around = np.pad(labels, missing, mode="edge")
        self._core = tuple(slice(h, h + n) for h, n in zip(self._halo, box_shape(box), strict=True))
        self.cells = self._around[self._core]

    def _odd_here(self, raw: NDArray[Any], which: NDArray[np.bool_]) -> Odd:
        place = self._places(np.flatnonzero(which))
        return Odd(len(place), place[:ODD_PLACES], raw[which][:ODD_PLACES])

    def _places(self, flat: Ints) -> Ints:
        """Flat indices in the block as flat indices in the image."""
        within = np.unravel_index(flat, box_shape(self._box))
        return np.asarray(
            np.ravel_multi_index([w + b.start for w, b in zip(within, self._box, strict=True)], self._shape)
        )

    @cached_property
    def _range(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The least and the greatest value among each pixel and its neighbours."""
        size = tuple(2 * h + 1 for h in self._halo)
        low, high = ndimage.minimum_filter(self._around, size), ndimage.maximum_filter(self._around, size)
        return low[self._core], high[self._core]

    @cached_property
    def outline(self) -> Ints:
        """The pixels of cells with a neighbour of another value, as flat indices in the block."""
        low, high = self._range
        return np.flatnonzero((self.cells > 0) & (low != high))

    def components(self, numbers: Ints) -> Ints:
        """(4, component): the columns of `Components` for the components in the block, numbered from 1 in `numbers`."""
        flat, cells = numbers.ravel(), self.cells.ravel()
        low, high = (side.ravel()[self.outline] for side in self._range)
        between = self.outline[(low < cells[self.outline]) & (cells[self.outline] < high)]
        num = int(flat.max(initial=0)) + 1
        first = np.zeros(num, np.int64)
        first[flat[::-1]] = np.arange(flat.size)[::-1]  # the last assignment wins
        size, between_px = (np.bincount(which, minlength=num) for which in (flat, flat[between]))
        return np.stack([cells[first], size, between_px, self._places(first)])[:, 1:]

    def contacts(self) -> tuple[Ints, int]:
        """(3, pair): the columns of `Contacts`; and the number of pixels with a neighbour in another cell."""
        around = self._around.ravel()
        within = np.unravel_index(self.outline, self.cells.shape)
        here = np.ravel_multi_index([w + h for w, h in zip(within, self._halo, strict=True)], self._around.shape)
        mine, touching, pairs = around[here], np.zeros(len(here), bool), []
        steps = [s // self._around.itemsize for s in self._around.strides]
        for offset in product(*(range(-h, h + 1) for h in self._halo)):
            other = around[here + np.dot(offset, steps)]
            meet = (other > 0) & (other != mine)
            touching |= meet
            if offset > (0, 0, 0):  # each pair of pixels once
                ids = np.sort(np.stack([mine[meet], other[meet]]), axis=0)
                pairs.append(np.stack([*ids, self._places(self.outline[meet])]))
        return _once(np.concatenate(pairs, axis=1), 0), int(np.count_nonzero(touching))


def _odd(raw: NDArray[Any], known: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Masks of the pixels whose value cannot be the number of a cell, by kind."""
    odd = {}
    if raw.dtype.kind == "f":
        finite = np.isfinite(raw)
        odd = {"not finite": known & ~finite, "fraction": known & finite & (raw != np.rint(raw))}
        known = known & finite & ~odd["fraction"]
    odd.update({"negative": known & (raw < 0), "too large": known & (raw > LARGEST_LABEL)})
    return {kind: which for kind, which in odd.items() if which.any()}


def _once(pairs: Ints, slice_px: int) -> Ints:
    """The first place of each pair of cells, in each slice of `slice_px` pixels if that is not 0; sorted by place."""
    low, high, place = pairs
    image = place // slice_px if slice_px else np.zeros_like(place)
    key = low << 32 | high  # faster to sort than two columns
    order = np.lexsort((place, key, image))
    new = (np.diff(key[order], prepend=-1) != 0) | (np.diff(image[order], prepend=-1) != 0)
    first = order[new]
    return pairs[:, first[np.argsort(place[first], kind="stable")]]


def _joined(components: Ints, whole: Ints, num_components: int) -> Components:
    """Components of the image from the components of all blocks, whose numbers in the image from 0 on are `whole`."""
    value, size, between, place = components
    values, sizes, betweens, places = np.zeros((4, num_components), np.int64)
    places[:] = np.iinfo(np.int64).max
    values[whole] = value
    np.add.at(sizes, whole, size)
    np.add.at(betweens, whole, between)
    np.minimum.at(places, whole, place)
    order = np.argsort(places)
    return Components(values[order], sizes[order], betweens[order], places[order])
