"""The trainer's own reader of the arrays that pipeline/LAYOUT.md describes. It knows nothing of the writer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from unetprep.kernels.formula import Formula, recorded_formula
from unetprep.kernels.nodes import INTERPOLATIONS
from unetprep.kernels.tiling import is_legal_tile, output_size
from unettrain.errors import InvalidInput
from unettrain.shards import Chunks
from unettrain.store import attributes, fingerprint, open_array, open_store, refuse_stale

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class StoredTile:
    """One tile with its margin: image (c, tile + 2 margin, same), target and weights (output + 2 margin, same).

    Where instances are read, (output + 2 margin + 2 reach, same), the two are empty: they follow from these.
    """

    image: NDArray[Any]
    target: NDArray[np.uint8]
    weights: NDArray[np.float32]
    intensity: tuple[float, float]
    instances: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class WeightRule:
    """How the target and the weights of a store follow from its instances."""

    formula: Formula
    class_weights: tuple[float, ...]
    spacing: tuple[float, ...]
    separate: str
    reach_px: int  # how far beyond the output the stored instances reach

    @staticmethod
    def of(made: Mapping[str, Any]) -> "WeightRule":
        """From what stands with the tiles."""
        class_weights, spacing = tuple(made["class_weights"]), tuple(made["spacing"])
        return WeightRule(recorded_formula(made), class_weights, spacing, str(made["separate"]), int(made["reach_px"]))


@dataclass(frozen=True)
class Tiles:
    """The tiles of a store: geometry in pixels, and the arrays, read tile by tile when asked for."""

    tile_px: int
    output_px: int
    margin_px: int
    depth: int
    names: tuple[str, ...]
    intensity_rule: str
    image: Chunks
    target: Chunks
    weights: Chunks
    split: NDArray[np.uint8]
    intensity: NDArray[np.float32]  # (tile, 2), low and high
    instances: Chunks | None = None
    rule: WeightRule | None = None  # where there are instances
    codec: str = "lz4"
    density: NDArray[np.float64] | None = None  # of what is to be learned, for each tile, 0 to 1

    @property
    def num_channels(self) -> int:
        """Channels of the image."""
        return int(self.image.shape[1])

    @property
    def fingerprints(self) -> dict[str, str]:
        """What stands for the values that a training sees."""
        return {array.path: array.fingerprint for array in (self.image, self.target, self.weights)}

    def indices(self, split: str) -> NDArray[np.intp]:
        """Numbers of the tiles of one split, which may be none."""
        if split not in SPLITS:
            raise InvalidInput(f"split is {split!r}", allowed=", ".join(SPLITS))
        return np.flatnonzero(self.split == SPLITS.index(split))

    def empty(self, instances: bool = False) -> StoredTile:
        """Arrays for a tile, to read into; with instances instead of target and weights, if those are asked for."""
        if instances:
            assert self.instances is not None
            nothing = np.empty((0, 0), np.uint8), np.empty((0, 0), np.float32)
            return StoredTile(self.image.empty_row(), *nothing, (0.0, 1.0), self.instances.empty_row())
        return StoredTile(self.image.empty_row(), self.target.empty_row(), self.weights.empty_row(), (0.0, 1.0))

    def read(self, index: int, into: StoredTile | None = None) -> StoredTile:
        """One tile, from the store: into these arrays, whose contents are then another tile's, or into new ones."""
        found = into or self.empty()
        self.image.read_row(index, found.image)
        if found.instances is None:
            self.target.read_row(index, found.target)
            self.weights.read_row(index, found.weights)
        else:
            assert self.instances is not None
            self.instances.read_row(index, found.instances)
        low, high = self.intensity[index].tolist()
        return replace(found, intensity=(low, high))


@dataclass(frozen=True)
class StoredFields:
    """Grids of displacements (field, 2, gy, gx), in pixels, all in memory: 72 bytes each at 3 x 3."""

    grids: NDArray[np.float32]
    fingerprints: dict[str, str] = field(default_factory=dict)
    interpolation: str = "bspline"


NO_FIELDS = StoredFields(np.zeros((0, 2, 1, 1), np.float32))


@dataclass(frozen=True)
class StoredImage:
    """One image: pixels (c, z, y, x), read where they are cut, and (low, high), what becomes 0 and 1."""

    name: str
    pixels: zarr.Array[Any]
    intensity: tuple[float, float]
    dims: int
    split: str


