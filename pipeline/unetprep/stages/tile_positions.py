"""Tile positions, computed from the shapes of the images alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import accumulate, pairwise
from json import dumps

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.format.layout import (
    PLACES,
    SPLITS,
    TILES,
    TILES_A_SHARD,
    VALUES_A_SHARD,
    ArraySpec,
    Provenance,
    pixels_path,
)
from unetprep.kernels.random_crops import random_origins
from unetprep.kernels.tiling import output_size, tile_origins
from unetprep.params import TilesParams
from unetprep.stages.base import Blocks, Job
from unetprep.stages.weights import IMPORT
from unetprep.store import Store

KERNEL_VERSION = 2
LEAST_A_SHARD = 64
SHARD_BYTES = 2**29


@dataclass(frozen=True)
class TiledImage:
    """An image that is cut into tiles: what a task needs to know of it."""

    name: str
    sides: tuple[int, int, int]  # (z, y, x)
    split: str
    intensity: tuple[float, float]
    group: str
    first: int = 0  # slice of the arrays at which the image begins

    def num_tiles(self, params: TilesParams) -> int:
        """How many tiles the image has."""
        return self._random(params) or self.sides[0] * len(self._rows(params, 1)) * len(self._rows(params, 2))

    def origins(self, first: int, stop: int, params: TilesParams) -> NDArray[np.int64]:
        """Origins of the outputs of tiles `first` to `stop`, (tile, 3), as z, y, x; numbered along x first."""
        if self._random(params):
            return random_origins(params.seed, self.name, first, stop, self.sides, _output(params))
        (rows, columns), numbers = (self._rows(params, axis) for axis in (1, 2)), np.arange(first, stop)
        z, rest = np.divmod(numbers, len(rows) * len(columns))
        return np.stack([z, rest // len(columns) * rows.step, rest % len(columns) * columns.step], axis=1)

    def _random(self, params: TilesParams) -> int:
        return (params.random or 0) if self.split == "train" else 0

    def _rows(self, params: TilesParams, axis: int) -> range:
        """The origins along an axis. Training tiles may overlap; validation and test tiles cover every pixel once."""
        stride = params.stride_px if self.split == "train" else None
        return tile_origins(self.sides[axis], _output(params), stride)


@dataclass(frozen=True)
class TilePositions:
    """Positions of the tiles of all images, numbered in the order of the images."""

    images: tuple[TiledImage, ...]
    params: TilesParams
    tile_bytes: int = 0  # of the arrays that are cut from the images, for one tile

    @cached_property
    def tiles_a_shard(self) -> int:
        """Tiles in a shard of every array, so that a shard holds up to SHARD_BYTES before compression."""
        most = VALUES_A_SHARD if self.params.index_only else TILES_A_SHARD
        while not self.params.index_only and most > LEAST_A_SHARD and most * self.tile_bytes > SHARD_BYTES:
            most //= 2
        return min(most, self.starts[-1])

    @cached_property
    def starts(self) -> list[int]:
        """The number of the first tile of each image, followed by the number of all tiles."""
        return list(accumulate((image.num_tiles(self.params) for image in self.images), initial=0))

    def at(self, first: int, stop: int) -> NDArray[np.int64]:
        """(tile, 4): image, z, y and x of the tiles `first` to `stop`."""
        found = [np.empty((0, 4), np.int64)]
        start = int(np.searchsorted(self.starts, first, side="right")) - 1
        for which, (begin, end) in enumerate(pairwise(self.starts[start:]), start):
            if begin >= stop:
                break
            origins = self.images[which].origins(max(first, begin) - begin, min(stop, end) - begin, self.params)
            found.append(np.insert(origins, 0, which, axis=1))
        return np.concatenate(found)


@dataclass(frozen=True)
class TilePositionsJob(Job):
    """Position, split and intensity range of each tile, which follow from the shapes of the images."""

    positions: TilePositions

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """The columns of PLACES."""
        which, z, y0, x0 = self.positions.at(boxes[0][0].start, boxes[0][0].stop).T
        images = self.positions.images
        splits = np.array([SPLITS.index(image.split) for image in images])
        low, high = np.array([image.intensity for image in images]).T
        columns = (which, z, y0, x0, splits[which], low[which], high[which])
        return tuple(values.astype(kind) for values, kind in zip(columns, PLACES.values(), strict=True))

    def compute_bytes(self) -> int:
        """Memory for some integers of each tile and each image."""
        return 128 * (self.block_shape[0] + len(self.positions.images))


def plan_positions(store: Store, params: TilesParams) -> Sequence[Job]:
    """One job for all images."""
    if not store.names:
        raise InvalidInput(f"{store.url} holds no images", hint=f"run: {IMPORT}")
    shapes = {group: store.finished_array(pixels_path(group), IMPORT).shape for group in store.groups}
    images = []
    for place in store.places.values():
        record = store.image_record(place.name, "split", "intensity")
        sides, intensity = place.shape(shapes[place.group]), tuple(record["intensity"])
        images.append(TiledImage(place.name, sides, record["split"], intensity, place.group, place.first))
    positions = TilePositions(tuple(images), params, _tile_bytes(store, params))
    listed = [[i.name, i.group, i.first, i.split, *i.intensity, *i.sides] for i in images]
    made = Provenance(
        "tiles",
        KERNEL_VERSION,
        {
            **{key: getattr(params, key) for key in ("tile_px", "margin_px", "depth", "stride_px", "random", "seed")},
            "images": sha256(dumps(listed).encode()).hexdigest(),
        },
        {},
    )
    total = positions.starts[-1]
    chunk = (positions.tiles_a_shard,)
    outputs = (
        ArraySpec(f"{TILES}/{name}", (total,), kind, ("tile",), chunk, chunk, made) for name, kind in PLACES.items()
    )
    return [TilePositionsJob(tuple(outputs), positions)]


def _tile_bytes(store: Store, params: TilesParams) -> int:
    """Bytes of the image, target and weights of one tile, and of its instances if they are kept."""
    pixels = [store.shards(pixels_path(group)) for group in store.groups]
    image = max(array.shape[0] for array in pixels) * np.result_type(*(array.dtype for array in pixels)).itemsize
    outer, inner = params.tile_px + 2 * params.margin_px, _output(params) + 2 * params.margin_px
    return int(image * outer**2 + (1 + 4) * inner**2 + 4 * outer**2 * params.instances)


def _output(params: TilesParams) -> int:
    return output_size(params.tile_px, params.depth)
