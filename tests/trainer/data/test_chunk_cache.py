"""LRU cache of decoded chunks."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from unettrain.data.chunk_cache import ChunkCache
from unettrain.data.chunk_reader import ChunkReader


def image(folder: Path, name: str) -> tuple[ChunkReader, np.ndarray]:
    """An image (c, z, y, x) of which a block has two slices, and 128 rows and 64 columns."""
    values = np.random.default_rng(len(name)).integers(0, 1000, (3, 5, 300, 70)).astype(np.uint16)
    array = zarr.create_array(folder, name=name, data=values, chunks=(3, 2, 32, 16), shards=(3, 4, 64, 32))
    return ChunkReader(array, folder), values


def test_windows_anywhere_are_those_of_the_image(tmp_path: Path) -> None:
    chunks, values = image(tmp_path, "a")
    rng, decoded = np.random.default_rng(0), ChunkCache(2**24)
    for _ in range(60):
        z, (top, bottom), (left, right) = rng.integers(5), *(np.sort(rng.integers(0, n, 2)) for n in (300, 70))
        out = np.empty((3, bottom - top + 1, right - left + 1), np.uint16)
        decoded.copy(chunks, (int(z), int(top), int(left)), out, (300, 70))
        np.testing.assert_array_equal(out, values[:, z, top : bottom + 1, left : right + 1])


def test_what_was_asked_for_last_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks, _ = image(tmp_path, "a")
    read, decoded, out = [], ChunkCache(2 * 3 * 2 * 32 * 64 * 2), np.empty((3, 1, 1), np.uint16)  # a row of two blocks
    monkeypatch.setattr(chunks, "read", lambda place, out: read.append(place))
    for z in (0, 2, 0, 4, 0, 2):
        decoded.copy(chunks, (z, 0, 0), out, (300, 70))
    assert [place[1] for place in read] == [0, 1, 2, 1]
