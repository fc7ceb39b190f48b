"""Sampler: the tile at each position of the training, a pure function of (seed, epoch, position).

An epoch is a random permutation of the tiles of a split, which follows from (seed, epoch) alone. So any position of any
epoch is known without those before it: a run can resume anywhere, and ranks can share an epoch.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unettrain import rng
from unettrain.config import SHUFFLES
from unettrain.errors import InvalidInput

Sampled = tuple[int, int, int]  # epoch, tile, and how often the tile came before in this epoch
VERSION = "numpy permutation, 1"  # recorded by runs: a run in another order is another run
SHARDS_AT_ONCE = 16  # shards that are mixed with each other by shuffle "shards"
KEPT_EPOCHS = 2  # a batch may span two


class Sampler:
    """The order of the tiles of a split, epoch after epoch.

    `ranges`: (first tile, end), ascending. `shuffle` "tiles": all orders are equally likely; "shards": the tiles are
    taken in stretches of `shard`, of which `SHARDS_AT_ONCE` random ones are mixed at a time, so that what is read lies
    together; an incomplete last stretch ends the epoch. `density`: one number for each tile. An epoch then has as many
    positions as there are tiles, and each tile takes a share of them proportional to its density, rounded up or down
    at random.

    Takes 4 bytes a tile for each of the two epochs that are kept (8 from 2^31 tiles on), and 8 more with `density`.
    Raises InvalidInput for another `shuffle`, and for densities of which none is over 0.
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
        self._before = np.concatenate([[0], np.cumsum([stop - first for first, stop in ranges])]).astype(np.int64)
        self._seed, self._shuffle, self._shard = seed, shuffle, shard
        self._up_to = None if density is None else np.cumsum(density)
        if self._up_to is not None and not self._up_to[-1] > 0:
            raise InvalidInput("no tile holds anything to be learned", allowed="sampling uniform")
        self._epochs: dict[int, tuple[NDArray[np.integer], NDArray[np.int64] | None]] = {}

    @property
    def num(self) -> int:
        """Tiles of the split, which is the number of positions of an epoch."""
        return int(self._before[-1])

    def at(self, positions: range) -> list[Sampled]:
        """(epoch, tile, repeat) at each position, counted over all epochs; `repeat` is 0 unless `density` is given."""
        epochs, within = np.divmod(np.arange(positions.start, positions.stop, positions.step, dtype=np.int64), self.num)
        numbers, repeats = np.empty_like(within), np.zeros_like(within)
        for epoch in np.unique(epochs).tolist():
            chosen = epochs == epoch
            order, drawn = self._epoch(epoch)
            places = order[within[chosen]].astype(np.int64)
            numbers[chosen] = places if drawn is None else drawn[places]
            if drawn is not None:
                repeats[chosen] = places - np.searchsorted(drawn, drawn[places])
        which = np.searchsorted(self._before, numbers, side="right") - 1
        tiles = self._first[which] + numbers - self._before[which]
        return list(zip(epochs.tolist(), tiles.tolist(), repeats.tolist(), strict=True))

    def _epoch(self, epoch: int) -> tuple[NDArray[np.integer], NDArray[np.int64] | None]:
        """The permutation of an epoch, and with densities the ascending numbers of the tiles that are permuted."""
        if epoch not in self._epochs:
            while len(self._epochs) >= KEPT_EPOCHS:
                del self._epochs[next(iter(self._epochs))]
            self._epochs[epoch] = self._permutation(epoch), self._drawn(epoch)
        return self._epochs[epoch]

    def _permutation(self, epoch: int) -> NDArray[np.integer]:
        generator = rng.generator(rng.ORDER, self._seed, epoch)
        order: NDArray[np.integer] = np.arange(self.num, dtype=np.int32 if self.num < 2**31 else np.int64)
        if self._shuffle == "tiles":
            generator.shuffle(order)
            return order
        whole = self.num // self._shard * self._shard
        order[:whole] = generator.permutation(order[:whole].reshape(-1, self._shard)).reshape(-1)
        for start in range(0, whole, SHARDS_AT_ONCE * self._shard):
            generator.shuffle(order[start : min(start + SHARDS_AT_ONCE * self._shard, whole)])
        generator.shuffle(order[whole:])
        return order

    def _drawn(self, epoch: int) -> NDArray[np.int64] | None:
        """Systematic sampling: equal steps along the sum of the densities, from a random start."""
        if self._up_to is None:
            return None
        start, step = rng.generator(rng.SAMPLING, self._seed, epoch).random(), self._up_to[-1] / self.num
        found = np.searchsorted(self._up_to, (np.arange(self.num) + start) * step, side="right")
        return np.asarray(np.minimum(found, self.num - 1), np.int64)
