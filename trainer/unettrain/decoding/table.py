"""Measurements of instances, from parts of labels and images."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.measuring import measure_part, sum_intensity


class Instance(NamedTuple):
    """One instance, in pixels. Boxes include the first and exclude the last index, as slices do."""

    label: int
    z: int
    area_px: int
    centroid_y: float
    centroid_x: float
    y0: int
    x0: int
    y1: int
    x1: int
    mean_intensity: tuple[float, ...]  # for each channel; empty without an image


class InstanceTable:
    """Accumulates area, centroid, bounding box and mean intensity of the instances 1 to `num_instances`.

        table = InstanceTable(decoder.num_instances, num_channels=1)
        for z, y0 in np.ndindex(num_slices, height):
            row = slice(y0, y0 + 1)
            table.add(z, y0, decoder.read(z, row, slice(None)), image[:, z, row])
        rows = list(table.rows())

    Each instance lies in one slice. 64 bytes are held for each instance, and 8 more for each channel. Integer
    images of up to 32 bits give the same means whatever the parts; means of real numbers may differ by rounding.
    """

    def __init__(self, num_instances: int, num_channels: int = 0) -> None:
        self._sums = np.zeros((num_instances + 1, 3), np.int64)  # area, sum of y, sum of x
        self._boxes = np.zeros((num_instances + 1, 5), np.int64)  # z, y0, x0, y1, x1
        self._boxes[:, 1:3] = np.iinfo(np.int64).max
        self._intensity = np.zeros((num_channels, num_instances + 1))

    def add(
        self, z: int, y0: int, labels: NDArray[np.int32], image: NDArray[Any] | None = None, *, x0: int = 0
    ) -> None:
        """Add labels (rows, columns) of slice `z` from row `y0` and column `x0` on, and the image (channel, ...)."""
        measure_part(labels, z, y0, x0, self._sums, self._boxes)
        if image is not None:
            for channel, sums in zip(image, self._intensity, strict=True):
                sum_intensity(labels, channel, sums)

    def rows(self) -> Iterator[Instance]:
        """The instances in the order of their labels; those without pixels are left out."""
        present = np.flatnonzero(self._sums[1:, 0]) + 1
        return (self._instance(int(label)) for label in present)

    def _instance(self, label: int) -> Instance:
        area, sum_y, sum_x = (int(value) for value in self._sums[label])
        z, y0, x0, y1, x1 = (int(value) for value in self._boxes[label])
        means = tuple(float(sums[label] / area) for sums in self._intensity)
        return Instance(label, z, area, sum_y / area, sum_x / area, y0, x0, y1, x1, means)
