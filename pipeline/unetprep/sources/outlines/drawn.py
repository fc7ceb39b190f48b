"""Labels of an image drawn from an annotation file, as a source that draws only what a box holds."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box
from unetprep.sources.outlines.objects import Outlines, Overlaps
from unetprep.sources.source import Source

Version = tuple[int, int]  # time of change (ns) and size of a file


class AnnotationFile(Protocol):
    """An annotation file that has been read."""

    def outlines(self, image: str) -> Outlines:
        """The objects of an image, which is named as the layout names it. Raises InvalidInput for damaged ones."""
        ...


class Reader(Protocol):
    """A module of `unetprep.sources.layouts` that reads annotation files."""

    def read_annotations(self, path: str) -> AnnotationFile:
        """Read a file. Raises InvalidInput if it is damaged."""
        ...


@dataclass(frozen=True)
class Drawn:
    """The labels of an image in an annotation file: the module that reads it, its path, and the image in it."""

    reader: str
    path: str
    image: str = ""

    def outlines(self) -> Outlines:
        """The objects of the image; the last ones are cached."""
        return _outlines(self.reader, self.path, _version(self.path), self.image)

    def open_for(self, image: Source) -> "DrawnLabels":
        """The labels, of the size of the image. Raises InvalidInput if they do not fit it."""
        _, z, y, x = image.shape
        self.outlines().check(self.path, (z, y, x))
        return DrawnLabels(self.path, "zyx", (z, y, x), "int32", self.reader, self.image)


@dataclass(frozen=True)
class DrawnLabels(Source):
    """Labels that are drawn when they are read, 1, 2, 3, ... in the order of the file, later ones on top."""

    reader: str
    image: str

    def outlines(self) -> Outlines:
        """The objects that are drawn."""
        return Drawn(self.reader, self.path, self.image).outlines()

    @property
    def is_of_objects(self) -> bool:
        """True."""
        return True

    def survey(self) -> Overlaps:
        """Draw them all once, and count what is lost."""
        _, z, y, x = self.shape
        return self.outlines().survey((z, y, x))

    def _read_file(self, box: Box) -> NDArray[Any]:
        objects = self.outlines()
        slices, rows, columns = box
        window = rows.start, columns.start, rows.stop, columns.stop
        return np.stack([objects.draw(z, window) for z in range(slices.start, slices.stop)])


def class_numbers(labels: Iterable[DrawnLabels]) -> dict[str, int]:
    """Numbers of the classes of objects, 1, 2, ... in the order of their names."""
    names = {thing.class_name for each in labels for thing in each.outlines().objects}
    return {name: number for number, name in enumerate(sorted(names - {""}), 1)}


def _version(path: str) -> Version:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size


def annotation_file(reader: str, path: str) -> AnnotationFile:
    """The file, read by a module of `unetprep.sources.layouts`; the last ones are cached."""
    return _file(reader, path, _version(path))


@lru_cache(maxsize=2)
def _file(reader: str, path: str, version: Version) -> AnnotationFile:
    module = cast(Reader, import_module(f"unetprep.sources.layouts.{reader}"))
    return module.read_annotations(path)


@lru_cache(maxsize=8)
def _outlines(reader: str, path: str, version: Version, image: str) -> Outlines:
    return _file(reader, path, version).outlines(image)
