"""Stored arrays cut as numpy arrays are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from unettrain.data.checked_array import CheckedArray
from unettrain.data.chunk_reader import ChunkReader
from unettrain.errors import Failure

VALUES = np.random.default_rng(0).integers(0, 1000, (5, 40, 30)).astype(np.uint16)


@pytest.fixture
def array(tmp_path: Path) -> CheckedArray:
    made = zarr.create_array(tmp_path, name="a", data=VALUES, chunks=(1, 16, 16), shards=(2, 32, 32))
    return CheckedArray(ChunkReader(made, tmp_path))


@pytest.mark.parametrize(
    "key",
    [
        np.s_[...],
        np.s_[:],
        np.s_[2],
        np.s_[-1],
        np.s_[1:3, 5],
        np.s_[..., 7],
        np.s_[0, ..., 29],
        np.s_[0, 1, 2],
        np.s_[:, 3:-4, -5:],
        np.s_[4:2, :, 1:100],
        np.s_[np.int64(3)],
    ],
    ids=repr,
)
def test_it_is_cut_as_numpy_cuts(array: CheckedArray, key: Any) -> None:
    found, expected = array[key], VALUES[key]
    np.testing.assert_array_equal(found, expected)
    assert (found.shape, found.dtype) == (np.shape(expected), np.dtype("uint16"))


def test_it_becomes_an_array(array: CheckedArray) -> None:
    assert (array.shape, array.dtype, array.ndim) == ((5, 40, 30), np.dtype("uint16"), 3)
    np.testing.assert_array_equal(np.asarray(array), VALUES)
    assert np.asarray(array, np.float32).dtype == np.float32


def test_what_numpy_would_cut_otherwise_is_an_error(array: CheckedArray) -> None:
    with pytest.raises(IndexError, match="a step of 2"):
        array[::2]
    for key in (5, -6):
        with pytest.raises(IndexError, match=f"{key} is not within an axis of 5"):
            array[key]


def test_a_missing_shard_is_not_read_as_zeros(array: CheckedArray, tmp_path: Path) -> None:
    (tmp_path / "a/c/1/0/0").unlink()
    np.testing.assert_array_equal(array[:2], VALUES[:2])
    with pytest.raises(Failure, match="c/1/0/0"):
        array[2]
