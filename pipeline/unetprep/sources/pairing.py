"""Pairing of images and labels by file name."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from unetprep.errors import Faults, InvalidInput
from unetprep.sources.arrays import ArraySource
from unetprep.sources.formats.table import ENDINGS, NAMES, ending_of
from unetprep.sources.opening import open_source
from unetprep.sources.source import Source
from unetprep.sources.urls import is_url, local_path, names_in, reachable

LABEL_ENDING = re.compile(r"[-_. ](masks?|labels?|lbl|instances?|segmentation|seg|gt)$", re.IGNORECASE)
IMAGE_ENDING = re.compile(r"[-_. ](images?|img|raw)$", re.IGNORECASE)


ZARR_FILES = {"zarr.json", ".zarray", ".zgroup"}


def expand(paths: Sequence[str]) -> list[str]:
    """The image files at paths: files and Zarrs themselves, and the images in folders, sorted by name."""
    found = []
    for path in map(local_path, paths):
        names = _names(path)
        if not names or ZARR_FILES & set(names):
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
    axes: str = "",
    open_file: Callable[[str, str], Source] = open_source,
    faults: Faults | None = None,
) -> list[tuple[str, Source | None, Source]]:
    """(name, image, labels) for every label image; the image is None if no images are given.

    A single image is paired with a single label image, whatever their names. Several are paired by file name without
    endings such as `_mask` or `_image`. Raises InvalidInput if one has no partner. Files that cannot be read and pairs
    that do not fit are left out and added to `faults`; without it, they are raised together.
    """
    found = faults or Faults()
    label_sources = _sources(labels, lambda path: one_channel(open_file(path, "")), found)
    pairs: list[tuple[str, Source | None, Source]]
    if not images:
        pairs = [(name, None, source) for name, source in _by_name(label_sources, LABEL_ENDING).items()]
    else:
        image_sources = _sources(images, lambda path: open_file(path, axes), found)
        pairs = [*_paired(image_sources, label_sources, found)]
    if faults is None or not pairs:
        found.refuse()
    return pairs


def _sources(inputs: Sequence[str | Source], open_path: Callable[[str], Source], faults: Faults) -> list[Source]:
    """Sources and the files at paths, without those that cannot be read."""
    sources = [source for source in inputs if isinstance(source, Source)]
    for path in expand(_paths(inputs)):
        with faults.collected():
            sources.append(open_path(path))
    return sources


def _paired(images: list[Source], labels: list[Source], faults: Faults) -> Iterator[tuple[str, Source, Source]]:
    """Images and labels by name, without the pairs that do not fit, and those of files that cannot be read."""
    if len(images) == len(labels) == 1 and not faults.count:
        by_image, by_label = {images[0].stem: images[0]}, {images[0].stem: labels[0]}
    else:
        by_image, by_label = _by_name(images, IMAGE_ENDING), _by_name(labels, LABEL_ENDING)
        if not faults.count:
            _check_partners(by_image, by_label)
    with faults.collected():
        _refuse_mixed_channels(by_image.values())
    for name, image in by_image.items():
        if name in by_label:
            with faults.collected():
                _refuse_one_for_both(image, by_label[name])
                _check_shapes(image, by_label[name])
                yield name, image, by_label[name]


def _refuse_mixed_channels(images: Iterable[Source]) -> None:
    """Raise InvalidInput for images of different numbers of channels, naming two of them."""
    kinds: dict[int, list[str]] = {}
    for image in images:
        kinds.setdefault(image.shape[0], []).append(image.path)
    if len(kinds) > 1:
        seen = ", ".join(f"{num} as in {paths[0]} ({len(paths)} images)" for num, paths in sorted(kinds.items()))
        raise InvalidInput(
            f"the images have different numbers of channels: {seen}",
            allowed="the same channels in all images of a store",
            hint="save all as grey images or all as RGB, without an alpha channel; or import each kind into a store",
        )


def _refuse_one_for_both(image: Source, label: Source) -> None:
    """Raise InvalidInput if an image and its labels are one array."""
    if _is_one(image, label):
        raise InvalidInput(
            f"{image.path} is given as an image and as its labels",
            allowed="an image, and labels that number its cells",
        )


def open_labels(path: str) -> Source:
    """Open labels, of one channel; see `one_channel`."""
    return one_channel(open_source(path))


def one_channel(labels: Source) -> Source:
    """Labels with the channels of (c, y, x) as slices. Raises InvalidInput for other labels of several channels."""
    if labels.axes == "cyx":
        return replace(labels, axes="zyx")
    if labels.shape[0] != 1:
        raise InvalidInput(
            f"{labels.path} has {labels.shape[0]} channels (shape {labels.file_shape})",
            allowed="label images of one channel, whose values are the numbers of the cells",
            hint="save the labels as numbers, not as colours",
        )
    return labels


def name_of(stem: str, *endings: re.Pattern[str]) -> str:
    """The name of the image to which a file of this stem belongs: the stem without such endings."""
    for ending in endings:
        stem = ending.sub("", stem) or stem
    return stem


def _is_one(image: Source, label: Source) -> bool:
    """Whether two sources are one array: of a file, or in memory."""
    if isinstance(image, ArraySource) or isinstance(label, ArraySource):
        return isinstance(image, ArraySource) and isinstance(label, ArraySource) and image.pixels is label.pixels
    places = [(source.path.rstrip("/"), getattr(source, "array_path", "")) for source in (image, label)]
    return places[0] == places[1] and type(image) is type(label)


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


def _check_shapes(image: Source, label: Source) -> None:
    if image.shape[1:] != label.shape[1:]:
        raise InvalidInput(
            f"{image.path} and its labels {label.path} differ in size:"
            f" {image.shape[1:]} and {label.shape[1:]} pixels (z, y, x)",
            allowed="the same size",
            hint="check that they belong together; if the axes were misread, name them with --axes",
        )
