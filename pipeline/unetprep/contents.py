"""Contents of a store: its images, fields and tiles, and the state of each array."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unetprep.format.layout import (
    CUT,
    FOLDING,
    FORMAT_VERSION,
    GRIDS,
    TILES,
    labels_path,
    pixels_path,
    weights_path,
)
from unetprep.format.places import TABLE
from unetprep.stages.from_provenance import tiles_parameters
from unetprep.storage.paths import StrPath
from unetprep.store import Store

NO_ARRAY = ("missing", "damaged")  # states of an array of which nothing else is known
OF_IMAGE = ("split", "dims", "intensity", "spacing", "unit", "source")
OF_TILES = ("tile", "output", "margin", "depth", "num_classes")


@dataclass(frozen=True)
class ArrayInfo:
    """An array: its state (finished, unfinished, stale, missing or damaged), shape, size and parameters."""

    state: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    stored_bytes: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Whether the array is in the store, finished or not."""
        return self.state not in NO_ARRAY

    def as_values(self) -> dict[str, Any]:
        """The array as values for JSON."""
        return {**vars(self), "shape": list(self.shape)} if self.exists else {"state": self.state}


@dataclass(frozen=True)
class ImageInfo:
    """An image: what was recorded of it at import, and its arrays by name."""

    name: str
    record: Mapping[str, Any]  # split, dims, intensity, spacing, unit and source; None where nothing is recorded
    arrays: Mapping[str, ArrayInfo]

    def as_values(self) -> dict[str, Any]:
        """The image as values for JSON."""
        arrays = {key: array.as_values() for key, array in self.arrays.items()}
        return {"name": self.name, **self.record, "arrays": arrays}


@dataclass(frozen=True)
class StackInfo:
    """A stack: its path, the names and splits of its images by slice (None: removed), and its arrays by name."""

    path: str
    names: tuple[str, ...]
    splits: tuple[str | None, ...]
    arrays: Mapping[str, ArrayInfo]

    def as_values(self) -> dict[str, Any]:
        """The stack as values for JSON."""
        arrays = {key: array.as_values() for key, array in self.arrays.items()}
        return {"path": self.path, "names": list(self.names), "splits": list(self.splits), "arrays": arrays}


@dataclass(frozen=True)
class FieldsInfo:
    """The deformation fields: the share of them that fold, and the largest share of a tile at which one does."""

    grids: ArrayInfo
    folding_fields: float | None = None
    most_folded: float | None = None

    def as_values(self) -> dict[str, Any]:
        """The fields as values for JSON."""
        folding = {"folding_fields": self.folding_fields, "most_folded": self.most_folded}
        return {**self.grids.as_values(), **({} if self.folding_fields is None else folding)}


@dataclass(frozen=True)
class TilesInfo:
    """The tiles: their array, and the geometry (tile, output, margin, depth) that is recorded."""

    array: ArrayInfo
    geometry: Mapping[str, int]

    def as_values(self) -> dict[str, Any]:
        """The tiles as values for JSON."""
        return {**self.array.as_values(), **self.geometry}


@dataclass(frozen=True)
class StoreInfo:
    """Contents of a `store` (path or URL) of this `format_version`.

    `images` are those that have arrays of their own, `stacks` those that share arrays; then its deformation
    `fields` and `tiles`.
    """

    store: str
    format_version: int
    images: tuple[ImageInfo, ...]
    stacks: tuple[StackInfo, ...]
    fields: FieldsInfo
    tiles: TilesInfo

    def as_values(self) -> dict[str, Any]:
        """The contents as values for JSON."""
        return {
            "store": self.store,
            "format_version": self.format_version,
            "images": [image.as_values() for image in self.images],
            "stacks": [stack.as_values() for stack in self.stacks],
            "fields": self.fields.as_values(),
            "tiles": self.tiles.as_values(),
        }


def info(store: StrPath) -> StoreInfo:
    """Read what a store holds, and which of its arrays are finished.

    Raises InvalidInput if there is no store of this format.

        {image.name: image.arrays["weights"].state for image in unetprep.info("ds.zarr").images}
    """
    url = os.fspath(store)
    opened = Store.open(url)
    images = tuple(_image(opened, group) for group in opened.groups if opened.sizes(group) is None)
    stacks = tuple(_stack(opened, group) for group in opened.groups if opened.sizes(group) is not None)
    return StoreInfo(url, FORMAT_VERSION, images, stacks, _fields(opened), _tiles(opened))


def _array(store: Store, path: str, parameters: Mapping[str, Any] | None = None) -> ArrayInfo:
    if (state := store.state(path)) in NO_ARRAY:
        return ArrayInfo(state)
    recorded = store.record(path).get("parameters", {}) if parameters is None else parameters
    array = store.shards(path)
    return ArrayInfo(state, tuple(array.shape), array.dtype.name, store.stored_bytes(path), recorded)


def _fields(store: Store) -> FieldsInfo:
    grids = _array(store, GRIDS)
    if store.state(FOLDING) != "finished":
        return FieldsInfo(grids)
    shares = store.read_all(FOLDING)
    return FieldsInfo(grids, float((shares > 0).mean()), float(shares.max()))


def _image(store: Store, group: str) -> ImageInfo:
    record = store.record(group)
    return ImageInfo(group.partition("/")[2], {key: record.get(key) for key in OF_IMAGE}, _arrays(store, group))


def _stack(store: Store, group: str) -> StackInfo:
    table = store.record(group)[TABLE]
    return StackInfo(group, tuple(table["names"]), tuple(table["split"]), _arrays(store, group))


def _arrays(store: Store, group: str) -> dict[str, ArrayInfo]:
    paths = {
        "image": pixels_path(group),
        "instances": labels_path(group, "instances"),
        "classes": labels_path(group, "classes"),
        "target": labels_path(group, "target"),
        "weights": weights_path(group),
    }
    if not store.record(paths["classes"]):  # cells without classes
        del paths["classes"]
    return {key: _array(store, path) for key, path in paths.items()}


def _tiles(store: Store) -> TilesInfo:
    parameters, geometry = tiles_parameters(store), store.record(TILES)
    array = _array(store, CUT if "index_only" in parameters else f"{TILES}/image", parameters)
    return TilesInfo(array, {key: geometry[key] for key in OF_TILES if key in geometry})
