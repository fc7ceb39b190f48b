"""Inputs of a report: the files of a run, and its store, read in parts that fit in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from unetprep.format.layout import labels_path, pixels_path, tile_path, weights_path
from unetprep.format.places import ImagePlace
from unettrain.checkpoint import Checkpoint
from unettrain.data.checked_array import CheckedArray
from unettrain.data.chunk_reader import ChunkReader
from unettrain.data.store import (
    image_places,
    image_records,
    open_array,
    open_store,
    place_of,
    recorded,
    storage_of,
)
from unettrain.data.tiles import SPLITS
from unettrain.errors import InvalidInput
from unettrain.metrics.components import label_components
from unettrain.reporting.regions import Region
from unettrain.run_checkpoints import load_best
from unettrain.run_dir import RunDir
from unettrain.run_record import read_record, recorded_store
from unettrain.stream.tile_stream import ORDER
from unettrain.training_log import read_log

COLUMNS = ("image_index", "z", "y0", "x0", "split", "foreground")


@dataclass(frozen=True)
class Run:
    """A run with a network: its record (config.json), its log, its best network, and its store."""

    files: RunDir
    record: dict[str, Any]
    log: list[dict[str, float]]
    checkpoint: Checkpoint
    store: str
    root: zarr.Group

    @cached_property
    def images(self) -> dict[str, dict[str, Any]]:
        """The unetprep attributes of the images of the store, by name."""
        return image_records(self.store, "dims")

    @cached_property
    def _places(self) -> dict[str, ImagePlace]:
        return image_places(self.store)

    def place(self, name: str) -> ImagePlace:
        """The place of an image. Raises InvalidInput if the store does not have it."""
        return self._places.get(name) or place_of(self.store, name)

    @cached_property
    def _open(self) -> dict[str, ChunkReader]:
        return {}

    def recorded(self, path: str) -> dict[str, Any]:
        """The unetprep attributes of a group or array of the store; {} if it does not exist."""
        return recorded(self.store, path)

    def array(self, path: str, stage: str, place: ImagePlace | None = None) -> CheckedArray:
        """A finished array of the store, which `unetprep STAGE` makes, or the part of it that is one image."""
        if path not in self._open:
            array = open_array(self.root, path, self.store, f"unetprep {stage} --out {self.store}")
            self._open[path] = ChunkReader(array, self.store, storage=storage_of(self.store))
        return CheckedArray(self._open[path], place)

    def pixels(self, name: str) -> CheckedArray:
        """The pixels of an image, (c, z, y, x)."""
        place = self.place(name)
        return self.array(pixels_path(place.group), "import", place)

    def weights(self, name: str) -> CheckedArray:
        """The weight map of an image, (z, y, x)."""
        place = self.place(name)
        return self.array(weights_path(place.group), "weights", place)

    def labels(self, name: str, kind: str) -> CheckedArray:
        """The instances or the target of an image, (z, y, x)."""
        place = self.place(name)
        return self.array(labels_path(place.group, kind), "weights" if kind == "target" else "import", place)

    def changed(self) -> list[str]:
        """The paths of arrays that differ from those the run was trained on."""
        then = self.record.get("data", {})
        arrays = [name for name in then if name != ORDER]
        return [path for path in arrays if self.recorded(path).get("fingerprint", "") != then[path]]


def read_run(run_dir: str | Path, store: str | Path | None = None) -> Run:
    """Open a run and its store. Raises InvalidInput, naming the command that helps, if one of them is missing."""
    files, record = RunDir(Path(run_dir)), read_record(run_dir)
    if not files.best.is_file():
        raise InvalidInput(
            f"{run_dir} has no best.pt: it has not reached its first validation",
            hint=f"unettrain fit STORE --run {run_dir}",
        )
    where = str(store or recorded_store(record, run_dir))
    try:
        root = open_store(where)
    except InvalidInput as error:
        problem = str(error).splitlines()[0]
        raise InvalidInput(
            f"the store of the run {run_dir} cannot be read: {problem}",
            hint="if it has moved, or was named from another folder:"
            f" unettrain report {quote(str(run_dir))} --store STORE",
        ) from None
    return Run(files, record, read_log(files.log), load_best(run_dir), where, root)


def images_of(run: Run, split: str) -> list[str]:
    """The names of the images of a split, in the store's order."""
    return [name for name, record in run.images.items() if record.get("split") == split]


def image_shapes(run: Run, names: Sequence[str]) -> dict[str, tuple[tuple[int, ...], int]]:
    """((z, y, x), dims) of each image."""
    return {name: (run.pixels(name).shape[1:], int(run.images[name]["dims"])) for name in names}


def read_pixels(run: Run, region: Region) -> NDArray[Any]:
    """The image in a region, (c, z, y, x)."""
    return np.asarray(run.pixels(region.name)[(slice(None), *region.slices)])


def read_target(run: Run, region: Region) -> NDArray[np.uint8]:
    """The target in a region, (z, y, x)."""
    return np.asarray(run.labels(region.name, "target")[region.slices])


def has_instances(run: Run, name: str) -> bool:
    """Whether the store has instance labels of an image."""
    path = labels_path(run.place(name).group, "instances")
    return bool(run.recorded(path)) or isinstance(run.root.get(path), zarr.Array)


def read_labels(run: Run, region: Region) -> NDArray[np.integer]:
    """Instance labels in a region, (z, y, x); without any in the store, the connected components of the target."""
    if has_instances(run, region.name):
        return np.asarray(run.labels(region.name, "instances")[region.slices])
    return label_components(read_target(run, region), region.connectivity)


def read_weights(run: Run, region: Region) -> NDArray[np.float32]:
    """The weight map in a region, (z, y, x)."""
    return np.asarray(run.weights(region.name)[region.slices])


def training_tiles(run: Run) -> dict[str, NDArray[Any]]:
    """Columns of the training tiles: `tile`, its number, and its position."""
    columns = {name: np.asarray(run.array(tile_path(name), "tiles")[:]) for name in COLUMNS}
    numbers = np.flatnonzero(columns["split"] == SPLITS.index("train"))
    return {"tile": numbers} | {name: values[numbers] for name, values in columns.items()}
