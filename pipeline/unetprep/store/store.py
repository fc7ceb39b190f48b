"""Access to a store: attributes, arrays and pixels. The only module of the pipeline that writes to stores."""

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import copy
from hashlib import sha256
from itertools import islice
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from unetprep import __version__
from unetprep.errors import Conflict, Failure, InvalidInput
from unetprep.format.array_state import array_state
from unetprep.format.boxes import Box, Index, shard_box
from unetprep.format.documents import Document, array_document, group_document
from unetprep.format.layout import FORMAT_VERSION, IMAGES, KEY, STACKS, ArraySpec
from unetprep.format.metadata import DOCUMENT, DamagedDocument, encode, parse_document, record_of
from unetprep.format.ome import PixelSize, display_window, image_attributes, label_attributes, labels_attributes
from unetprep.format.places import TABLE, ImagePlace, group_paths, places_in, places_of
from unetprep.format.schema import image_name
from unetprep.format.sharding import Chunks, Damaged, Shards
from unetprep.kernels.mirror import bounds, is_mirrored, mirrored_runs, unfold
from unetprep.storage.base import Storage
from unetprep.storage.last_object import LastObject
from unetprep.storage.lock import LOCK
from unetprep.storage.lru_cache import NO_CACHE, ArrayCache
from unetprep.storage.output import refuse_hierarchy
from unetprep.storage.paths import safe_key
from unetprep.storage.registry import open_storage

if TYPE_CHECKING:
    import zarr

GROUP_DEPTH = 2  # slashes in the path of an array or group below that of an image
LOOKS_AT_ONCE = 16
MOST_SEEN = 1024
REPLACED = "being replaced"  # the fingerprint of an array that is no longer valid


def some_names(names: Sequence[str]) -> str:
    """The first of many names, for messages."""
    return ", ".join(names[:5]) + (", ..." if names[5:] else "")


