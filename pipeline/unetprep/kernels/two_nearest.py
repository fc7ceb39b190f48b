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
from collections.abc import Iterator
from dataclasses import dataclass
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
    splat,
    store,
    where_equal,
    where_less,
)

Box = tuple[slice, ...]

BAND = (32, 128)  # rows that are swept and then searched together: few enough for the processor cache,
BAND_PIXELS = 1 << 17  # and enough to amortize the call and the sweep from below
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
    m = metric(spacing, reach)
    packed: type[np.unsignedinteger] = np.uint32
    shift = 32 - (2 * m.limit).bit_length()
    if m.fraction or shift < largest_label.bit_length():
        packed, shift = np.uint64, 31
    code = Code(*(packed(v) for v in (shift, 0, (1 << shift) - 1, 1 << shift, m.steps[1] << shift, m.limit << shift)))
    planes, columns = ((m.squares(axis) << np.uint64(shift)).astype(packed) for axis in (0, 2))
    first = len(m.squares(2, max(pair_reach / 2, near_reach)))
    alone = math.isinf(pair_reach) or near_reach > 0
    return Search(
        code, packed(m.factors[1]), packed(m.fraction), planes, columns, spacing[-1], first, m.unit, pair_reach, alone
    )


@njit(nogil=True, cache=True)
def _advance(cells, old, new, start, stop, code):  # type: ignore[no-untyped-def]
    """Advance a sweep by a row: nearest and other label of every column, (2, width), with offsets in pixels."""
    one, far, mask, zero = splat(code.one), splat(code.far), splat(code.mask), splat(code.zero)
    cells, old_a, old_b, new_a, new_b = (
        pointer(cells),
        pointer(old[0]),
        pointer(old[1]),
        pointer(new[0]),
        pointer(new[1]),
    )
    for x in range(start, stop, LANES):
        label = load(cells, x)
        nearest, other = least(load(old_a, x) + one, far), least(load(old_b, x) + one, far)
        replaced = where_equal(nearest & mask, label, other, nearest)
        store(where_equal(label, zero, nearest, label), new_a, x)
        store(where_equal(label, zero, other, replaced), new_b, x)


@njit(nogil=True, cache=True)
def _merge(down, up, start, stop, search, a, b):  # type: ignore[no-untyped-def]
    """The two nearest labels of every column with squared distances, from the sweeps from both sides."""
    code = search.code
    far, mask, limit, shift = splat(code.far), splat(code.mask), splat(code.limit), splat(code.shift)
    factor, fraction = splat(search.y_factor), splat(search.y_fraction)
    a, b, down_a, down_b = pointer(a), pointer(b), pointer(down[0]), pointer(down[1])
    up_a, up_b = pointer(up[0]), pointer(up[1])
    for x in range(start, stop, LANES):
        above, below = load(down_a, x), load(up_a, x)
        nearest = least(above, below)
        label = nearest & mask
        other = where_equal(above & mask, label, below, above)
        other = where_equal(other & mask, label, far, other)
        for more in (load(down_b, x), load(up_b, x)):
            other = least(other, where_equal(more & mask, label, far, more))
        offset = nearest >> shift
        squared = ((offset * offset * factor >> fraction) << shift) | label
        store(where_less(nearest, far, squared, limit), a, x)
        offset = other >> shift
        squared = ((offset * offset * factor >> fraction) << shift) | (other & mask)
        store(where_less(other, far, squared, limit), b, x)


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
def _across_planes(a, b, p, stride, start, stop, search, row_a, row_b):  # type: ignore[no-untyped-def]
    """The two nearest labels of every column of a row, from the planes on both sides."""
    mask, limit, squares, steps = (
        splat(search.code.mask),
        splat(search.code.limit),
        pointer(search.planes),
        len(search.planes),
    )
    a, b, row_a, row_b = pointer(a), pointer(b), pointer(row_a), pointer(row_b)
    for x in range(start, stop, LANES):
        nearest = _nearest(a, p + x, stride, squares, steps, limit)
        store(nearest, row_a, x)
        store(_second(a, b, p + x, stride, squares, steps, mask, nearest & mask, limit), row_b, x)


