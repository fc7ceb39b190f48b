"""One store: what stands in it, and the only place of the pipeline that reads and writes it."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.array_spec import ArrayConfigParams
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.errors import ContainsArrayError, GroupNotFoundError, NodeNotFoundError

from unetprep import __version__
from unetprep.errors import Conflict, InvalidInput
from unetprep.grid import Box, Index
from unetprep.kernels.mirror import mirror_index
from unetprep.layout import FORMAT_VERSION, IMAGES, KEY, ArraySpec, image_path
from unetprep.store.codecs import compressors
from unetprep.store.ome import image_attributes, label_attributes, labels_attributes
from unetprep.store.shards import Shards

COORDINATE_CHUNK = 65536
WHOLE_SHARDS: ArrayConfigParams = {
    "write_empty_chunks": True
}  # a shard of zeros is written too: what exists is finished


class Store:
    """A store at a path or URL. Cheap to send to a worker: it carries its address and opens arrays when asked."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._records: dict[str, dict[str, Any]] = {}
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def __reduce__(self) -> tuple[type["Store"], tuple[str]]:
        return Store, (self.url if "://" in self.url else str(Path(self.url).absolute()),)

    # -- the whole ----------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, url: str) -> "Store":
        """Open a store that is there; InvalidInput if there is none, if it is something else or of another version."""
        try:
            attributes = _attributes(zarr.open_group(url, mode="r", zarr_format=3, use_consolidated=False))
        except (GroupNotFoundError, NodeNotFoundError, FileNotFoundError, ContainsArrayError, NotADirectoryError):
            what = "is not there" if _is_absent(url) else "is not a Zarr v3 group"
            raise InvalidInput(
                f"{url} {what}",
                allowed="a store that unetprep made",
                hint=f"make it with: unetprep import --image IMAGES --labels LABELS --out {url}",
            ) from None
        except ValueError as error:
            raise InvalidInput(f"{url} cannot be read: its zarr.json is damaged ({error})") from None
        version = attributes.get(KEY, {}).get("format_version")
        if version is None:
            raise InvalidInput(f"{url} is a Zarr group, but no store of unetprep", allowed="a store that unetprep made")
        if version != FORMAT_VERSION:
            raise InvalidInput(
                f"{url} has format version {version}",
                allowed=f"version {FORMAT_VERSION}, the one this release reads",
                hint="make the store anew, or install the release that wrote it",
            )
        return cls(url)

    @classmethod
    def refuse_other(cls, url: str) -> None:
        """Conflict if something stands at `url` that is no store, InvalidInput if it is one of another version."""
        if not _is_absent(url):
            cls.open_or_create(url)

    @classmethod
    def open_or_create(cls, url: str) -> "Store":
        """Open a store, or make an empty one where nothing stands yet; Conflict if something else does."""
        if not _is_absent(url):
            try:
                return cls.open(url)
            except InvalidInput as error:
                if "format version" in str(error):
                    raise
                raise Conflict(
                    f"{url} is there already, and is no store of unetprep",
                    hint="name another --out; nothing was changed",
                ) from None
        attributes = {KEY: {"format_version": FORMAT_VERSION, "software": f"unetprep {__version__}"}}
        root = zarr.create_group(url, zarr_format=3, attributes=attributes)
        root.create_group(IMAGES, attributes={KEY: {"names": []}})
        return cls(url)

    def _root(self) -> zarr.Group:
        return zarr.open_group(self.url, mode="r+", zarr_format=3, use_consolidated=False)

    # -- attributes ---------------------------------------------------------------------------------------------------

    def record(self, path: str) -> dict[str, Any]:
        """What stands under our key in the attributes of a group or array; {} if it is not there."""
        if path not in self._records:
            try:
                self._records[path] = dict(_attributes(self._root()[path]).get(KEY, {}))
            except KeyError:
                return {}
            except ValueError as error:
                raise InvalidInput(f"the metadata of {path} in {self.url} are damaged: {error}") from None
        return self._records[path]

    def update_record(self, path: str, **values: Any) -> None:
        """Set some of our attributes, keeping the others. Makes the group if it is not there."""
        root = self._root()
        if path not in root:
            root.create_group(path)
        node = root[path]
        node.update_attributes({KEY: {**_attributes(node).get(KEY, {}), **values}})
        self._forget(path)

    def _forget(self, path: str) -> None:
        self._arrays.pop(path, None)
        self._records.pop(path, None)

    def set_complete(self, path: str, complete: bool) -> None:
        """Say whether every shard of an array is there."""
        if self.record(path)["complete"] != complete:
            self.update_record(path, complete=complete)

    def set_coordinates(self, path: str, names: list[str]) -> None:
        """Say which arrays of a group are coordinates of the others, as xarray understands it (CF conventions)."""
        self._root()[path].update_attributes({"coordinates": " ".join(names)})

    @property
    def names(self) -> list[str]:
        """The names of the images, in the order in which they were imported."""
        return list(self.record(IMAGES).get("names", []))

    def add_images(self, images: dict[str, dict[str, Any]]) -> None:
        """Make the groups of images, or renew their attributes."""
        for name, attributes in images.items():
            self.update_record(image_path(name), **attributes)
        self.update_record(IMAGES, names=list(dict.fromkeys([*self.names, *images])))

    def dims(self, name: str) -> int:
        """2 if the slices of an image are independent, 3 if it is a volume."""
        return int(self.record(image_path(name))["dims"])

    # -- arrays -------------------------------------------------------------------------------------------------------

    def array(self, path: str) -> "zarr.Array[Any]":
        """An array, opened once."""
        if path not in self._arrays:
            self._arrays[path] = zarr.open_array(self.url, path=path, mode="r+")
        return self._arrays[path]

    def finished_array(self, path: str, made_by: str) -> "zarr.Array[Any]":
        """An array that a stage is going to read; InvalidInput, naming the command, if it cannot be read as it is."""
        state = self.state(path)
        if state == "stale":
            problem = f"{path} of {self.url} was computed from something that has been replaced since"
            raise InvalidInput(problem, hint=f"run: {made_by} --overwrite")
        if state != "finished":
            raise InvalidInput(f"{path} is {state} in {self.url}", hint=f"run: {made_by}")
        return self.array(path)

    def state(self, path: str) -> str:
        """missing, unfinished, stale (it, or what it was computed from, was made of something else) or finished."""
        record = self.record(path)
        if not record:
            return "missing"
        if not record.get("complete"):
            return "unfinished"
        ours = {p: then for p, then in record["inputs"].items() if "/" in p}
        fresh = all(
            self.record(p).get("fingerprint") == then and self.state(p) == "finished" for p, then in ours.items()
        )
        return "finished" if fresh else "stale"

    def create(self, spec: ArraySpec) -> None:
        """Make an empty array with its coordinates and metadata, marked unfinished, in the place of what stands there.

        In this order a kill at any point leaves nothing that looks finished: the old array is first marked as no longer
        valid, all of it is removed, and the new metadata come last.
        """
        root = self._root()
        if self.record(spec.path):
            self.update_record(spec.path, complete=False, fingerprint="being replaced")
        self._forget(spec.path)
        sync(root.store.delete_dir(spec.path))
        group, _, name = spec.path.rpartition("/")
        for dim, length in zip(spec.dims, spec.shape, strict=True):
            _write_coordinate(root, f"{group}/{dim}", dim, length, spec.origins.get(dim, 0))
        _create_array(root, spec, {**spec.extra, **spec.provenance.as_dict(), "complete": False})
        if group.startswith(f"{IMAGES}/"):
            _write_ome(root, group, name, spec.dims)

    def written_shards(self, path: str) -> set[Index]:
        """The shards of an array that are there. Each is written whole, so each is finished."""
        store = self._root().store

        async def keys() -> list[str]:
            return [key async for key in store.list_prefix(f"{path}/c/")]

        found = (re.fullmatch(r".*/c/([0-9/]+)", key) for key in sync(keys()))
        return {tuple(int(i) for i in match[1].split("/")) for match in found if match}

    # -- pixels -------------------------------------------------------------------------------------------------------

    def write(self, path: str, box: Box, block: NDArray[Any]) -> None:
        """Write one whole shard, as one object: it is there entirely, or not at all."""
        shards = self._shards(path)
        place = "/".join(map(str, shards.index_of(box)))
        buffer = default_buffer_prototype().buffer.from_bytes(shards.encode(block))
        sync(self.array(path).store.set(f"{path}/c/{place}", buffer))

    def read(self, path: str, box: Box) -> NDArray[Any]:
        """Read a box of an array, in the native byte order."""
        array = self.array(path)
        box = tuple(slice(*b.indices(n)) for b, n in zip(box, array.shape, strict=True))
        if "://" in self.url:
            return np.asarray(array[box])
        return self._shards(path).read(Path(self.url, path), box)

    def _shards(self, path: str) -> Shards:
        array = self.array(path)
        assert array.shards is not None
        return Shards(array.metadata, array.shards)

    def read_mirrored(self, path: str, start: Iterable[int], shape: Iterable[int]) -> NDArray[Any]:
        """Read a window that may reach outside; there the image is mirrored without repeating the edge pixel."""
        size = self.array(path).shape
        indices = [mirror_index(a, a + n, s) for a, n, s in zip(start, shape, size, strict=True)]
        block = self.read(path, tuple(slice(int(i.min()), int(i.max()) + 1) for i in indices))
        return block[np.ix_(*(i - i.min() for i in indices))]


