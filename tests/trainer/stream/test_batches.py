"""Collation of tiles into batches, on threads and on a device."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from unettrain.augment.cpu import apply
from unettrain.augment.draw import NO_AUGMENTATION, Draw
from unettrain.config import Augmentation
from unettrain.data.opening import NO_FIELDS
from unettrain.data.tiles import Geometry, StoredTile, Tiles
from unettrain.errors import InvalidInput
from unettrain.stream.batches import Batch, BatchBuilder, DeviceBatchBuilder, Sample, ThreadBatchBuilder
from unettrain.stream.prefetch import Buffers

DRAWS = [Draw(turn=3), Draw(turn=5, black=0.02)]


@dataclass(frozen=True)
class Noise:
    """Pixels that are noise, seeded by the number of their tile."""

    largest: int

    @property
    def fingerprints(self) -> dict[str, str]:
        return {}

    def read(self, index: int, into: StoredTile) -> None:
        rng = np.random.default_rng(index)
        into.image[...] = rng.integers(0, self.largest + 1, into.image.shape)
        into.target[...] = rng.integers(0, 2, into.target.shape)
        into.weights[...] = rng.random(into.weights.shape)


def tiles_of(dtype: str) -> Tiles:
    geometry = Geometry(60, 20, 8, 2, 2, np.dtype(dtype))
    largest = 255 if dtype == "uint8" else 4000
    intensity = np.array([[0, largest]] * 4, np.float32)
    return Tiles(geometry, ("a",), "auto", np.zeros(4, np.uint8), intensity, Noise(largest))


def collate(builder: BatchBuilder, indices: list[int]) -> Batch:
    buffers, scratch = Buffers(builder.shapes(len(indices))), builder.scratch()
    samples = [Sample(index, lambda k=k: DRAWS[k]) for k, index in enumerate(indices)]  # type: ignore[misc]
    for k in reversed(range(len(indices))):
        builder.fill(samples[k], buffers, k, scratch)
    return builder.finish(buffers.tensors(), samples)


def test_parameters_are_sampled_once_and_not_before_they_are_needed() -> None:
    sampled = []

    def draw() -> Draw:
        sampled.append(1)
        return Draw(turn=2)

    sample = Sample(5, draw)
    assert (sample.tile, sampled) == (5, [])
    assert sample.draw is sample.draw
    assert sampled == [1]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_place_of_a_batch_is_its_augmented_tile(dtype: str) -> None:
    tiles = tiles_of(dtype)
    batch = collate(ThreadBatchBuilder(tiles, NO_FIELDS, NO_AUGMENTATION), [2, 1])
    assert batch.indices.tolist() == [2, 1]
    assert (batch.image.dtype, batch.target.dtype, batch.weights.dtype) == (torch.float32, torch.int64, torch.float32)
    for k, index in enumerate([2, 1]):
        image, target, weights = apply(DRAWS[k], tiles.read(index), NO_FIELDS, 60)
        np.testing.assert_array_equal(batch.image[k], image)
        np.testing.assert_array_equal(batch.target[k], target)
        np.testing.assert_array_equal(batch.weights[k], weights)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_device_gives_the_batch_of_the_threads(dtype: str) -> None:
    tiles, cpu = tiles_of(dtype), torch.device("cpu")
    one = collate(ThreadBatchBuilder(tiles, NO_FIELDS, NO_AUGMENTATION), [0, 3])
    other = collate(DeviceBatchBuilder(tiles, NO_FIELDS, NO_AUGMENTATION, cpu), [0, 3])
    assert torch.equal(one.indices, other.indices)
    assert torch.equal(one.target, other.target)
    torch.testing.assert_close(other.image, one.image, atol=1e-5, rtol=0)
    torch.testing.assert_close(other.weights, one.weights, atol=1e-5, rtol=0)


def test_what_a_device_cannot_is_refused() -> None:
    with pytest.raises(InvalidInput, match="recompute-weights is implemented for the CPU only"):
        DeviceBatchBuilder(tiles_of("uint8"), NO_FIELDS, Augmentation(recompute_weights=True), torch.device("cpu"))
    with pytest.raises(InvalidInput, match="augment-on device needs float64"):
        DeviceBatchBuilder(tiles_of("uint8"), NO_FIELDS, Augmentation(), torch.device("mps"))
