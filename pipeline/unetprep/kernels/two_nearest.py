"""Exact distances from every pixel to the two nearest *different* instances, up to a maximum distance.

A squared distance and its label are packed into one integer, (squared distance << label bits) | label, so that the
smaller of two candidates is the nearer cell: 32 bits where both fit, else 64. Two sweeps along y find the nearest label
and the nearest other label of every column. Two are enough: of three labels on one line, the farthest is not among the
two nearest of any point. In a volume, a search across the planes (z) does the same for every column of planes; a last
search along x finds the two nearest of all. A search proceeds outward from the pixel and stops at offsets where no line
can be nearer.

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
    first_nonzero,
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

Box = tuple[slice, ...]

BAND = (32, 128)  # rows that are swept from below together: few enough for the processor cache,
BAND_PIXELS = 1 << 17  # and enough to amortize the rows below them
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
    columns: NDArray[Any]  # squared offsets along x
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
    first = len(m.squares(2, max(pair_reach / 2, near_reach)))
    alone = math.isinf(pair_reach) or near_reach > 0
    return Search(
        code, packed(m.factors[1]), packed(m.fraction), planes, columns, spacing[-1], first, m.unit, pair_reach, alone
    )


class Buffers(NamedTuple):
    """Buffers for a volume. Rows are padded on both sides, so that a search needs no bounds checks."""

    a: NDArray[Any]  # (planes, width) nearest label of every column of a row; planes are padded too
    b: NDArray[Any]  # nearest other label
    down: NDArray[Any]  # (z, 2, width) state of the downward sweep
    up: NDArray[Any]  # (z, rows + 1, 2, width) state of the upward sweep at every row of a band
    rows: NDArray[Any]  # (6, width), named in `Places`
    groups: NDArray[Any]  # (4, width / 16), named in `Places`
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
    cells: Any  # the labels of a row, 0 for none
    wanted: Any  # not 0 for pixels to be searched, which the caller marks; 0 in the padding
    row_a: Any  # `a` and `b` of one row, from all planes
    row_b: Any
    d1: Any  # the squared distances found, in units, sixteen for each group
    d2: Any
    closest: Any  # for each sixteen columns: nearest instance
    lowest: Any  # smallest label
    highest: Any  # largest label; 0: none
    reached: Any  # number of labels in reach of sixteen pixels: 0, 1, or 2 for several
    at: Any  # first pixel of each group found


def band_rows(shape: tuple[int, ...]) -> int:
    """Number of rows of a volume (z, y, x) that are swept from below together."""
    return min(shape[1], BAND[1], max(BAND[0], BAND_PIXELS // max(1, shape[0] * shape[2])))


def padding(search: Search) -> int:
    """Padding of a row on either side, in pixels."""
    return -(-(len(search.columns) + 2 * LANES) // LANES) * LANES


def _padded_width(length: int, search: Search) -> int:
    return 2 * padding(search) + -(-length // LANES) * LANES


def as_volumes(labels: NDArray[np.int32], search: Search) -> NDArray[np.int32]:
    """Labels (z, y, x) as independent volumes (volume, z, y, x): all planes, or each where no search crosses them."""
    return labels[None] if len(search.planes) > 1 else labels[:, None]


def prepare_buffers(shape: tuple[int, ...], search: Search) -> Buffers:
    """Buffers for a volume (z, y, x)."""
    depth, _, length = shape
    packed, width = search.columns.dtype, _padded_width(length, search)
    planes = depth + 2 * (len(search.planes) - 1)
    return Buffers(  # `buffer_bytes` counts them
        np.full((planes, width), search.code.limit),
        np.full((planes, width), search.code.limit),
        np.empty((depth, 2, width), packed),
        np.empty((depth, band_rows(shape) + 1, 2, width), packed),
        np.repeat(np.array([0, 0, search.code.limit, search.code.limit, 0, 0], packed), width).reshape(6, width),
        np.tile(np.array([[search.code.limit], [search.code.mask], [0], [0]], packed), width // LANES + LANES),
        np.empty(length // LANES + 1, np.int64),
    )


def buffer_bytes(shape: tuple[int, ...], search: Search) -> int:
    """Memory of the buffers for a volume (z, y, x)."""
    depth, _, length = shape
    width = _padded_width(length, search)
    lines = 2 * (depth + 2 * (len(search.planes) - 1)) + depth * 2 * (band_rows(shape) + 2) + 6
    return (lines * width + 4 * (width // LANES + LANES)) * search.columns.dtype.itemsize + 8 * (length // LANES + 1)


@njit(nogil=True, cache=True, forceinline=True)
def places_of(buffers, left):  # type: ignore[no-untyped-def]
    """Pointers to the buffers."""
    rows, groups, width = buffers.rows, buffers.groups, buffers.a.shape[1]
    return Places(
        pointer(buffers.a),
        pointer(buffers.b),
        pointer(buffers.down),
        pointer(buffers.up),
        buffers.up.shape[1],
        width,
        left,
        width - left,
        pointer(rows[0]),
        pointer(rows[1]),
        pointer(rows[2]),
        pointer(rows[3]),
        pointer(rows[4]),
        pointer(rows[5]),
        pointer(groups[0]),
        pointer(groups[1]),
        pointer(groups[2]),
        pointer(groups[3]),
        pointer(buffers.at),
    )


@njit(nogil=True, cache=True, forceinline=True)
def _copy_labels(labels, first, count, places):  # type: ignore[no-untyped-def]
    """Copy a row of labels, without those below 1."""
    for x in range(count):
        put(places.cells, places.left + x, max(item(labels, first + x), 0))


@njit(nogil=True, cache=True, forceinline=True)
def _advanced(cells, state, at_a, at_b, x, code):  # type: ignore[no-untyped-def]
    """The state of a sweep after one more row: nearest and other label of sixteen columns, offsets in pixels."""
    one, far, mask, zero = splat(code.one), splat(code.far), splat(code.mask), splat(code.zero)
    label = load(cells, x)
    nearest, other = least(load(state, at_a + x) + one, far), least(load(state, at_b + x) + one, far)
    replaced = where_equal(nearest & mask, label, other, nearest)
    return where_equal(label, zero, nearest, label), where_equal(label, zero, other, replaced)


@njit(nogil=True, cache=True)
def begin_band(labels, top, bottom, first, search, places):  # type: ignore[no-untyped-def]
    """Sweep up to the rows from top to bottom of all planes; for the first band, also down to the row above them."""
    depth, height, length = labels.shape
    code, width, left, right = search.code, places.width, places.left, places.right
    steps, start = int(code.far >> code.shift), pointer(labels)
    for z in range(depth):
        for x in range(0, 2 * width, LANES):
            store(splat(code.far), places.up, (z * places.slots + bottom - top) * 2 * width + x)
        for y in range(min(height, bottom + steps) - 1, top - 1, -1):
            _copy_labels(start, (z * height + y) * length, length, places)
            below = (z * places.slots + min(y + 1, bottom) - top) * 2 * width
            here = (z * places.slots + min(y, bottom) - top) * 2 * width
            for x in range(left, right, LANES):
                nearest, other = _advanced(places.cells, places.up, below, below + width, x, code)
                store(nearest, places.up, here + x)
                store(other, places.up, here + width + x)
        if first:
            for x in range(0, 2 * width, LANES):
                store(splat(code.far), places.down, z * 2 * width + x)
            for y in range(max(0, top - steps), top):
                _copy_labels(start, (z * height + y) * length, length, places)
                here = z * 2 * width
                for x in range(left, right, LANES):
                    nearest, other = _advanced(places.cells, places.down, here, here + width, x, code)
                    store(nearest, places.down, here + x)
                    store(other, places.down, here + width + x)


@njit(nogil=True, cache=True)
def next_row(labels, y, top, search, places):  # type: ignore[no-untyped-def]
    """The two nearest labels of every column of row y of all planes, from the sweeps from both sides."""
    depth, height, length = labels.shape
    code, width = search.code, places.width
    far, mask, limit, shift = splat(code.far), splat(code.mask), splat(code.limit), splat(code.shift)
    factor, fraction = splat(search.y_factor), splat(search.y_fraction)
    for z in range(depth):
        _copy_labels(pointer(labels), (z * height + y) * length, length, places)
        above, below = z * 2 * width, (z * places.slots + y - top) * 2 * width
        here = (len(search.planes) - 1 + z) * width
        for x in range(places.left, places.right, LANES):
            down_a, down_b = _advanced(places.cells, places.down, above, above + width, x, code)
            store(down_a, places.down, above + x)
            store(down_b, places.down, above + width + x)
            up_a, up_b = load(places.up, below + x), load(places.up, below + width + x)
            nearest = least(down_a, up_a)
            label = nearest & mask
            other = where_equal(down_a & mask, label, up_a, down_a)
            other = where_equal(other & mask, label, far, other)
            other = least(other, where_equal(down_b & mask, label, far, down_b))
            other = least(other, where_equal(up_b & mask, label, far, up_b))
            offset = nearest >> shift
            squared = ((offset * offset * factor >> fraction) << shift) | label
            store(where_less(nearest, far, squared, limit), places.a, here + x)
            offset = other >> shift
            squared = ((offset * offset * factor >> fraction) << shift) | (other & mask)
            store(where_less(other, far, squared, limit), places.b, here + x)


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
def _across_planes(z, search, places):  # type: ignore[no-untyped-def]
    """The two nearest labels of every column of a row of plane z, from the planes on both sides."""
    mask, limit, squares = splat(search.code.mask), splat(search.code.limit), pointer(search.planes)
    steps, stride, a, b = len(search.planes), places.width, places.a, places.b
    for x in range(places.left, places.right, LANES):
        p = (steps - 1 + z) * stride + x
        nearest = _nearest(a, p, stride, squares, steps, limit)
        store(nearest, places.row_a, x)
        store(_second(a, b, p, stride, squares, steps, mask, nearest & mask, limit), places.row_b, x)


@njit(nogil=True, cache=True)
def _count_labels(a, b, search, places):  # type: ignore[no-untyped-def]
    """Count the labels in reach of each group of sixteen pixels of a row; 0 if no instance can be the nearest."""
    code, steps, near = search.code, len(search.columns), search.first
    mask, limit, zero = splat(code.mask), splat(code.limit), splat(code.zero)
    for x in range(places.left, places.right, LANES):
        nearest, other = load(a, x), load(b, x)
        label, rival = nearest & mask, other & mask
        low = least(where_less(nearest, limit, label, mask), where_less(other, limit, rival, mask))
        high = greatest(where_less(nearest, limit, label, zero), where_less(other, limit, rival, zero))
        put(places.closest, x // LANES, least_lane(nearest))
        put(places.lowest, x // LANES, least_lane(low))
        put(places.highest, x // LANES, greatest_lane(high))
    bound = splat(item(pointer(search.columns), near)) if near < steps else limit
    one, before, far_before = splat(code.one) >> splat(code.shift), -(-near // LANES), -(-steps // LANES)
    for g in range(places.left // LANES, places.right // LANES, LANES):
        closest, low, high = limit, mask, zero
        for k in range(g - before, g + before + 2):
            closest = least(closest, load(places.closest, k))
        for k in range(g - far_before, g + far_before + 2):
            low, high = least(low, load(places.lowest, k)), greatest(high, load(places.highest, k))
        number = where_less(low, high, one + one, where_equal(low, high, one, zero))
        store(where_less(closest, bound, number, zero), places.reached, g)


@njit(nogil=True, cache=True, forceinline=True)
def _second_steps(nearest, search):  # type: ignore[no-untyped-def]
    """Number of offsets at which a second instance can make a relevant pair for any of sixteen pixels."""
    if search.pair_reach == math.inf:
        return len(search.columns)
    room = search.pair_reach - math.sqrt((least_lane(nearest) >> search.code.shift) * search.unit)
    if room <= search.pair_reach / 2:
        return 0
    return min(len(search.columns), int(room / search.column_step) + 2)


@njit(nogil=True, cache=True)
def search_row(z, start, length, search, places):  # type: ignore[no-untyped-def]
    """Search the wanted pixels of a row of plane z, from column `start` on; returns the number of groups found.

    A group are sixteen pixels. `at` is the first one, counted from `start`; `d1` and `d2` are their squared distances
    in units. Where nothing was found, or wanted, the distance is at least the squared reach.
    """
    a, b = places.a, places.b
    if len(search.planes) > 1:
        _across_planes(z, search, places)
        a, b = places.row_a, places.row_b
    _count_labels(a, b, search, places)
    code, squares, columns = search.code, pointer(search.columns), len(search.columns)
    mask, limit, zero, shift = splat(code.mask), splat(code.limit), splat(code.zero), splat(code.shift)
    nothing, without = splat(code.nothing), limit if search.alone else splat(code.nothing)
    p, stop, count = places.left + start, places.left + start + length, 0
    while p < stop:
        skipped = first_nonzero(load(places.wanted, p))
        p += skipped
        if skipped == LANES:
            continue
        number = item(places.reached, p // LANES)
        if number == 2 or (number == 1 and search.alone):
            wanted = load(places.wanted, p)
            nearest = _nearest(a, p, 1, squares, search.first, limit)
            steps = _second_steps(nearest, search) if number == 2 else 0
            bound = splat(item(squares, steps)) if steps < columns else limit
            bound = where_equal(wanted, zero, zero, bound)
            second = _second(a, b, p, 1, squares, steps, mask, nearest & mask, bound)
            if search.alone or any_greater(bound, second):
                second = where_less(second, bound, second, where_equal(wanted, zero, nothing, without))
                store(where_equal(wanted, zero, nothing, nearest) >> shift, places.d1, count * LANES)
                store(second >> shift, places.d2, count * LANES)
                put(places.at, count, p - places.left - start)
                count += 1
        p += LANES
    return count


@njit(nogil=True, cache=True)
def _measure(volumes, search, buffers, left, squared):  # type: ignore[no-untyped-def]
    """Squared distances, in units, from every pixel; (2, volumes, z, y, x), filled before with one beyond reach."""
    places = places_of(buffers, left)
    _, depth, height, width = volumes.shape
    for x in range(width):
        put(places.wanted, left + x, 1)
    for v in range(len(volumes)):
        for top in range(0, height, places.slots - 1):
            bottom = min(height, top + places.slots - 1)
            begin_band(volumes[v], top, bottom, top == 0, search, places)
            for y in range(top, bottom):
                next_row(volumes[v], y, top, search, places)
                for z in range(depth):
                    for i in range(search_row(z, 0, width, search, places) * LANES):
                        x = item(places.at, i // LANES) + i % LANES
                        if x < width:
                            squared[0, v, z, y, x] = item(places.d1, i)
                            squared[1, v, z, y, x] = item(places.d2, i)


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