@njit(nogil=True, cache=True)
def _summarize(a, b, start, stop, code, closest, lowest, highest):  # type: ignore[no-untyped-def]
    """For each group of sixteen columns the nearest instance, and the smallest and largest label (0: no instance)."""
    mask, limit, zero = splat(code.mask), splat(code.limit), splat(code.zero)
    a, b = pointer(a), pointer(b)
    for x in range(start, stop, LANES):
        nearest, other = load(a, x), load(b, x)
        label, rival = nearest & mask, other & mask
        group = x // LANES
        closest[group] = least_lane(nearest)
        lowest[group] = least_lane(
            least(where_less(nearest, limit, label, mask), where_less(other, limit, rival, mask))
        )
        highest[group] = greatest_lane(
            greatest(where_less(nearest, limit, label, zero), where_less(other, limit, rival, zero))
        )


@njit(nogil=True, cache=True, forceinline=True)
def _labels_in_reach(lowest, highest, start, stop):  # type: ignore[no-untyped-def]
    """Number of labels in reach: 0, 1, or 2 for several."""
    low, high = item(lowest, start // LANES), item(highest, start // LANES)
    for group in range(start // LANES + 1, stop // LANES + 1):
        low, high = min(low, item(lowest, group)), max(high, item(highest, group))
    return 0 if low > high else 1 if low == high else 2


@njit(nogil=True, cache=True, forceinline=True)
def _any_within(closest, start, stop, bound):  # type: ignore[no-untyped-def]
    """Whether a line of the columns from start to stop has an instance nearer than a bound."""
    for group in range(start // LANES, stop // LANES + 1):  # noqa: SIM110 (numba)
        if item(closest, group) < bound:
            return True
    return False


class Row(NamedTuple):
    """Pointers to the arrays for the search of a row. Arrays would be reference-counted with each call."""

    a: Any
    b: Any
    wanted: Any
    rivals: Any
    near: Any
    other: Any
    squares: Any


class Bounds(NamedTuple):
    """Limits of a search; see `Search`."""

    code: Code
    steps: int
    first: int
    pair_reach: float
    step: float
    unit: float


@njit(nogil=True, cache=True, forceinline=True)
def _search_sixteen(row, p, bounds, two):  # type: ignore[no-untyped-def]
    """Both packed distances of the pixels p to p + 15; undefined for pixels that are not wanted."""
    code, squares = bounds.code, row.squares
    mask, limit, zero = splat(code.mask), splat(code.limit), splat(code.zero)
    nearest = _nearest(row.a, p, 1, squares, bounds.first, limit)
    store(nearest, row.near, 0)
    store(limit, row.other, 0)
    if not two:
        return
    bound, steps = code.limit, bounds.steps  # farther instances make no relevant pair for any of the 16
    if bounds.pair_reach < math.inf:
        room = bounds.pair_reach - math.sqrt((least_lane(nearest) >> code.shift) * bounds.unit)
        if room <= bounds.pair_reach / 2:
            return
        steps = min(steps, int(room / bounds.step) + 2)
        if steps < bounds.steps:
            bound = item(squares, steps)
    start = where_equal(load(row.wanted, p), zero, zero, splat(bound))
    label = nearest & mask
    if least_lane(label) < greatest_lane(label):
        best = _second(row.a, row.b, p, 1, squares, steps, mask, label, start)
    else:  # all 16 have the same label, so one comparison is enough
        closest = limit
        for x in range(p - steps, p + steps + LANES, LANES):
            near = load(row.a, x)
            rival = where_equal(near & mask, label, load(row.b, x), near)
            store(rival, row.rivals, x)
            closest = least(closest, rival)
        if least_lane(closest) >= bound:
            return
        best = _nearest(row.rivals, p, 1, squares, steps, start)
    store(where_less(best, start, best, limit), row.other, 0)


class Buffers(NamedTuple):
    """Buffers for a block. Rows are padded on both sides, so that a search needs no bounds checks."""

    left: int  # position of the first column in a row
    right: int  # position of the padding after the columns
    a: NDArray[Any]  # (rows, planes, width) nearest label of every column; planes are padded too
    b: NDArray[Any]  # nearest other label
    down: NDArray[Any]  # (z, 2, width) state of the downward sweep
    up: NDArray[Any]  # (rows + 1, 2, width) state of the upward sweep at every row
    rows: NDArray[Any]  # (5, width), named where it is unpacked
    groups: NDArray[Any]  # (3, width / 16), named where it is unpacked
    sixteen: NDArray[Any]  # (2, 16)
    at: NDArray[np.int32]  # the pixels found in a band, as flat indices of its (z, y, x)
    d1: NDArray[Any]  # their squared distances, in units
    d2: NDArray[Any]


def band_rows(shape: tuple[int, ...]) -> int:
    """Number of rows of a block (z, y, x) that are processed together."""
    return min(BAND[1], max(BAND[0], BAND_PIXELS // max(1, shape[0] * shape[2])))


def _prepare_buffers(shape: tuple[int, ...], search: Search) -> Buffers:
    """Buffers for a block (z, y, x)."""
    depth, _, length = shape
    rows = band_rows(shape)
    code, packed = search.code, search.columns.dtype
    left = -(-(len(search.columns) + 2 * LANES) // LANES) * LANES
    right = left + -(-length // LANES) * LANES
    width = right + left
    planes = depth + 2 * (len(search.planes) - 1)
    return Buffers(  # `scan_bytes` counts them
        left,
        right,
        np.full((rows, planes, width), code.limit),
        np.full((rows, planes, width), code.limit),
        np.full((depth, 2, width), code.far),
        np.full((rows + 1, 2, width), code.far),
        np.stack([np.full(width, v, packed) for v in (0, 0, code.limit, code.limit, 0)]),
        np.stack([np.full(width // LANES, v, packed) for v in (code.limit, code.mask, 0)]),
        np.empty((2, LANES), packed),
        np.empty(depth * rows * length + 1, np.int32),
        np.empty(depth * rows * length + 1, packed),
        np.empty(depth * rows * length + 1, packed),
    )


def scan_bytes(shape: tuple[int, ...], search: Search) -> int:
    """Memory that `scan` takes for a block (z, y, x), in addition to its labels and classes."""
    depth, _, length = shape
    rows, packed = band_rows(shape), search.columns.dtype.itemsize
    width = length + 2 * (len(search.columns) + 3 * LANES)
    planes = depth + 2 * (len(search.planes) - 1)
    lines = 2 * rows * planes + 2 * depth + 2 * (rows + 1) + 6
    return lines * width * packed + depth * rows * length * (4 + 2 * packed)


@njit(nogil=True, cache=True)
def _sweep_band(labels, top, bottom, first, search, buffers):  # type: ignore[no-untyped-def]
    """Fill `a` and `b` for the rows from top to bottom of all planes. `first`: whether it is the first band."""
    depth, height, width = labels.shape
    code, left, right = search.code, buffers.left, buffers.right
    a, b, down, up, cells = buffers.a, buffers.b, buffers.down, buffers.up, buffers.rows[0]
    steps = int(code.far >> code.shift)
    margin = len(search.planes) - 1
    for z in range(depth):
        up[bottom - top] = code.far
        for y in range(min(height, bottom + steps) - 1, top - 1, -1):
            _cells(labels[z, y], cells[left : left + width])
            below, here = min(y + 1, bottom) - top, min(y, bottom) - top
            _advance(cells, up[below], up[here], left, right, code)
        for y in range(max(0, top - steps) if first else top, bottom):
            _cells(labels[z, y], cells[left : left + width])
            _advance(cells, down[z], down[z], left, right, code)
            if y >= top:
                _merge(down[z], up[y - top], left, right, search, a[y - top, margin + z], b[y - top, margin + z])


@njit(nogil=True, cache=True)
def _mark(classes, last_wanted, wanted):  # type: ignore[no-untyped-def]
    for x in range(len(classes)):
        wanted[x] = classes[x] <= last_wanted


@njit(nogil=True, cache=True)
def _cells(labels, cells):  # type: ignore[no-untyped-def]
    for x in range(len(labels)):
        cells[x] = max(labels[x], 0)


@njit(nogil=True, cache=True)
def _search_row(z, y, classes, last_wanted, start, search, buffers, count, origin):  # type: ignore[no-untyped-def]
    """Search row y of plane z of the band from column start on; append the pixels found and return their number."""
    wanted, row_a, row_b, rivals = buffers.rows[1], buffers.rows[2], buffers.rows[3], buffers.rows[4]
    closest, lowest, highest = buffers.groups[0], buffers.groups[1], buffers.groups[2]
    left, right, margin = buffers.left, buffers.right, len(search.planes) - 1
    if margin == 0:
        row_a, row_b = buffers.a[y, z], buffers.b[y, z]
    else:
        stride = buffers.a.shape[2]
        p = (y * buffers.a.shape[1] + margin + z) * stride
        a, b = buffers.a.reshape(-1), buffers.b.reshape(-1)
        _across_planes(a, b, p, stride, left, right, search, row_a, row_b)
    _summarize(row_a, row_b, left, right, search.code, closest, lowest, highest)
    stop = start + len(classes)
    _mark(classes, last_wanted, wanted[left + start : left + stop])
    near, other = buffers.sixteen[0], buffers.sixteen[1]
    at, d1, d2 = buffers.at, buffers.d1, buffers.d2
    code, squares, steps, first = search.code, pointer(search.columns), len(search.columns), search.first
    nearest_bound = item(squares, first) if first < steps else code.limit
    row = Row(pointer(row_a), pointer(row_b), pointer(wanted), pointer(rivals), pointer(near), pointer(other), squares)
    bounds = Bounds(code, steps, first, search.pair_reach, search.column_step, search.unit)
    closest, lowest, highest = pointer(closest), pointer(lowest), pointer(highest)
    p = left + start
    while p < left + stop:
        if wanted[p] == 0:
            p += LANES if greatest_lane(load(row.wanted, p)) == 0 else 1
            continue
        if _any_within(closest, p - first, p + LANES + first, nearest_bound):
            labels = _labels_in_reach(lowest, highest, p - steps, p + LANES + steps)
            if labels == 2 or (labels == 1 and search.alone):
                _search_sixteen(row, p, bounds, labels == 2)
                for i in range(min(LANES, left + stop - p)):
                    at[count], d1[count], d2[count] = (
                        origin + p - left - start + i,
                        near[i] >> code.shift,
                        other[i] >> code.shift,
                    )
                    count += (wanted[p + i] != 0) & (search.alone | (other[i] < code.limit))
        p += LANES
    return count


@njit(nogil=True, cache=True)
def _scan_band(labels, classes, last_wanted, core, top, bottom, search, buffers):  # type: ignore[no-untyped-def]
    """Sweep and search the rows of a core from top to bottom on all planes. Returns the number of pixels found."""
    z0, z1, y0, x0, x1 = core
    _sweep_band(labels, top, bottom, top == y0, search, buffers)
    count = origin = 0
    for z in range(z0, z1):
        for y in range(top, bottom):
            row = classes[z - z0, y - y0]
            count = _search_row(z, y - top, row, last_wanted, x0, search, buffers, count, origin)
            origin += x1 - x0
    return count


def scan(
    labels: NDArray[np.int32], classes: NDArray[np.uint8], last_wanted: int, core: Box, search: Search
) -> Iterator[tuple[slice, NDArray[np.int32], NDArray[Any], NDArray[Any]]]:
    """Search a core of a block band by band; yields (rows of the core, pixels, squared d1, squared d2).

    `labels` is (z, y, x) of the block, where values below 1 are no instance, and `classes` of the core: pixels of the
    classes up to `last_wanted` are searched. The pixels found are flat indices of the (z, y, x) of the band in the
    core. Without an instance in reach the squared distance, in units, is at least the squared reach. The arrays are
    overwritten by the next band.
    """
    buffers, step, rows = _prepare_buffers(labels.shape, search), band_rows(labels.shape), core[1]
    corners = (core[0].start, core[0].stop, rows.start, core[2].start, core[2].stop)
    for top in range(rows.start, rows.stop, step):
        bottom = min(rows.stop, top + step)
        found = _scan_band(labels, classes, last_wanted, corners, top, bottom, search, buffers)
        yield slice(top - rows.start, bottom - rows.start), buffers.at[:found], buffers.d1[:found], buffers.d2[:found]


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
    out = np.full((2, *labels.shape), np.inf)
    whole = tuple(slice(0, n) for n in labels.shape)
    for rows, at, *squared in scan(labels, np.zeros(labels.shape, np.uint8), 0, whole, search):
        for distances, units in zip(out, squared, strict=True):
            band = np.full(distances[:, rows].shape, np.inf)
            band.reshape(-1)[at] = np.sqrt(units * search.unit)
            distances[:, rows] = np.where(band < reach, band, np.inf)
    return out
