"""Regions of the images that a report evaluates: all of small data, evenly spaced parts of large data. No I/O.

Large images are cropped to their middle, and many images are sampled at equal distances, so that a report takes
minutes, not hours, for any store.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

MAX_SIDE_PX = 1024
MAX_SLICES = 16  # of a volume
MAX_PIXELS = 4_000_000
SHOWN_PX = 512  # most pixels a side of a picture
ALIGN_PX = 64  # a crop is pooled like the whole image if it begins at a multiple of 2^depth


@dataclass(frozen=True)
class Region:
    """A box of one image: slices z0 to z1, rows y0 to y1, columns x0 to x1; `dims` as in the store."""

    name: str
    dims: int
    z0: int
    z1: int
    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The region as an index of an array (z, y, x)."""
        return slice(self.z0, self.z1), slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def num_pixels(self) -> int:
        """Number of pixels."""
        return (self.z1 - self.z0) * (self.y1 - self.y0) * (self.x1 - self.x0)

    @property
    def connectivity(self) -> int:
        """Connectivity of its components: 4 in a slice, 6 in a volume."""
        return 4 if self.dims == 2 else 6

    def grown(self, by_px: int, shape: tuple[int, ...]) -> "Region":
        """The region with `by_px` more pixels on each side in the plane, within the image (z, y, x)."""
        rows = max(0, self.y0 - by_px), min(shape[1], self.y1 + by_px)
        columns = max(0, self.x0 - by_px), min(shape[2], self.x1 + by_px)
        return replace(self, y0=rows[0], y1=rows[1], x0=columns[0], x1=columns[1])


def plan_regions(
    images: Mapping[str, tuple[tuple[int, ...], int]],
    max_pixels: int = MAX_PIXELS,
    max_side_px: int = MAX_SIDE_PX,
) -> list[Region]:
    """The regions to evaluate, of images given as name: ((z, y, x), dims).

    These are all slices of images of `dims` 2 and the middle slices of volumes, each cropped to its middle
    `max_side_px`. If they have more than `max_pixels` in total, as many as fit are taken at equal distances, at least
    one.
    """
    regions = [region for name, (shape, dims) in images.items() for region in _of_image(name, shape, dims, max_side_px)]
    total = sum(region.num_pixels for region in regions)
    if total <= max_pixels:
        return regions
    num = max(1, len(regions) * max_pixels // total)
    return [regions[k] for k in np.linspace(0, len(regions) - 1, num).round().astype(int)]


def _of_image(name: str, shape: tuple[int, ...], dims: int, max_side_px: int) -> list[Region]:
    (y0, y1), (x0, x1) = (middle(n, max_side_px, ALIGN_PX) for n in shape[1:])
    stacks = [(z, z + 1) for z in range(shape[0])] if dims == 2 else [middle(shape[0], MAX_SLICES)]
    return [Region(name, dims, z0, z1, y0, y1, x0, x1) for z0, z1 in stacks]


def middle(length: int, most: int, align: int = 1) -> tuple[int, int]:
    """(start, stop) of the middle `most` of `length` pixels, or of all; `start` is a multiple of `align`."""
    start = max(0, length - most) // 2 // align * align
    return start, start + min(length, most)


def window_around(centre: int, length: int, most: int) -> tuple[int, int]:
    """(start, stop) of at most `most` of `length` pixels around `centre`, all inside."""
    start = min(max(0, centre - most // 2), max(0, length - most))
    return start, start + min(length, most)


def densest_window(mask: NDArray[np.bool_], most: int) -> tuple[slice, slice]:
    """The window with the most true pixels of a mask (y, x), at most `most` a side, among those on a coarse grid."""
    sums = np.pad(mask.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = (min(n, most) for n in mask.shape)
    rows, columns = (
        np.unique(np.append(np.arange(0, n - side + 1, max(1, most // 4)), n - side))
        for n, side in zip(mask.shape, (height, width), strict=True)
    )
    ends = (rows + height)[:, None], columns + width
    held = sums[ends] - sums[rows[:, None], ends[1]] - sums[ends[0], columns] + sums[rows[:, None], columns]
    row, column = np.unravel_index(int(held.argmax()), held.shape)
    y, x = int(rows[row]), int(columns[column])
    return slice(y, y + height), slice(x, x + width)
