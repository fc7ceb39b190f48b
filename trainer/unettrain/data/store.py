"""Opening of a store, with checks of its version, completeness and freshness.

Refused are another format version, documents that are invalid or whose checksum does not fit, an array that is missing
or not finished, and one that was computed from something that has since been replaced: every array records the
fingerprints of those it was computed from.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import zarr

import unetprep.errors
from unetprep.format.metadata import DOCUMENT, FORMAT_VERSION, KEY, parse_document, record_of
from unetprep.storage.base import Remote, Storage
from unetprep.storage.paths import safe_key
from unetprep.storage.registry import open_storage
from unettrain.errors import Failure, InvalidInput

Where = TypeVar("Where", bound=str | Path)
Rest = ParamSpec("Rest")
Found = TypeVar("Found")

SERVER_HINT = "see that the server answers and the keys are right, and repeat the command: it goes on where it stopped"
OURS = ("images/", "fields/", "tiles/")


def open_store(store: str | Path) -> zarr.Group:
    """The root group of the store at a path or URL, for reading. Raises InvalidInput if it is none of ours."""
    found = recorded(store, "")
    try:
        with reading(store) as place:
            root = zarr.open_group(place, mode="r", zarr_format=3, use_consolidated=False)
    except FileNotFoundError:
        raise InvalidInput(f"there is no store at {store}", hint="check the path; `unetprep` makes stores") from None
    version = found.get("format_version")
    if version is None:
        raise InvalidInput(f"{store} is Zarr, but no store of unetprep: it has no format_version")
    if version != FORMAT_VERSION:
        raise InvalidInput(
            f"{store} has format version {version}",
            allowed=f"{FORMAT_VERSION}, the only one that this unettrain reads",
            hint="use the release of unettrain that goes with the unetprep that wrote it",
        )
    return root


@contextmanager
def reading(store: str | Path) -> Iterator[Any]:
    """What zarr opens a store by. Whatever a server's client raises inside becomes a Failure that says what to do.

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
    """For a function that opens something of a store: the errors of `reading`."""

    @wraps(opens)
    def opened(store: Where, /, *rest: Rest.args, **more: Rest.kwargs) -> Found:
        try:
            with reading(store):
                return opens(store, *rest, **more)
        except (ValueError, KeyError, TypeError) as error:  # of zarr, at documents that are damaged
            said = f"{type(error).__name__}: {error}"
            hint = f"unetprep verify {store} names what is damaged; --repair deletes it, to be made anew"
            raise Failure(f"the metadata of {store} cannot be read: {said}", hint=hint) from error

    return opened


@lru_cache(64)
def storage_of(store: str) -> Storage:
    """Where the store at a path or URL lies."""
    try:
        return open_storage(store)
    except (unetprep.errors.InvalidInput, ImportError) as error:
        raise InvalidInput(f"{store} cannot be read from here: {error}", hint="see docs/object-stores.md") from None


def attributes(array: zarr.Array[Any]) -> dict[str, Any]:
    """The attributes of ours of an array that `open_array` has opened, which checks its document; {} if it has none."""
    found = array.attrs.get(KEY)
    return found if isinstance(found, dict) else {}


def fingerprint(array: zarr.Array[Any]) -> str:
    """What stands for the values of an array."""
    return str(attributes(array).get("fingerprint", ""))


def open_array(root: zarr.Group, path: str, store: str | Path, command: str) -> zarr.Array[Any]:
    """An array that is there and finished.

    Raises InvalidInput with the command that makes it, and where its document is damaged.
    """
    found = recorded(store, path)
    array = root.get(path)
    if not isinstance(array, zarr.Array):
        raise InvalidInput(f"{store} has no {path}", hint=command)
    if not found.get("complete", False):
        raise InvalidInput(f"{path} of {store} is not finished", hint=f"run it again, it goes on: {command}")
    return array


def recorded(store: str | Path, path: str) -> dict[str, Any]:
    """The attributes of ours of a group or array, read from its document alone; {} where it is not there.

    Raises InvalidInput for an invalid document, for one whose checksum does not fit, and for a path that leaves the
    store.
    """
    try:
        key = safe_key(f"{path}/{DOCUMENT}" if path else DOCUMENT, f"a path in a document of {store}")
        with reading(store):
            return parsed_record(storage_of(str(store)).get(key), path, store)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except unetprep.errors.InvalidInput as error:
        raise InvalidInput(str(error)) from None


def parsed_record(document: bytes, path: str, store: str | Path) -> dict[str, Any]:
    """The attributes of ours in the document of the node at `path`. Raises InvalidInput as `recorded` does."""
    where = f"{path}/{DOCUMENT}".lstrip("/")
    hint = f"unetprep verify {store} names all that is damaged, and what to do about it"
    try:
        return record_of(parse_document(document, f"{where} of {store}", hint))
    except unetprep.errors.InvalidInput as error:
        raise InvalidInput(str(error)) from None


def image_record(store: str | Path, name: str, *required: str) -> dict[str, Any]:
    """The attributes of ours of an image. Raises InvalidInput where one of `required` is missing."""
    found = recorded(store, f"images/{name}")
    if missing := [key for key in required if key not in found]:
        raise InvalidInput(f"image {name!r} of {store} lacks {', '.join(missing)}")
    return found


def refuse_stale(paths: Sequence[str], store: str | Path) -> None:
    """Raise InvalidInput if one of the arrays, or one it was computed from, was made of something since replaced.

    What is no longer in the store cannot be compared and is passed over: the groups `tiles` and `fields` may travel
    without the images. At import an input is a file that lay elsewhere.
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
