"""Parameters and buffers of the search for the two nearest instances, see `two_nearest`."""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unetprep.kernels.metric import metric
from unetprep.kernels.simd import LANES, pointer
from unetprep.kernels.tiles import BLOCK_COLUMNS, SIDE

UNWANTED = 4  # the kind of a pixel that is not searched and has no class
BAND = (32, 64)  # rows that are swept from below together: few enough for the processor cache,
BAND_PIXELS = 1 << 16  # and enough to amortize the rows below them


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

    a: NDArray[Any]  # (tiles, planes, width * 8) nearest label of every column, see `tile_at`
    b: NDArray[Any]  # nearest other label
    down: NDArray[Any]  # (z, 2, width) state of the downward sweep
    up: NDArray[Any]  # (rows + 1, 2, width) state of the upward sweep at every row of a band of a plane
    rows: NDArray[Any]  # (16, width), named in `Places`
    tiles: NDArray[Any]  # (5, width * 8), named in `Places`
    blocks: NDArray[Any]  # (4, blocks), named in `Places`
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
    d1: Any  # the squared distances found, in units, block by block
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
        np.repeat(np.array([code.limit, code.mask, 0, 0], packed), width // BLOCK_COLUMNS + LANES).reshape(4, -1),
        np.empty(width // BLOCK_COLUMNS, np.int64),
    )


def buffer_bytes(shape: tuple[int, ...], search: Search) -> int:
    """Memory of the buffers for a volume (z, y, x)."""
    depth, _, length = shape
    width, kept = padded_width(length, search), math.prod(_kept_tiles(shape, search))
    lines = 2 * kept * SIDE + 2 * depth + 2 * (band_rows(shape) + 1) + 2 * SIDE + 5 * SIDE
    return (lines * width + 4 * (width // BLOCK_COLUMNS + LANES)) * search.columns.dtype.itemsize + 8 * (
        width // BLOCK_COLUMNS
    )


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
