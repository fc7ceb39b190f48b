"""Scores of each class of a segmentation in classes: of the pixels of the class, and of the objects.

The class of an object is the one that most of its pixels have.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.evaluation.segmentation import Segmentation
from unettrain.metrics.overlap import overlap
from unettrain.metrics.scores import Scores, score_instances


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class, 1, 2, ...: of its pixels and of its objects, with all others as background."""

    number: int
    scores: Scores

    def as_dict(self) -> dict[str, Any]:
        """The scores as plain values, for JSON."""
        return {"class": self.number, **self.scores.as_dict()}

    def as_text(self) -> str:
        """The scores in a line."""
        pixels, found = self.scores.pixels, self.scores.cells[0]
        return (
            f"class {self.number:<6}IoU {pixels.iou:.4f}  Dice {pixels.dice:.4f}"
            f"  {found.tp} of {found.tp + found.fn} found at IoU 0.5, {found.tp + found.fp} proposed"
            f"  mean AP {self.scores.mean_ap:.3f}"
        )


def score_classes(proposed: Segmentation, truth: Segmentation, num_classes: int, dims: int) -> tuple[ClassScores, ...]:
    """The scores of every class but background. () if one of the segmentations has no classes."""
    if proposed.classes is None or truth.classes is None:
        return ()
    counted = truth.objects >= 0
    of_objects = (
        _classes_of_objects(proposed.objects, proposed.classes, num_classes),
        _classes_of_objects(truth.objects, truth.classes, num_classes),
    )
    found = []
    for number in range(1, num_classes):
        objects, cells = (
            np.where((s.objects < 0) | (its_class[s.objects] == number), s.objects, 0)
            for s, its_class in zip((proposed, truth), of_objects, strict=True)
        )
        pixels = overlap(truth.classes[counted] == number, proposed.classes[counted] == number)
        found.append(ClassScores(number, replace(score_instances(objects, cells, dims), pixels=pixels)))
    return tuple(found)


def _classes_of_objects(
    objects: NDArray[np.integer], classes: NDArray[np.integer], num_classes: int
) -> NDArray[np.intp]:
    """The class of each object, by its number; 0 for background."""
    length = int(objects.max(initial=0)) + 1
    counts = [np.bincount(objects[(classes == c) & (objects > 0)], minlength=length) for c in range(1, num_classes)]
    its_class: NDArray[np.intp] = 1 + np.argmax(counts, axis=0)
    its_class[0] = 0
    return its_class
