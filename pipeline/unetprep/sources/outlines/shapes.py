"""Shapes of annotated objects, which are drawn window by window: polygons, ellipses, run lengths and bitmaps.

A pixel belongs to a shape if its centre lies inside, see `unetprep.kernels.polygons`. No value of a pixel depends on
the window in which it is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.polygons import Window, fill_ellipse, fill_polygon

MAX_COORDINATE = 2.0**31


class Shape(Protocol):
    """A part of an object."""

    @property
    def bounds(self) -> Window:
        """The smallest window that holds it: first row and column, and those behind the last."""
        ...

    def fill(self, window: Window) -> NDArray[np.bool_]:
        """Mask of the pixels of a window that belong to it."""
        ...


@dataclass(frozen=True)
class Polygon:
    """An area within rings (n, 2) of x, y; what lies within an even number of them is a hole."""

    rings: tuple[NDArray[np.float64], ...]

    @cached_property
    def bounds(self) -> Window:
        """The smallest window that holds it."""
        points = np.concatenate(self.rings)
        return _window(*points.min(axis=0), *points.max(axis=0))

    def fill(self, window: Window) -> NDArray[np.bool_]:
        """Mask of the pixels of a window that belong to it."""
        return fill_polygon(self.rings, window)


@dataclass(frozen=True)
class Ellipse:
    """The ellipse in a box: left, top, right, bottom."""

    box: tuple[float, float, float, float]

    @property
    def bounds(self) -> Window:
        """The smallest window that holds it."""
        return _window(*self.box)

    def fill(self, window: Window) -> NDArray[np.bool_]:
        """Mask of the pixels of a window that belong to it."""
        return fill_ellipse(self.box, window)


@dataclass(frozen=True)
class Bitmap:
    """A mask whose first pixel is at `top`, `left` of the image."""

    top: int
    left: int
    mask: NDArray[np.bool_]

    @property
    def bounds(self) -> Window:
        """The window of the mask."""
        return self.top, self.left, self.top + self.mask.shape[0], self.left + self.mask.shape[1]

    def fill(self, window: Window) -> NDArray[np.bool_]:
        """Mask of the pixels of a window that belong to it."""
        filled = np.zeros((window[2] - window[0], window[3] - window[1]), bool)
        top, left, bottom, right = meet(window, self.bounds)
        if top < bottom and left < right:
            inside = self.mask[top - self.top : bottom - self.top, left - self.left : right - self.left]
            filled[top - window[0] : bottom - window[0], left - window[1] : right - window[1]] = inside
        return filled


@dataclass(frozen=True)
class RunLengths:
    """A mask of an image `height` pixels high as `ends` of runs, of 0 and 1 by turns, down one column after the other.

    The first run is of 0.
    """

    height: int
    ends: NDArray[np.int64]

    @cached_property
    def bounds(self) -> Window:
        """The smallest window that holds it; all rows where a run goes on in the next column."""
        starts, ends = self.ends[:-1:2], self.ends[1::2]
        starts, ends = starts[ends > starts], ends[ends > starts]
        if not len(starts):
            return 0, 0, 0, 0
        left, right = starts // self.height, (ends - 1) // self.height
        if (left != right).any():
            return 0, int(left[0]), self.height, int(right[-1]) + 1
        rows = starts % self.height, (ends - 1) % self.height + 1
        return int(rows[0].min()), int(left[0]), int(rows[1].max()), int(right[-1]) + 1

    def fill(self, window: Window) -> NDArray[np.bool_]:
        """Mask of the pixels of a window that belong to it."""
        top, left, bottom, right = window
        first, last = left * self.height, right * self.height
        begin = int(np.searchsorted(self.ends, first, "right"))
        stop = int(np.searchsorted(self.ends, last, "left")) + 1
        edges = np.concatenate([[first], np.clip(self.ends[begin:stop], first, last)])
        values = (np.arange(begin, begin + len(edges) - 1) & 1).astype(bool)
        column_by_column = np.repeat(values, np.diff(edges))
        return column_by_column.reshape(right - left, self.height).T[top:bottom]


def meet(a: Window, b: Window) -> Window:
    """The part that two windows share; empty if its end is not behind its begin."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def polygon_of(rings: Sequence[object]) -> Polygon | str:
    """A polygon of rings, each a list of (x, y) in a file; or what is wrong with them."""
    arrays = []
    for ring in rings:
        try:
            points = np.array(ring, np.float64)
        except (TypeError, ValueError, OverflowError):
            return "its points are no pairs of numbers"
        if points.ndim != 2 or points.shape[1:] < (2,) or points.shape[1] > 3:
            return "its points are no pairs of numbers"
        points = np.ascontiguousarray(points[:, :2])
        if len(points) < 3:
            return f"it has {len(points)} points, of at least 3"
        if not np.isfinite(points).all() or np.abs(points).max() > MAX_COORDINATE:
            return f"a point is {points[~(np.abs(points) <= MAX_COORDINATE).all(axis=1)][0].tolist()}"
        arrays.append(points)
    return Polygon(tuple(arrays)) if arrays else "it has no points"


def _window(left: float, top: float, right: float, bottom: float) -> Window:
    return int(np.floor(top)), int(np.floor(left)), int(np.ceil(bottom)), int(np.ceil(right))
