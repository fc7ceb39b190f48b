"""Prefetched batches of tiles, in an order that is a pure function of (seed, epoch, step).

Threads read and augment a bounded number of batches ahead of the consumer; reading and warping release the GIL. The
batches do not depend on the number of threads.
"""

import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unettrain.augment.draw import Draw, draw, margin_needed
from unettrain.config import SAMPLINGS, Augmentation, FitConfig
from unettrain.data.on_the_fly import CACHE_BYTES
from unettrain.data.opening import NO_FIELDS, StoredFields, open_fields, open_tiles
from unettrain.data.tiles import SPLITS, Tiles
from unettrain.errors import InvalidInput
from unettrain.ranks import ALONE, Ranks
from unettrain.stream.batches import Batch, BatchBuilder, DeviceBatchBuilder, Sample, ThreadBatchBuilder
from unettrain.stream.prefetch import Buffers, Prefetcher
from unettrain.stream.sampler import VERSION, Sampled, Sampler

MOST_THREADS, THREADS_OF_A_SERVER = 8, 16
REPEAT_BITS = 40  # more tiles than there will be
ORDER = "order of tiles"  # key beside the paths of arrays in `TileStream.fingerprints`


class TileStream:
    """Iterable over the batches of a split, from `start_step` on, `num_steps` of them or without end.

    Every epoch is a permutation of the split's tiles (`Sampler`), or with `sampling` "foreground" takes tiles the more
    often the more cells they hold; a batch may span two epochs. A stream from step k yields what a stream from 0
    yields from its k-th batch on. With `world_size` ranks a step has `world_size` times `batch_size` tiles, of which
    this stream yields the part of `rank`; the order of all tiles does not depend on the number of ranks. Each `iter()`
    starts its own threads (`num_threads`; by default one less than there are cores, at most 8), which end when the
    iterator is exhausted or closed. A reading error is raised in place of its batch.

    With a `device`, whole batches are augmented on it with the same parameters, and stay there. Of on-the-fly tiles, up
    to `cache_bytes` of decoded images are kept in memory.

    Raises InvalidInput if the store has no usable tiles, fewer in this split than a batch needs, no fields while
    `deform` is on, or tiles with too small a margin for the augmentation.
    """

    def __init__(
        self,
        store: str | Path,
        split: str = "train",
        batch_size: int = 1,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        start_step: int = 0,
        num_steps: int | None = None,
        num_threads: int | None = None,
        num_ahead: int = 4,
        shuffle: str = "tiles",
        rank: int = 0,
        world_size: int = 1,
        sampling: str = "uniform",
        device: str | torch.device | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.tiles = open_tiles(store, cache_bytes)
        self.augmentation = augmentation or Augmentation()
        self.fields = open_fields(store) if self.augmentation.deform else NO_FIELDS
        self.split_indices = _tiles_of(self.tiles, split, store)
        if self.augmentation.recompute_weights and self.tiles.rule is None:
            raise InvalidInput(
                f"the tiles of {store} hold no instances to compute weights from",
                hint=_tiles_command(store, self.tiles, self.tiles.margin_px, instances=True),
            )
        _check_margin(self.tiles, self.fields, self.augmentation, store)
        self.batch_size, self.seed, self.shuffle, self.sampling = batch_size, seed, shuffle, sampling
        self.start_step, self.num_steps = start_step, num_steps
        self.num_threads, self.num_ahead = num_threads or usual_threads(store), num_ahead
        self.rank, self.world_size = rank, world_size
        _check_numbers(self)
        _check_batch(self, split, store)
        self._builder: BatchBuilder = (
            ThreadBatchBuilder(self.tiles, self.fields, self.augmentation)
            if device is None
            else DeviceBatchBuilder(self.tiles, self.fields, self.augmentation, torch.device(device))
        )
        density = _density(self.tiles, sampling, store)
        in_split = None if density is None else density[self.split_indices]
        self.sampler = Sampler(_ranges(self.split_indices), seed, shuffle, density=in_split)

    @classmethod
    def of(
        cls, store: str | Path, config: FitConfig, device: torch.device | None = None, ranks: Ranks = ALONE
    ) -> "TileStream":
        """The training tiles as a run with this configuration sees them; augmented on `device` if it says so.

        `batch_size` is that of all ranks, which share threads and cache of their machine.
        """
        return cls(
            store,
            "train",
            ranks.share(config.batch_size, config.accumulate),
            config.seed,
            config.augmentation(),
            num_threads=max(1, usual_threads(store) // ranks.local_size),
            rank=ranks.rank,
            world_size=ranks.size,
            shuffle=config.shuffle,
            sampling=config.sampling,
            device=device if config.augment_on == "device" else None,
            cache_bytes=config.cache_mib * 2**20 // ranks.local_size,
        )

    def samples(self, step: int) -> list[Sampled]:
        """(epoch, tile, repeat) of each tile of a step; `repeat` counts its earlier occurrences in the epoch."""
        first = (step * self.world_size + self.rank) * self.batch_size
        return self.sampler.at(range(first, first + self.batch_size))

    @property
    def fingerprints(self) -> dict[str, str]:
        """What identifies the values that a training sees, and their order."""
        return self.tiles.fingerprints | self.fields.fingerprints | {ORDER: VERSION}

    def draw(self, epoch: int, tile: int, repeat: int = 0) -> Draw:
        """Augmentation parameters of a tile in an epoch, at its occurrence number `repeat`."""
        return draw(self.augmentation, len(self.fields.grids), self.seed, epoch, tile + (repeat << REPEAT_BITS))

    def batch(self, step: int) -> Batch:
        """The batch of one step, read and augmented in the calling thread."""
        return self._batch([self._sample(*sampled) for sampled in self.samples(step)])

    def replay(self, lines: Iterable[Mapping[str, Any]]) -> Batch:
        """The batch that lines of `unettrain draws`, or your own, describe by a `tile` and a `draw` each.

        Pixels from beyond the margin are mirrored and have weight 0. Raises InvalidInput for a missing tile or field.
        """
        samples = []
        for line in lines:
            tile, choice = int(line["tile"]), Draw(**line["draw"])
            if not 0 <= tile < len(self.tiles.split):
                raise InvalidInput(f"tile is {tile}", allowed=f"0 to {len(self.tiles.split) - 1}")
            samples.append(Sample(tile, lambda choice=choice: choice))  # type: ignore[misc]
        return self._batch(samples)

    def _sample(self, epoch: int, tile: int, repeat: int) -> Sample:
        return Sample(tile, partial(self.draw, epoch, tile, repeat))

    def _batch(self, samples: list[Sample]) -> Batch:
        buffers, scratch = Buffers(self._builder.shapes(len(samples))), self._builder.scratch()
        for k, sample in enumerate(samples):
            self._builder.fill(sample, buffers, k, scratch)
        return self._builder.finish(buffers.tensors(), samples)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches(self.start_step, self.num_steps)

    def batches(self, start_step: int, num_steps: int | None = None) -> Generator[Batch]:
        """Prefetched batches from `start_step` on. Close it (`contextlib.closing`) to end its threads early."""
        prefetcher: Prefetcher[Sample, Any] = Prefetcher(
            self._builder.shapes(self.batch_size),
            self._builder.fill,
            self._builder.scratch,
            self.num_threads,
            self.num_ahead,
            "unettrain-stream",
            torch.cuda.is_available(),
        )
        with closing(prefetcher.batches(self._to_come(start_step, num_steps))) as filled:
            for pending in filled:
                yield self._builder.finish(pending.buffers.tensors(), pending.parts)

    def _to_come(self, start_step: int, num_steps: int | None) -> Iterator[list[Sample]]:
        """The samples of each step."""
        for step in steps_from(start_step, num_steps):
            yield [self._sample(*sampled) for sampled in self.samples(step)]


def usual_threads(store: str | Path = "") -> int:
    """Default number of threads: one core is left to the network, and 8 threads are enough for a GPU.

    More for a store behind a URL, where threads mostly wait for the server.
    """
    if "://" in str(store):
        return THREADS_OF_A_SERVER
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, cores - 1))


