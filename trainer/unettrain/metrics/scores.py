"""Scores of a segmentation: overlap of the foreground (IoU, Dice), and AP of the cells at several IoU thresholds.

Ignored pixels (labels < 0) are left out of the overlap. Cells are matched by `unettrain.metrics.match_instances`, which
defines the effect of ignored pixels on matches. Components are labelled on the whole mask, before ignored pixels are
removed: otherwise the part of a proposal around an ignored region would fall apart into many small objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.metrics.components import PLANES, label_components
from unettrain.metrics.contingency import ContingencyTable, check_labels, contingency_table
from unettrain.metrics.instances import THRESHOLDS, Matching, overlaps_of
from unettrain.metrics.overlap import Overlap, foreground_overlap

THRESHOLD = 0.5  # fixed beforehand: tuning it on the scored images would bias the scores


@dataclass(frozen=True)
class Scores:
    """Counts of one image or, added up with `+`, of several `images`; the scores follow from the pooled counts.

    `pixels` is the overlap of the foreground, `cells` the matching at each IoU of THRESHOLDS.
    """

    pixels: Overlap = field(default_factory=Overlap)
    cells: tuple[Matching, ...] = (Matching(),) * len(THRESHOLDS)
    images: int = 0

    def __add__(self, other: "Scores") -> "Scores":
        cells = tuple(a + b for a, b in zip(self.cells, other.cells, strict=True))
        return Scores(self.pixels + other.pixels, cells, self.images + other.images)

    @property
    def ap(self) -> dict[float, float]:
        """AP at each IoU threshold."""
        return {t: m.average_precision for t, m in zip(THRESHOLDS, self.cells, strict=True)}

    @property
    def mean_ap(self) -> float:
        """Mean of AP over the thresholds."""
        return float(np.mean(list(self.ap.values())))

    def as_dict(self) -> dict[str, Any]:
        """The scores as plain values, for JSON."""
        found = self.cells[0]
        return {
            "iou": self.pixels.iou,
            "dice": self.pixels.dice,
            "precision": self.pixels.precision,
            "recall": self.pixels.recall,
            "ap": {f"{t:.2f}": value for t, value in self.ap.items()},
            "mean_ap": self.mean_ap,
            "cells": found.tp + found.fn,
            "proposed": found.tp + found.fp,
            "found": found.tp,
            "ignored_proposals": found.ignored,
            "images": self.images,
        }


def score(mask: NDArray[np.bool_], labels: NDArray[np.integer], connectivity: int = 4) -> Scores:
    """Score the connected components of a mask (y, x) or (z, y, x); see `score_instances`.

    connectivity 4 or 8: slices are independent images; 6 or 26: one volume. Raises InvalidInput if the shapes differ,
    and for a mask of floating-point numbers.
    """
    if np.issubdtype(mask.dtype, np.floating):
        raise InvalidInput(f"the mask has dtype {mask.dtype}", allowed="bool or integers", hint="foreground(mask)")
    return score_instances(label_components(mask, connectivity), labels, 2 if connectivity in PLANES else 3)


def score_instances(proposal: NDArray[np.integer], labels: NDArray[np.integer], dims: int = 2) -> Scores:
    """Score instance labels (y, x) or (z, y, x), 0 = background, against true labels of this shape, < 0 = ignored.

    dims 2: slices are independent images, so that each label of each slice is one object. dims 3: each label is one
    object of the volume. Raises InvalidInput if the shapes differ.
    """
    if dims not in (2, 3):
        raise InvalidInput(f"dims is {dims!r}", allowed="2 or 3")
    check_labels(labels, proposal, "iu")
    if labels.ndim == 2:
        proposal, labels = proposal[None], labels[None]
    if dims == 3:
        return scores_of(contingency_table(labels, proposal))
    slices = (scores_of(contingency_table(*both)) for both in zip(labels, proposal, strict=True))
    return replace(pooled(tuple(slices)), images=1)


def scores_of(table: ContingencyTable) -> Scores:
    """The scores of one image from its contingency table."""
    overlaps = overlaps_of(table)
    return Scores(foreground_overlap(table), tuple(overlaps.matching(t) for t in THRESHOLDS), images=1)


def foreground(probabilities: NDArray[Any], threshold: float | None = None) -> NDArray[np.bool_]:
    """The foreground (z, y, x) of floating-point probabilities in [0, 1].

    Probabilities of a cell (z, y, x) or (1, z, y, x): greater than `threshold`, by default 0.5. Class probabilities
    (class, z, y, x): the most likely class is not 0, or with a `threshold`, 1 - p(class 0) is greater than it. Raises
    InvalidInput for other values, NaN included.
    """
    if probabilities.ndim not in (3, 4) or not probabilities.size:
        raise InvalidInput(
            f"the prediction has shape {probabilities.shape}", allowed="(z, y, x), (1, z, y, x) or (class, z, y, x)"
        )
    if threshold is not None and not 0 <= threshold < 1:
        raise InvalidInput(f"threshold is {threshold}", allowed="at least 0 and under 1")
    low, high = probabilities.min(), probabilities.max()
    if not (np.issubdtype(probabilities.dtype, np.floating) and low >= 0 and high <= 1):
        raise InvalidInput(
            f"the prediction ranges from {low} to {high} ({probabilities.dtype})",
            allowed="floating-point probabilities, 0 to 1",
        )
    if probabilities.ndim == 3 or probabilities.shape[0] == 1:
        cell = probabilities if probabilities.ndim == 3 else probabilities[0]
        return np.asarray(cell > (THRESHOLD if threshold is None else threshold))
    if threshold is None:
        return np.asarray(probabilities.argmax(axis=0) > 0)
    return np.asarray(1 - probabilities[0] > threshold)


def pooled(scores: Sequence[Scores]) -> Scores:
    """The pooled scores of several images."""
    return sum(scores, start=Scores())
