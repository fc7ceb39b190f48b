"""Reading of boxes from TIFF files. Of a file at a URL, the required strips and tiles are fetched together.

zarr would read them one after the other on its event loop, with a round trip to the server for each.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from threading import Lock
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetprep.format.boxes import Box, box_shape
from unetprep.sources.urls import File, LocalFile, read_box

Place = tuple[int, int]  # number of the series and of the level of an image
JPEGS = (6, 7, 34892, 33007)  # compressions whose tables are stored apart from the strips


def opened(store: Any) -> Any:
    """A series of tifffile as an array of zarr-python, which takes longer to import than many small images to read."""
    import zarr

    return zarr.open_array(store, mode="r")


class Tiff:
    """An image in an open TIFF file, by number of series and level, with the metadata of its pages. Thread-safe."""

    def __init__(self, file: File, place: Place) -> None:
        self._file, self._place = file, place
        self._lock = Lock()  # tifffile seeks in one shared file to find pages
        self.tiff = tifffile.TiffFile(file.open(), name=file.url)
        self._series = self.tiff.series[place[0]].levels[place[1]]
        self._frame = self._series.keyframe
        self._offset = self._series.dataoffset
        self._is_stack = self._offset is None and self._is_plain()
        self._places = self._segments() if self._is_stack else []

    def read(self, box: Box) -> NDArray[Any]:
        """The pixels of a box of the series."""
        series = self._series
        box = tuple(slice(*b.indices(n)) for b, n in zip(box, series.shape, strict=True))
        if self._offset is not None:
            dtype = series.dtype.newbyteorder(self.tiff.byteorder)
            return read_box(self._file, self._offset, series.shape, dtype, box)
        if not self._is_stack:
            with self._lock, self.tiff.aszarr(series=self._place[0], level=self._place[1]) as store:
                return np.asarray(opened(store)[box])
        split = series.ndim - len(self._frame.shape)
        pages = [
            int(np.ravel_multi_index(place, series.shape[:split])) if place else 0
            for place in product(*(range(b.start, b.stop) for b in box[:split]))
        ]
        return self._read_pages(pages, box[split:]).reshape(box_shape(box))

    def part_shape(self) -> tuple[int, ...]:
        """Shape of the parts that are decoded together, a strip, tile or page, along the axes of the series."""
        with self._lock, self.tiff.aszarr(series=self._place[0], level=self._place[1]) as store:
            return tuple(opened(store).chunks)

    def _is_plain(self) -> bool:
        """Whether the series is a stack of pages of one shape."""
        shape, page = self._series.shape, self._frame.shape
        split = len(shape) - len(page)
        is_stack = split >= 0 and shape[split:] == page and np.prod(shape[:split], dtype=int) == len(self._series)
        return is_stack and {"Y", "X"} <= set(self._frame.axes)

    def _segments(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """For each strip or tile of a page its position (separate samples, z, y, x) and shape (z, y, x, samples)."""
        return [self._frame.decode(None, i)[1:] for i in range(len(self._frame.dataoffsets))]

    def _read_pages(self, pages: Sequence[int], box: Box) -> NDArray[Any]:
        frame = self._frame
        y, x = (box[frame.axes.index(axis)] for axis in "YX")
        touched = [
            i
            for i, ((_, _, h, w, *_), (_, rows, columns, _)) in enumerate(self._places)
            if h < y.stop and h + rows > y.start and w < x.stop and w + columns > x.start
        ]
        with self._lock:
            found = [self._series[i] for i in pages]
            options = [self._options(page) for page in found]
            ranges = [(page.dataoffsets[i], page.databytecounts[i]) for page in found if page for i in touched]
        parts = iter(self._file.read_ranges(ranges))
        blocks = [
            self._decode({i: next(parts) for i in touched if page}, y, x, option)
            for page, option in zip(found, options, strict=True)
        ]
        inner = tuple(slice(None) if axis in "YX" else b for axis, b in zip(frame.axes, box, strict=True))
        return np.stack([block[inner] for block in blocks])

    def _options(self, page: Any) -> dict[str, Any]:
        if page and self._frame.compression in JPEGS:
            return {"jpegtables": page.jpegtables, "jpegheader": self._frame.jpegheader}
        return {}

    def _decode(self, parts: dict[int, bytes], y: slice, x: slice, options: dict[str, Any]) -> NDArray[Any]:
        """Rows and columns of one page, whole along all other axes."""
        frame = self._frame
        samples, depth, _, _, contiguous = frame.shaped
        out = np.full(
            (samples, depth, y.stop - y.start, x.stop - x.start, contiguous), frame.nodata, self._series.dtype
        )
        for i, part in parts.items():
            (s, d, h, w, _), shape = self._places[i]
            pixels = frame.decode(part, i, **options)[0] if part else None
            if pixels is None:
                continue
            y0, y1 = max(y.start, h), min(y.stop, h + shape[1])
            x0, x1 = max(x.start, w), min(x.stop, w + shape[2])
            out[s, d : d + shape[0], y0 - y.start : y1 - y.start, x0 - x.start : x1 - x.start] = pixels[
                : depth - d, y0 - h : y1 - h, x0 - w : x1 - w
            ]
        sides = {"Y": y.stop - y.start, "X": x.stop - x.start}
        return out.reshape([sides.get(axis, n) for axis, n in zip(frame.axes, frame.shape, strict=True)])


@lru_cache(maxsize=8)
def open_tiff(file: File, place: Place = (0, 0)) -> Tiff:
    """Open a version of a TIFF file, with a cache of the last 8."""
    return Tiff(file, place)


def read_tiff(file: File | LocalFile, place: Place, box: Box) -> NDArray[Any]:
    """A box of an image in a TIFF file."""
    if isinstance(file, File):
        return open_tiff(file, place).read(box)
    with tifffile.TiffFile(file.path) as tiff, tiff.aszarr(series=place[0], level=place[1]) as store:
        return np.asarray(opened(store)[box])


def read_whole(file: File | LocalFile, place: Place, box: Box, shape: tuple[int, ...]) -> NDArray[Any]:
    """A box of a small local file, which is decoded as a whole. Raises ValueError if it has another shape by now."""
    assert isinstance(file, LocalFile)
    with tifffile.TiffFile(file.path) as tiff:
        pixels = tiff.series[place[0]].levels[place[1]].asarray()
    if pixels.shape != shape:
        raise ValueError(f"its shape is {pixels.shape}, and was {shape} when it was opened")
    return np.asarray(pixels[box])


@lru_cache(maxsize=256)
def tiff_part_shape(file: File | LocalFile, place: Place) -> tuple[int, ...]:
    """Shape of the parts that are decoded together, a strip, tile or page, along the axes of the file."""
    if isinstance(file, File):
        return open_tiff(file, place).part_shape()
    with tifffile.TiffFile(file.path) as tiff, tiff.aszarr(series=place[0], level=place[1]) as store:
        return tuple(opened(store).chunks)
