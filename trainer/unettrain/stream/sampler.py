"""Sampler: which tile comes at which place of an epoch, a pure function of seed and place without a table.

An epoch is a permutation of the tiles of a split by a Feistel network over the next power of 4, walked until it falls
among them (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). So any place of any epoch is known at
once: to go on somewhere, or to divide the places among threads and ranks, needs nothing of what came before.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unettrain import rng
from unettrain.config import SHUFFLES
from unettrain.errors import InvalidInput

Integers = NDArray[np.int64]
Where = tuple[int, int, int]  # epoch, tile, and how often it stands in this epoch before
ROUNDS = 8
LEAST_BITS = 3  # of a half: with fewer, not all permutations of few tiles would be equally likely
SHARDS_AT_ONCE = 16  # read side by side when whole shards are shuffled


class Order:
    """The tiles of a split, epoch after epoch.

    `ranges` (first tile, the one behind the last), ascending. `shuffle` "tiles": every order of all tiles is as likely;
    "shards": the tiles are taken in stretches of `shard`, `SHARDS_AT_ONCE` of them at a time, stretches and groups in a
    random order and the tiles within a group too, so that what is read lies together. `density`: a number for each tile
    of the ranges; in an epoch of as many places a tile then stands as often as its share of their sum says, rounded up
    or down by chance.
    """

    def __init__(
        self,
        ranges: Sequence[tuple[int, int]],
        seed: int,
        shuffle: str = "tiles",
        shard: int = 64,
        density: NDArray[np.float64] | None = None,
    ) -> None:
        if shuffle not in SHUFFLES:
            raise InvalidInput(f"shuffle is {shuffle!r}", allowed=", ".join(SHUFFLES))
        self._first = np.array([first for first, _ in ranges], np.int64)
        sizes = np.array([stop - first for first, stop in ranges], np.int64)
        self._before = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._seed, self._shuffle, self._shard = seed, shuffle, shard
        self._up_to = None if density is None else np.cumsum(density)
        if self._up_to is not None and not self._up_to[-1] > 0:
            raise InvalidInput("no tile holds anything to be learned", allowed="sampling uniform")

    @property
    def num(self) -> int:
        """Tiles of an epoch."""
        return int(self._before[-1])

    def at(self, places: range) -> list[Where]:
        """(epoch, tile, how often it stands in this epoch before) at each of these places, counted over all epochs."""
        epochs, within = np.divmod(np.arange(places.start, places.stop, places.step, dtype=np.int64), self.num)
        tiles, repeats = np.empty_like(within), np.zeros_like(within)
        for epoch in np.unique(epochs).tolist():
            chosen = epochs == epoch
            numbers = self._shuffled(within[chosen], epoch)
            if self._up_to is not None:
                numbers, repeats[chosen] = self._weighted(numbers, epoch)
            tiles[chosen] = self._tiles(numbers)
        return list(zip(epochs.tolist(), tiles.tolist(), repeats.tolist(), strict=True))

    def _weighted(self, numbers: Integers, epoch: int) -> tuple[Integers, Integers]:
        """Even steps along the sum of the densities, from a random place on; what was in order stays in order.

        Steps that meet the same tile are counted: the number of the tile, and how many met it before.
        """
        up_to = self._up_to
        assert up_to is not None
        start, step = rng.generator(rng.SAMPLING, self._seed, epoch).random(), up_to[-1] / self.num

        def met(number: Integers) -> Integers:
            found = np.searchsorted(up_to, (number + start) * step, side="right")
            return np.asarray(np.minimum(found, self.num - 1), np.int64)

        tiles, repeats = met(numbers), np.zeros_like(numbers)
        earlier = numbers - 1
        while (same := (earlier >= 0) & (met(earlier) == tiles)).any():
            repeats += same
            earlier = np.where(same, earlier - 1, -1)
        return tiles, repeats

    def _tiles(self, numbers: Integers) -> Integers:
        """The tiles of the split that have these numbers among themselves."""
        which = np.searchsorted(self._before, numbers, side="right") - 1
        return np.asarray(self._first[which] + numbers - self._before[which])

    def _shuffled(self, places: Integers, epoch: int) -> Integers:
        if self._shuffle == "tiles":
            return permuted(places, self.num, _keys(self._seed, epoch, 0))
        return self._by_shards(places, epoch)

    def _by_shards(self, places: Integers, epoch: int) -> Integers:
        """Whole stretches in groups; the tiles of the last, short one come at the end of the epoch."""
        whole = self.num // self._shard
        out, rest = places.copy(), self.num - whole * self._shard
        last = places >= self.num - rest
        out[last] = permuted(places[last] - (self.num - rest), rest, _keys(self._seed, epoch, 0)) + (self.num - rest)
        group_size = SHARDS_AT_ONCE * self._shard
        for group in np.unique(places[places < whole * self._shard] // group_size).tolist():
            start = group * group_size
            stop = min(start + group_size, whole * self._shard)
            chosen = (places >= start) & (places < stop)
            mixed = permuted(places[chosen] - start, stop - start, _keys(self._seed, epoch, 2 + group))
            stretch, inside = np.divmod(mixed + start, self._shard)
            out[chosen] = permuted(stretch, whole, _keys(self._seed, epoch, 1)) * self._shard + inside
        return out


def permuted(numbers: Integers, size: int, keys: NDArray[np.uint64]) -> Integers:
    """What a permutation of 0 ... size - 1 that the keys decide makes of these numbers."""
    if size == 1:
        return np.zeros_like(numbers)
    half = np.uint64(max(LEAST_BITS, ((size - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    out = numbers.astype(np.uint64)
    outside = np.ones(len(out), bool)
    while outside.any():
        left, right = out[outside] >> half, out[outside] & mask
        for key in keys:
            left, right = right, left ^ (_mixed(right + key) & mask)
        out[outside] = left << half | right
        outside = out >= np.uint64(size)
    return out.astype(np.int64)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A hash of 64 bits (the finalizer of SplitMix64: Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@lru_cache(maxsize=64)
def _keys(seed: int, epoch: int, part: int) -> NDArray[np.uint64]:
    """Of one permutation of one epoch."""
    return rng.generator(rng.ORDER, seed, epoch, part).integers(0, 2**64, ROUNDS, np.uint64)
