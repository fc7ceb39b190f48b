"""Checks that no pixels are in two splits: in a test image and, by another name, in a training image.

Names show it where an image is imported whole and its strips are there already; digests of the pixels show it where one
image has two names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unetprep.errors import Conflict
from unetprep.format.layout import SPLITS, pixels_path
from unetprep.format.metadata import DamagedDocument
from unetprep.format.places import TABLE, places_in
from unetprep.sources.first_pass import UNKNOWN
from unetprep.stages.importing import Import
from unetprep.store import Store

MOST_WARNINGS = 5  # pairs of images named in warnings


@dataclass(frozen=True)
class SamePixels:
    """Two images of the same pixels in two splits; `image` is one of those that are imported."""

    image: str
    split: str
    other: str
    other_split: str

    def __str__(self) -> str:
        return f"image {self.image!r} ({self.split}) has the same pixels as {self.other!r} ({self.other_split})"


def refuse_leakage(planned: Import, store: Store, *, overwrite: bool) -> list[str]:
    """Raise Conflict where an import would put the pixels of an image into two splits, seen by its name.

    The same pixels under two names are refused in an import with `--split`; where chance or the data set assigned the
    splits, they are named in the warnings that are returned.
    """
    _refuse_shared_names(planned, store)
    if planned.split and not overwrite:
        _refuse_name_of_other_split(planned, store, planned.split)
    shared = same_pixels(planned, store)
    if planned.split:
        _refuse_same_pixels(shared)
    return _warnings(shared)


def _refuse_shared_names(planned: Import, store: Store) -> None:
    """Raise Conflict if the store holds strips of an image that is imported whole, or the whole of strips."""
    places = store.places
    for name in planned.names:
        whole, _, split = name.rpartition("-")
        relatives = [f"{name}-{s}" for s in SPLITS] + ([whole] if split in SPLITS else [])
        there = [relative for relative in relatives if relative in places]
        if there:
            raise Conflict(
                f"{store.url} holds {there[0]!r}, and {name!r} would share pixels with it across the splits",
                hint="import into another store",
            )


def _refuse_name_of_other_split(planned: Import, store: Store, split: str) -> None:
    """Raise Conflict if an image that is imported as `split` has the name of an image of another split of the store."""
    places = store.places
    for name in planned.names:
        there = store.image_record(name)["split"] if name in places else split
        if there != split:
            raise Conflict(
                f"image {name!r} is in {store.url} already, in another split: it is {there} there and {split} now",
                hint="give the files of the two splits different names; if it is the same image, leave it out of one."
                " --overwrite replaces the image that is there, and its split",
            )


def same_pixels(planned: Import, store: Store) -> list[SamePixels]:
    """Images of a planned import that have the pixels of an image of another split, in the import or in the store."""
    given = list(_planned_images(planned))
    names = {name for name, _, _ in given}
    there = [found for found in _stored_images(store) if found[0] not in names]
    first: dict[tuple[str, str], str] = {}  # name of the first image of these pixels in a split
    for name, split, digest in (*there, *given):
        first.setdefault((digest, split), name)
    return [
        SamePixels(name, split, first[digest, other], other)
        for name, split, digest in given
        for other in SPLITS
        if other != split and digest != UNKNOWN and (digest, other) in first
    ]


def _refuse_same_pixels(found: list[SamePixels]) -> None:
    """Raise Conflict if images of one import with `--split` have the pixels of images of another split."""
    if found:
        more = f"; so do {len(found) - 1} more" if found[1:] else ""
        raise Conflict(
            f"{found[0]}{more}",
            allowed="images that are in one split alone",
            hint="leave these files out of one split: scores of images that the training has used say nothing",
        )


def _warnings(found: list[SamePixels]) -> list[str]:
    """A sentence for each pair of images, and one for the rest of many."""
    once = {frozenset((pair.image, pair.other)): pair for pair in found}.values()
    said = [
        f"{pair}: leave one of them out, as scores of images that the training has used say nothing"
        for pair in [*once][:MOST_WARNINGS]
    ]
    more = len(once) - MOST_WARNINGS
    return [*said, f"{more} more images have the same pixels in two splits"] if more > 0 else said


def _planned_images(planned: Import) -> Iterator[tuple[str, str, str]]:
    """(name, split, digest) of every image of an import, by the arrays that are planned."""
    outputs = {spec.path: spec for job in planned.jobs for spec in job.outputs}
    for group, record in planned.groups.items():
        spec = outputs.get(pixels_path(group))
        if spec:
            digests = spec.extra["digests"] if TABLE in record else [spec.provenance.inputs["pixels"]]
            yield from _images_of(group, record, digests)


def _stored_images(store: Store) -> Iterator[tuple[str, str, str]]:
    """(name, split, digest) of every image of a store, but for those whose document is damaged: an import mends it."""
    for group in store.groups:
        try:
            pixels, record = store.record(pixels_path(group)), store.record(group)
        except DamagedDocument:
            continue
        digests = pixels.get("digests") or [pixels.get("inputs", {}).get("pixels", UNKNOWN)]
        if pixels:
            yield from _images_of(group, record, digests)


def _images_of(group: str, record: Mapping[str, Any], digests: list[str]) -> Iterator[tuple[str, str, str]]:
    for place in places_in(group, record):
        yield place.name, str(place.value("split", record)), digests[place.first]
