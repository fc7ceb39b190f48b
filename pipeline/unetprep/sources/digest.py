"""Digests of the shards of a source, to detect changes between two readings.

The digest of a shard is the sum, modulo 2^128, of the digests of its chunks with their positions. So it depends neither
on the blocks, of whole chunks, in which the shard is read, nor on their order.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16
MODULUS = 2 ** (8 * DIGEST_BYTES)

Shape = tuple[int, ...]


class ShardDigest:
    """Digest of the pixels of one shard, to which blocks are added."""

    def __init__(self, chunk: Shape) -> None:
        self._chunk, self._sum = chunk, 0

    def add(self, values: NDArray[Any], start: Shape) -> None:
        """Add a block of whole chunks that begins at `start`, in pixels relative to the shard."""
        little = values.dtype.newbyteorder("<")
        for corner in product(*(range(0, n, c) for n, c in zip(values.shape, self._chunk, strict=True))):
            chunk = values[tuple(slice(a, a + c) for a, c in zip(corner, self._chunk, strict=True))]
            place = tuple(int(a + s) for a, s in zip(corner, start, strict=True))
            digest = blake2b(repr((place, chunk.shape)).encode(), digest_size=DIGEST_BYTES)
            digest.update(np.ascontiguousarray(chunk, little).data)
            self._sum = (self._sum + int.from_bytes(digest.digest())) % MODULUS

    def value(self) -> bytes:
        """The digest of all blocks so far."""
        return self._sum.to_bytes(DIGEST_BYTES)


@dataclass(frozen=True, eq=False)
class ShardDigests:
    """Digests of some shards of an array by shard number in C order; 24 bytes for each shard."""

    numbers: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # ascending
    digests: bytes = b""

    @staticmethod
    def of_all(digests: bytes) -> "ShardDigests":
        """From the concatenated digests of all shards."""
        return ShardDigests(np.arange(len(digests) // DIGEST_BYTES), digests)

    def get(self, number: int) -> bytes | None:
        """The digest of a shard; None if it is not known."""
        at = int(np.searchsorted(self.numbers, number))
        if at == len(self.numbers) or self.numbers[at] != number:
            return None
        return self.digests[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]

    def select(self, numbers: Iterable[int]) -> "ShardDigests":
        """The digests of the shards `numbers`, as far as known."""
        found = {number: digest for number in sorted(numbers) if (digest := self.get(number)) is not None}
        return ShardDigests(np.array(list(found), np.int64), b"".join(found.values()))
