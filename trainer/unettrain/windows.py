"""Virtual tiles: windows of the images themselves, mirrored at their edges, equal bit for bit to tiles that are stored.

Of a chunk a tile needs a part, and its neighbours the rest, so chunks are kept as they were decoded, those that were
used last, up to a bound.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from unetprep.kernels.formula import IGNORED
from unetprep.kernels.mirror import mirror_index
from unettrain.errors import Failure
from unettrain.shards import Chunks, OpenFiles
from unettrain.store import fingerprint, open_array, reading, storage_of
from unettrain.tiles import Geometry, StoredTile

CACHE_BYTES = 2**30
OPEN_ARRAYS = 1024
Place = tuple[int, int, int]  # z, y, x


class DecodedChunks:
    """Chunks as they were last decoded, those that were used last, `num_bytes` of them at most."""

    def __init__(self, num_bytes: int) -> None:
        self._most, self._bytes = num_bytes, 0
        self._kept: OrderedDict[tuple[str, tuple[int, ...]], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, chunks: Chunks, place: tuple[int, ...]) -> NDArray[Any]:
        """The chunk at a place of the grid of chunks, not to be written to."""
        key = (chunks.path, place)
        with self._lock:
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return found
        made = np.empty(chunks.chunk, chunks.dtype)
        chunks.read(place, made)
        with self._lock:
            if key not in self._kept:  # another thread may have been at it too
                self._kept[key] = made
                self._bytes += made.nbytes
            while self._bytes > self._most and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return made


class Windows:
    """The pixels of virtual tiles.

    `places` (tile, 4): image, z, y and x at which each tile's output begins. `inputs`: by the path, the fingerprints of
    the arrays that the tiles were placed on. Threads may read side by side. Raises Failure where one of these arrays
    has been replaced since, or is damaged.
    """

    def __init__(
        self,
        store: str | Path,
        root: zarr.Group,
        names: Sequence[str],
        places: NDArray[np.int64],
        geometry: Geometry,
        inputs: Mapping[str, str],
        fingerprints: dict[str, str],
        cache_bytes: int,
    ) -> None:
        self.fingerprints = fingerprints
        self._store, self._root, self._names, self._places = store, root, names, places
        self._geometry, self._inputs = geometry, inputs
        self._decoded, self._files, self._mine = DecodedChunks(cache_bytes), OpenFiles(), threading.local()
        self._array = lru_cache(OPEN_ARRAYS)(self._open)

    def read(self, index: int, into: StoredTile) -> None:
        """The pixels of one tile, into arrays as of `Geometry.empty`."""
        which, z, y, x = self._places[index].tolist()
        name, g = self._names[which], self._geometry
        y, x = y - g.margin_px, x - g.margin_px
        before = (g.tile_px - g.output_px) // 2
        self._mirrored(self._array(f"images/{name}/image"), (z, y - before, x - before), into.image)
        if into.instances is None:
            self._mirrored(self._array(f"images/{name}/labels/target/target"), (z, y, x), into.target)
            self._within(self._array(f"images/{name}/weights"), (z, y, x), into.weights, 0)
        else:
            cells = self._array(f"images/{name}/labels/instances/instances")
            self._within(cells, (z, y - g.reach_px, x - g.reach_px), into.instances, IGNORED)

    def finished(self) -> NDArray[np.bool_]:
        """All: their images are."""
        return np.ones(len(self._places), bool)

    def _open(self, path: str) -> Chunks:
        with reading(self._store):
            array = open_array(self._root, path, self._store, f"unetprep weights --out {self._store}")
        if fingerprint(array) != self._inputs.get(path):
            raise Failure(
                f"{path} of {self._store} was made anew since its tiles were placed",
                hint=f"unetprep tiles --out {self._store} --index-only --overwrite",
            )
        return Chunks(array, self._store, self._files, storage_of(str(self._store)))

    def _mirrored(self, chunks: Chunks, start: Place, out: NDArray[Any]) -> None:
        """A window (..., y, x) of one slice; what lies outside the image is mirrored into it."""
        z, *corner = start
        sizes = zip(corner, out.shape[-2:], chunks.shape[-2:], strict=True)
        rows, columns = (mirrored_runs(first, first + n, size) for first, n, size in sizes)
        if rows[0].is_all(out.shape[-2]) and columns[0].is_all(out.shape[-1]):
            self._copy(chunks, (z, rows[0].low, columns[0].low), out)
            return
        (top, bottom), (left, right) = (
            (min(run.low for run in runs), max(run.high for run in runs)) for runs in (rows, columns)
        )
        around = self._scratch((*out.shape[:-2], bottom - top, right - left), chunks.dtype)
        self._copy(chunks, (z, top, left), around)
        for row, column in product(rows, columns):
            out[..., row.there, column.there] = around[..., row.seen_from(top), column.seen_from(left)]

    def _within(self, chunks: Chunks, start: Place, out: NDArray[Any], outside: int) -> None:
        """A window (y, x) of one slice; what lies outside the image is that number."""
        z, *corner = start
        inside = [
            slice(max(0, -a), max(0, min(n, size - a)))
            for a, n, size in zip(corner, out.shape, chunks.shape[-2:], strict=True)
        ]
        if any(i != slice(0, n) for i, n in zip(inside, out.shape, strict=True)):
            out[...] = outside
        rows, columns = inside
        self._copy(chunks, (z, corner[0] + rows.start, corner[1] + columns.start), out[rows, columns])

    def _copy(self, chunks: Chunks, start: Place, out: NDArray[Any]) -> None:
        """A window (..., y, x) that lies within one slice of the image."""
        *_, depth, height, width = chunks.chunk
        leading = (0,) * (len(chunks.shape) - 3)
        z, top, left = start
        bottom, right = top + out.shape[-2], left + out.shape[-1]
        for j in range(top // height, -(-bottom // height)):
            rows = slice(max(top, j * height), min(bottom, (j + 1) * height))
            for i in range(left // width, -(-right // width)):
                columns = slice(max(left, i * width), min(right, (i + 1) * width))
                chunk = self._decoded.get(chunks, (*leading, z // depth, j, i))
                part = chunk[..., z % depth, _from(rows, j * height), _from(columns, i * width)]
                out[..., _from(rows, top), _from(columns, left)] = part

    def _scratch(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array of this thread's own, whose memory is used again and again."""
        needed = prod(shape) * dtype.itemsize
        if len(getattr(self._mine, "bytes", ())) < needed:
            self._mine.bytes = np.empty(needed, np.uint8)
        found: NDArray[Any] = self._mine.bytes[:needed].view(dtype).reshape(shape)
        return found


