"""Decoding of the foreground probabilities of an image of any size, from bands of rows to bands of labels.

A slice is decoded once its last row has been added. Until then, its mask is in a temporary file; labels are in
another. What is held in memory are strips of rows, one for each thread, and a few numbers for each object.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.quantizing import quantize
from unettrain.decoding.holes import fill_holes
from unettrain.decoding.landscape import Landscape
from unettrain.decoding.numbering import Numbering
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.parts import ComponentParts, Found, PartFinder, WatershedParts
from unettrain.decoding.spool import Spool
from unettrain.decoding.strips import in_order, strips_of
from unettrain.errors import InvalidInput


class LabelBand(NamedTuple):
    """Rows of one slice, starting at y0 and over the full width: (rows, x) int32, 0 for background."""

    z: int
    y0: int
    labels: NDArray[np.int32]


class Decoder:
    """Separates the instances of an image (z, y, x), slice by slice, given in bands of any height.

        with Decoder(shape, params, num_threads=4, folder=scratch) as decoder:
            for z, y0, band in probabilities:
                decoder.add(z, y0, band)
            for z, y0, labels in decoder.bands():
                ...

    The result depends neither on the bands nor on the number of threads. `folder` takes temporary files of up to 7
    bytes for each pixel, which nothing leaves behind (default: that of the system). Close it, or use `with`.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        params: DecodingParams,
        num_threads: int = 1,
        folder: str | Path | None = None,
    ) -> None:
        if len(shape) != 3 or min(shape) < 1:
            raise InvalidInput(f"the image has shape {tuple(shape)}", allowed="(z, y, x), at least one pixel a side")
        if params.instances == "none":
            raise InvalidInput("instances is 'none'", allowed="watershed or components, to separate instances")
        self.shape, self.params = shape, params
        self._depth, self._height, self._width = shape
        self._strips = strips_of(self._height, self._width)
        self._next, self._done = 0, 0  # rows added, of all slices; slices decoded
        self._numbering = Numbering(params.grow_px)
        self._stack = ExitStack()
        self._ahead = num_threads
        self._executor: Executor | None = None
        if num_threads > 1:
            self._executor = self._stack.enter_context(ThreadPoolExecutor(num_threads))
        in_folder = None if folder is None else Path(folder)
        self._mask = self._spool(self._height, np.uint8, in_folder)
        self._values = self._spool(self._height, np.uint16, in_folder) if self._needs_values else None
        self._labels = self._spool(self._depth * self._height, np.int32, in_folder)

    def _spool(self, num_rows: int, dtype: Any, folder: Path | None) -> Spool:
        spool = Spool(num_rows, self._width, dtype, folder)
        self._stack.callback(spool.close)
        return spool

    @property
    def _needs_values(self) -> bool:
        return self.params.instances == "watershed" and self.params.seeds == "probability"

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove temporary files and end the threads."""
        self._stack.close()

    def add(self, z: int, y0: int, band: NDArray[np.floating[Any]]) -> None:
        """Add the next rows (rows, x) of foreground probabilities, those of slice `z` from row `y0` on.

        Bands come in the order of z, then y. Values may exceed 0 to 1 by 1e-5, as rounding does, and are then clipped.
        Raises InvalidInput for values that are no probabilities, and for a band that is not the next one.
        """
        rows = self._checked(z, y0, band)
        mask, values = quantize(rows, self.params.threshold)
        self._mask.write(y0, mask)
        if self._values is not None:
            self._values.write(y0, values)
        self._next += len(rows)
        if y0 + len(rows) == self._height:
            self._decode_slice(z)

    def _checked(self, z: int, y0: int, band: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        expected = divmod(self._next, self._height)
        fits = band.ndim == 2 and 1 <= len(band) <= self._height - expected[1] and band.shape[1] == self._width
        if (z, y0) != expected or not fits or z >= self._depth:
            raise InvalidInput(
                f"a band of shape {band.shape} at slice {z}, row {y0}",
                allowed=f"up to {self._height - expected[1]} rows of {self._width} pixels at slice {expected[0]}, row"
                f" {expected[1]}",
            )
        return checked_probabilities(band)

    def _decode_slice(self, z: int) -> None:
        start = z * self._height
        if self.params.fill_holes_px:
            fill_holes(self._mask, self._strips, self.params.fill_holes_px, self._executor, self._ahead)
        if self.params.instances == "components":
            objects = self._label(start, ComponentParts(self._mask))
        else:
            landscape = Landscape(self._height, self._mask, self._values, self.params)
            objects = self._label(start, WatershedParts(landscape, self._width, self.params.min_depth))
        self._numbering.apply(self._labels, start, self._strips, objects)
        self._done += 1

    def _label(self, start: int, finder: PartFinder[Found]) -> NDArray[np.int32]:
        """Write the parts of a slice; the object of each, 0 for those that are dropped."""
        for strip, parts in in_order(self._executor, finder.of, self._strips, self._ahead):
            self._labels.write(start + strip.first, finder.add(strip, parts))
        objects = finder.objects()
        is_small = finder.sizes.of_objects(objects)[objects] < self.params.min_area_px
        return np.where(is_small, 0, objects)

    @property
    def num_instances(self) -> int:
        """Number of instances of all slices decoded so far."""
        return self._numbering.count

    def bands(self) -> Iterator[LabelBand]:
        """The labels of the whole image, in the order of z, then y: numbers 1, 2, 3, ... of instances, 0 elsewhere.

        Instances are numbered in scan order of their first pixels. Raises InvalidInput unless all rows were added.
        """
        if self._done < self._depth:
            raise InvalidInput(
                f"{self._next} rows have been added", allowed=f"all {self._depth * self._height} rows before labels"
            )
        return self._read_bands()

    def _read_bands(self) -> Iterator[LabelBand]:
        for z in range(self._depth):
            for first, last in self._strips:
                rows = self._labels.read(z * self._height + first, z * self._height + last)
                yield LabelBand(z, first, rows)


def checked_probabilities(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Values as float32. Raises InvalidInput unless they are real numbers from 0 to 1, up to 1e-5 beyond."""
    if not np.issubdtype(values.dtype, np.floating):
        raise InvalidInput(f"probabilities are {values.dtype}", allowed="real numbers from 0 to 1")
    single = np.ascontiguousarray(values, np.float32)
    least, greatest = single.min(initial=0), single.max(initial=0)
    if not (least >= -1e-5 and greatest <= 1 + 1e-5):  # NaN too
        seen = "NaN" if np.isnan(least) else f"{least:g} to {greatest:g}"
        raise InvalidInput(f"probabilities are {seen}", allowed="real numbers from 0 to 1")
    return single