def open_tiles(store: str | Path) -> Tiles:
    """The tiles of a store. Raises InvalidInput where they are missing, unfinished, stale or not as LAYOUT.md says."""
    root, command = open_store(store), f"unetprep tiles --out {store}"
    image, target, weights, split, low, high = (
        open_array(root, f"tiles/{name}", store, command)
        for name in ("image", "target", "weights", "split", "intensity_low", "intensity_high")
    )
    found = attributes(root["tiles"])
    missing = [key for key in ("tile", "output", "margin", "depth", "names", "intensity_rule") if key not in found]
    if missing:
        raise InvalidInput(f"the tiles of {store} lack {', '.join(missing)}", hint=f"{command} --overwrite")
    tile, output, margin, depth = (int(found[key]) for key in ("tile", "output", "margin", "depth"))
    rule = str(found["intensity_rule"])
    numbers = np.asarray(split[:], np.uint8)
    intensity = np.stack([np.asarray(low[:], np.float32), np.asarray(high[:], np.float32)], axis=1)
    tiles = Tiles(
        tile,
        output,
        margin,
        depth,
        tuple(found["names"]),
        rule,
        Chunks(image, store),
        Chunks(target, store),
        Chunks(weights, store),
        numbers,
        intensity,
    )
    made = attributes(image).get("parameters", {})
    density = root.get("tiles/density")
    values = np.asarray(density[:], np.float64) if isinstance(density, zarr.Array) else None
    tiles = replace(tiles, codec=str(made.get("codec", "lz4")), density=values)
    if "instances" in made:
        instances = open_array(root, "tiles/instances", store, command)
        tiles = replace(tiles, instances=Chunks(instances, store), rule=WeightRule.of(made["instances"]))
    _check_geometry(tiles, store)
    refuse_stale(root, [array.path for array in (image, target, weights)], store)
    return tiles


def open_fields(store: str | Path) -> StoredFields:
    """All grids of displacements of a store. Raises InvalidInput where they are missing, unfinished or malformed."""
    root = open_store(store)
    grids = open_array(root, "fields/grids", store, f"unetprep deform --out {store}   (or train with --no-deform)")
    if grids.ndim != 4 or grids.shape[1] != 2 or 0 in grids.shape:
        raise InvalidInput(f"fields/grids of {store} has shape {grids.shape}", allowed="(field, 2, gy, gx)")
    interpolation = str(attributes(grids).get("interpolation")).removeprefix("cubic-")
    if interpolation not in INTERPOLATIONS:
        allowed = ", ".join(f"cubic-{name}" for name in INTERPOLATIONS)
        raise InvalidInput(f"the fields of {store} ask for interpolation {interpolation}", allowed=allowed)
    refuse_stale(root, [grids.path], store)
    return StoredFields(np.asarray(grids[:], np.float32), {grids.path: fingerprint(grids)}, interpolation)


def image_names(store: str | Path) -> tuple[str, ...]:
    """The images of a store, in its order."""
    return tuple(attributes(open_store(store).get("images")).get("names", ()))


def open_image(store: str | Path, name: str) -> StoredImage:
    """One image of a store, for prediction. Raises InvalidInput if it has no such image, naming those it has."""
    names = image_names(store)
    if name not in names:
        raise InvalidInput(f"{store} has no image {name!r}", allowed=", ".join(names) or "none: it has no images")
    root = open_store(store)
    pixels = open_array(
        root, f"images/{name}/image", store, f"unetprep import --image IMAGES --labels LABELS --out {store}"
    )
    found = attributes(root[f"images/{name}"])
    missing = [key for key in ("intensity", "dims", "split") if key not in found]
    if missing:
        raise InvalidInput(f"image {name!r} of {store} lacks {', '.join(missing)}")
    low, high = found["intensity"]
    return StoredImage(name, pixels, (float(low), float(high)), int(found["dims"]), str(found["split"]))


def stored_intensity(path: str) -> tuple[float, float] | None:
    """(low, high) that a store records for its image at STORE/images/NAME; None for any other path."""
    if not (Path(path).is_dir() or "://" in path):
        return None
    node = zarr.open(path, mode="r")
    found = attributes(node).get("intensity")
    return (float(found[0]), float(found[1])) if found else None


def _check_geometry(tiles: Tiles, store: str | Path) -> None:
    tile, output, margin, depth = tiles.tile_px, tiles.output_px, tiles.margin_px, tiles.depth
    problem = f"the tiles of {store} claim tile {tile}, output {output}, depth {depth}"
    if not is_legal_tile(tile, depth):
        raise InvalidInput(problem, allowed="a tile that a network of this depth can take")
    if output != output_size(tile, depth):
        raise InvalidInput(problem, allowed=f"output {output_size(tile, depth)}")
    num, outer, inner = len(tiles.split), tile + 2 * margin, output + 2 * margin
    shapes = [tiles.image.shape, tiles.target.shape, tiles.weights.shape]
    expected = [(num, *tiles.image.shape[1:2], outer, outer), (num, inner, inner), (num, inner, inner)]
    if tiles.instances is not None and tiles.rule is not None:
        shapes.append(tiles.instances.shape)
        expected.append((num, inner + 2 * tiles.rule.reach_px, inner + 2 * tiles.rule.reach_px))
    if shapes != expected:
        raise InvalidInput(f"the tiles of {store} have shapes {shapes}", allowed=str(expected))
    dtypes = {array.path: array.dtype.name for array in (tiles.target, tiles.weights, tiles.instances) if array}
    allowed = ["uint8", "float32", "int32"]
    if [*dtypes.values()] != allowed[: len(dtypes)]:
        raise InvalidInput(f"the tiles of {store} have types {dtypes}", allowed=", ".join(allowed))
