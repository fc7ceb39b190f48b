"""Images of stacks as sources. Like all images of a store they are named STORE/images/NAME, which is no folder here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from unetprep.format.boxes import Box
from unetprep.format.layout import IMAGES
from unetprep.format.places import ImagePlace
from unetprep.sources import Source, open_source
from unetprep.sources.formats.table import FILE_ENDINGS
from unetprep.sources.source import Choice
from unetprep.sources.urls import is_url, local_path
from unettrain.data.store import image_places, recorded, shape_of


@dataclass(frozen=True)
class StackedImage(Source):
    """An array of one image of a stack, without the padding. `stack` is the whole array."""

    stack: Source
    place: ImagePlace

    def _read_file(self, box: Box) -> NDArray[Any]:
        return self.stack.read(self.place.box(box))


class StackedPath(NamedTuple):
    """What STORE/images/NAME or STORE/images/NAME/PART names: the store, the place of the image, and the part."""

    store: str
    place: ImagePlace
    part: str  # such as labels/target; "" for the image itself


def split_path(path: str) -> tuple[str, str, str] | None:
    """(STORE, NAME, PART) of a path or URL STORE/images/NAME or STORE/images/NAME/PART; None for any other path."""
    path = local_path(path)
    whole = (path if is_url(path) else str(Path(path).absolute())).rstrip("/")
    store, found, rest = whole.rpartition(f"/{IMAGES}/")
    name, _, part = rest.partition("/")
    return (store, name, part) if found else None


def find_stacked(path: str) -> StackedPath | None:
    """What a path names, if that is an image of a stack or a part of it; None for any other path.

    Raises InvalidInput if a document of the store is damaged.
    """
    named = split_path(path)
    if (
        named is None
        or Path(path).suffix.lower() in FILE_ENDINGS
        or (not is_url(path) and Path(local_path(path)).exists())
    ):
        return None
    store, name, part = named
    if "format_version" not in recorded(store, ""):
        return None
    place = image_places(store).get(name)
    return StackedPath(store, place, part) if place and place.index is not None else None


def open_stacked(path: str, found: StackedPath) -> StackedImage:
    """An array of an image of a stack as a source named `path`. Raises InvalidInput if it is missing or unfinished."""
    stack = open_source(f"{found.store}/{found.place.group}/{found.part}".rstrip("/"))
    shape = shape_of(found.place, stack.shape, found.store)
    return StackedImage(path, "czyx", shape, stack.dtype, stack, found.place, endpoint=stack.endpoint)


def open_image_file(path: str, choice: Choice | str = "") -> Source:
    """Open an image file, or an image of a store; `choice` and errors are those of `unetprep.sources.open_source`."""
    found = find_stacked(path)
    return open_stacked(path, found) if found else open_source(path, choice)
