"""Table of the image formats: their endings, the module that reads each, and its library.

A module of `unetprep.sources.formats` has a function `open_file(path, decode)`, which returns a `Source` with the axes
of the file, or raises one of `unetprep.sources.source.DAMAGED`. It is imported with the first file of its format.
"""

import os
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from unetprep.sources.source import Decode, Source


class Reader(Protocol):
    """A module that reads a format."""

    def open_file(self, path: str, decode: Decode | None) -> Source:
        """The image at a path or URL. `decode` may take the pixels of a small local file."""
        ...


@dataclass(frozen=True)
class Format:
    """An image format. `is_folder` says that its files are folders, which may have any name."""

    name: str
    endings: tuple[str, ...]
    module: str
    is_folder: bool = False

    @property
    def reader(self) -> Reader:
        """The module that reads it."""
        return cast(Reader, import_module(f"unetprep.sources.formats.{self.module}"))


ZARR = Format("Zarr", (".zarr",), "zarr_files", is_folder=True)
FORMATS = (
    Format("TIFF", (".tif", ".tiff"), "tiff"),
    Format("PNG, JPEG, BMP", (".png", ".jpg", ".jpeg", ".bmp"), "pictures"),
    Format(".npy", (".npy",), "npy"),
    ZARR,
)
NAMES = ", ".join(known.name for known in FORMATS)
ENDINGS = tuple(ending for known in FORMATS for ending in known.endings)
FILE_ENDINGS = tuple(ending for known in FORMATS if not known.is_folder for ending in known.endings)


def ending_of(path: str) -> str:
    """The ending of a file name, in lower case."""
    return os.path.splitext(path)[1].lower()


def format_of(path: str) -> Format | None:
    """The format of a file by its ending; None for an unknown one."""
    return next((known for known in FORMATS if ending_of(path) in known.endings), None)
