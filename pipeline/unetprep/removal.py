"""Removal of images from a store."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from unetprep.errors import Conflict
from unetprep.format.layout import IMAGES, JOURNAL, LEARNED, PLACES, TILES
from unetprep.storage.lock import locked
from unetprep.storage.paths import StrPath
from unetprep.store import Store

TILE_ARRAYS = tuple(f"{TILES}/{name}" for name in ("image", "target", "weights", "instances", *PLACES, *LEARNED))


@dataclass(frozen=True)
class Removed:
    """Result of a removal: the images, and whether tiles were made from them, which are no longer valid."""

    images: tuple[str, ...]
    tiles: bool


def remove(store: StrPath, images: str | Sequence[str]) -> Removed:
    """Remove images from a store, so that no later stage sees them.

    The arrays of an image that has some of its own are deleted. An image of a stack stays in its slice, but no longer
    belongs to any split; an import does not bring it back. Weight maps of the other images are kept, with the class
    weights that they were made with; tiles become unfinished, to be made again with `overwrite`.

    Raises InvalidInput for an unknown image, before anything is changed, and Conflict while labels are being updated.
    """
    url, names = os.fspath(store), [images] if isinstance(images, str) else list(dict.fromkeys(images))
    Store.open(url)
    with locked(Store(url).storage, url):
        opened = Store.open(url)
        places = [opened.place(name) for name in names]
        if JOURNAL in opened.record(IMAGES):
            raise Conflict(f"an update of the labels of {url} was stopped", hint="repeat that unetprep relabel first")
        tiles = [path for path in TILE_ARRAYS if opened.record(path)]
        for path in tiles:
            opened.invalidate(path)
        for place in places:
            if place.index is not None:
                opened.update_image(place.name, split=None)
            else:
                opened.storage.delete(place.group)
        alone = {place.name for place in places if place.index is None}
        kept = [name for name in opened.record(IMAGES).get("names", []) if name not in alone]
        opened.update_record(IMAGES, names=kept)
    return Removed(tuple(names), bool(tiles))
