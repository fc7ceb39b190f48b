"""Exact distances from every pixel to the two nearest *different* instances, up to a maximum distance.

A squared distance and its label are packed into one integer, (squared distance << label bits) | label, so that the
smaller of two candidates is the nearer cell: 32 bits where both fit, else 64. Two sweeps along y find the nearest label
and the nearest other label of every column. Two are enough: of three labels on one line, the farthest is not among the
two nearest of any point. In a volume, a search across the planes (z) does the same for every column of planes; a last
search along x finds the two nearest of all. A search proceeds outward and stops at offsets where no line can be nearer.
It handles a block of 8 x 8 pixels at once, see `tiles`.

              x - s     x     x + s
                |       |       |           the candidate of a column at offset s is
      . . . . . o . . . p . . . o . . .     its own squared distance + (s * spacing)^2
                |       |       |
               up and down the columns: `a` nearest label, `b` nearest other label

Squared distances are integers in a unit that divides the squares of the pixel sizes, so they are exact. For pixel sizes
without such a unit the unit is 2^-32 of the squared reach.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unetprep.kernels.simd import (
    LANES,
    any_greater,
    greatest,
    greatest_lane,
    item,
    least,
    least_lane,
    load,
    pointer,
    put,
    splat,
    store,
    where_equal,
    where_less,
)
from unetprep.kernels.tiles import BLOCK, SIDE, interleave

Box = tuple[slice, ...]
UNWANTED = 4  # the kind of a pixel that is not searched and has no class

BAND = (32, 64)  # rows that are swept from below together: few enough for the processor cache,
BAND_PIXELS = 1 << 16  # and enough to amortize the rows below them
LARGEST_LABEL = 2**31 - 1
FIXED_POINT_BITS = 32
LARGEST_DENOMINATOR = 16  # so pixel sizes such as 1.5 : 1 or 2.0625 : 1 have a common unit


@dataclass(frozen=True)
class Metric:
    """Integer squared distances: that of offset k along an axis is (k^2 * factor) >> fraction, in units of `unit`."""

    factors: tuple[int, int, int]  # z, y, x
    steps: tuple[int, int, int]  # number of offsets to search along each axis, with 0
    fraction: int
    unit: float
    limit: int  # the squared reach, rounded up

    def squares(self, axis: int, reach: float = math.inf) -> NDArray[np.uint64]:
        """The squared offsets along an axis below `reach`, by default below the reach of the metric."""
        offsets = [(k * k * self.factors[axis]) >> self.fraction for k in range(self.steps[axis])]
        return np.array([square for square in offsets if square == 0 or square * self.unit < reach * reach], np.uint64)


def metric(spacing: tuple[float, ...], reach: float) -> Metric:
    """The metric for pixels of size (z,) y, x and distances under `reach`; without z, slices are independent."""
    sides = (math.inf,) * (3 - len(spacing)) + tuple(spacing)
    steps = [1 if math.isinf(s) else max(1, math.ceil(reach / s)) for s in sides]
    finest = min(sides)
    for denominator in range(1, LARGEST_DENOMINATOR + 1):
        ratios = [0.0 if math.isinf(s) else (s / finest * denominator) ** 2 for s in sides]
        unit, fraction = (finest / denominator) ** 2, 0
        if all(abs(r - round(r)) <= 1e-9 * r for r in ratios) and reach * reach / unit < 2**FIXED_POINT_BITS - 2:
            break
    else:
        unit, fraction = max(reach, finest) ** 2 / (2**FIXED_POINT_BITS - 2), FIXED_POINT_BITS - 2
        ratios = [0.0 if math.isinf(s) else s * s / unit * 2**fraction for s in sides]
    z, y, x = (round(r) for r in ratios)
    return Metric((z, y, x), (steps[0], steps[1], steps[2]), fraction, unit, max(1, math.ceil(reach * reach / unit)))


class Code(NamedTuple):
    """Packing of a squared distance and a label into an integer; all fields have the packed type."""

    shift: Any  # bits of a label
    zero: Any
    mask: Any  # the largest label
    one: Any  # an offset of one pixel, in the sweeps
    far: Any  # nothing within reach, in the sweeps
    limit: Any  # nothing within reach, afterwards
    nothing: Any  # the largest value


class Search(NamedTuple):
    """Parameters of a search, as a type for numba. Squared offsets are packed with label 0."""

    code: Code
    y_factor: Any
    y_fraction: Any
    planes: NDArray[Any]  # squared offsets along z
    columns: NDArray[Any]  # squared offsets along x; more than steps, the others beyond reach
    steps: int  # number of offsets along x
    column_step: float  # pixel size along x
    first: int  # number of offsets along x that can lead to the nearest instance
    unit: float  # of squared distances
    pair_reach: float  # pairs with d1 + d2 of at least this are ignored; infinite: none
    alone: bool  # whether a pixel without a second instance matters


def prepare_search(
    spacing: tuple[float, ...], reach: float, largest_label: int, pair_reach: float = math.inf, near_reach: float = 0.0
) -> Search:
    """A search for distances under `reach`.

    With a finite `pair_reach`, which makes it fast, it searches only pairs with d1 + d2 under it, and d1 alone up to
    `near_reach`; otherwise both distances, each up to `reach`.
    """
    return _prepared_search(tuple(spacing), reach, largest_label.bit_length(), pair_reach, near_reach)


@lru_cache(16)
def _prepared_search(
    spacing: tuple[float, ...], reach: float, label_bits: int, pair_reach: float, near_reach: float
) -> Search:
    m = metric(spacing, reach)
    packed: type[np.unsignedinteger] = np.uint32
    shift = 32 - (2 * m.limit).bit_length()
    if m.fraction or shift < label_bits:
        packed, shift = np.uint64, 31
    code = Code(
        *(
            packed(v)
            for v in (
                shift,
                0,
                (1 << shift) - 1,
                1 << shift,
                m.steps[1] << shift,
                m.limit << shift,
                np.iinfo(packed).max,
            )
        )
    )
    planes, columns = ((m.squares(axis) << np.uint64(shift)).astype(packed) for axis in (0, 2))
    steps, columns = len(columns), np.append(columns, np.full(SIDE, code.limit))
    first = len(m.squares(2, max(pair_reach / 2, near_reach)))
    alone = math.isinf(pair_reach) or near_reach > 0
    return Search(
        code,
        packed(m.factors[1]),
        packed(m.fraction),
        planes,
        columns,
        steps,
        spacing[-1],
        first,
        m.unit,
        pair_reach,
        alone,
    )


class Buffers(NamedTuple):
    """Buffers for a volume. Rows are padded on both sides, so that a search needs no bounds checks."""

    a: NDArray[Any]  # (tiles, planes, width * 8) nearest label of every column, see `_tile_at`
    b: NDArray[Any]  # nearest other label
    down: NDArray[Any]  # (z, 2, width) state of the downward sweep
    up: NDArray[Any]  # (rows + 1, 2, width) state of the upward sweep at every row of a band of a plane
    rows: NDArray[Any]  # (16, width), named in `Places`
    tiles: NDArray[Any]  # (5, width * 8), named in `Places`
    blocks: NDArray[Any]  # (4, width / 8), named in `Places`
    at: NDArray[np.int64]  # see `Places`


class Places(NamedTuple):
    """Pointers to the buffers, since arrays would be reference-counted with each call, and the shape of a row."""

    a: Any
    b: Any
    down: Any
    up: Any
    slots: int  # rows of `up`
    width: int
    left: int  # position of the first column in a row
    right: int  # position of the padding after the columns
    cells: Any  # (8, width) labels, 0 for none
    kinds: Any  # (8, width) 2 * class, and 1 for pixels to be searched; the caller's
    tile_kinds: Any  # kinds as a tile
    tile_a: Any  # `a` and `b` of one plane, from all planes
    tile_b: Any
    d1: Any  # the squared distances found, in units, 64 for each block
    d2: Any
    closest: Any  # for each block of a tile: nearest instance
    lowest: Any  # smallest label
    highest: Any  # largest label; 0: none
    reached: Any  # number of labels in reach: 0, 1, or 2 for several
    at: Any  # first column of each block found


def band_rows(shape: tuple[int, ...]) -> int:
    """Number of rows of a volume (z, y, x) that are swept from below together."""
    rows = min(shape[1], BAND[1], max(BAND[0], BAND_PIXELS // max(1, shape[0] * shape[2])))
    return -(-rows // SIDE) * SIDE


def padding(search: Search) -> int:
    """Padding of a row on either side, in pixels."""
    return -(-(search.steps + 2 * LANES) // LANES) * LANES


def padded_width(length: int, search: Search) -> int:
    """Width of a row with the padding."""
    return 2 * padding(search) + -(-length // LANES) * LANES


def _kept_tiles(shape: tuple[int, ...], search: Search) -> tuple[int, int]:
    """Number of tiles, and of planes of each, that are kept for a search: all in reach, twice."""
    in_reach = 2 * len(search.planes) - 1
    return (band_rows(shape) // SIDE, 2 * in_reach) if in_reach > 1 else (1, 1)


def as_volumes(labels: NDArray[np.int32], search: Search) -> NDArray[np.int32]:
    """Labels (z, y, x) as independent volumes (volume, z, y, x): all planes, or each where no search crosses them."""
    return labels[None] if len(search.planes) > 1 else labels[:, None]


def prepare_buffers(shape: tuple[int, ...], search: Search) -> Buffers:
    """Buffers for a volume (z, y, x)."""
    depth, _, length = shape
    code, packed, width = search.code, search.columns.dtype, padded_width(length, search)
    return Buffers(  # `buffer_bytes` counts them
        np.full((*_kept_tiles(shape, search), width * SIDE), code.limit),
        np.full((*_kept_tiles(shape, search), width * SIDE), code.limit),
        np.empty((depth, 2, width), packed),
        np.empty((band_rows(shape) + 1, 2, width), packed),
        np.repeat(np.array([0, UNWANTED], packed), SIDE * width).reshape(2 * SIDE, width),
        np.full((5, width * SIDE), code.limit),
        np.repeat(np.array([code.limit, code.mask, 0, 0], packed), width // SIDE + LANES).reshape(4, -1),
        np.empty(width // SIDE, np.int64),
    )


def buffer_bytes(shape: tuple[int, ...], search: Search) -> int:
    """Memory of the buffers for a volume (z, y, x)."""
    depth, _, length = shape
    width, kept = padded_width(length, search), math.prod(_kept_tiles(shape, search))
    lines = 2 * kept * SIDE + 2 * depth + 2 * (band_rows(shape) + 1) + 2 * SIDE + 5 * SIDE
    return (lines * width + 4 * (width // SIDE + LANES)) * search.columns.dtype.itemsize + 8 * (width // SIDE)


@njit(nogil=True, cache=True, forceinline=True)
def places_of(buffers, left):  # type: ignore[no-untyped-def]
    """Pointers to the buffers."""
    rows, tiles, blocks, width = buffers.rows, buffers.tiles, buffers.blocks, buffers.rows.shape[1]
    return Places(
        pointer(buffers.a),
        pointer(buffers.b),
        pointer(buffers.down),
        pointer(buffers.up),
        len(buffers.up),
        width,
        left,
        width - left,
        pointer(rows[0]),
        pointer(rows[SIDE]),
        pointer(tiles[0]),
        pointer(tiles[1]),
        pointer(tiles[2]),
        pointer(tiles[3]),
        pointer(tiles[4]),
        pointer(blocks[0]),
        pointer(blocks[1]),
        pointer(blocks[2]),
        pointer(blocks[3]),
        pointer(buffers.at),
    )


@njit(nogil=True, cache=True, forceinline=True)
def _copy_labels(labels, first, count, cells, at):  # type: ignore[no-untyped-def]
    """Copy a row of labels, without those below 1."""
    for x in range(count):
        put(cells, at + x, max(item(labels, first + x), 0))


@njit(nogil=True, cache=True, forceinline=True)
def _advance(label, a, b, code):  # type: ignore[no-untyped-def]
    """The state of a sweep after one more row: nearest and other label of sixteen columns, offsets in pixels."""
    one, far, mask, zero = splat(code.one), splat(code.far), splat(code.mask), splat(code.zero)
    nearest, other = least(a + one, far), least(b + one, far)
    replaced = where_equal(nearest & mask, label, other, nearest)
    return where_equal(label, zero, nearest, label), where_equal(label, zero, other, replaced)


@njit(nogil=True, cache=True, forceinline=True)
def _sweep_row(labels, first, length, code, places, states, before, after):  # type: ignore[no-untyped-def]
    """Advance a sweep by a row of labels, from one state of all columns to another."""
    _copy_labels(labels, first, length, places.cells, places.left)
    for x in range(places.left, places.right, LANES):
        a, b = load(states, before + x), load(states, before + places.width + x)
        a, b = _advance(load(places.cells, x), a, b, code)
        store(a, states, after + x)
        store(b, states, after + places.width + x)


@njit(nogil=True, cache=True)
def begin_band(labels, z, top, bottom, first, search, places):  # type: ignore[no-untyped-def]
    """Sweep up to the rows from top to bottom of a plane; for the first band, also down to the row above them."""
    _, height, length = labels.shape
    code, line, start = search.code, 2 * places.width, pointer(labels)
    steps = int(code.far >> code.shift)
    for x in range(0, line, LANES):
        store(splat(code.far), places.up, (bottom - top) * line + x)
    for y in range(min(height, bottom + steps) - 1, top - 1, -1):
        before, after = (min(y + 1, bottom) - top) * line, (min(y, bottom) - top) * line
        _sweep_row(start, (z * height + y) * length, length, code, places, places.up, before, after)
    if first:
        for x in range(0, line, LANES):
            store(splat(code.far), places.down, z * line + x)
        for y in range(max(0, top - steps), top):
            _sweep_row(start, (z * height + y) * length, length, code, places, places.down, z * line, z * line)


@njit(nogil=True, cache=True, forceinline=True)
def _squared(offsets, search):  # type: ignore[no-untyped-def]
    """Packed offsets along y, in pixels, as squared distances."""
    code = search.code
    offset, label = offsets >> splat(code.shift), offsets & splat(code.mask)
    squares = offset * offset * splat(search.y_factor) >> splat(search.y_fraction)
    return where_less(offsets, splat(code.far), (squares << splat(code.shift)) | label, splat(code.limit))


@njit(nogil=True, cache=True, forceinline=True)
def _merge(down_a, down_b, up_a, up_b, code):  # type: ignore[no-untyped-def]
    """The nearest and the other label of sixteen columns, from the sweeps from both sides."""
    far, mask = splat(code.far), splat(code.mask)
    nearest = least(down_a, up_a)
    label = nearest & mask
    other = where_equal(down_a & mask, label, up_a, down_a)
    other = where_equal(other & mask, label, far, other)
    other = least(other, where_equal(down_b & mask, label, far, down_b))
    return nearest, least(other, where_equal(up_b & mask, label, far, up_b))


@njit(nogil=True, cache=True, forceinline=True)
def _tile_at(tile, z, search, places):  # type: ignore[no-untyped-def]
    """Position of a tile of plane z in `a` and `b`.

    The planes in reach lie in a ring, and a second time behind it, so that any of them are consecutive. Without a
    search across planes there is one tile.
    """
    in_reach = 2 * len(search.planes) - 1
    return (tile * 2 * in_reach + z % in_reach) * places.width * SIDE if in_reach > 1 else 0


@njit(nogil=True, cache=True)
def next_tile(labels, z, y, rows, top, search, places):  # type: ignore[no-untyped-def]
    """The two nearest labels of every column of the next rows of plane z, from the sweeps from both sides.

    Planes before and after the volume have no labels.
    """
    depth, height, length = labels.shape
    code, width = search.code, places.width
    columns_a, columns_b = places.d1, places.d2  # of sixteen columns, row by row; free until the search
    here = _tile_at((y - top) // SIDE, z, search, places)
    again = (2 * len(search.planes) - 1) * width * SIDE
    if not 0 <= z < depth:
        for i in range(places.left * SIDE, places.right * SIDE, LANES):
            for at in (here + i, here + again + i):
                store(splat(code.limit), places.a, at)
                store(splat(code.limit), places.b, at)
        return
    for r in range(rows):
        _copy_labels(pointer(labels), (z * height + y + r) * length, length, places.cells, r * width + places.left)
    above, below = z * 2 * width, (y - top) * 2 * width
    for x in range(places.left, places.right, LANES):
        down_a, down_b = load(places.down, above + x), load(places.down, above + width + x)
        for r in range(rows):
            up = below + 2 * r * width + x
            down_a, down_b = _advance(load(places.cells, r * width + x), down_a, down_b, code)
            a, b = _merge(down_a, down_b, load(places.up, up), load(places.up, up + width), code)
            store(_squared(a, search), columns_a, r * LANES)
            store(_squared(b, search), columns_b, r * LANES)
        for r in range(rows, SIDE):
            store(splat(code.limit), columns_a, r * LANES)
            store(splat(code.limit), columns_b, r * LANES)
        store(down_a, places.down, above + x)
        store(down_b, places.down, above + width + x)
        interleave(columns_a, 0, LANES, places.a, here + x * SIDE)
        interleave(columns_b, 0, LANES, places.b, here + x * SIDE)
        if len(search.planes) > 1:
            interleave(columns_a, 0, LANES, places.a, here + again + x * SIDE)
            interleave(columns_b, 0, LANES, places.b, here + again + x * SIDE)


@njit(nogil=True, cache=True, forceinline=True)
def _nearest(a, p, stride, squares, steps, best):  # type: ignore[no-untyped-def]
    """Minimum of `best` and the candidates of lines at multiples of `stride` on both sides of pixels p to p + 15."""
    best = least(best, load(a, p))
    for s in range(1, steps):
        square = splat(item(squares, s))
        if not any_greater(best, square):
            break
        best = least(best, least(load(a, p - s * stride), load(a, p + s * stride)) + square)
    return best


@njit(nogil=True, cache=True, forceinline=True)
def _second(a, b, p, stride, squares, steps, mask, label, best):  # type: ignore[no-untyped-def]
    """Minimum of `best` and the candidates of both sides whose label is not `label`, the nearest of each pixel."""
    for s in range(steps):
        square = splat(item(squares, s))
        if not any_greater(best, square):
            break
        left, right = p - s * stride, p + s * stride
        here, there = load(a, left), load(a, right)
        here = where_equal(here & mask, label, load(b, left), here)
        there = where_equal(there & mask, label, load(b, right), there)
        best = least(best, least(here, there) + square)
    return best


@njit(nogil=True, cache=True)
def _across_planes(tile, z, search, places):  # type: ignore[no-untyped-def]
    """The two nearest labels of every column of a tile of plane z, from the planes on both sides."""
    mask, limit, squares = splat(search.code.mask), splat(search.code.limit), pointer(search.planes)
    steps, stride, a, b = len(search.planes), places.width * SIDE, places.a, places.b
    here = _tile_at(tile, z - (steps - 1), search, places) + (steps - 1) * stride
    for x in range(places.left * SIDE, places.right * SIDE, LANES):
        p = here + x
        nearest = _nearest(a, p, stride, squares, steps, limit)
        store(nearest, places.tile_a, x)
        store(_second(a, b, p, stride, squares, steps, mask, nearest & mask, limit), places.tile_b, x)


@njit(nogil=True, cache=True)
def _count_labels(a, b, search, places):  # type: ignore[no-untyped-def]
    """Count the labels in reach of each block of a tile; 0 if no instance can be the nearest."""
    code, steps, near = search.code, search.steps, search.first
    mask, limit, zero = splat(code.mask), splat(code.limit), splat(code.zero)
    for block in range(places.left // SIDE, places.right // SIDE):
        closest, low, high = limit, mask, zero
        for p in range(block * BLOCK, (block + 1) * BLOCK, LANES):
            nearest, other = load(a, p), load(b, p)
            label, rival = nearest & mask, other & mask
            closest = least(closest, nearest)
            low = least(low, where_less(nearest, limit, label, mask))
            low = least(low, where_less(other, limit, rival, mask))
            high = greatest(high, where_less(nearest, limit, label, zero))
            high = greatest(high, where_less(other, limit, rival, zero))
        put(places.closest, block, least_lane(closest))
        put(places.lowest, block, least_lane(low))
        put(places.highest, block, greatest_lane(high))
    bound = splat(item(pointer(search.columns), near)) if near < steps else limit
    one, near_blocks, blocks = splat(code.one) >> splat(code.shift), -(-near // SIDE), -(-steps // SIDE)
    for block in range(places.left // SIDE, places.right // SIDE, LANES):
        closest, low, high = limit, mask, zero
        for k in range(block - near_blocks, block + near_blocks + 1):
            closest = least(closest, load(places.closest, k))
        for k in range(block - blocks, block + blocks + 1):
            low, high = least(low, load(places.lowest, k)), greatest(high, load(places.highest, k))
        number = where_less(low, high, one + one, where_equal(low, high, one, zero))
        store(where_less(closest, bound, number, zero), places.reached, block)


@njit(nogil=True, cache=True, forceinline=True)
def _nearest_of_block(a, p, squares, steps, limit):  # type: ignore[no-untyped-def]
    """The nearest instance of every pixel of the block at p, of lines less than `steps` outside it."""
    n0, n1, n2, n3 = limit, limit, limit, limit
    for c in range(SIDE - 1):
        line = load(a, p + c * SIDE)
        n0 = least(n0, line + splat(item(squares, c)))
        n1 = least(n1, line + splat(item(squares, abs(2 - c))))
        n2 = least(n2, line + splat(item(squares, abs(4 - c))))
        n3 = least(n3, line + splat(item(squares, 6 - c)))
    for s in range(1, steps):
        s0 = splat(item(squares, s))
        if not any_greater(greatest(greatest(n0, n1), greatest(n2, n3)), s0):
            break
        s2, s4, s6 = splat(item(squares, s + 2)), splat(item(squares, s + 4)), splat(item(squares, s + 6))
        left, right = load(a, p - s * SIDE), load(a, p + (6 + s) * SIDE)
        n0, n1 = least(n0, least(left + s0, right + s6)), least(n1, least(left + s2, right + s4))
        n2, n3 = least(n2, least(left + s4, right + s2)), least(n3, least(left + s6, right + s0))
    return n0, n1, n2, n3


@njit(nogil=True, cache=True, forceinline=True)
def _second_of_block(a, b, p, squares, steps, mask, labels, bounds):  # type: ignore[no-untyped-def]
    """Of the lines less than `steps` outside the block at p the nearest instances of another label than `labels`."""
    l0, l1, l2, l3 = labels
    n0, n1, n2, n3 = bounds
    for c in range(SIDE - 1):
        line, other = load(a, p + c * SIDE), load(b, p + c * SIDE)
        label = line & mask
        n0 = least(n0, where_equal(label, l0, other, line) + splat(item(squares, c)))
        n1 = least(n1, where_equal(label, l1, other, line) + splat(item(squares, abs(2 - c))))
        n2 = least(n2, where_equal(label, l2, other, line) + splat(item(squares, abs(4 - c))))
        n3 = least(n3, where_equal(label, l3, other, line) + splat(item(squares, 6 - c)))
    for s in range(1, steps):
        s0 = splat(item(squares, s))
        if not any_greater(greatest(greatest(n0, n1), greatest(n2, n3)), s0):
            break
        s2, s4, s6 = splat(item(squares, s + 2)), splat(item(squares, s + 4)), splat(item(squares, s + 6))
        left, right = p - s * SIDE, p + (6 + s) * SIDE
        line, other = load(a, left), load(b, left)
        label = line & mask
        n0 = least(n0, where_equal(label, l0, other, line) + s0)
        n1 = least(n1, where_equal(label, l1, other, line) + s2)
        n2 = least(n2, where_equal(label, l2, other, line) + s4)
        n3 = least(n3, where_equal(label, l3, other, line) + s6)
        line, other = load(a, right), load(b, right)
        label = line & mask
        n0 = least(n0, where_equal(label, l0, other, line) + s6)
        n1 = least(n1, where_equal(label, l1, other, line) + s4)
        n2 = least(n2, where_equal(label, l2, other, line) + s2)
        n3 = least(n3, where_equal(label, l3, other, line) + s0)
    return n0, n1, n2, n3


@njit(nogil=True, cache=True, forceinline=True)
def _second_steps(nearest, search):  # type: ignore[no-untyped-def]
    """Number of offsets at which a second instance can make a relevant pair for any of sixteen pixels."""
    if search.pair_reach == math.inf:
        return search.steps
    room = search.pair_reach - math.sqrt((least_lane(nearest) >> search.code.shift) * search.unit)
    if room <= search.pair_reach / 2:
        return 0
    return min(search.steps, int(room / search.column_step) + 2)


@njit(nogil=True, cache=True)
def search_tile(tile, z, start, stop, search, places):  # type: ignore[no-untyped-def]
    """Search the wanted pixels of a tile of plane z between two columns; returns the number of blocks found.

    `tile` counts those of the band. All tiles of the band in the planes in reach are there.
    `at` is the first column of a block; `d1` and `d2` are the squared distances of its pixels in units, 8 rows of each
    column. Where nothing was found, or wanted, the distance is at least the squared reach.
    """
    a, b = places.a, places.b
    if len(search.planes) > 1:
        _across_planes(tile, z, search, places)
        a, b = places.tile_a, places.tile_b
    _count_labels(a, b, search, places)
    start, stop = places.left + start, places.left + stop
    for x in range(start // LANES * LANES, stop, LANES):
        interleave(places.kinds, x, places.width, places.tile_kinds, x * SIDE)
    code, squares = search.code, pointer(search.columns)
    mask, limit, zero, shift = splat(code.mask), splat(code.limit), splat(code.zero), splat(code.shift)
    one, nothing = splat(code.one) >> shift, splat(code.nothing)
    without, count = limit if search.alone else nothing, 0
    for block in range(start // SIDE, -(-stop // SIDE)):
        number, p = item(places.reached, block), block * BLOCK
        if not (number == 2 or (number == 1 and search.alone)):
            continue
        w0, w1 = load(places.tile_kinds, p) & one, load(places.tile_kinds, p + LANES) & one
        w2, w3 = load(places.tile_kinds, p + 2 * LANES) & one, load(places.tile_kinds, p + 3 * LANES) & one
        if not any_greater(w0 | w1 | w2 | w3, zero):
            continue
        n0, n1, n2, n3 = _nearest_of_block(a, p, squares, search.first, limit)
        steps = _second_steps(least(least(n0, n1), least(n2, n3)), search) if number == 2 else 0
        if steps == 0 and not search.alone:
            continue
        bound = splat(item(squares, steps)) if steps < search.steps else limit
        b0, b1 = where_equal(w0, zero, zero, bound), where_equal(w1, zero, zero, bound)
        b2, b3 = where_equal(w2, zero, zero, bound), where_equal(w3, zero, zero, bound)
        labels = (n0 & mask, n1 & mask, n2 & mask, n3 & mask)
        m0, m1, m2, m3 = _second_of_block(a, b, p, squares, steps, mask, labels, (b0, b1, b2, b3))
        if search.alone or any_greater(b0, m0) or any_greater(b1, m1) or any_greater(b2, m2) or any_greater(b3, m3):
            q = count * BLOCK
            n0, n1 = where_equal(w0, zero, nothing, n0), where_equal(w1, zero, nothing, n1)
            n2, n3 = where_equal(w2, zero, nothing, n2), where_equal(w3, zero, nothing, n3)
            m0 = where_less(m0, b0, m0, where_equal(w0, zero, nothing, without))
            m1 = where_less(m1, b1, m1, where_equal(w1, zero, nothing, without))
            m2 = where_less(m2, b2, m2, where_equal(w2, zero, nothing, without))
            m3 = where_less(m3, b3, m3, where_equal(w3, zero, nothing, without))
            store(n0 >> shift, places.d1, q)
            store(n1 >> shift, places.d1, q + LANES)
            store(n2 >> shift, places.d1, q + 2 * LANES)
            store(n3 >> shift, places.d1, q + 3 * LANES)
            store(m0 >> shift, places.d2, q)
            store(m1 >> shift, places.d2, q + LANES)
            store(m2 >> shift, places.d2, q + 2 * LANES)
            store(m3 >> shift, places.d2, q + 3 * LANES)
            put(places.at, count, block * SIDE)
            count += 1
    return count


@njit(nogil=True, cache=True)
def _measure(volumes, search, buffers, left, squared):  # type: ignore[no-untyped-def]
    """Squared distances, in units, from every pixel; (2, volumes, z, y, x), filled before with one beyond reach."""
    places = places_of(buffers, left)
    _, depth, height, width = volumes.shape
    for r in range(SIDE):
        for x in range(width):
            put(places.kinds, r * places.width + left + x, 1)
    step, margin = places.slots - 1, len(search.planes) - 1
    for v in range(len(volumes)):
        for top in range(0, height, step):
            bottom = min(height, top + step)
            for z in range(-margin, depth + margin):
                if 0 <= z < depth:
                    begin_band(volumes[v], z, top, bottom, top == 0, search, places)
                for y in range(top, bottom, SIDE):
                    next_tile(volumes[v], z, y, min(SIDE, bottom - y), top, search, places)
                    if z < margin:
                        continue
                    for i in range(search_tile((y - top) // SIDE, z - margin, 0, width, search, places) * BLOCK):
                        x, r = item(places.at, i // BLOCK) + i % BLOCK // SIDE - left, i % SIDE
                        if x < width and y + r < bottom:
                            squared[0, v, z - margin, y + r, x] = item(places.d1, i)
                            squared[1, v, z - margin, y + r, x] = item(places.d2, i)


def squared_distances(labels: NDArray[np.int32], search: Search) -> NDArray[np.int64]:
    """Squared distances to the nearest and the second nearest instance, (2, z, y, x) int64, in units of the search.

    `labels` is (z, y, x), where values below 1 are no instance. Where there is no instance in reach, or no relevant
    pair, the squared distance is at least the squared reach.
    """
    volumes = as_volumes(np.ascontiguousarray(labels), search)
    squared = np.full((2, *volumes.shape), int(search.code.limit) >> int(search.code.shift))
    shape = volumes.shape[1:]
    _measure(volumes, search, prepare_buffers(shape, search), padding(search), squared)
    return squared.reshape(2, *labels.shape)


def two_nearest(
    labels: NDArray[np.int32], reach: float, spacing: tuple[float, ...], dims: int = 2
) -> NDArray[np.float64]:
    """Distances to the nearest and the second nearest instance, (2, z, y, x) float64; infinite from `reach` on.

    `labels` is (z, y, x), where values below 1 are no instance; with `dims` 2 slices are independent. `spacing` is the
    pixel size along the last `dims` axes, and `reach` is in its unit. Distances are measured between pixel centres, to
    the nearest pixel of the instance: 0 inside it, one pixel beside it.
    """
    assert labels.ndim == 3
    assert len(spacing) == dims
    search = prepare_search(spacing, reach, int(labels.max(initial=0)))
    distances = np.sqrt(squared_distances(labels, search) * search.unit)
    return np.where(distances < reach, distances, np.inf)
