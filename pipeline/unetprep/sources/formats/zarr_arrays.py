"""Zarr arrays as sources: arrays of any software, and arrays of a store, which are validated.

An array of a store records whether it is complete, and every shard of a complete array exists, also shards of zeros. So
an unfinished or stale array, a missing or damaged shard and damaged metadata are errors. In arrays of other software a
missing chunk is valid and holds the fill value; a warning is logged if all chunks are missing.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.array_state import array_state
from unetprep.format.boxes import Box
from unetprep.format.metadata import DOCUMENT, Json, parse_document, parse_object, record_of
from unetprep.format.sharding import Damaged, MissingShard, Shards
from unetprep.sources.formats import ome_zarr
from unetprep.sources.formats.zip_storage import open_zip
from unetprep.sources.source import Choice, PixelSize
from unetprep.sources.urls import is_url, storage_at
from unetprep.storage.base import Storage
from unetprep.storage.local import LocalStorage
from unetprep.storage.paths import safe_key

NODES = ("/images/", "/stacks/", "/tiles/", "/fields/")  # beginnings of the paths of arrays in a store
ZIP = ".zip"
NO_CHOICE = Choice()
METADATA = (DOCUMENT, ".zarray", ".zgroup", ".zattrs", ".zmetadata")
OBJECTS_V2 = (".zgroup", ".zarray", ".zattrs")
OF_ZARR = (TypeError, AttributeError, LookupError, ValueError)  # raised by zarr-python for invalid metadata

log = logging.getLogger(__name__)


class ZarrArray(NamedTuple):
    """An array in a Zarr hierarchy: its path below the root, axes ("" if unnamed), shape, dtype and pixel size."""

    path: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    pixel_size: PixelSize | None = None
    unit: str = ""
    is_measured: bool = False


def find_array(root: str, name: str = "", choice: Choice = NO_CHOICE, endpoint: str = "") -> ZarrArray:
    """The array `name` below a path or URL, or the chosen level of the OME-Zarr image there.

    Raises FileNotFoundError if there is no Zarr, and InvalidInput for invalid metadata and for an unfinished or stale
    array of a store.
    """
    storage = _storage(root, endpoint)
    path, axes = name, ""
    size: tuple[PixelSize | None, str, bool] = (None, "", False)
    _check_documents(storage, root, name, endpoint)
    with _opened(root, endpoint) as place, _invalid(root):
        node = zarr.open(place, path=name, mode="r")
        group = node if isinstance(node, zarr.Group) else None
        image = ome_zarr.find_image(root, name, group, choice) if group is not None else None
    if image:
        path, axes, size = image.path, image.axes, (image.pixel_size, image.unit, image.is_measured)
        _check_documents(storage, root, path, endpoint)
    with _opened(root, endpoint) as place, _invalid(root):
        array = zarr.open_array(place, path=path, mode="r")
        axes = axes or ome_zarr.letters(getattr(array.metadata, "dimension_names", None) or ())
        if image and not axes:
            axes = ome_zarr.OLD_AXES[-array.ndim :] if image.is_old else ""
    _warn_empty(storage, root, path, array)
    return ZarrArray(path, axes, tuple(array.shape), array.dtype.name, *size)


def read_array(root: str, path: str, box: Box, endpoint: str = "") -> NDArray[Any]:
    """A box of an array that `find_array` has returned.

    For an array of a store, raises MissingShard and Damaged, and InvalidInput if it is no longer complete.
    """
    storage = _storage(root, endpoint)
    document = _document(storage, root, path)
    if document is not None and _is_ours(document):
        _refuse_unreadable(document, root, path)
        shards = _shards(document)
        if shards is not None:
            with _named(root):
                return shards.read(storage, path, _bounded(box, shards.shape))
    with _opened(root, endpoint) as place:
        array = zarr.open_array(place, path=path, mode="r")
        if document is not None and _is_ours(document):
            with _named(root):
                _refuse_missing(storage, array, path, _bounded(box, array.shape))
        return np.asarray(array[box])


def part_shape(root: str, path: str, endpoint: str = "") -> tuple[int, ...]:
    """Shape of the parts that are decoded together, along the axes of the array."""
    with _opened(root, endpoint) as place:
        return zarr.open_array(place, path=path, mode="r").chunks


def _storage(root: str, endpoint: str) -> Storage:
    if not is_url(root):
        return open_zip(root) if root.lower().endswith(ZIP) else LocalStorage(root)
    return storage_at(root, endpoint)


@contextmanager
def _opened(root: str, endpoint: str) -> Iterator[Any]:
    """The store for zarr-python; errors of a server are translated to those of files."""
    storage = storage_at(root, endpoint) if is_url(root) else None
    with storage.errors("read") if storage else nullcontext():
        if storage:
            yield storage.zarr_store()
        else:
            yield open_zip(root).zarr_store() if root.lower().endswith(ZIP) else root


@contextmanager
def _invalid(root: str) -> Iterator[None]:
    """Translate the errors of zarr-python for invalid metadata to InvalidInput."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OF_ZARR as error:
        raise InvalidInput(
            f"the Zarr metadata of {root} cannot be used: {type(error).__name__}: {error}",
            hint="open it with the software that wrote it, or save the image as a TIFF file",
        ) from error