@dataclass(frozen=True)
class Run:
    """A stretch of a window, where it lies there, and the pixels `low` to `high` of the image that it shows."""

    there: slice
    low: int
    high: int
    backwards: bool

    def is_all(self, num: int) -> bool:
        """Whether it is a whole window of so many pixels, just as they are in the image."""
        return self.high - self.low == num and not self.backwards

    def seen_from(self, first: int) -> slice:
        """These pixels in an array that begins with pixel `first`."""
        low, high = self.low - first, self.high - first
        return slice(high - 1, low - 1 if low else None, -1) if self.backwards else slice(low, high)


@lru_cache(4096)
def mirrored_runs(start: int, stop: int, size: int) -> tuple[Run, ...]:
    """What the pixels `start` to `stop` along an axis show of an image of that size, where it is mirrored: stretches.

    Along an axis of one pixel it is that one everywhere.
    """
    if size == 1:
        return (Run(slice(0, stop - start), 0, 1, False),)
    index = mirror_index(start, stop, size)
    step = np.diff(index)
    ends = [*(np.flatnonzero(step[1:] != step[:-1]) + 2).tolist(), len(index)]
    runs = []
    for begin, end in pairwise([0, *ends]):
        part = index[begin:end]
        runs.append(Run(slice(begin, end), int(part.min()), int(part.max()) + 1, bool(part[0] > part[-1])))
    return tuple(runs)


def _from(places: slice, first: int) -> slice:
    return slice(places.start - first, places.stop - first)
