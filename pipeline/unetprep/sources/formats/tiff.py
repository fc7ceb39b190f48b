"""TIFF files as sources. tifffile is loaded when the first one is opened or read, not with this module."""

import os
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.chunk_cache import is_kept, read_by_parts
from unetprep.sources.source import CHANNEL_AXES, STACK_AXES, Decode, Source
from unetprep.sources.urls import File, LocalFile, is_url

SMALL_TIFF_BYTES = 2**22  # of the pixels


@dataclass(frozen=True)
class TiffSource(Source):
    """A TIFF file. Only the strips, tiles or pages that a box needs are decoded; large ones are cached.

    A small local file is decoded as a whole, which takes a tenth of the time of finding its parts. If its pixels are
    uncompressed and contiguous, they are read without parsing the file again.
    """

    contiguous: "ContiguousPixels | None" = field(default=None, kw_only=True, compare=False)

    def _read_file(self, box: Box) -> NDArray[Any]:
        from unetprep.sources.formats import tiff_parts

        file = self._current_version()
        if self.contiguous and self.contiguous.version == file[1:]:
            return self.contiguous.read(self.path, self.file_shape)[box]
        read = tiff_parts.read_whole if self._is_small else tiff_parts.read_tiff
        if self.keeps_parts():
            return read_by_parts(file, self.file_shape, self.part_shape(), box, partial(read, file, self.file_shape))
        return read(file, self.file_shape, box)

    @property
    def _is_small(self) -> bool:
        return not is_url(self.path) and prod(self.file_shape) * np.dtype(self.dtype).itemsize <= SMALL_TIFF_BYTES

    def part_shape(self) -> tuple[int, ...]:
        """Shape of the parts that are decoded together, along the axes of the file."""
        from unetprep.sources.formats.tiff_parts import tiff_part_shape

        return self.file_shape if self._is_small else tiff_part_shape(self._current_version())

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

    def read(self, path: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """All pixels."""
        values = np.fromfile(path, self.dtype, prod(shape), offset=self.offset).reshape(shape)
        return values.astype(values.dtype.newbyteorder("="), copy=False)


def open_file(path: str, decode: Decode | None) -> TiffSource:
    """The only image of a TIFF file."""
    from tifffile import TiffFile

    from unetprep.sources.formats.tiff_parts import open_tiff

    with nullcontext(open_tiff(File.at(path)).tiff) if is_url(path) else TiffFile(path) as tiff:
        if len(tiff.series) > 1:
            shapes = ", ".join(str(series.shape) for series in tiff.series[:4])
            raise InvalidInput(
                f"{path} holds {len(tiff.series)} images: {shapes}", hint="save each as a file of its own"
            )
        series = tiff.series[0]
        names = series.axes.lower()
        contiguous = None
        if not is_url(path) and series.nbytes <= SMALL_TIFF_BYTES:
            if series.dataoffset is not None:
                found = os.fstat(tiff.filehandle.fileno())
                version = found.st_mtime_ns, found.st_size
                contiguous = ContiguousPixels(version, series.dataoffset, series.dtype.newbyteorder(tiff.byteorder).str)
            elif decode:
                decode(path, series.nbytes, series.asarray)
    axes = "".join("z" if a in STACK_AXES else "c" if a in CHANNEL_AXES else a for a in names)
    return TiffSource(path, axes, series.shape, series.dtype.name, contiguous=contiguous)