@contextmanager
def _named(root: str) -> Iterator[None]:
    """Prefix the names of shards in errors with the root."""
    try:
        yield
    except Damaged as error:
        raise type(error)(f"{root}/{error}") from None


def _check_documents(storage: Storage, root: str, path: str, endpoint: str) -> None:
    """Refuse invalid documents of a node, also of Zarr v2, and unfinished or stale arrays of a store."""
    document = _document(storage, root, path)
    if document is None:
        for name in OBJECTS_V2:
            data = _object(storage, f"{path}/{name}".lstrip("/"))
            if data is not None:
                parse_object(data, f"{name} of {root}")
    elif _is_ours(document):
        _refuse_unreadable(document, root, path)
        _refuse_stale(document, root, path, endpoint)


def _document(storage: Storage, root: str, path: str) -> Json | None:
    data = _object(storage, f"{path}/{DOCUMENT}".lstrip("/"))
    return None if data is None else _parsed(data, f"{f'{root}/{path}'.rstrip('/')}/{DOCUMENT}")


@lru_cache(64)
def _parsed(data: bytes, where: str) -> Json:
    hint = "if it is in a store, unetprep verify STORE lists all damage and how to repair it"
    return parse_document(data, where, hint)


def _object(storage: Storage, key: str) -> bytes | None:
    try:
        return storage.get(key)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_ours(document: Json) -> bool:
    return document["node_type"] == "array" and "complete" in record_of(document)


def _shards(document: Json) -> Shards | None:
    try:
        return Shards(document)
    except ValueError:
        return None


def _refuse_unreadable(document: Json, root: str, path: str) -> None:
    if not record_of(document)["complete"]:
        stage = record_of(document).get("stage", "the command that makes it")
        raise InvalidInput(
            f"{f'{root}/{path}'.rstrip('/')} is not finished: its command was stopped, or is still running",
            hint=f"repeat unetprep {stage} on the store: it continues where it stopped",
        )


def _refuse_stale(document: Json, root: str, path: str, endpoint: str) -> None:
    """Raise InvalidInput for an array of a store with an input that has been replaced since."""
    if not any("/" in source for source in record_of(document).get("inputs", {})):
        return
    whole = f"{root}/{path}".rstrip("/")
    at = max(whole.rfind(node) for node in NODES)
    if at <= 0:
        return
    store = whole[:at]
    storage = _storage(store, endpoint)

    def record_at(path: str) -> Json:
        safe_key(path, f"a path in a document of {store}") if path else None
        document = _document(storage, store, path)
        return record_of(document) if document else {}

    if "format_version" in record_at("") and array_state(whole[at + 1 :], record_at) == "stale":
        raise InvalidInput(
            f"{whole} was computed from arrays that have been replaced since",
            hint=f"run: unetprep {record_of(document).get('stage', 'STAGE')} --out {store} --overwrite",
        )


def _refuse_missing(storage: Storage, array: "zarr.Array[Any]", path: str, box: Box) -> None:
    """Raise MissingShard if a shard that a box touches is missing, in an array of a store in another layout."""
    sides = array.shards or array.chunks
    for index in product(*(range(b.start // n, -(-b.stop // n)) for b, n in zip(box, sides, strict=True))):
        key = f"{path}/{array.metadata.encode_chunk_key(index)}".lstrip("/")
        if _object(storage, key) is None:
            raise MissingShard(f"{key} is missing", hint="unetprep verify STORE lists all missing shards")


def _bounded(box: Box, shape: tuple[int, ...]) -> Box:
    return tuple(slice(*b.indices(n)) for b, n in zip(box, shape, strict=True))


def _warn_empty(storage: Storage, root: str, path: str, array: "zarr.Array[Any]") -> None:
    """Log a warning for an array without chunks, which reads as its fill value and may be an incomplete copy."""
    prefix = f"{path}/".lstrip("/")
    try:
        is_empty = not any(key.rpartition("/")[2] not in METADATA for key, _ in storage.listing(prefix))
    except OSError:  # web servers do not list, and a bucket may forbid it
        return
    if is_empty:
        log.warning("%s holds no chunk: every value of it reads as the fill value, %s", root, array.fill_value)
