"""Pairing of images and labels by file name."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from unetprep.errors import InvalidInput
from unetprep.sources.formats.table import ENDINGS, NAMES, ending_of
from unetprep.sources.labels import as_labels, label_file
from unetprep.sources.opening import open_source
from unetprep.sources.source import Choice, Choices, Source
from unetprep.sources.urls import is_url, local_path, names_in, reachable

LABEL_ENDING = re.compile(r"[-_. ](masks?|labels?|lbl|instances?|segmentation|seg|gt)$", re.IGNORECASE)
IMAGE_ENDING = re.compile(r"[-_. ](images?|img|raw)$", re.IGNORECASE)


CONTAINER_FILES = {"zarr.json", ".zarray", ".zgroup", "attributes.json"}  # of Zarr and N5


def expand(paths: Sequence[str]) -> list[str]:
    """The image files at paths: files and Zarrs themselves, and the images in folders, sorted by name."""
    found = []
    for path in map(local_path, paths):
        names = _names(path)
        if not names or CONTAINER_FILES & set(names):
            found.append(path)
            continue
        inside = sorted(name for name in names if name[0] != "." and ending_of(name) in ENDINGS)
        if not inside:
            raise InvalidInput(f"{path} is a folder without images", allowed=NAMES)
        found += [f"{path}/{name}" if is_url(path) else os.path.join(path, name) for name in inside]
    return found


def _names(path: str) -> list[str]:
    """Names in a folder; [] if `path` is not a folder."""
    if not is_url(path):
        return os.listdir(path) or ["."] if Path(path).is_dir() else []
    if ending_of(path) in ENDINGS:
        return []
    with reachable(path):
        return names_in(path)


def find_pairs(
    images: Sequence[str | Source],
    labels: Sequence[str | Source],
    chosen: Choices | None = None,
    open_file: Callable[[str, Choice], Source] = open_source,
) -> list[tuple[str, Source | None, Source]]:
    """(name, image, labels) for every label image; the image is None if no images are given.

    `chosen` says which image of each file is read, and its axes. A single image is paired with a single label image,
    whatever their names. Several are paired by file name without endings such as `_mask` or `_image`. Raises
    InvalidInput if one has no partner, or if the sizes of a pair differ.
    """
    of_images = Choice.of_images(chosen) if chosen else Choice()
    of_labels = Choice.of_labels(chosen) if chosen else Choice(is_labels=True)
    opened = [*_opened(labels), *(open_file(path, of_labels) for path in expand(_paths(labels)))]
    label_sources = [as_labels(source, of_labels.channel) for source in opened]
    if not images:
        return [(name, None, source) for name, source in _by_name(label_sources, LABEL_ENDING).items()]
    image_sources = [*_opened(images), *(open_file(path, of_images) for path in expand(_paths(images)))]
    if len(image_sources) == len(label_sources) == 1:
        pairs = [(image_sources[0].stem, image_sources[0], label_sources[0])]
    else:
        by_image, by_label = _by_name(image_sources, IMAGE_ENDING), _by_name(label_sources, LABEL_ENDING)
        _check_partners(by_image, by_label)
        pairs = [(name, by_image[name], by_label[name]) for name in by_image]
    for _, image, label in pairs:
        _refuse_same(image, label)
        _check_shapes(image, label)
    return list(pairs)


def open_labels(path: str, chosen: Choices | None = None) -> Source:
    """Open labels, as integers of one channel; see `as_labels`."""
    choice = Choice.of_labels(chosen) if chosen else Choice(is_labels=True)
    return as_labels(open_source(path, choice), choice.channel)


def name_of(stem: str, *endings: re.Pattern[str]) -> str:
    """The name of the image to which a file of this stem belongs: the stem without such endings."""
    for ending in endings:
        stem = ending.sub("", stem) or stem
    return stem


def _opened(inputs: Sequence[str | Source]) -> list[Source]:
    return [source for source in inputs if isinstance(source, Source)]


def _paths(inputs: Sequence[str | Source]) -> list[str]:
    return [path for path in inputs if isinstance(path, str)]


def _by_name(sources: list[Source], ending: re.Pattern[str]) -> dict[str, Source]:
    named: dict[str, Source] = {}
    for source in sources:
        name = name_of(source.stem, ending)
        if name in named:
            raise InvalidInput(
                f"{named[name].path} and {source.path} have the same name {name!r}", hint="rename one of them"
            )
        named[name] = source
    return named


def _check_partners(images: dict[str, Source], labels: dict[str, Source]) -> None:
    for mine, others, kind in ((images, labels, "labels"), (labels, images, "image")):
        alone = [source.path for name, source in mine.items() if name not in others]
        if alone:
            raise InvalidInput(
                f"{alone[0]} has no {kind} of its name" + (f", nor have {len(alone) - 1} more" if alone[1:] else ""),
                allowed="one label image for each image, with the same file name up to _mask, _labels and the like",
            )


def _refuse_same(image: Source, label: Source) -> None:
    if image.place_in_file() is not None and image.place_in_file() == label_file(label).place_in_file():
        raise InvalidInput(
            f"{image.path} is given as image and as labels",
            allowed="two files, or an OME-Zarr image with labels in its group labels",
        )


def _check_shapes(image: Source, label: Source) -> None:
    if image.shape[1:] != label.shape[1:]:
        raise InvalidInput(
            f"{image.path} and its labels {label.path} differ in size:"
            f" {image.shape[1:]} and {label.shape[1:]} pixels (z, y, x)",
            allowed="the same size",
            hint="check that they belong together; if the axes were misread, name them with --axes",
        )