class Store:
    """A store at a path or URL. Cheap to pickle for workers: documents are read on demand."""

    def __init__(self, url: str, storage: Storage | None = None) -> None:
        self.url = url.rstrip("/")
        self.storage = storage or open_storage(self.url)
        self._documents: dict[str, Document] = {}
        self._places: dict[str, ImagePlace] | None = None

    def __reduce__(self) -> tuple[type["Store"], tuple[Any, ...]]:
        return Store, (self.url, self.storage) if "://" in self.url else (str(Path(self.url).absolute()),)

    # -- the whole ----------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, url: str) -> "Store":
        """Open an existing store. Raises InvalidInput if it is missing, not a store, or of another format version."""
        store = cls(url)
        root = store._document("")
        if root is None or root.get("node_type") != "group":
            what = "is not there" if store.is_absent() else "is not a Zarr v3 group"
            raise InvalidInput(
                f"{url} {what}",
                allowed="a store that unetprep made",
                hint=f"make it with: unetprep import --image IMAGES --labels LABELS --out {url}",
            )
        version = record_of(root).get("format_version")
        if version is None:
            raise InvalidInput(f"{url} is a Zarr group, but no store of unetprep", allowed="a store that unetprep made")
        if version != FORMAT_VERSION:
            raise InvalidInput(
                f"{url} has format version {version}",
                allowed=f"version {FORMAT_VERSION}, the one this release writes",
                hint="unettrain trains on a store of version 1 as it is; for further stages import its files into a new"
                " store, or install the release that wrote it",
            )
        return store

    @classmethod
    def refuse_other(cls, url: str) -> None:
        """Raise Conflict if `url` exists and is not a store.

        Raises InvalidInput for a store of another version, and for a new store inside of another one.
        """
        if cls(url).is_absent():
            refuse_hierarchy(url)
        else:
            cls.open_or_create(url)

    @classmethod
    def open_or_create(cls, url: str) -> "Store":
        """Open a store, or create an empty one if `url` does not exist. Raises Conflict if it is something else.

        Raises InvalidInput for a new store inside of another one.
        """
        store = cls(url)
        if not store.is_absent():
            try:
                return cls.open(url)
            except DamagedDocument:
                raise
            except InvalidInput as error:
                if "format version" in str(error):
                    raise
                raise Conflict(
                    f"{url} exists and is not a store of unetprep",
                    hint="name another --out; nothing was changed",
                ) from None
        refuse_hierarchy(url)
        store.update_record(IMAGES, names=[])
        store.update_record("", format_version=FORMAT_VERSION, software=f"unetprep {__version__}")
        return store

    def is_absent(self) -> bool:
        """Whether the store does not exist. A lock, and groups that are written before the root, are not counted."""
        try:
            return not any(key not in (LOCK, f"{IMAGES}/{DOCUMENT}") for key, _ in self.storage.listing())
        except NotADirectoryError:
            return not Path(self.url).is_file()

    # -- attributes ---------------------------------------------------------------------------------------------------

    def _document(self, path: str) -> Document | None:
        if path not in self._documents:
            document = self._fresh_document(path)
            if document is None:
                return None
            self._documents[path] = document
        return self._documents[path]

    def _fresh_document(self, path: str) -> Document | None:
        """The document of a node. Raises DamagedDocument if it is invalid or its checksum does not match."""
        key = safe_key(f"{path}/{DOCUMENT}" if path else DOCUMENT, f"a path in a document of {self.url}")
        data = self._read_object(key)
        if data is None:
            return None
        hint = f"unetprep verify {self.url} lists all damage and how to repair it"
        return parse_document(data, f"{key} of {self.url}", hint)

    def _read_object(self, key: str) -> bytes | None:
        try:
            return self.storage.get(key)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _put(self, path: str, document: Document) -> None:
        """Write the document of a node."""
        self._documents.pop(path, None)
        if path.partition("/")[0] in (IMAGES, STACKS) and path.count("/") < GROUP_DEPTH:
            self._places = None
        self.storage.put(f"{path}/{DOCUMENT}".lstrip("/"), encode(document))

    def record(self, path: str) -> dict[str, Any]:
        """The unetprep attributes of a group or array; {} if it does not exist. Raises DamagedDocument."""
        document = self._document(path)
        return record_of(document) if document else {}

    def is_foreign(self, path: str) -> bool:
        """Whether a group or array exists without unetprep attributes, so that other software wrote it."""
        document = self._document(path)
        return document is not None and not record_of(document)

    def update_record(self, path: str, **values: Any) -> None:
        """Set some unetprep attributes and keep the others. Creates a missing group."""
        self._update(path, {KEY: {**self.record(path), **values}})

    def drop_from_record(self, path: str, key: str) -> None:
        """Remove a unetprep attribute."""
        self._update(path, {KEY: {name: value for name, value in self.record(path).items() if name != key}})

    def _update(self, path: str, attributes: Document) -> None:
        """Set attributes of a group or array. Creates missing groups."""
        group, _, _ = path.rpartition("/")
        if path and self._document(group) is None:
            self._update(group, {})
        document = self._document(path) or group_document()
        there = document.get("attributes", {})
        merged = {**there, **attributes}
        plain = (
            {**there, KEY: record_of(document)} if KEY in there else there
        )  # without the checksum, like `attributes`
        if {**plain, **attributes} != plain or self._document(path) is None:
            self._put(path, {**document, "attributes": merged})

    def set_complete(self, path: str, complete: bool) -> None:
        """Record whether every shard of an array exists."""
        if self.record(path)["complete"] != complete:
            self.update_record(path, complete=complete)

    def set_coordinates(self, path: str, names: list[str]) -> None:
        """Record which arrays of a group are coordinates of the others, for xarray (CF conventions)."""
        self._update(path, {"coordinates": " ".join(names)})

    @property
    def groups(self) -> list[str]:
        """Paths of the groups of images and stacks."""
        return group_paths(self.record)

    @property
    def places(self) -> dict[str, ImagePlace]:
        """The places of all images by name: images with arrays of their own, in the order of import, then stacks."""
        if self._places is None:
            self._places = places_of(self.record)
        return self._places

    @property
    def names(self) -> list[str]:
        """The names of all images, in the order of `places`."""
        return list(self.places)

    def place(self, name: str) -> ImagePlace:
        """The place of an image. Raises InvalidInput for an unknown name."""
        found = self.places.get(name)
        if found is None:
            raise InvalidInput(f"{self.url} has no image {name!r}", allowed=some_names(self.names))
        return found

    def add_groups(self, groups: Mapping[str, Mapping[str, Any]]) -> None:
        """Create groups of images and stacks, by path, or update their attributes.

        Raises InvalidInput for invalid names of images, before anything is written.
        """
        for path, attributes in groups.items():
            for place in places_in(path, attributes):
                image_name(place.name, "an image to be imported")
        for path, attributes in groups.items():
            self.update_record(path, **attributes)
        alone = [path.partition("/")[2] for path in groups if path.startswith(f"{IMAGES}/")]
        self.update_record(IMAGES, names=list(dict.fromkeys([*self.record(IMAGES).get("names", []), *alone])))
        numbers = [int(path.partition("/")[2]) for path in groups if path.startswith(f"{STACKS}/")]
        if numbers:
            self.update_record(STACKS, count=max(self.record(STACKS).get("count", 0), max(numbers) + 1))

    def parameters(self, path: str, *required: str) -> dict[str, Any]:
        """The parameters of an array. Raises InvalidInput if one of `required` is missing."""
        found: dict[str, Any] = self.record(path).get("parameters", {})
        if missing := [key for key in required if key not in found]:
            raise InvalidInput(
                f"{path} of {self.url} does not record all of its parameters: {', '.join(missing)} is missing",
                hint="recompute it: repeat its command with --overwrite",
            )
        return found

    def image_record(self, name: str, *required: str) -> dict[str, Any]:
        """The attributes of an image. Raises InvalidInput if one of `required` is missing."""
        place = self.place(name)
        record = place.record(self.record(place.group))
        if missing := [key for key in required if key not in record]:
            self._refuse_without(place.group, missing)
        return record

    def update_image(self, name: str, **values: Any) -> None:
        """Set attributes of an image."""
        place = self.place(name)
        if place.index is None:
            self.update_record(place.group, **values)
            return
        table = {key: list(column) for key, column in self.record(place.group)[TABLE].items()}
        for key, value in values.items():
            table[key][place.index] = value
        self.update_record(place.group, **{TABLE: table})

    def dims(self, group: str) -> int:
        """2 if the slices of an image or stack are independent, 3 if it is a volume."""
        record = self.record(group)
        if "dims" not in record:
            self._refuse_without(group, ["dims"])
        return int(record["dims"])

    def table(self, group: str) -> dict[str, list[Any]]:
        """The table of the images of a stack. Raises InvalidInput if it is lost."""
        if TABLE not in self.record(group):
            self._refuse_without(group, [TABLE])
        return dict(self.record(group)[TABLE])

    def sizes(self, group: str) -> NDArray[np.int64] | None:
        """The sides of each image of a stack, (z, 2), as y, x; None for an image with arrays of its own."""
        table = self.record(group).get(TABLE)
        return np.array(table["sizes"], np.int64).reshape(-1, 2) if table else None

    def _refuse_without(self, group: str, missing: Sequence[str]) -> NoReturn:
        hint = "import it again: existing data are kept"
        if group.startswith(f"{STACKS}/"):  # whose table of images cannot be made again
            hint = f"restore {group}/{DOCUMENT} from a copy, or import the images into another store"
        raise InvalidInput(f"{group} of {self.url} lacks {', '.join(missing)}", hint=hint)

    # -- arrays -------------------------------------------------------------------------------------------------------

    def array(self, path: str) -> "zarr.Array[Any]":
        """An array opened by zarr-python; only for a local store."""
        import zarr

        return zarr.open_array(self.url, path=path, mode="r+")

    def shards(self, path: str) -> Shards:
        """Shape, dtype and shards of an array. Raises InvalidInput if it is missing or has another layout."""
        document = self._document(path)
        if document is None:
            raise InvalidInput(f"{path} is missing in {self.url}")
        try:
            return Shards(document)
        except ValueError as error:
            raise InvalidInput(f"{path} of {self.url} cannot be read: {error}", hint="see pipeline/LAYOUT.md") from None

    def finished_array(self, path: str, made_by: str) -> Shards:
        """A finished array. Raises InvalidInput with the command to run if it is not finished."""
        self.record(path)  # raises DamagedDocument
        state = self.state(path)
        if state == "stale":
            self._refuse_inputs(path)
            problem = f"{path} of {self.url} was computed from arrays that have been replaced since"
            raise InvalidInput(problem, hint=f"run: {made_by} --overwrite")
        if state != "finished":
            raise InvalidInput(f"{path} is {state} in {self.url}", hint=f"run: {made_by}")
        if "fingerprint" not in self.record(path):
            raise InvalidInput(
                f"{path} of {self.url} has no fingerprint, so arrays computed from it could not be checked",
                hint=f"run: {made_by} --overwrite",
            )
        return self.shards(path)

    def _refuse_inputs(self, path: str) -> None:
        """Raise InvalidInput if an input of an array is damaged, unfinished or missing."""
        for source in self.record(path).get("inputs", {}):
            state = self.state(source) if "/" in source else ""
            if state == "damaged":
                self.record(source)
            if state in ("unfinished", "missing"):
                raise InvalidInput(
                    f"{source}, from which {path} of {self.url} was computed, is {state}",
                    hint=f"unetprep verify {self.url} names the command that computes it",
                )

    def state(self, path: str) -> str:
        """One of missing, damaged (its document), unfinished, stale and finished; see `array_state`."""
        return array_state(path, self.record)

    def create(self, spec: ArraySpec) -> None:
        """Create an empty array, marked unfinished, with its metadata; replaces an existing array.

        The existing array is first marked invalid, then removed, and the new metadata are written last. So no array
        looks finished after an interruption at any point.
        """
        self.remove(spec.path)
        self.describe(spec)
        self._put_array(spec)

    def remove(self, path: str) -> None:
        """Remove an array if it exists. After an interruption it is marked invalid."""
        try:
            self.invalidate(path)
        except DamagedDocument:
            self.storage.delete(f"{path}/{DOCUMENT}")
        self._documents.pop(path, None)
        self.storage.delete(path)

    def describe(self, spec: ArraySpec) -> None:
        """Write the missing groups and the OME-Zarr metadata of an array."""
        group, _, name = spec.path.rpartition("/")
        self._update(group, {})
        if group.startswith((f"{IMAGES}/", f"{STACKS}/")):
            self._describe_image(group, name, spec)

    def invalidate_shards(self, spec: ArraySpec, stale: Iterable[str]) -> None:
        """Change an array to `spec`, of which only some shards differ, and mark it unfinished.

        `stale` are the keys of these shards. The array is first marked invalid, then the shards are deleted, and the
        new metadata are written last.
        """
        self.invalidate(spec.path)
        for key in stale:
            self.storage.delete(f"{spec.path}/{key}")
        self._put_array(spec)

    def invalidate(self, path: str) -> None:
        """Mark an array, if it exists, as invalid: not complete, and without a valid fingerprint."""
        if self.record(path):
            self.update_record(path, complete=False, fingerprint=REPLACED)

    def _put_array(self, spec: ArraySpec) -> None:
        record = {**spec.extra, **spec.provenance.as_dict(), "complete": False}
        self._put(spec.path, array_document(spec, {KEY: record}))

    def _describe_image(self, group: str, name: str, spec: ArraySpec) -> None:
        """Write the OME-Zarr metadata of an image or a label image."""
        image, is_label, kind = group.rpartition("/labels/")
        pixel = PixelSize.of_record(self.record(image if is_label else group))
        if not is_label:
            # One multiscale, since the labels must have equally many: the image, or without an image the weights.
            if name == "image" or self._document(f"{group}/image") is None:
                window = display_window(self.record(group), spec.shape[0]) if name == "image" else {}
                self._update(group, {"ome": {**image_attributes(name, spec.dims, pixel), **window}})
        elif name == kind:
            self._update(group, {"ome": label_attributes(name, spec.dims, pixel)})
            labels = self._document(f"{image}/labels") or group_document()
            ome = labels.get("attributes", {}).get("ome")
            kinds = ome.get("labels") if isinstance(ome, dict) else None
            known = [k for k in kinds if isinstance(k, str)] if isinstance(kinds, list) else []
            self._update(f"{image}/labels", {"ome": labels_attributes(sorted({*known, kind}))})

    def written(self, path: str) -> NDArray[np.bool_]:
        """Mask of the existing, whole shards of an array, by shard index.

        Each shard is written atomically, so an existing shard is finished. Only its index is read, to exclude shards
        that are truncated, for example by a failed server.
        """
        shards = self.shards(path)
        there = np.zeros(shards.counts, bool)

        def look(found: tuple[str, int]) -> None:
            key, num_bytes = found
            match = re.fullmatch(r"[0-9]+(/[0-9]+)*", key.removeprefix(f"{path}/c/"))
            index = tuple(map(int, match[0].split("/"))) if match else ()
            if len(index) == there.ndim and all(i < n for i, n in zip(index, there.shape, strict=True)):
                with suppress(Damaged):
                    shards.check_size(self.storage, key, num_bytes)
                    there[index] = True

        listing = self.storage.listing(f"{path}/c/")
        with ThreadPoolExecutor(LOOKS_AT_ONCE) as executor:
            while some := list(islice(listing, 64 * LOOKS_AT_ONCE)):
                list(executor.map(look, some))
        return there

    def stored_bytes(self, path: str) -> int:
        """Stored size of an array in bytes."""
        return sum(num_bytes for _, num_bytes in self.storage.listing(f"{path}/"))

    # -- pixels -------------------------------------------------------------------------------------------------------

    def write(self, spec: ArraySpec, box: Box, block: NDArray[Any] | Chunks) -> None:
        """Write one whole shard, from its values or its compressed chunks, atomically.

        Raises Failure if the array in the store has another fingerprint than `spec`, so that no outdated shard is
        written; ValueError for a part of a shard, which would overwrite the rest.
        """
        document = self._read_object(f"{spec.path}/{DOCUMENT}")
        fingerprint, shards = _known(document, f"{spec.path} of {self.url}") if document else ("", None)
        if shards is None or fingerprint != spec.provenance.fingerprint:
            raise Failure(
                f"{spec.path} of {self.url} was {'replaced' if document else 'deleted'} while it was being computed",
                hint="make sure that nothing else writes to the store, and repeat the command",
            )
        if box != shards.box_at(box):
            raise ValueError(f"{box} is not a shard of {spec.path}, whose shards are {shards.shard}")
        data = shards.join(block) if isinstance(block, dict) else shards.encode(block)
        self.storage.put(f"{spec.path}/{shards.key_of(box)}", data)

    def read(self, path: str, box: Box, recent: ArrayCache = NO_CACHE, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a box of an array in native byte order, into `out` where it is given. `recent` caches decoded chunks.

        Raises MissingShard for a missing shard, and Damaged for a wrong checksum.
        """
        shards = self.shards(path)
        box = tuple(slice(*b.indices(n)) for b, n in zip(box, shards.shape, strict=True))
        return shards.read(self.storage, path, box, recent, out)

    def by_objects(self) -> "Store":
        """The store for a task that reads all chunks of a shard one after the other: the last object is kept whole."""
        view = copy(self)
        view.storage = LastObject(self.storage)
        return view

    def read_all(self, path: str) -> NDArray[Any]:
        """Read a whole array of small shards, many of them at a time."""
        shards = self.shards(path)
        out = np.empty(shards.shape, shards.dtype)

        def fill(index: Index) -> None:
            box = shard_box(index, shards.shape, shards.shard)
            out[box] = self.read(path, box)

        with ThreadPoolExecutor(min(LOOKS_AT_ONCE, prod(shards.counts))) as executor:
            list(executor.map(fill, np.ndindex(*shards.counts)))
        return out

    def read_mirrored(
        self,
        path: str,
        start: tuple[int, ...],
        shape: tuple[int, ...],
        recent: ArrayCache = NO_CACHE,
        sides: tuple[int, int] | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Read a window (..., y, x); outside along y and x the image is mirrored without repeating the edge pixel.

        `sides` (y, x) are those of the image, by default of the array. `recent` caches decoded chunks. The window is
        written to `out` where it is given.
        """
        rows, columns = (
            mirrored_runs(a, a + n, s)
            for a, n, s in zip(start[-2:], shape[-2:], sides or self.shards(path).shape[-2:], strict=True)
        )
        leading = (slice(a, a + n) for a, n in zip(start[:-2], shape[:-2], strict=True))
        box = (*leading, slice(*bounds(rows)), slice(*bounds(columns)))
        if not is_mirrored(rows, columns, shape):
            return self.read(path, box, recent, out)
        block = self.read(path, box, recent)
        out = np.empty(shape, block.dtype) if out is None else out
        unfold(block, rows, columns, out)
        return out


_seen: dict[bytes, tuple[str, Shards]] = {}


def _known(document: bytes, where: str) -> tuple[str, Shards]:
    """The fingerprint and the shards in a document; cached, since writing a shard parses its document."""
    digest = sha256(document).digest()
    known = _seen.get(digest)
    if known is None:
        parsed = parse_document(document, where)
        known = str(record_of(parsed).get("fingerprint")), Shards(parsed)
        if len(_seen) >= MOST_SEEN:
            _seen.clear()
        _seen[digest] = known
    return known
