"""Decoding of the foreground probabilities of an image of any size, from bands of rows to parts of labels.

A slice is decoded once its last row has been added. Until then, its mask is in a temporary file; labels are in
another. What is held in memory are strips of rows, one for each thread, and a few numbers for each object.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.quantizing import foreground_mask, quantized
from unettrain.decoding.numbering import Numbering
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.plane import Plane, find_parts, needs_values, num_objects, without_small
from unettrain.decoding.spool import Spool
from unettrain.decoding.strips import strips_of
from unettrain.errors import InvalidInput


class Decoder:
    """Separates the instances of an image (z, y, x), slice by slice, given in bands of any height.

        with Decoder(shape, params, num_threads=4, folder=scratch) as decoder:
            for z, y0, band in probabilities:
                decoder.add(z, y0, band)
            labels = decoder.read(z, slice(0, 256), slice(0, 2048))

    The result depends neither on the bands nor on the number of threads. `folder` takes temporary files of up to 7
    bytes for each pixel, which nothing leaves behind (default: that of the system). Close it, or use `with`.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
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
        self._next, self._done = 0, 0  # rows added, of all slices; slices decoded
        self.num_dropped = 0  # objects of fewer pixels than `min_area_px`, of all slices decoded so far
        self._numbering = Numbering(params.grow_px)
        self._stack = ExitStack()
        self._folder = None if folder is None else Path(folder)
        executor = self._stack.enter_context(ThreadPoolExecutor(num_threads)) if num_threads > 1 else None
        mask = self._spool(self._height, np.uint8)
        values = self._spool(self._height, np.uint16) if needs_values(params) else None
        self._plane = Plane(strips_of(self._height, self._width), mask, values, executor, num_threads)
        self._labels = self._spool(self._depth * self._height, np.int32)

    def _spool(self, num_rows: int, dtype: Any) -> Spool:
        spool = Spool(num_rows, self._width, dtype, self._folder)
        self._stack.callback(spool.close)
        return spool

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
        self._plane.mask.write(y0, foreground_mask(rows, self.params.threshold))
        if self._plane.values is not None:
            self._plane.values.write(y0, quantized(rows))
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
        finder = find_parts(self._plane, self.params, self._labels, start)
        objects = finder.objects(self.params.min_depth)
        kept = without_small(objects, finder.sizes, self.params.min_area_px)
        self.num_dropped += num_objects(objects) - num_objects(kept)
        self._numbering.apply(self._labels, start, self._plane.strips, kept)
        self._done += 1

    @property
    def num_instances(self) -> int:
        """Number of instances of all slices decoded so far."""
        return self._numbering.count

    def read(self, z: int, rows: slice, columns: slice) -> NDArray[np.int32]:
        """Labels (rows, columns) of a part of slice `z`: numbers 1, 2, 3, ... of instances, 0 elsewhere.

        Instances are numbered in scan order of their first pixels. Raises InvalidInput unless all rows were added.
        """
        if self._done < self._depth:
            raise InvalidInput(
                f"{self._next} rows have been added", allowed=f"all {self._depth * self._height} rows before labels"
            )
        start, (first, last, _) = z * self._height, rows.indices(self._height)
        return self._labels.read(start + first, start + last, columns)


def checked_probabilities(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Values as float32, clipped to 0 to 1. Raises InvalidInput unless they are real numbers up to 1e-5 beyond."""
    if not np.issubdtype(values.dtype, np.floating):
        raise InvalidInput(f"probabilities are {values.dtype}", allowed="real numbers from 0 to 1")
    single = np.ascontiguousarray(values, np.float32)
    least, greatest = single.min(initial=0), single.max(initial=0)
    if not (least >= -1e-5 and greatest <= 1 + 1e-5):  # NaN too
        seen = "NaN" if np.isnan(least) else f"{least:g} to {greatest:g}"
        raise InvalidInput(f"probabilities are {seen}", allowed="real numbers from 0 to 1")
    return single if least >= 0 and greatest <= 1 else single.clip(0, 1)
