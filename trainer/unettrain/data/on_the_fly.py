"""On-the-fly tiles: windows of the images with mirrored edges, bit-identical to stored tiles.

Neighbouring tiles share chunks, so decoded chunks are cached (`chunk_cache`).
"""

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from unetprep.format.layout import labels_path, pixels_path, weights_path
from unetprep.format.places import ImagePlace
from unetprep.kernels.mirror import bounds, is_mirrored, mirrored_runs, unfold
from unetprep.kernels.weight_formula import IGNORED
from unettrain.data.chunk_cache import ChunkCache
from unettrain.data.chunk_reader import ChunkReader, OpenFiles
from unettrain.data.store import fingerprint, open_array, reading, shape_of, storage_of
from unettrain.data.tiles import Geometry, StoredTile
from unettrain.errors import Failure

CACHE_BYTES = 2**30
OPEN_ARRAYS = 1024
Start = tuple[int, int, int]  # z, y, x


class OnTheFlyPixels:
    """Pixels of on-the-fly tiles.

    `starts` (tile, 4): index in `images`, and z, y and x of the first pixel of each tile's output. `inputs`:
    fingerprints of the arrays that the tiles were placed on, by path. Safe for threads. Raises Failure if one of these
    arrays has been replaced since, or is damaged.
    """

    def __init__(
        self,
        store: str | Path,
        root: zarr.Group,
        images: Sequence[ImagePlace],
        starts: NDArray[np.int64],
        geometry: Geometry,
        inputs: Mapping[str, str],
        fingerprints: dict[str, str],
        cache_bytes: int,
    ) -> None:
        self.fingerprints = fingerprints
        self._store, self._images, self._starts, self._geometry = store, images, starts, geometry
        self._decoded, self._files, self._mine = ChunkCache(cache_bytes), OpenFiles(), threading.local()
        # Without a reference to self, so that the files are closed with the last reference to this object.
        self._array = lru_cache(OPEN_ARRAYS)(partial(_open, store, root, inputs, self._files))

    def read(self, index: int, into: StoredTile) -> None:
        """Read the pixels of one tile into arrays as of `Geometry.empty`."""
        which, z, y, x = self._starts[index].tolist()
        image, g = self._images[which], self._geometry
        y, x = y - g.margin_px, x - g.margin_px
        before = (g.tile_px - g.output_px) // 2
        self._mirrored(image, pixels_path(image.group), (z, y - before, x - before), into.image)
        if into.instances is None:
            self._mirrored(image, labels_path(image.group, "target"), (z, y, x), into.target)
            self._within(image, weights_path(image.group), (z, y, x), into.weights, 0)
        else:
            start = (z, y - g.reach_px, x - g.reach_px)
            self._within(image, labels_path(image.group, "instances"), start, into.instances, IGNORED)

    def _mirrored(self, image: ImagePlace, path: str, start: Start, out: NDArray[Any]) -> None:
        """Read a window (..., y, x) of one slice; pixels outside the image are mirrored."""
        chunks, (z, *corner) = self._array(path), start
        sides = shape_of(image, chunks.shape, self._store)[-2:]
        sizes = zip(corner, out.shape[-2:], sides, strict=True)
        rows, columns = (mirrored_runs(first, first + n, size) for first, n, size in sizes)
        (top, bottom), (left, right) = bounds(rows), bounds(columns)
        if is_mirrored(rows, columns, out.shape):
            around = self._scratch((*out.shape[:-2], bottom - top, right - left), chunks.dtype)
            self._decoded.copy(chunks, (image.first + z, top, left), around, sides)
            unfold(around, rows, columns, out)
        else:
            self._decoded.copy(chunks, (image.first + z, top, left), out, sides)

    def _within(self, image: ImagePlace, path: str, start: Start, out: NDArray[Any], outside: int) -> None:
        """Read a window (y, x) of one slice; pixels outside the image get the value `outside`."""
        chunks, (z, *corner) = self._array(path), start
        sides = shape_of(image, chunks.shape, self._store)[-2:]
        inside = [
            slice(max(0, -a), max(0, min(n, size - a))) for a, n, size in zip(corner, out.shape, sides, strict=True)
        ]
        if any(i != slice(0, n) for i, n in zip(inside, out.shape, strict=True)):
            out[...] = outside
        rows, columns = inside
        first = (image.first + z, corner[0] + rows.start, corner[1] + columns.start)
        self._decoded.copy(chunks, first, out[rows, columns], sides)

    def _scratch(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array of this thread, whose memory is reused."""
        needed = prod(shape) * dtype.itemsize
        if len(getattr(self._mine, "bytes", ())) < needed:
            self._mine.bytes = np.empty(needed, np.uint8)
        found: NDArray[Any] = self._mine.bytes[:needed].view(dtype).reshape(shape)
        return found


def _open(store: str | Path, root: zarr.Group, inputs: Mapping[str, str], files: OpenFiles, path: str) -> ChunkReader:
    with reading(store):
        array = open_array(root, path, store, f"unetprep weights --out {store}")
    if fingerprint(array) != inputs.get(path):
        raise Failure(
            f"{path} of {store} was replaced after its tiles were placed",
            hint=f"unetprep tiles --out {store} --index-only --overwrite",
        )
    return ChunkReader(array, store, files, storage_of(str(store)))
