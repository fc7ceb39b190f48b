"""TIFF files as sources. tifffile is loaded when the first one is opened or read, not with this module."""

import os
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box
from unetprep.sources.chunk_cache import is_kept, read_by_parts
from unetprep.sources.source import CHANNEL_AXES, STACK_AXES, Choice, Decode, Source
from unetprep.sources.urls import File, LocalFile, is_url

SMALL_TIFF_BYTES = 2**22  # of the pixels
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class TiffSource(Source):
    """An image of a TIFF file. Only the strips, tiles or pages that a box needs are decoded; large ones are cached.

    A small local file is decoded as a whole, which takes a tenth of the time of finding its parts. If its pixels are
    uncompressed and contiguous, they are read without parsing the file again. `series` and `level` are the place of the
    image in the file. The shape is without an alpha channel that is opaque everywhere.
    """

    series: int = 0
    level: int = 0
    alpha_axis: int = -1  # along which the file has an opaque alpha channel besides; -1 if it has none
    contiguous: "ContiguousPixels | None" = field(default=None, kw_only=True, compare=False)

    def _read_file(self, box: Box) -> NDArray[Any]:
        from unetprep.sources.formats import tiff_parts

        file, place = self._current_version(), (self.series, self.level)
        if self.contiguous and self.contiguous.version == file[1:]:
            return self.contiguous.read(self.path, self._shape_in_file)[box]
        whole = partial(tiff_parts.read_whole, shape=self._shape_in_file)
        read = whole if self._is_small else tiff_parts.read_tiff
        if self.keeps_parts():
            key = (file, place)
            return read_by_parts(key, self.file_shape, self.part_shape(), box, partial(read, file, place))
        return read(file, place, box)

    @property
    def _is_small(self) -> bool:
        return not is_url(self.path) and prod(self.file_shape) * np.dtype(self.dtype).itemsize <= SMALL_TIFF_BYTES

    @property
    def _shape_in_file(self) -> tuple[int, ...]:
        return tuple(n + (axis == self.alpha_axis) for axis, n in enumerate(self.file_shape))

    def part_shape(self) -> tuple[int, ...]:
        """Shape of the parts that are decoded together, along the axes of the file."""
        from unetprep.sources.formats.tiff_parts import tiff_part_shape

        return (
            self.file_shape if self._is_small else tiff_part_shape(self._current_version(), (self.series, self.level))
        )

    def keeps_parts(self) -> bool:
        """Whether decoded parts are cached."""
        return is_kept(self.part_shape(), np.dtype(self.dtype).itemsize)

    def _current_version(self) -> File | LocalFile:
        if is_url(self.path):
            return File.at(self.path, self.endpoint)
        found = os.stat(self.path)
        return LocalFile(self.path, found.st_mtime_ns, found.st_size)


@dataclass(frozen=True)
class ContiguousPixels:
    """Place of uncompressed pixels, one after the other, in a version of a local file."""

    version: tuple[int, int]  # time of change (ns) and size, as in LocalFile
    offset: int  # of the first pixel, in bytes
    dtype: str  # with its byte order

    @staticmethod
    def of(tiff: Any, image: Any) -> "ContiguousPixels | None":
        """Those of an image (a series of tifffile) of an open file; None if they are not contiguous."""
        if image.dataoffset is None:
            return None
        found = os.fstat(tiff.filehandle.fileno())
        dtype = image.dtype.newbyteorder(tiff.byteorder).str
        return ContiguousPixels((found.st_mtime_ns, found.st_size), image.dataoffset, dtype)

    def read(self, path: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """All pixels."""
        values = np.fromfile(path, self.dtype, prod(shape), offset=self.offset).reshape(shape)
        return values.astype(values.dtype.newbyteorder("="), copy=False)


class TiffSetSource(TiffSource):
    """An image of an OME-TIFF of several files, of which only one is named."""


def open_file(path: str, choice: Choice, decode: Decode | None) -> TiffSource:
    """The chosen image of a TIFF file."""
    from tifffile import TiffFile

    from unetprep.sources.formats import tiff_images
    from unetprep.sources.formats.tiff_parts import open_tiff

    with nullcontext(open_tiff(File.at(path)).tiff) if is_url(path) else TiffFile(path) as tiff:
        kind = TiffSetSource if tiff_images.refuse_missing_files(path, tiff) else TiffSource
        place = tiff_images.find_image(path, tiff, choice)
        image = tiff_images.image_at(tiff, place)
        axes = "".join("z" if a in STACK_AXES else "c" if a in CHANNEL_AXES else a for a in image.axes.lower())
        size, unit = tiff_images.read_pixel_size(tiff, place)
        source = kind(path, axes, image.shape, image.dtype.name, *place, pixel_size=size, unit=unit)
        if tiff_images.has_alpha(image):
            return _without_opaque_alpha(source, image.axes.index("S"))
        if not is_url(path) and image.nbytes <= SMALL_TIFF_BYTES:
            contiguous = ContiguousPixels.of(tiff, image) if kind is TiffSource else None
            if contiguous:
                return replace(source, contiguous=contiguous)
            if decode:
                decode(path, image.nbytes, image.asarray)
    return source


def _without_opaque_alpha(source: TiffSource, alpha_axis: int) -> TiffSource:
    """The source without its alpha channel if that has the largest value everywhere, as of a PNG."""
    shape, largest = source.file_shape, np.iinfo(source.dtype).max
    rows = source.axes.index("y")
    alpha = [slice(0, n) for n in shape]
    alpha[alpha_axis] = slice(shape[alpha_axis] - 1, shape[alpha_axis])
    for start in range(0, shape[rows], ROWS_AT_ONCE):
        alpha[rows] = slice(start, min(start + ROWS_AT_ONCE, shape[rows]))
        if (source._read_file(tuple(alpha)) != largest).any():
            return source
    kept = tuple(n - (axis == alpha_axis) for axis, n in enumerate(shape))
    return replace(source, file_shape=kept, alpha_axis=alpha_axis)
