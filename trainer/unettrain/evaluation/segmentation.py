"""Segmentation: objects, and what they were read as."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unettrain.metrics.components import label_by_value, label_components

CONNECTIVITY = {2: 4, 3: 6}  # by dims


@dataclass(frozen=True)
class Segmentation:
    """Objects (z, y, x), 0 = background and < 0 = ignored, and what they were read as.

    `title` names the kind in words. `remarks` are further words about how the values were read.
    """

    objects: NDArray[np.integer]
    kind: str  # "instances", "probability", "mask" or "classes"
    title: str
    remarks: tuple[str, ...] = ()
    threshold: float | None = None
    classes: NDArray[np.integer] | None = None  # of each pixel, where they are known

    def describe(self, num_objects: int, noun: str) -> str:
        """For example "instance labels (36 objects)" or "probability (foreground > 0.5, 36 objects)"."""
        limit = () if self.threshold is None else (f"foreground > {self.threshold:g}",)
        count = f"{num_objects} {noun}" + "s" * (num_objects != 1)
        return f"{self.title} ({', '.join((*self.remarks, *limit, count))})"


def components_of_classes(
    classes: NDArray[np.integer], dims: int, kind: str, title: str, *remarks: str
) -> Segmentation:
    """The connected components of each class (z, y, x) as objects; 0 is background."""
    objects = label_by_value(classes, CONNECTIVITY[dims])
    return Segmentation(objects, kind, title, remarks, classes=classes)


def components(
    mask: NDArray[np.bool_], dims: int, kind: str, title: str, *remarks: str, threshold: float | None = None
) -> Segmentation:
    """The connected components of a mask (z, y, x) as objects."""
    return Segmentation(label_components(mask, CONNECTIVITY[dims]), kind, title, remarks, threshold)
