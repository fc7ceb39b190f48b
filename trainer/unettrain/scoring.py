"""Scores of a prediction: overlap of the foreground, and average precision of the cells."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.metrics.instances import THRESHOLDS, Matching, label_components, match_instances
from unettrain.metrics.overlap import Overlap, overlap

THRESHOLD = 0.5  # fixed beforehand: one tuned on the images that are scored would flatter


@dataclass(frozen=True)
class Scores:
    """Counts of one image or, added up with `+`, of several; the scores follow from the pooled counts."""

    pixels: Overlap = field(default_factory=Overlap)
    cells: tuple[Matching, ...] = (Matching(),) * len(THRESHOLDS)  # one for each of THRESHOLDS
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
            "images": self.images,
        }


def score(mask: NDArray[np.bool_], labels: NDArray[np.integer], connectivity: int = 4) -> Scores:
    """Score one image: `mask` and `labels` are (z, y, x), the mask true on proposed cells, labels 0 = background.

    XX
        InvalidInput if the shapes differ.
    """
    mask, labels = mask & (labels >= 0), np.maximum(labels, 0)
    proposal = label_components(mask, connectivity)
    return Scores(overlap(labels, mask), tuple(match_instances(labels, proposal, t) for t in THRESHOLDS), images=1)


def foreground(prediction: NDArray[Any]) -> NDArray[np.bool_]:
    """The mask (z, y, x) that a prediction proposes.

    Probabilities (class, z, y, x): where the most likely class is not 0. Probabilities of a cell (z, y, x), real
    numbers: over 0.5. Integers (z, y, x): not 0.
    """
    if prediction.ndim == 4 and prediction.shape[0] > 1:
        return np.asarray(prediction.argmax(axis=0) > 0)
    single: NDArray[Any] = prediction[0] if prediction.ndim == 4 else prediction
    if np.issubdtype(single.dtype, np.floating):
        if not (single.min() >= 0 and single.max() <= 1):
            raise InvalidInput(
                f"the prediction ranges from {single.min()} to {single.max()}", allowed="probabilities, 0 to 1"
            )
        return np.asarray(single > THRESHOLD)
    return np.asarray(single != 0)


def pooled(scores: Sequence[Scores]) -> Scores:
    """The scores of several images together."""
    return sum(scores, start=Scores())
