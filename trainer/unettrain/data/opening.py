"""Opening of the tiles, fields and images of a store, as pipeline/LAYOUT.md defines them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from unetprep.format.layout import CUT, DENSITY, GRIDS, PLACES, TILES, pixels_path, tile_path
from unetprep.format.places import ImagePlace
from unetprep.kernels.field_grid import INTERPOLATIONS
from unetprep.kernels.tiling import is_legal_tile, output_size
from unettrain.data.checked_array import CheckedArray
from unettrain.data.chunk_reader import ChunkReader, OpenFiles
from unettrain.data.on_the_fly import CACHE_BYTES, OnTheFlyPixels
from unettrain.data.stacked_images import find_stacked
from unettrain.data.store import (
    attributes,
    fingerprint,
    image_places,
    image_record,
    open_array,
    open_store,
    place_of,
    recorded,
    refuse_stale,
    storage_of,
    translate_errors,
)
from unettrain.data.tiles import Geometry, Pixels, StoredPixels, Tiles, WeightRule
from unettrain.errors import InvalidInput


@dataclass(frozen=True)
class StoredFields:
    """Displacement `grids` (field, 2, gy, gx) in pixels, all in memory: 72 bytes for each 3 x 3 grid.

    `fingerprints` of the arrays of the store that they are from; `interpolation`: how a grid becomes a dense field.
    """

    grids: NDArray[np.float32]
    fingerprints: dict[str, str] = field(default_factory=dict)
    interpolation: str = "bspline"


NO_FIELDS = StoredFields(np.zeros((0, 2, 1, 1), np.float32))


@dataclass(frozen=True)
class StoredImage:
    """One image: pixels (c, z, y, x), read on slicing, and the (low, high) intensities that become 0 and 1."""

    name: str
    pixels: CheckedArray
    intensity: tuple[float, float]
    dims: int
    split: str


@translate_errors
def open_tiles(store: str | Path, cache_bytes: int = CACHE_BYTES) -> Tiles:
    """The tiles of a store. Raises InvalidInput if they are missing, unfinished, outdated or against LAYOUT.md.

    For on-the-fly tiles up to `cache_bytes` of decoded images are kept in memory.
    """
    root, command = open_store(store), f"unetprep tiles --out {store}"
    columns = [open_array(root, tile_path(name), store, command) for name in PLACES]
    cut = open_array(root, CUT, store, command)
    made = {**attributes(columns[0]).get("parameters", {}), **attributes(cut).get("parameters", {})}
    found = recorded(store, TILES)
    missing = [key for key in ("tile", "output", "margin", "depth", "names", "intensity_rule") if key not in found]
    if missing:
        raise InvalidInput(f"the tiles of {store} lack {', '.join(missing)}", hint=f"{command} --overwrite")
    split, low, high = (_all_of(column, store) for column in columns[-3:])
    rule = WeightRule.of(made["instances"]) if "instances" in made else None
    tile, output, margin, depth = (int(found[key]) for key in ("tile", "output", "margin", "depth"))
    sized = partial(Geometry, tile, output, margin, depth, reach_px=rule.reach_px if rule else 0)
    refuse_stale([columns[0].path, cut.path], store)
    pixels: Pixels
    if virtual := made.get("index_only"):
        geometry = sized(int(virtual["channels"]), np.dtype(virtual["dtype"]))
        starts = np.stack([_all_of(column, store) for column in columns[:4]], axis=1).astype(np.int64)
        images = _images_of_tiles(store, found["names"], f"{command} --index-only --overwrite")
        inputs, fingerprints = attributes(cut)["inputs"], {a.path: fingerprint(a) for a in (columns[0], cut)}
        pixels = OnTheFlyPixels(store, root, images, starts, geometry, inputs, fingerprints, cache_bytes)
    else:
        names = ("image", "target", "weights", *(["instances"] if rule else []))
        pixels = _stored([open_array(root, tile_path(name), store, command) for name in names], store)
        geometry = sized(pixels.image.shape[1], pixels.image.dtype)
    _check_sizes(geometry, store)
    if isinstance(pixels, StoredPixels):
        _check_shapes(pixels, geometry, len(split), store)
    return Tiles(
        geometry,
        tuple(found["names"]),
        str(found["intensity_rule"]),
        np.asarray(split, np.uint8),
        np.stack([low, high], axis=1).astype(np.float32),
        pixels,
        rule,
        _density(root, len(split), store),
        made,
        _seen(found),
        int(found.get("num_classes", 2)),
    )


def _seen(tiles: Mapping[str, Any]) -> dict[str, Any]:
    """The intensities of the training images, and their pixel size where it is known."""
    intensity, pixel_um = tiles.get("training_intensity") or {}, tiles.get("training_pixel_um")
    return {**intensity, "pixel_um": pixel_um} if intensity and pixel_um else dict(intensity)


@translate_errors
def open_fields(store: str | Path) -> StoredFields:
    """All displacement grids of a store. Raises InvalidInput if they are missing, unfinished or malformed."""
    root = open_store(store)
    grids = open_array(root, GRIDS, store, f"unetprep deform --out {store}   (or train with --no-deform)")
    if grids.ndim != 4 or grids.shape[1] != 2 or 0 in grids.shape:
        raise InvalidInput(f"{GRIDS} of {store} has shape {grids.shape}", allowed="(field, 2, gy, gx)")
    interpolation = str(attributes(grids).get("interpolation")).removeprefix("cubic-")
    if interpolation not in INTERPOLATIONS:
        allowed = ", ".join(f"cubic-{name}" for name in INTERPOLATIONS)
        raise InvalidInput(f"the fields of {store} ask for interpolation {interpolation}", allowed=allowed)
    refuse_stale([grids.path], store)
    return StoredFields(_all_of(grids, store).astype(np.float32), {grids.path: fingerprint(grids)}, interpolation)


@translate_errors
def image_names(store: str | Path) -> tuple[str, ...]:
    """Names of the images of a store, in its order."""
    open_store(store)
    return tuple(image_places(store))


@translate_errors
def open_image(store: str | Path, name: str) -> StoredImage:
    """One image of a store, for prediction. Raises InvalidInput if it has no such image, naming those it has."""
    root, place = open_store(store), place_of(store, name)
    command = f"unetprep import --image IMAGES --labels LABELS --out {store}"
    pixels = open_array(root, pixels_path(place.group), store, command)
    found = image_record(store, name, "intensity", "dims", "split")
    low, high = found["intensity"]
    checked = CheckedArray(ChunkReader(pixels, store, storage=storage_of(str(store))), place)
    return StoredImage(name, checked, (float(low), float(high)), int(found["dims"]), str(found["split"]))


def stored_intensity(path: str) -> tuple[float, float] | None:
    """(low, high) that a store records for its image at STORE/images/NAME; None for any other path.

    Raises InvalidInput if that document is damaged.
    """
    if stacked := find_stacked(path):
        found = stacked.place.record(recorded(stacked.store, stacked.place.group)).get("intensity")
    elif Path(path).is_dir() or "://" in path:
        found = recorded(path, "").get("intensity")
    else:
        return None
    return (float(found[0]), float(found[1])) if found else None


def _images_of_tiles(store: str | Path, names: Sequence[str], command: str) -> list[ImagePlace]:
    """The places of the images that tiles are cut from. Raises InvalidInput if one of them is missing."""
    places = image_places(store)
    if missing := [name for name in names if name not in places]:
        raise InvalidInput(f"{store} has tiles of image {missing[0]!r}, which it no longer has", hint=command)
    return [places[name] for name in names]


def _stored(arrays: Sequence[zarr.Array[Any]], store: str | Path) -> StoredPixels:
    refuse_stale([array.path for array in arrays], store)
    files = OpenFiles()
    return StoredPixels(*(ChunkReader(array, store, files, storage_of(str(store))) for array in arrays))


def _all_of(array: zarr.Array[Any], store: str | Path) -> NDArray[Any]:
    """All values of a small array. Raises Failure for a missing or damaged shard."""
    return ChunkReader(array, store, storage=storage_of(str(store))).read_all()


def _density(root: zarr.Group, num: int, store: str | Path) -> NDArray[np.float64] | None:
    """Foreground density of each tile; None if the store has none."""
    if not recorded(store, DENSITY).get("complete"):
        return None
    density = open_array(root, DENSITY, store, f"unetprep tiles --out {store}")
    if density.shape != (num,):
        raise InvalidInput(f"{DENSITY} of {store} has shape {density.shape}", allowed=f"({num},)")
    return _all_of(density, store).astype(np.float64)


def _check_sizes(g: Geometry, store: str | Path) -> None:
    problem = f"the tiles of {store} claim tile {g.tile_px}, output {g.output_px}, depth {g.depth}"
    if not is_legal_tile(g.tile_px, g.depth):
        raise InvalidInput(problem, allowed="a tile that a network of this depth can take")
    if g.output_px != output_size(g.tile_px, g.depth):
        raise InvalidInput(problem, allowed=f"output {output_size(g.tile_px, g.depth)}")


def _check_shapes(pixels: StoredPixels, g: Geometry, num: int, store: str | Path) -> None:
    arrays = {"target": pixels.target, "weights": pixels.weights, "instances": pixels.instances}
    shapes = [pixels.image.shape, *(array.shape for array in arrays.values() if array)]
    expected: list[tuple[int, ...]] = [(num, g.num_channels, g.outer_px, g.outer_px)]
    expected += [(num, side, side) for side in (g.inner_px, g.inner_px, g.cells_px)]
    if shapes != expected[: len(shapes)]:
        raise InvalidInput(f"the tiles of {store} have shapes {shapes}", allowed=str(expected[: len(shapes)]))
    dtypes = {array.path: array.dtype.name for array in arrays.values() if array}
    allowed = ["uint8", "float32", "int32"]
    if [*dtypes.values()] != allowed[: len(dtypes)]:
        raise InvalidInput(f"the tiles of {store} have types {dtypes}", allowed=", ".join(allowed))