def steps_from(start_step: int, num_steps: int | None) -> Iterable[int]:
    """Numbers of the steps, without end if `num_steps` is None."""
    return count(start_step) if num_steps is None else range(start_step, start_step + num_steps)


def _ranges(indices: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Ascending numbers as ranges without gaps."""
    starts = np.flatnonzero(np.diff(indices, prepend=-2) != 1)
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(indices, starts[1:])]


def _check_numbers(stream: TileStream) -> None:
    leasts = {"batch_size": 1, "num_threads": 1, "num_ahead": 1, "start_step": 0, "seed": 0}
    for name, least in leasts.items():
        if not least <= getattr(stream, name) < 2**64:
            raise InvalidInput(f"{name} is {getattr(stream, name)}", allowed=f"at least {least}, and under 2^64")
    rank, world_size = stream.rank, stream.world_size
    if not 0 <= rank < world_size:
        raise InvalidInput(f"rank is {rank}", allowed=f"0 to {world_size - 1}, since world_size is {world_size}")


def _check_batch(stream: TileStream, split: str, store: str | Path) -> None:
    """Raise InvalidInput for a batch that is larger than its split."""
    num, asked = len(stream.split_indices), stream.batch_size * stream.world_size
    if num < asked:
        raise InvalidInput(
            f"a step takes {asked} tiles, and the split {split!r} of {store} has {num}",
            allowed=f"a batch-size of up to {max(1, num // stream.world_size)}",
            hint=f"or overlapping tiles, by unetprep tiles --stride {stream.tiles.output_px // 2}",
        )


def _density(tiles: Tiles, sampling: str, store: str | Path) -> NDArray[np.float64] | None:
    if sampling not in SAMPLINGS:
        raise InvalidInput(f"sampling is {sampling!r}", allowed=", ".join(SAMPLINGS))
    if sampling == "foreground" and tiles.density is None:
        raise InvalidInput(
            f"the tiles of {store} do not record how much foreground they hold",
            hint=_tiles_command(store, tiles, tiles.margin_px, tiles.rule is not None),
        )
    return tiles.density if sampling == "foreground" else None


def _check_margin(tiles: Tiles, fields: StoredFields, augmentation: Augmentation, store: str | Path) -> None:
    try:
        needed = margin_needed(augmentation, fields, tiles.tile_px)
    except ValueError as error:
        made = f"--interpolation {fields.interpolation} --tile {tiles.tile_px}"
        raise InvalidInput(
            f"the fields of {store} do not fit its tiles: {error}",
            hint=f"unetprep deform --out {store} {made} --overwrite",
        ) from None
    if needed > tiles.margin_px:
        raise InvalidInput(
            f"the tiles of {store} have a margin of {tiles.margin_px} pixels, and augmentation needs pixels up to"
            f" {needed} beyond them",
            allowed=f"a margin of {needed} or more; or smaller fields, or less of rotation, scale and shift",
            hint=_tiles_command(store, tiles, needed, tiles.rule is not None),
        )


def _tiles_command(store: str | Path, tiles: Tiles, margin_px: int, instances: bool) -> str:
    """Command that makes these tiles with another margin, or with instances."""
    made = {"codec": "lz4"} | dict(tiles.parameters)
    more = [f"--{name.removesuffix('_px')} {made[name]}" for name in ("stride_px", "random") if made.get(name)]
    more += [f"--seed {made['seed']}"] if made.get("random") and made["seed"] else []
    more += [f"--codec {made['codec']}"] if made["codec"] != "lz4" else []
    more += ["--index-only"] * ("index_only" in made) + ["--instances"] * instances
    sizes = f"--tile {tiles.tile_px} --depth {tiles.depth} --margin {margin_px}"
    return " ".join(["unetprep tiles --out", str(store), sizes, *more, "--overwrite"])


def _tiles_of(tiles: Tiles, split: str, store: str | Path) -> NDArray[np.intp]:
    indices = tiles.indices(split)
    if len(indices) == 0:
        counts = ", ".join(f"{name} {len(tiles.indices(name))}" for name in SPLITS)
        raise InvalidInput(
            f"{store} has no tiles in the split {split!r}",
            allowed=f"a split that has some; here: {counts}",
            hint="the splits are made at import (val-fraction, test-fraction)",
        )
    return indices