def _attributes(node: "zarr.Group | zarr.Array[Any]") -> dict[str, Any]:
    return dict(node.attrs.asdict())


def _is_absent(url: str) -> bool:
    if "://" not in url:
        return not Path(url).exists()
    try:
        zarr.open_group(url, mode="r", use_consolidated=False)
    except (GroupNotFoundError, FileNotFoundError):
        return True
    return False


def _create_array(root: zarr.Group, spec: ArraySpec, record: dict[str, Any]) -> None:
    root.create_array(
        spec.path,
        shape=spec.shape,
        dtype=spec.dtype,
        chunks=spec.chunk,
        shards=spec.shard,
        compressors=compressors(spec.codec, spec.dtype),
        fill_value=0,
        dimension_names=spec.dims,
        attributes={KEY: record},
        config=WHOLE_SHARDS,
    )


def _write_coordinate(root: zarr.Group, path: str, dim: str, length: int, origin: int) -> None:
    """Positions along one axis, in pixels or as plain numbers. Arrays of one group share them."""
    values = np.arange(origin, origin + length)
    if path in root:
        if np.array_equal(zarr.open_array(root.store, path=path, mode="r")[:], values):
            return
        del root[path]
    chunk = (min(length, COORDINATE_CHUNK),)
    array = root.create_array(
        path,
        shape=(length,),
        dtype="int64",
        chunks=chunk,
        shards=chunk,
        compressors=compressors("zstd", "int64"),
        dimension_names=(dim,),
        fill_value=0,
        attributes={"units": "pixel"} if dim[0] in "zyx" else {},
        config=WHOLE_SHARDS,
    )
    array[:] = values


def _write_ome(root: zarr.Group, group: str, name: str, dims: tuple[str, ...]) -> None:
    image, is_label, kind = group.rpartition("/labels/")
    if not is_label:
        # One multiscale, since the labels beside it must have as many: the image, or without one the weights.
        if name == "image" or f"{group}/image" not in root:
            root[group].update_attributes({"ome": image_attributes(name, dims)})
    elif name == kind:
        root[group].update_attributes({"ome": label_attributes(name, dims)})
        labels = root[f"{image}/labels"]
        kinds = _attributes(labels).get("ome", {}).get("labels", [])
        labels.update_attributes({"ome": labels_attributes(sorted({*kinds, kind}))})
