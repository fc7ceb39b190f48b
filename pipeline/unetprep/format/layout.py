"""Names, axes and chunk sizes of the store as LAYOUT.md defines them. No I/O."""

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
IMAGES, FIELDS, TILES = "images", "fields", "tiles"
GRIDS, FOLDING, DENSE = (f"{FIELDS}/{name}" for name in ("grids", "folding", "dense"))
TILES_A_SHARD = 64
VALUES_A_SHARD = 1024  # of virtual tiles, which are but some numbers
PLACES = {  # of each tile, known before a pixel is read
    "image_index": "int32",
    "z": "int32",
    "y0": "int32",
    "x0": "int32",
    "split": "uint8",
    "intensity_low": "float32",
    "intensity_high": "float32",
}
LEARNED = {"foreground": "float32", "density": "float32"}  # of each tile, of what it holds
PLACED, CUT = f"{TILES}/image_index", f"{TILES}/foreground"  # of the arrays of each job those that there always are
DENSITY = f"{TILES}/density"
JOURNAL = "relabelling"  # in the record of the group `images`, as long as edited labels are coming in

PIXEL_CHUNK = {2: (1, 256, 256), 3: (32, 128, 128)}
PIXEL_SHARD = {2: (1, 2048, 2048), 3: (64, 512, 512)}


def image_path(name: str) -> str:
    """Group of one image."""
    return f"{IMAGES}/{name}"


def pixels_path(name: str) -> str:
    """The image itself, (c, z, y, x)."""
    return f"{IMAGES}/{name}/image"


def weights_path(name: str) -> str:
    """Its weight map, (z, y, x)."""
    return f"{IMAGES}/{name}/weights"


def labels_path(name: str, kind: str) -> str:
    """Its labels of one kind, "instances" or "target", (z, y, x)."""
    return f"{IMAGES}/{name}/labels/{kind}/{kind}"


def tile_path(name: str) -> str:
    """An array of the tiles, one entry a tile along its first axis."""
    return f"{TILES}/{name}"


def counts_path(name: str) -> str:
    """How many pixels each class of its target has, shard by shard, (shard_z, shard_y, shard_x, class)."""
    return f"{IMAGES}/{name}/labels/target/class_counts"


def absent_from_tiles(parameters: Mapping[str, Any]) -> list[str]:
    """The arrays that the group `tiles` may have and that tiles made with these parameters have not."""
    is_virtual = "index_only" in parameters
    absent = ["image", "target", "weights", "c", "y", "x", "y_out", "x_out"] if is_virtual else []
    return absent + (["instances", "y_cells", "x_cells"] if is_virtual or "instances" not in parameters else [])


def pixel_chunks(shape: tuple[int, ...], dims: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(chunk, shard) for the last three axes z, y, x of an image: those of the table, cut down to a small image."""
    chunk = PIXEL_CHUNK[dims]
    whole = tuple(-(-n // c) * c for n, c in zip(shape, chunk, strict=True))
    return chunk, tuple(min(w, s) for w, s in zip(whole, PIXEL_SHARD[dims], strict=True))


@dataclass(frozen=True)
class Provenance:
    """What made an array. Two arrays of the same fingerprint hold the same values."""

    stage: str
    kernel_version: int
    parameters: dict[str, Any]
    inputs: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The record as it stands in the attributes, its fingerprint included."""
        record = {
            "stage": self.stage,
            "kernel_version": self.kernel_version,
            "parameters": self.parameters,
            "inputs": self.inputs,
        }
        return {**record, "fingerprint": sha256(dumps(record, sort_keys=True).encode()).hexdigest()}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the record as canonical JSON."""
        return str(self.as_dict()["fingerprint"])


@dataclass(frozen=True)
class ArraySpec:
    """One array that a stage writes, as it will stand in the store."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    dims: tuple[str, ...]
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    provenance: Provenance
    codec: str = "zstd"
    origins: dict[str, int] = field(default_factory=dict)  # first coordinate along an axis, 0 where it is not named
    extra: dict[str, Any] = field(default_factory=dict)  # further attributes under KEY


def pixel_array(path: str, shape: tuple[int, ...], dtype: str, dims: int, provenance: Provenance) -> ArraySpec:
    """An array of one value a pixel, (z, y, x), or of one a channel and pixel, (c, z, y, x)."""
    chunk, shard = pixel_chunks(shape[-3:], dims)
    channels = shape[:-3]
    return ArraySpec(
        path, shape, dtype, CHANNEL_AXES[-len(shape) :], (*channels, *chunk), (*channels, *shard), provenance
    )
