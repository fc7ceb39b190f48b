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
    """A tile of a batch and its augmentation parameters, which are sampled at first use."""

    def __init__(self, tile: int, draw: Callable[[], Draw]) -> None:
        self.tile, self._draw = tile, draw

    @cached_property
    def draw(self) -> Draw:
        """Augmentation parameters of the tile."""
        return self._draw()


class BatchBuilder(Protocol):
    """Collates samples into a batch: threads `fill` one place each, the consumer calls `finish`."""

    def shapes(self, num: int) -> Shapes:
        """Shapes and dtypes of the arrays of a batch of `num` tiles."""

    def scratch(self) -> Any:
        """Working memory of one thread."""

    def fill(self, sample: Sample, buffers: Buffers, k: int, scratch: Any) -> None:
        """Put a sample into place k of a batch. Called by the threads."""

    def finish(self, tensors: Sequence[Tensor], samples: Sequence[Sample]) -> Batch:
        """The batch, once all places are filled. Called by the consumer."""


Scratch = tuple[StoredTile, NDArray[np.uint8]]  # a stored tile, and its target


class ThreadBatchBuilder:
    """Threads read and augment single tiles."""

    def __init__(self, tiles: Tiles, fields: StoredFields, augmentation: Augmentation) -> None:
        self._tiles, self._fields, self._augmentation = tiles, fields, augmentation

    def shapes(self, num: int) -> Shapes:
        """Shapes and dtypes of the tensors of a Batch."""
        t = self._tiles
        return [
            ((num, t.num_channels, t.tile_px, t.tile_px), torch.float32),
            ((num, t.output_px, t.output_px), torch.int64),
            ((num, t.output_px, t.output_px), torch.float32),
            ((num,), torch.int64),
        ]

    def scratch(self) -> Scratch:
        """Arrays for a stored tile with its margin, and for its target."""
        target = np.empty((self._tiles.output_px, self._tiles.output_px), np.uint8)
        return self._tiles.empty(self._augmentation.recompute_weights), target

    def fill(self, sample: Sample, buffers: Buffers, k: int, scratch: Scratch) -> None:
        """Read a tile and augment it into place k."""
        (stored, classes), (image, target, weights, indices) = scratch, buffers.arrays
        a, t = self._augmentation, self._tiles
        out = image[k], classes, weights[k]
        apply(sample.draw, t.read(sample.tile, stored), self._fields, t.tile_px, a.cubic, t.rule, out)
        target[k], indices[k] = classes, sample.tile

    def finish(self, tensors: Sequence[Tensor], samples: Sequence[Sample]) -> Batch:
        """The filled tensors as a Batch."""
        return Batch(*tensors)


class DeviceBatchBuilder:
    """Threads read tiles with their margin into a batch, which is then augmented on a device and stays there."""

    def __init__(self, tiles: Tiles, fields: StoredFields, augmentation: Augmentation, device: torch.device) -> None:
        if augmentation.recompute_weights:
            raise InvalidInput("recompute-weights is implemented for the CPU only", allowed="augment-on threads")
        if device.type == "mps":
            raise InvalidInput(
                "augment-on device needs float64, which mps does not support", allowed="augment-on threads"
            )
        self._tiles, self._fields, self._augmentation, self._device = tiles, fields, augmentation, device
        self._dtype = torch.uint8 if tiles.geometry.dtype == np.uint8 else torch.float32

    def shapes(self, num: int) -> Shapes:
        """Image, target and weights with margin, intensity range and number of each tile."""
        g = self._tiles.geometry
        return [
            ((num, g.num_channels, g.outer_px, g.outer_px), self._dtype),
            ((num, g.inner_px, g.inner_px), torch.uint8),
            ((num, g.inner_px, g.inner_px), torch.float32),
            ((num, 2), torch.float32),
            ((num,), torch.int64),
        ]

    def scratch(self) -> StoredTile:
        """Arrays for images of a dtype that torch barely supports."""
        return self._tiles.empty()

    def fill(self, sample: Sample, buffers: Buffers, k: int, scratch: StoredTile) -> None:
        """Read a tile into place k, and sample its augmentation parameters."""
        image, target, weights, intensity, indices = buffers.arrays
        direct = image.dtype == scratch.image.dtype
        there = StoredTile(image[k] if direct else scratch.image, target[k], weights[k], (0.0, 1.0))
        intensity[k], indices[k] = self._tiles.read(sample.tile, there).intensity, sample.tile
        if not direct:
            image[k] = scratch.image
        _ = sample.draw

    def finish(self, tensors: Sequence[Tensor], samples: Sequence[Sample]) -> Batch:
        """Copy the batch to the device and augment it there."""
        image, target, weights, intensity, indices = (t.to(self._device, non_blocking=True) for t in tensors)
        draws = [sample.draw for sample in samples]
        margin, cubic = self._tiles.margin_px, self._augmentation.cubic
        made = augment_batch(draws, image, target, weights, self._fields, margin, intensity=intensity, cubic=cubic)
        return Batch(made[0], made[1].long(), made[2], indices)
