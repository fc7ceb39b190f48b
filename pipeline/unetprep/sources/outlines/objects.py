"""Annotated objects of an image as labels: drawn in file order, later ones on top."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.kernels.polygons import Window
from unetprep.sources.outlines.shapes import Shape, meet

BLOCK = 2048  # side of the windows of a survey
MAX_OBJECTS = 2**24


@dataclass(frozen=True)
class Outline:
    """An annotated object: what its file calls it, its class, its parts, and its slice if the file says one."""

    what: str
    parts: tuple[Shape, ...]
    class_name: str = ""
    z: int | None = None


@dataclass(frozen=True)
class Overlaps:
    """What drawing an image shows: pixels of several objects, and objects without a pixel, or cut by the border."""

    objects: int = 0
    pixels: int = 0
    hidden: int = 0  # objects below later ones
    outside: int = 0
    clipped: int = 0
    empty: int = 0  # objects within the image that hold no centre of a pixel

    def __add__(self, other: "Overlaps") -> "Overlaps":
        return Overlaps(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __str__(self) -> str:
        found = {
            f"{self.pixels} pixels belong to several objects, and are given to the later ones": self.pixels,
            f"{self.hidden} objects lie wholly below later ones": self.hidden,
            f"{self.outside} objects lie outside of their image": self.outside,
            f"{self.clipped} objects reach beyond their image, and are cut there": self.clipped,
            f"{self.empty} objects are too small to hold the centre of a pixel": self.empty,
        }
        return "; ".join(text for text, count in found.items() if count)


@dataclass(frozen=True)
class Outlines:
    """The objects of an image. Object k is drawn with the number k + 1.

    `size` is that of the image (height, width) where the file says it; `left_out` counts shapes that are no areas.
    """

    objects: tuple[Outline, ...]
    size: tuple[int, int] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def bounds(self) -> NDArray[np.int64]:
        """The windows of the objects, (object, 4)."""
        each = [np.array([part.bounds for part in thing.parts]) for thing in self.objects]
        return np.array([(*b[:, :2].min(axis=0), *b[:, 2:].max(axis=0)) for b in each], np.int64).reshape(-1, 4)

    @cached_property
    def _slices(self) -> NDArray[np.int64]:
        return np.array([-1 if thing.z is None else thing.z for thing in self.objects], np.int64)

    def check(self, path: str, shape: tuple[int, int, int]) -> None:
        """Raise InvalidInput if the objects do not fit an image of this shape (z, y, x)."""
        if self.size not in (None, shape[1:]):
            raise InvalidInput(
                f"{path} is for an image of {self.size} pixels (y, x), and the image has {shape[1:]}",
                allowed="one size",
                hint="draw the outlines on the image as it is, or import the image that was annotated",
            )
        if len(self.objects) > MAX_OBJECTS:
            raise InvalidInput(f"{path} holds {len(self.objects)} objects", allowed=f"up to {MAX_OBJECTS} in an image")
        wrong = self._slices >= shape[0] if shape[0] == 1 else (self._slices < 0) | (self._slices >= shape[0])
        if wrong.any():
            thing = self.objects[int(np.argmax(wrong))]
            where = "no slice" if thing.z is None else f"slice {thing.z}"
            raise InvalidInput(
                f"{path}: {thing.what} has {where}, and the image has {shape[0]}",
                allowed=f"slices 0 to {shape[0] - 1}",
                hint="give each object its slice where it was drawn",
            )
        if len(self.objects) and self._outside(shape).all():
            raise InvalidInput(
                f"{path}: all {len(self.objects)} objects lie outside of the image of {shape[1:]} pixels (y, x)",
                allowed="outlines in pixels of the image",
                hint="check that they belong together, and that neither is scaled",
            )

    def _outside(self, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
        """Which objects have an area, and none of it in an image of this shape (z, y, x)."""
        top, left, bottom, right = self.bounds.T
        has_area = (top < bottom) & (left < right)
        return np.asarray(has_area & ((bottom <= 0) | (right <= 0) | (top >= shape[1]) | (left >= shape[2])))

    def draw(self, z: int, window: Window) -> NDArray[np.int32]:
        """The labels of a window of a slice: 0, or the number of the object."""
        labels = np.zeros((window[2] - window[0], window[3] - window[1]), np.int32)
        for k, part, mask in self._masks(z, window):
            labels[part][mask] = k + 1
        return labels

    def _masks(self, z: int, window: Window) -> Iterator[tuple[int, tuple[slice, slice], NDArray[np.bool_]]]:
        """(object, place in the window, mask) of every object that meets a window, in file order."""
        bounds = self.bounds
        meets = (bounds[:, 0] < window[2]) & (bounds[:, 1] < window[3]) & (bounds[:, 2] > window[0])
        meets &= (bounds[:, 3] > window[1]) & ((self._slices == z) | (self._slices < 0))
        for k in np.flatnonzero(meets):
            top, left, bottom, right = meet(window, tuple(bounds[k].tolist()))
            masks = [part.fill((top, left, bottom, right)) for part in self.objects[k].parts]
            place = slice(top - window[0], bottom - window[0]), slice(left - window[1], right - window[1])
            yield int(k), place, np.logical_or.reduce(masks) if masks[1:] else masks[0]

    def survey(self, shape: tuple[int, int, int]) -> Overlaps:
        """Draw an image of this shape (z, y, x) in windows, and count what is lost."""
        num = len(self.objects)
        drawn, seen, shared = np.zeros(num, np.int64), np.zeros(num + 1, np.int64), 0
        for z, y, x in product(range(shape[0]), range(0, shape[1], BLOCK), range(0, shape[2], BLOCK)):
            window = (y, x, min(y + BLOCK, shape[1]), min(x + BLOCK, shape[2]))
            labels = np.zeros((window[2] - window[0], window[3] - window[1]), np.int32)
            for k, place, mask in self._masks(z, window):
                below = labels[place]
                shared += int(np.count_nonzero(below[mask]))
                drawn[k] += np.count_nonzero(mask)
                below[mask] = k + 1
            seen += np.bincount(labels.ravel(), minlength=num + 1)
        top, left, bottom, right = self.bounds.T
        outside = self._outside(shape)
        clipped = ~outside & ((top < 0) | (left < 0) | (bottom > shape[1]) | (right > shape[2]))
        hidden, empty = (drawn > 0) & (seen[1:] == 0), ~outside & (drawn == 0)
        return Overlaps(num, shared, *(int(of.sum()) for of in (hidden, outside, clipped, empty)))


@dataclass(frozen=True)
class OfOneImage:
    """The content of an annotation file of a single image."""

    found: Outlines

    def outlines(self, image: str) -> Outlines:
        """The objects of the image, whatever its name."""
        return self.found
