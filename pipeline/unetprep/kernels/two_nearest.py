"""Exact distances from every pixel to the two nearest *different* instances, up to a maximum distance.

A squared distance and its label are packed into one integer, (squared distance << label bits) | label, so that the
smaller of two candidates is the nearer cell: 32 bits where both fit, else 64. Two sweeps along y find the nearest label
and the nearest other label of every column. Two are enough: of three labels on one line, the farthest is not among the
two nearest of any point. In a volume, a search across the planes (z) does the same for every column of planes; a last
search along x finds the two nearest of all. A search proceeds outward and stops at offsets where no line can be nearer.
It handles a block of pixels at once, see `tiles`.

              x - s     x     x + s
                |       |       |           the candidate of a column at offset s is
      . . . . . o . . . p . . . o . . .     its own squared distance + (s * spacing)^2
                |       |       |
               up and down the columns: `a` nearest label, `b` nearest other label

Squared distances are integers, see `metric`.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unetprep.kernels.column_sweeps import begin_band, next_tile, tile_at
from unetprep.kernels.search import Search, as_volumes, padding, places_of, prepare_buffers, prepare_search
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
from unetprep.kernels.tiles import BLOCK, BLOCK_COLUMNS, COLUMNS, SIDE, interleave

Box = tuple[slice, ...]

LARGEST_LABEL = 2**31 - 1


@njit(nogil=True, cache=True, forceinline=True)
def _nearest(a, p, stride, squares, steps, best):  # type: ignore[no-untyped-def]
    """Minimum of `best` and the candidates of lines at multiples of `stride` on both sides of the vector at p."""
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
    here = tile_at(tile, z - (steps - 1), search, places) + (steps - 1) * stride
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
    for block in range(places.left // BLOCK_COLUMNS, places.right // BLOCK_COLUMNS):
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
    one, near_blocks, blocks = (
        splat(code.one) >> splat(code.shift),
        -(-near // BLOCK_COLUMNS),
        -(-steps // BLOCK_COLUMNS),
    )
    for block in range(places.left // BLOCK_COLUMNS, places.right // BLOCK_COLUMNS, LANES):
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
    for c in range(3 * COLUMNS + 1):
        line = load(a, p + c * SIDE)
        n0 = least(n0, line + splat(item(squares, c)))
        n1 = least(n1, line + splat(item(squares, abs(COLUMNS - c))))
        n2 = least(n2, line + splat(item(squares, abs(2 * COLUMNS - c))))
        n3 = least(n3, line + splat(item(squares, 3 * COLUMNS - c)))
    for s in range(1, steps):
        s0 = splat(item(squares, s))
        if not any_greater(greatest(greatest(n0, n1), greatest(n2, n3)), s0):
            break
        s1, s2 = splat(item(squares, s + COLUMNS)), splat(item(squares, s + 2 * COLUMNS))
        s3 = splat(item(squares, s + 3 * COLUMNS))
        left, right = load(a, p - s * SIDE), load(a, p + (3 * COLUMNS + s) * SIDE)
        n0, n1 = least(n0, least(left + s0, right + s3)), least(n1, least(left + s1, right + s2))
        n2, n3 = least(n2, least(left + s2, right + s1)), least(n3, least(left + s3, right + s0))
    return n0, n1, n2, n3


@njit(nogil=True, cache=True, forceinline=True)
def _second_of_block(a, b, p, squares, steps, mask, labels, bounds):  # type: ignore[no-untyped-def]
    """Of the lines less than `steps` outside the block at p the nearest instances of another label than `labels`."""
    l0, l1, l2, l3 = labels
    n0, n1, n2, n3 = bounds
    for c in range(3 * COLUMNS + 1):
        line, other = load(a, p + c * SIDE), load(b, p + c * SIDE)
        label = line & mask
        n0 = least(n0, where_equal(label, l0, other, line) + splat(item(squares, c)))
        n1 = least(n1, where_equal(label, l1, other, line) + splat(item(squares, abs(COLUMNS - c))))
        n2 = least(n2, where_equal(label, l2, other, line) + splat(item(squares, abs(2 * COLUMNS - c))))
        n3 = least(n3, where_equal(label, l3, other, line) + splat(item(squares, 3 * COLUMNS - c)))
    for s in range(1, steps):
        s0 = splat(item(squares, s))
        if not any_greater(greatest(greatest(n0, n1), greatest(n2, n3)), s0):
            break
        s1, s2 = splat(item(squares, s + COLUMNS)), splat(item(squares, s + 2 * COLUMNS))
        s3 = splat(item(squares, s + 3 * COLUMNS))
        left, right = p - s * SIDE, p + (3 * COLUMNS + s) * SIDE
        line, other = load(a, left), load(b, left)
        label = line & mask
        n0 = least(n0, where_equal(label, l0, other, line) + s0)
        n1 = least(n1, where_equal(label, l1, other, line) + s1)
        n2 = least(n2, where_equal(label, l2, other, line) + s2)
        n3 = least(n3, where_equal(label, l3, other, line) + s3)
        line, other = load(a, right), load(b, right)
        label = line & mask
        n0 = least(n0, where_equal(label, l0, other, line) + s3)
        n1 = least(n1, where_equal(label, l1, other, line) + s2)
        n2 = least(n2, where_equal(label, l2, other, line) + s1)
        n3 = least(n3, where_equal(label, l3, other, line) + s0)
    return n0, n1, n2, n3


@njit(nogil=True, cache=True, forceinline=True)
def _second_steps(nearest, search):  # type: ignore[no-untyped-def]
    """Number of offsets at which a second instance can make a relevant pair for any of some pixels."""
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
    for block in range(start // BLOCK_COLUMNS, -(-stop // BLOCK_COLUMNS)):
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
            put(places.at, count, block * BLOCK_COLUMNS)
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
