"""Images of stacks as sources. Like all images of a store they are named STORE/images/NAME, which is no folder here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unetprep.format.boxes import Box
from unetprep.format.layout import IMAGES
from unetprep.format.places import ImagePlace
from unetprep.sources import Source, open_source
from unetprep.sources.readers import PICTURES, TIFFS
from unetprep.sources.urls import is_url, local_path
from unettrain.data.store import image_places, recorded, shape_of

FILES = (*TIFFS, *PICTURES, ".npy")  # endings of files, which are never images of a store


@dataclass(frozen=True)
class StackedImage(Source):
    """An array of one image of a stack, without the padding. `stack` is the whole array."""

    stack: Source
    place: ImagePlace

    def _read_file(self, box: Box) -> NDArray[Any]:
        return self.stack.read(self.place.box(box))


def split_path(path: str) -> tuple[str, str] | None:
    """(STORE, NAME) of a path or URL STORE/images/NAME; None for any other path."""
    path = local_path(path)
    parts = (path if is_url(path) else str(Path(path).absolute())).rstrip("/").rsplit("/", 2)
    return (parts[0], parts[2]) if len(parts) == 3 and parts[1] == IMAGES else None


def find_stacked(path: str) -> tuple[str, ImagePlace] | None:
    """The store and the place of an image of a stack that is named STORE/images/NAME; None for any other path.

    Raises InvalidInput if a document of the store is damaged.
    """
    named = split_path(path)
    if named is None or Path(path).suffix.lower() in FILES or (not is_url(path) and Path(local_path(path)).exists()):
        return None
    store, name = named
    if "format_version" not in recorded(store, ""):
        return None
    place = image_places(store).get(name)
    return (store, place) if place and place.index is not None else None


def open_stacked(path: str, store: str, place: ImagePlace, part: str = "") -> StackedImage:
    """The pixels of an image of a stack, or the `part` of its group at another path, as a source named `path`.

    Raises InvalidInput if the array is missing or unfinished.
    """
    stack = open_source(f"{store}/{place.group}/{part}".rstrip("/"))
    shape = shape_of(place, stack.shape, store)
    return StackedImage(path, "czyx", shape, stack.dtype, stack, place, endpoint=stack.endpoint)
