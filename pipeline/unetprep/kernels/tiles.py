"""Tiles: eight rows, stored column by column. A vector holds one or two columns, a block of pixels is four vectors.

    rows                tile
    a b c d ...         a i q ... (the 8 rows of column 0) b j r ... (of column 1) ...
    i j k l ...
    q r s t ...

The pixels of a block lie close together. Their searches end at about the same distance, and look at the same columns.
"""

from numba import njit

from unetprep.kernels.simd import LANES, even_lanes, load, odd_lanes, store, zip_high, zip_low

SIDE = 8  # rows of a tile
COLUMNS = LANES // SIDE  # of a vector
BLOCK = 4 * LANES  # pixels of a block
BLOCK_COLUMNS = 4 * COLUMNS


@njit(nogil=True, cache=True, forceinline=True)
def _interleave_half(evens, odds, tile, at):  # type: ignore[no-untyped-def]
    """Write half of the columns, from zips of rows 0 and 4, 2 and 6; 1 and 5, 3 and 7."""
    (r04, r26), (r15, r37) = evens, odds
    even, odd = zip_low(r04, r26), zip_low(r15, r37)
    store(zip_low(even, odd), tile, at)
    store(zip_high(even, odd), tile, at + LANES)
    even, odd = zip_high(r04, r26), zip_high(r15, r37)
    store(zip_low(even, odd), tile, at + 2 * LANES)
    store(zip_high(even, odd), tile, at + 3 * LANES)


@njit(nogil=True, cache=True, forceinline=True)
def interleave(rows, first, stride, tile, at):  # type: ignore[no-untyped-def]
    """Write LANES columns of eight rows, `stride` elements apart, to a tile."""
    r0, r4 = load(rows, first), load(rows, first + 4 * stride)
    r1, r5 = load(rows, first + stride), load(rows, first + 5 * stride)
    r2, r6 = load(rows, first + 2 * stride), load(rows, first + 6 * stride)
    r3, r7 = load(rows, first + 3 * stride), load(rows, first + 7 * stride)
    _interleave_half((zip_low(r0, r4), zip_low(r2, r6)), (zip_low(r1, r5), zip_low(r3, r7)), tile, at)
    _interleave_half((zip_high(r0, r4), zip_high(r2, r6)), (zip_high(r1, r5), zip_high(r3, r7)), tile, at + BLOCK)


@njit(nogil=True, cache=True, forceinline=True)
def _rows_of(low, high, rows, first, stride):  # type: ignore[no-untyped-def]
    """Write two rows, four apart, from vectors that alternate between them."""
    store(even_lanes(low, high), rows, first)
    store(odd_lanes(low, high), rows, first + 4 * stride)


@njit(nogil=True, cache=True, forceinline=True)
def separate_rows(tile, at, rows, first, stride):  # type: ignore[no-untyped-def]
    """Write LANES columns of a tile to eight rows, `stride` elements apart."""
    v0, v1 = load(tile, at), load(tile, at + LANES)
    v2, v3 = load(tile, at + 2 * LANES), load(tile, at + 3 * LANES)
    v4, v5 = load(tile, at + 4 * LANES), load(tile, at + 5 * LANES)
    v6, v7 = load(tile, at + 6 * LANES), load(tile, at + 7 * LANES)
    low, low2 = even_lanes(v0, v1), even_lanes(v2, v3)
    high, high2 = even_lanes(v4, v5), even_lanes(v6, v7)
    _rows_of(even_lanes(low, low2), even_lanes(high, high2), rows, first, stride)
    _rows_of(odd_lanes(low, low2), odd_lanes(high, high2), rows, first + 2 * stride, stride)
    low, low2 = odd_lanes(v0, v1), odd_lanes(v2, v3)
    high, high2 = odd_lanes(v4, v5), odd_lanes(v6, v7)
    _rows_of(even_lanes(low, low2), even_lanes(high, high2), rows, first + stride, stride)
    _rows_of(odd_lanes(low, low2), odd_lanes(high, high2), rows, first + 3 * stride, stride)
