"""Opening of a store, with checks of version, integrity, completeness and freshness.

Refused are other format versions, invalid documents, wrong checksums, missing or unfinished arrays, and outdated ones:
every array records the fingerprints of its inputs, which are compared with those in the store.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import zarr

import unetprep.errors
from unetprep.format.layout import FIELDS, IMAGES, STACKS, TILES, image_path, stack_path
from unetprep.format.metadata import DOCUMENT, KEY, READABLE_VERSIONS, Json, parse_document, record_of
from unetprep.format.places import ImagePlace, places_in
from unetprep.storage.base import Remote, Storage
from unetprep.storage.paths import safe_key
from unetprep.storage.registry import open_storage
from unettrain.errors import Failure, InvalidInput

Where = TypeVar("Where", bound=str | Path)
Rest = ParamSpec("Rest")
Found = TypeVar("Found")

SERVER_HINT = "see that the server answers and the keys are right, and repeat the command: it goes on where it stopped"
OURS = tuple(f"{group}/" for group in (IMAGES, STACKS, FIELDS, TILES))
NAMES_SHOWN = 5
DOCUMENTS = 64  # parsed documents that are kept: that of a stack lists thousands of images


def open_store(store: str | Path) -> zarr.Group:
    """Root group of the store at a path or URL, for reading. Raises InvalidInput if it is not a store of unetprep."""
    found = recorded(store, "")
    try:
        with reading(store) as place:
            root = zarr.open_group(place, mode="r", zarr_format=3, use_consolidated=False)
    except FileNotFoundError:
        raise InvalidInput(f"there is no store at {store}", hint="check the path; `unetprep` makes stores") from None
    version = found.get("format_version")
    if version is None:
        raise InvalidInput(f"{store} is Zarr, but no store of unetprep: it has no format_version")
    if version not in READABLE_VERSIONS:
        raise InvalidInput(
            f"{store} has format version {version}",
            allowed=f"{' or '.join(map(str, READABLE_VERSIONS))}, which this unettrain reads",
            hint="use the release of unettrain that goes with the unetprep that wrote it",
        )
    return root


@contextmanager
def reading(store: str | Path) -> Iterator[Any]:
    """What zarr opens the store by. Errors of a server inside become a Failure that says what to do.

    Raises InvalidInput for a URL of an unknown kind.
    """
    storage = storage_of(str(store))
    if not isinstance(storage, Remote):
        yield str(store)
        return
    try:
        with storage.errors("read"):
            yield storage.zarr_store()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Failure(str(error), hint=SERVER_HINT) from None


def translate_errors(opens: Callable[Concatenate[Where, Rest], Found]) -> Callable[Concatenate[Where, Rest], Found]:
    """Decorator for functions that open a part of a store: translates errors as `reading` does."""

    @wraps(opens)
    def opened(store: Where, /, *rest: Rest.args, **more: Rest.kwargs) -> Found:
        try:
            with reading(store):
                return opens(store, *rest, **more)
        except (ValueError, KeyError, TypeError) as error:  # raised by zarr for damaged documents
            said = f"{type(error).__name__}: {error}"
            hint = f"unetprep verify {store} names what is damaged; --repair deletes it, to be made anew"
            raise Failure(f"the metadata of {store} cannot be read: {said}", hint=hint) from error

    return opened


@lru_cache(64)
def storage_of(store: str) -> Storage:
    """Storage of the store at a path or URL."""
    try:
        return open_storage(store)
    except (unetprep.errors.InvalidInput, ImportError) as error:
        raise InvalidInput(f"{store} cannot be read from here: {error}", hint="see docs/object-stores.md") from None


def attributes(array: zarr.Array[Any]) -> dict[str, Any]:
    """Attributes of unetprep of an array from `open_array`, which checks its document; {} if it has none."""
    found = array.attrs.get(KEY)
    return found if isinstance(found, dict) else {}


def fingerprint(array: zarr.Array[Any]) -> str:
    """Fingerprint of the values of an array."""
    return str(attributes(array).get("fingerprint", ""))


def open_array(root: zarr.Group, path: str, store: str | Path, command: str) -> zarr.Array[Any]:
    """An array that exists and is finished.

    Raises InvalidInput with the command that makes it, or if its document is damaged.
    """
    found = recorded(store, path)
    array = root.get(path)
    if not isinstance(array, zarr.Array):
        raise InvalidInput(f"{store} has no {path}", hint=command)
    if not found.get("complete", False):
        raise InvalidInput(f"{path} of {store} is not finished", hint=f"run it again to continue: {command}")
    return array


def recorded(store: str | Path, path: str) -> dict[str, Any]:
    """Attributes of unetprep of a group or array, from its document alone; {} if it does not exist.

    Raises InvalidInput for an invalid document, a wrong checksum, and a path that leaves the store.
    """
    document = _document(store, path)
    return {} if document is None else parsed_record(document, path, store)


def parsed_record(document: bytes, path: str, store: str | Path) -> dict[str, Any]:
    """Attributes of unetprep in the document of the node at `path`. Raises InvalidInput as `recorded` does."""
    where = f"{path}/{DOCUMENT}".lstrip("/")
    hint = f"unetprep verify {store} names all that is damaged, and what to do about it"
    try:
        return record_of(_parsed(document, f"{where} of {store}", hint))
    except unetprep.errors.InvalidInput as error:
        raise InvalidInput(str(error)) from None


@lru_cache(DOCUMENTS)
def _parsed(document: bytes, where: str, hint: str) -> Json:
    return parse_document(document, where, hint)


def _document(store: str | Path, path: str) -> bytes | None:
    """The document of the node at `path`; None if it does not exist. Raises InvalidInput as `recorded` does."""
    try:
        key = safe_key(f"{path}/{DOCUMENT}" if path else DOCUMENT, f"a path in a document of {store}")
        with reading(store):
            return storage_of(str(store)).get(key)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except unetprep.errors.InvalidInput as error:
        raise InvalidInput(str(error)) from None


def image_places(store: str | Path) -> dict[str, ImagePlace]:
    """The places of the images of a store by name, in its order: images with arrays of their own, then stacks."""
    return {name: place for places in _places_by_group(store) for name, place in places.items()}


def place_of(store: str | Path, name: str) -> ImagePlace:
    """The place of an image. Raises InvalidInput with the names of some images if the store has none of this name."""
    for places in _places_by_group(store):
        if name in places:
            return places[name]
    names = [*image_places(store)]
    shown = ", ".join(names[:NAMES_SHOWN]) + (", ..." if names[NAMES_SHOWN:] else "")
    raise InvalidInput(f"{store} has no image {name!r}", allowed=shown or "none: it has no images")


def _places_by_group(store: str | Path) -> Iterator[Mapping[str, ImagePlace]]:
    """The places of the images with arrays of their own, then those of each stack."""
    yield {name: ImagePlace(name, image_path(name)) for name in recorded(store, IMAGES).get("names", ())}
    for path in map(stack_path, range(recorded(store, STACKS).get("count", 0))):
        document = _document(store, path)
        yield {} if document is None else _places_in_stack(path, document, str(store))


@lru_cache(DOCUMENTS)
def _places_in_stack(path: str, document: bytes, store: str) -> Mapping[str, ImagePlace]:
    return {place.name: place for place in places_in(path, parsed_record(document, path, store))}


def shape_of(place: ImagePlace, array_shape: tuple[int, ...], store: str | Path) -> tuple[int, ...]:
    """Shape ((c,) z, y, x) of an image, from that of an array of its group.

    Raises InvalidInput if the array is too small for what its stack says of the image.
    """
    *leading, slices, height, width = array_shape
    z, y, x = place.shape(array_shape)
    if place.first + z > slices or y > height or x > width:
        raise InvalidInput(
            f"{place.group} of {store} has an array of {array_shape[-3:]} pixels (z, y, x), too small for image"
            f" {place.name!r}",
            hint=f"unetprep verify {store} names all that is damaged, and what to do about it",
        )
    return (*leading, z, y, x)


def image_records(store: str | Path, *required: str) -> dict[str, dict[str, Any]]:
    """Attributes of unetprep of all images by name, in the order of the store. Raises InvalidInput as `image_record`.

    The attributes of a stack are read once, not for each of its images.
    """
    places = image_places(store)
    groups = {group: recorded(store, group) for group in {place.group for place in places.values()}}
    return {name: _complete(place.record(groups[place.group]), name, store, required) for name, place in places.items()}


def image_record(store: str | Path, name: str, *required: str) -> dict[str, Any]:
    """Attributes of unetprep of an image. Raises InvalidInput for an unknown image, and if `required` are missing."""
    place = place_of(store, name)
    return _complete(place.record(recorded(store, place.group)), name, store, required)


def _complete(found: dict[str, Any], name: str, store: str | Path, required: Sequence[str]) -> dict[str, Any]:
    if missing := [key for key in required if key not in found]:
        raise InvalidInput(f"image {name!r} of {store} lacks {', '.join(missing)}")
    return found


def refuse_stale(paths: Sequence[str], store: str | Path) -> None:
    """Raise InvalidInput if one of the arrays, or one of its inputs, was computed from an array since replaced.

    Inputs that are not in the store cannot be compared and are skipped: the groups `tiles` and `fields` may be copied
    without the images, and the inputs of an import are files.
    """
    seen, waiting = set(paths), list(paths)
    while waiting:
        path = waiting.pop()
        record = recorded(store, path)
        for source, then in record.get("inputs", {}).items():
            now = recorded(store, source).get("fingerprint") if source.startswith(OURS) else None
            if now is not None and now != then:
                raise InvalidInput(
                    f"{path} of {store} is stale: it was computed from {source} as it was before",
                    hint=f"unetprep {record.get('stage', 'STAGE')} --out {store} --overwrite",
                )
            if now is not None and source not in seen:
                seen.add(source)
                waiting.append(source)
