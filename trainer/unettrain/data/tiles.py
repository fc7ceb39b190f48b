"""Tiles of a store: positions, geometry, and access to their pixels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.weight_formula import Formula, recorded_formula
from unettrain.data.chunk_reader import ChunkReader
from unettrain.data.intensity import TrainingImages
from unettrain.errors import InvalidInput

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class StoredTile:
    """One tile with its margin: image (c, tile + 2 margin, same), target and weights (output + 2 margin, same).

    With instances (output + 2 margin + 2 reach, same), target and weights are empty, as they follow from the instances.
    """

    image: NDArray[Any]
    target: NDArray[np.uint8]
    weights: NDArray[np.float32]
    intensity: tuple[float, float]
    instances: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class WeightRule:
    """Rule by which target and weights of a store follow from its instances."""

    formula: Formula
    class_weights: tuple[float, ...]
    spacing: tuple[float, ...]
    separate: str
    reach_px: int  # margin of the stored instances beyond the output

    @staticmethod
    def of(made: Mapping[str, Any]) -> "WeightRule":
        """The rule in the recorded parameters of the tiles."""
        class_weights, spacing = tuple(made["class_weights"]), tuple(made["spacing"])
        return WeightRule(recorded_formula(made), class_weights, spacing, str(made["separate"]), int(made["reach_px"]))


@dataclass(frozen=True)
class Geometry:
    """Sizes of all tiles of a store in pixels, and channels and dtype of their images."""

    tile_px: int
    output_px: int
    margin_px: int
    depth: int
    num_channels: int
    dtype: np.dtype[Any]
    reach_px: int = 0

    @property
    def outer_px(self) -> int:
        """Side of the image of a tile, including its margin."""
        return self.tile_px + 2 * self.margin_px

    @property
    def inner_px(self) -> int:
        """Side of the target and weights of a tile, including its margin."""
        return self.output_px + 2 * self.margin_px

    @property
    def cells_px(self) -> int:
        """Side of the instances of a tile, including margin and reach."""
        return self.inner_px + 2 * self.reach_px

    def empty(self, instances: bool = False) -> StoredTile:
        """Uninitialised arrays of a tile to read into; `instances`: with instances instead of target and weights."""
        image, side = np.empty((self.num_channels, self.outer_px, self.outer_px), self.dtype), self.inner_px
        if instances:
            nothing = np.empty((0, 0), np.uint8), np.empty((0, 0), np.float32)
            return StoredTile(image, *nothing, (0.0, 1.0), np.empty((self.cells_px, self.cells_px), np.int32))
        return StoredTile(image, np.empty((side, side), np.uint8), np.empty((side, side), np.float32), (0.0, 1.0))


class Pixels(Protocol):
    """Source of the pixels of tiles: `StoredPixels`, or `on_the_fly.OnTheFlyPixels`."""

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of the arrays that a training reads, by path."""

    def read(self, index: int, into: StoredTile) -> None:
        """Read the pixels of one tile into arrays as of `Geometry.empty`."""


@dataclass(frozen=True)
class StoredPixels:
    """Arrays of stored tiles."""

    image: ChunkReader
    target: ChunkReader
    weights: ChunkReader
    instances: ChunkReader | None = None

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of image, target and weights, by path."""
        return {array.path: array.fingerprint for array in (self.image, self.target, self.weights)}

    def read(self, index: int, into: StoredTile) -> None:
        """Read one chunk of each array."""
        self.image.read_row(index, into.image)
        if into.instances is None:
            self.target.read_row(index, into.target)
            self.weights.read_row(index, into.weights)
        else:
            assert self.instances is not None
            self.instances.read_row(index, into.instances)


@dataclass(frozen=True)
class Tiles:
    """The tiles of a store, read on demand."""

    geometry: Geometry
    names: tuple[str, ...]
    intensity_rule: str
    split: NDArray[np.uint8]
    intensity: NDArray[np.float32]  # (tile, 2), low and high
    pixels: Pixels
    rule: WeightRule | None = None  # if the tiles have instances
    density: NDArray[np.float64] | None = None  # of foreground in each tile, 0 to 1
    parameters: Mapping[str, Any] = field(default_factory=dict)  # of the stage that made the tiles
    training_intensity: Mapping[str, Any] = field(default_factory=dict)  # as recorded; may be empty
    num_classes: int = 2  # of the target, with background

    @property
    def tile_px(self) -> int:
        """Side of the input of the network."""
        return self.geometry.tile_px

    @property
    def output_px(self) -> int:
        """Side of the output of the network."""
        return self.geometry.output_px

    @property
    def margin_px(self) -> int:
        """Width of the margin around a tile."""
        return self.geometry.margin_px

    @property
    def depth(self) -> int:
        """Pooling steps of a network for these tiles."""
        return self.geometry.depth

    @property
    def num_channels(self) -> int:
        """Channels of the image."""
        return self.geometry.num_channels

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of the arrays that a training reads, by path."""
        return self.pixels.fingerprints

    def training_images(self) -> TrainingImages:
        """Intensity ranges of the training images."""
        return TrainingImages.of(self.intensity_rule, self.geometry.dtype.name, self.training_intensity)

    def indices(self, split: str) -> NDArray[np.intp]:
        """Numbers of the tiles of a split; may be empty."""
        if split not in SPLITS:
            raise InvalidInput(f"split is {split!r}", allowed=", ".join(SPLITS))
        return np.flatnonzero(self.split == SPLITS.index(split))

    def empty(self, instances: bool = False) -> StoredTile:
        """Uninitialised arrays of a tile to read into; `instances`: with instances instead of target and weights."""
        return self.geometry.empty(instances)

    def read(self, index: int, into: StoredTile | None = None) -> StoredTile:
        """Read one tile from the store, into the given arrays or into new ones."""
        found = into or self.empty()
        self.pixels.read(index, found)
        low, high = self.intensity[index].tolist()
        return replace(found, intensity=(low, high))
