"""Tiles of eight rows and back."""

import numpy as np
import pytest
from numba import njit

from unetprep.kernels.simd import LANES, pointer
from unetprep.kernels.tiles import SIDE, interleave, separate_rows


@njit
def there_and_back(rows, tile, back):  # type: ignore[no-untyped-def]
    """Interleave LANES columns, and separate them again."""
    interleave(pointer(rows), 0, rows.shape[1], pointer(tile), 0)
    separate_rows(pointer(tile), 0, pointer(back), 0, rows.shape[1])


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_a_tile_is_stored_column_by_column(dtype: type[np.unsignedinteger]) -> None:
    rows = np.arange(SIDE * LANES, dtype=dtype).reshape(SIDE, LANES)
    tile, back = np.empty((LANES, SIDE), dtype), np.empty_like(rows)
    there_and_back(rows, tile, back)
    np.testing.assert_array_equal(tile, rows.T)
    np.testing.assert_array_equal(back, rows)
