"""Sweeps along y: the nearest and the nearest other label of every column, with offsets in pixels.

For each plane, `begin_band` sweeps up to the rows of a band, and `next_tile` down, eight rows at a time.
"""

from numba import njit

from unetprep.kernels.simd import LANES, item, least, load, pointer, put, splat, store, where_equal, where_less
from unetprep.kernels.tiles import SIDE, interleave


@njit(nogil=True, cache=True, forceinline=True)
def _copy_labels(labels, first, count, cells, at):  # type: ignore[no-untyped-def]
    """Copy a row of labels, without those below 1."""
    for x in range(count):
        put(cells, at + x, max(item(labels, first + x), 0))


@njit(nogil=True, cache=True, forceinline=True)
def _advance(label, a, b, code):  # type: ignore[no-untyped-def]
    """The state of a sweep after one more row: nearest and other label of a vector of columns, offsets in pixels."""
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
    """The nearest and the other label of a vector of columns, from the sweeps from both sides."""
    far, mask = splat(code.far), splat(code.mask)
    nearest = least(down_a, up_a)
    label = nearest & mask
    other = where_equal(down_a & mask, label, up_a, down_a)
    other = where_equal(other & mask, label, far, other)
    other = least(other, where_equal(down_b & mask, label, far, down_b))
    return nearest, least(other, where_equal(up_b & mask, label, far, up_b))


@njit(nogil=True, cache=True, forceinline=True)
def tile_at(tile, z, search, places):  # type: ignore[no-untyped-def]
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
    columns_a, columns_b = places.d1, places.d2  # of a vector of columns, row by row; free until the search
    here = tile_at((y - top) // SIDE, z, search, places)
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
