"""Batch assembly (collate): tiles augmented one by one on threads, or as a whole batch on a device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unettrain.augment.cpu import apply
from unettrain.augment.draw import Draw
from unettrain.augment.gpu import augment_batch
from unettrain.config import Augmentation
from unettrain.data.opening import StoredFields
from unettrain.data.tiles import StoredTile, Tiles
from unettrain.errors import InvalidInput
from unettrain.stream.prefetch import Buffers, Shapes


@dataclass(frozen=True)
class Batch:
    """One step's tiles: image (b, c, y, x) float32; target (b, y, x) int64; weights (b, y, x) float32; indices (b,)."""

    image: Tensor
    target: Tensor
    weights: Tensor
    indices: Tensor


class Sample:
    """A tile of a batch, and what happens to it, which is drawn when it is first asked for."""

    def __init__(self, tile: int, draw: Callable[[], Draw]) -> None:
        self.tile, self._draw = tile, draw

    @cached_property
    def draw(self) -> Draw:
        """What happens to it."""
        return self._draw()


class Making(Protocol):
    """`fill` puts one sample into place k of a batch; `finish` makes a batch of what all of them filled."""

    def shapes(self, num: int) -> Shapes:
        """The arrays of a batch of so many tiles."""

    def scratch(self) -> Any:
        """What a thread keeps for itself."""

    def fill(self, sample: Sample, buffers: Buffers, k: int, scratch: Any) -> None:
        """Called by the threads."""

    def finish(self, tensors: Sequence[Tensor], samples: Sequence[Sample]) -> Batch:
        """Called by the consumer."""


Scratch = tuple[StoredTile, NDArray[np.uint8]]  # a tile as it is read, and its classes


class ByThreads:
    """A thread reads a tile, augments it, and puts it in its place."""

    def __init__(self, tiles: Tiles, fields: StoredFields, augmentation: Augmentation) -> None:
        self._tiles, self._fields, self._augmentation = tiles, fields, augmentation

    def shapes(self, num: int) -> Shapes:
        """Those of a Batch."""
        t = self._tiles
        return [
            ((num, t.num_channels, t.tile_px, t.tile_px), torch.float32),
            ((num, t.output_px, t.output_px), torch.int64),
            ((num, t.output_px, t.output_px), torch.float32),
            ((num,), torch.int64),
        ]

    def scratch(self) -> Scratch:
        """A tile with its margin."""
        target = np.empty((self._tiles.output_px, self._tiles.output_px), np.uint8)
        return self._tiles.empty(self._augmentation.recompute_weights), target

    def fill(self, sample: Sample, buffers: Buffers, k: int, scratch: Scratch) -> None:
        """Read and augment."""
        (stored, classes), (image, target, weights, indices) = scratch, buffers.arrays
        a, t = self._augmentation, self._tiles
        out = image[k], classes, weights[k]
        apply(sample.draw, t.read(sample.tile, stored), self._fields, t.tile_px, a.cubic, t.rule, out)
        target[k], indices[k] = classes, sample.tile

    def finish(self, tensors: Sequence[Tensor], samples: Sequence[Sample]) -> Batch:
        """It is one already."""
        return Batch(*tensors)


class OnDevice:
    """Threads read tiles with their margin into a batch, which is augmented on a device, where it then lies."""

    def __init__(self, tiles: Tiles, fields: StoredFields, augmentation: Augmentation, device: torch.device) -> None:
        if augmentation.recompute_weights:
            raise InvalidInput(
                "recompute-weights asks for the CPU, which alone knows how", allowed="augment-on threads with it"
            )
        if device.type == "mps":
            raise InvalidInput("augment-on device asks for float64, which mps has not", allowed="augment-on threads")
        self._tiles, self._fields, self._augmentation, self._device = tiles, fields, augmentation, device
        self._dtype = torch.uint8 if tiles.geometry.dtype == np.uint8 else torch.float32

    def shapes(self, num: int) -> Shapes:
        """Of the tiles with their margin, of what becomes 0 and 1 of each, and their numbers."""
        g = self._tiles.geometry
        return [
            ((num, g.num_channels, g.outer_px, g.outer_px), self._dtype),
            ((num, g.inner_px, g.inner_px), torch.uint8),
            ((num, g.inner_px, g.inner_px), torch.float32),
            ((num, 2), torch.float32),
            ((num,), torch.int64),
        ]

    def scratch(self) -> StoredTile:
        """For images of a type that torch hardly knows."""
        return self._tiles.empty()

    def fill(self, sample: Sample, buffers: Buffers, k: int, scratch: StoredTile) -> None:
        """Read, and draw what is going to happen."""
        image, target, weights, intensity, indices = buffers.arrays
        direct = image.dtype == scratch.image.dtype
        there = StoredTile(image[k] if direct else scratch.image, target[k], weights[k], (0.0, 1.0))
        intensity[k], indices[k] = self._tiles.read(sample.tile, there).intensity, sample.tile
        if not direct:
            image[k] = scratch.image
        _ = sample.draw

    def finish(self, tensors: Sequence[Tensor], samples: Sequence[Sample]) -> Batch:
        """Copy it to the device and augment it there."""
        image, target, weights, intensity, indices = (t.to(self._device, non_blocking=True) for t in tensors)
        draws = [sample.draw for sample in samples]
        margin, cubic = self._tiles.margin_px, self._augmentation.cubic
        made = augment_batch(draws, image, target, weights, self._fields, margin, intensity=intensity, cubic=cubic)
        return Batch(made[0], made[1].long(), made[2], indices)
