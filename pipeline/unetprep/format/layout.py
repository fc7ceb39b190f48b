"""Paths, axes and chunk sizes of the store, as LAYOUT.md defines them. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from json import dumps
from typing import Any

from unetprep.format.metadata import FORMAT_VERSION as FORMAT_VERSION
from unetprep.format.metadata import KEY as KEY
from unetprep.format.schema import SPLITS as SPLITS

AXES = ("z", "y", "x")
CHANNEL_AXES = ("c", *AXES)
IMAGES, STACKS, FIELDS, TILES = "images", "stacks", "fields", "tiles"
GRIDS, FOLDING, DENSE = (f"{FIELDS}/{name}" for name in ("grids", "folding", "dense"))
TILES_A_SHARD = 256
VALUES_A_SHARD = 1024  # of on-the-fly tiles, which have only a few numbers each
PLACES = {  # of each tile, known before any pixel is read
    "image_index": "int32",
    "z": "int32",
    "y0": "int32",
    "x0": "int32",
    "split": "uint8",
    "intensity_low": "float32",
    "intensity_high": "float32",
}
LEARNED = {"foreground": "float32", "density": "float32"}  # of each tile, computed from its pixels
PLACED, CUT = f"{TILES}/image_index", f"{TILES}/foreground"  # arrays that each of the two jobs always writes
DENSITY = f"{TILES}/density"
FIRST_READING = "first_reading"  # array of bytes at the root: a cache, of which no reader needs to know
JOURNAL = "relabelling"  # in the attributes of the group `images`, while edited labels are imported

CHUNK_STEP = 16  # the side of a chunk of smaller images is a multiple of it
STACK_SHARD_PX = 2**25  # pixels of the images in a shard of a stack, about
PIXEL_CHUNK = {2: (1, 256, 256), 3: (32, 128, 128)}
PIXEL_SHARD = {2: (1, 2048, 2048), 3: (64, 512, 512)}


def image_path(name: str) -> str:
    """Path of the group of an image that has arrays of its own."""
    return f"{IMAGES}/{name}"


def stack_path(number: int) -> str:
    """Path of the group of a stack of images."""
    return f"{STACKS}/{number}"


def pixels_path(group: str) -> str:
    """Path of the pixels of an image or stack, (c, z, y, x)."""
    return f"{group}/image"


def weights_path(group: str) -> str:
    """Path of the weight map of an image or stack, (z, y, x)."""
    return f"{group}/weights"


def labels_path(group: str, kind: str) -> str:
    """Path of the labels of an image or stack, (z, y, x); `kind` is "instances", "classes" or "target"."""
    return f"{group}/labels/{kind}/{kind}"


def tile_path(name: str) -> str:
    """Path of an array of tiles, with one entry for each tile along its first axis."""
    return f"{TILES}/{name}"


def counts_path(group: str) -> str:
    """Path of the pixel counts of a target by shard, in a stack by image, and class."""
    return f"{group}/labels/target/class_counts"


def absent_from_tiles(parameters: Mapping[str, Any]) -> list[str]:
    """The optional arrays of the group `tiles` that tiles of these parameters do not have."""
    is_on_the_fly = "index_only" in parameters
    absent = ["image", "target", "weights"] if is_on_the_fly else []
    return absent + (["instances"] if is_on_the_fly or "instances" not in parameters else [])


def pixel_chunks(shape: tuple[int, ...], dims: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(chunk, shard) along z, y, x of an image: the sizes of LAYOUT.md, with the shard clipped to a small image."""
    chunk = PIXEL_CHUNK[dims]
    whole = tuple(-(-n // c) * c for n, c in zip(shape, chunk, strict=True))
    return chunk, tuple(min(w, s) for w, s in zip(whole, PIXEL_SHARD[dims], strict=True))


@dataclass(frozen=True)
class Provenance:
    """Provenance of an array. Two arrays of the same fingerprint hold the same values."""

    stage: str
    kernel_version: int
    parameters: dict[str, Any]
    inputs: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The provenance as attributes of an array, with its fingerprint."""
        record = {
            "stage": self.stage,
            "kernel_version": self.kernel_version,
            "parameters": self.parameters,
            "inputs": self.inputs,
        }
        return {**record, "fingerprint": sha256(dumps(record, sort_keys=True).encode()).hexdigest()}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the other attributes of the provenance as canonical JSON."""
        return str(self.as_dict()["fingerprint"])


@dataclass(frozen=True)
class ArraySpec:
    """Specification of an array that a stage writes."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    dims: tuple[str, ...]
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    provenance: Provenance
    codec: str = "zstd"
    extra: dict[str, Any] = field(default_factory=dict)  # further attributes under KEY


def stack_array(
    path: str, shape: tuple[int, ...], dtype: str, images_a_shard: int, provenance: Provenance
) -> ArraySpec:
    """Specification of an array of a stack with a value for each pixel, ((c,) z, y, x): whole images in each shard."""
    *channels, _, height, width = shape
    sides = tuple(min(PIXEL_CHUNK[2][-1], -(-n // CHUNK_STEP) * CHUNK_STEP) for n in (height, width))
    whole = (-(-n // c) * c for n, c in zip((height, width), sides, strict=True))
    chunk, shard = (*channels, 1, *sides), (*channels, images_a_shard, *whole)
    return ArraySpec(path, shape, dtype, CHANNEL_AXES[-len(shape) :], chunk, shard, provenance)


def images_a_shard(num_images: int, num_pixels: int) -> int:
    """How many images of a stack lie in one shard, from the number of images and of all their pixels.

    Two or more shards are of even number, so that two workers have equally much to do.
    """
    num_shards = -(-num_pixels // STACK_SHARD_PX)
    return -(-num_images // (num_shards + num_shards % 2 if num_shards > 1 else 1))


def pixel_array(path: str, shape: tuple[int, ...], dtype: str, dims: int, provenance: Provenance) -> ArraySpec:
    """Specification of an array with a value for each pixel, (z, y, x), or channel and pixel, (c, z, y, x)."""
    chunk, shard = pixel_chunks(shape[-3:], dims)
    channels = shape[:-3]
    return ArraySpec(
        path, shape, dtype, CHANNEL_AXES[-len(shape) :], (*channels, *chunk), (*channels, *shard), provenance
    )
