"""LRU cache of decoded chunks, bounded in bytes.

Chunks are cached in blocks of 4 x 4, so that a window is copied from one to four blocks. Copying it from single chunks
took two threads 1.5 times as long, since the Python code of each copy holds the GIL.
"""

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.data.chunk_reader import ChunkReader

CHUNKS = 4  # of a block along y and along x
Key = tuple[str, int, int, int]  # array; z, y and x of the block


class ChunkCache:
    """LRU cache of up to `most_bytes` of decoded pixels, in blocks of chunks. Thread-safe."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes = most_bytes, 0
        self._blocks: OrderedDict[Key, _Block] = OrderedDict()
        self._lock = threading.Lock()
        self._mine = threading.local()

    @property
    def num_bytes(self) -> int:
        """Size of the cached pixels in bytes."""
        return self._bytes

    def copy(self, chunks: ChunkReader, start: tuple[int, int, int], out: NDArray[Any], sides: tuple[int, ...]) -> None:
        """Copy a window (..., y, x) of one slice of an array, from z, y, x on, to `out`.

        `sides` (y, x) are those of the image in this slice.
        """
        *_, depth, height, width = chunks.chunk
        if depth > 1:  # a chunk may hold several images
            sides = chunks.shape[-2:]
        z, top, left = start
        bottom, right = top + out.shape[-2], left + out.shape[-1]
        for j in range(top // (CHUNKS * height), -(-bottom // (CHUNKS * height))):
            for i in range(left // (CHUNKS * width), -(-right // (CHUNKS * width))):
                y, x, key = j * CHUNKS * height, i * CHUNKS * width, (chunks.path, z // depth, j, i)
                block = self._block(chunks, key, sides)
                rows = slice(max(top, y) - y, min(bottom, y + block.values.shape[-2]) - y)
                columns = slice(max(left, x) - x, min(right, x + block.values.shape[-1]) - x)
                self._fill(chunks, key, block, rows, columns)
                part = block.values[..., z % depth, rows, columns]
                out[..., _moved(rows, y - top), _moved(columns, x - left)] = part

    def _block(self, chunks: ChunkReader, key: Key, sides: tuple[int, ...]) -> "_Block":
        with self._lock:
            if (block := self._blocks.get(key)) is None:
                self._blocks[key] = block = _Block(chunks, key[2:], sides)
            else:
                self._blocks.move_to_end(key)
            return block

    def _fill(self, chunks: ChunkReader, key: Key, block: "_Block", rows: slice, columns: slice) -> None:
        """Decode the needed chunks of a block that are not cached. Two threads may decode the same chunk."""
        *leading, _, height, width = chunks.chunk
        first_row, first_column = rows.start // height, columns.start // width
        needed = np.s_[first_row : -(-rows.stop // height), first_column : -(-columns.stop // width)]
        if block.there[needed].all():
            return
        for j, i in np.argwhere(~block.there[needed]).tolist():
            j, i = j + first_row, i + first_column
            made = self._chunk(chunks)
            chunks.read((*(0 for _ in leading), key[1], key[2] * CHUNKS + j, key[3] * CHUNKS + i), made)
            block.values[..., j * height : (j + 1) * height, i * width : (i + 1) * width] = made
            self._count(key, block, j, i)

    def _count(self, key: Key, block: "_Block", j: int, i: int) -> None:
        """Mark a chunk as cached. A row of chunks counts from its first chunk on, as its chunks share pages."""
        with self._lock:
            is_first = not block.there[j].any()
            block.there[j, i] = True
            if self._blocks.get(key) is block:
                self._bytes += is_first * block.row_bytes
            while self._bytes > self._most and self._blocks:
                self._bytes -= self._blocks.popitem(last=False)[1].num_bytes

    def _chunk(self, chunks: ChunkReader) -> NDArray[Any]:
        """A buffer of this thread for a chunk."""
        made: dict[Any, NDArray[Any]] = self._mine.__dict__
        kind = (chunks.chunk, chunks.dtype)
        if kind not in made:
            made[kind] = np.empty(*kind)
        return made[kind]


class _Block:
    """A block of the chunks that hold an image with `sides` (y, x); some of them are decoded.

    The system allocates its memory pages when they are written to.
    """

    def __init__(self, chunks: ChunkReader, place: tuple[int, int], sides: tuple[int, ...]) -> None:
        *leading, height, width = chunks.chunk
        sizes = zip(sides, (height, width), place, strict=True)
        counts = tuple(min(CHUNKS, -(-n // side) - CHUNKS * p) for n, side, p in sizes)
        self.there = np.zeros(counts, bool)
        self.values = np.empty((*leading, counts[0] * height, counts[1] * width), chunks.dtype)
        self.row_bytes = self.values.nbytes // counts[0]

    @property
    def num_bytes(self) -> int:
        """Size of the rows of chunks with decoded chunks in bytes."""
        return int(self.there.any(axis=1).sum()) * self.row_bytes


def _moved(places: slice, by: int) -> slice:
    return slice(places.start + by, places.stop + by)
