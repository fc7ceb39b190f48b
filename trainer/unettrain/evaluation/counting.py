"""Counts of the metrics of `evaluate`, which add up over images, and the scores that follow from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from unettrain.evaluation.metric_table import PROBABILITY, Metric
from unettrain.metrics.challenge.inputs import checked_pair, checked_thresholds
from unettrain.metrics.challenge.objects import rand_error_curve, v_curves, v_info_curve, v_rand_curve
from unettrain.metrics.challenge.pixels import pixel_error_curve
from unettrain.metrics.challenge.threshold_scores import ThresholdScores
from unettrain.metrics.challenge.warping import warping_error_curve
from unettrain.metrics.contingency import ContingencyTable
from unettrain.metrics.instances import THRESHOLDS, Matching, Seg, overlaps_of
from unettrain.metrics.overlap import Overlap, class_overlaps, foreground_overlap
from unettrain.metrics.partitions import adapted_rand_of, variation_of_information_of

Values = dict[str, float]  # the scores of a metric by what they are of; the first is the main one
CURVES = {
    "pixel_error": pixel_error_curve,
    "rand_error": rand_error_curve,
    "v_rand": v_rand_curve,
    "v_info": v_info_curve,
    "warping_error": warping_error_curve,
}
CLOSE = 1e-9  # thresholds that differ by less are the same


class Counts(Protocol):
    """What is counted of an image for one metric; that of several images adds up."""

    def __add__(self, other: Self, /) -> Self: ...

    def values(self) -> Values:
        """The scores."""
        ...


@dataclass(frozen=True)
class Counted:
    """What metrics are counted from: tables of an image, one for each independent slice, and arrays where needed."""

    tables: Sequence[ContingencyTable]  # of the objects
    classes: ContingencyTable | None = None  # of the classes of the pixels
    labels: NDArray[np.integer] | None = None  # (z, y, x)
    probability: NDArray[Any] | None = None  # of a cell, or a mask (z, y, x)

    @cached_property
    def v_scores(self) -> dict[str, ThresholdScores]:
        """V_rand and V_info at the challenge's thresholds: the thinning, most of their time, is done once for both."""
        assert self.labels is not None
        assert self.probability is not None
        found = v_curves(checked_pair(self.labels, self.probability, "v_rand"), checked_thresholds(None))
        return {scores.metric: scores for scores in found}


@dataclass(frozen=True)
class Overlaps:
    """Overlaps of foreground and classes; `score` is the name of the property of `Overlap` that is the score."""

    score: str
    by_name: dict[str, Overlap]

    def __add__(self, other: "Overlaps") -> "Overlaps":
        names = {**self.by_name, **other.by_name}
        none = Overlap()
        return Overlaps(self.score, {n: self.by_name.get(n, none) + other.by_name.get(n, none) for n in names})

    def values(self) -> Values:
        """The score of the foreground, and of each class."""
        return {name: getattr(found, self.score) for name, found in self.by_name.items()}


@dataclass(frozen=True)
class Matchings:
    """Matchings at each of THRESHOLDS."""

    matchings: tuple[Matching, ...]

    def __add__(self, other: "Matchings") -> "Matchings":
        return Matchings(tuple(a + b for a, b in zip(self.matchings, other.matchings, strict=True)))

    def values(self) -> Values:
        """AP at each threshold, and the mean over them."""
        ap = {f"{t:.2f}": m.average_precision for t, m in zip(THRESHOLDS, self.matchings, strict=True)}
        return {"mean": float(np.mean(list(ap.values()))), **ap}


@dataclass(frozen=True)
class SegCounts:
    """Counts of SEG."""

    seg: Seg

    def __add__(self, other: "SegCounts") -> "SegCounts":
        return SegCounts(self.seg + other.seg)

    def values(self) -> Values:
        """SEG, and the number of cells it is the mean of."""
        return {"mean": self.seg.value, "cells": self.seg.num_cells}


@dataclass(frozen=True)
class Mean:
    """Sums of scores over slices or volumes, of which the mean is taken."""

    sums: Values
    num: int

    def __add__(self, other: "Mean") -> "Mean":
        return Mean({name: value + other.sums[name] for name, value in self.sums.items()}, self.num + other.num)

    def values(self) -> Values:
        """The means."""
        return {name: value / self.num for name, value in self.sums.items()}


@dataclass(frozen=True)
class Curve:
    """A metric at the thresholds of the challenge, and at one that was fixed beforehand."""

    scores: ThresholdScores
    fixed: ThresholdScores
    threshold: float

    def __add__(self, other: "Curve") -> "Curve":
        return Curve(self.scores + other.scores, self.fixed + other.fixed, self.threshold)

    def values(self) -> Values:
        """The score at the fixed threshold; the best one, and its threshold."""
        best = {"best": self.scores.best, "best_threshold": self.scores.best_threshold}
        return {"at_threshold": float(self.fixed.values[0]), "threshold": self.threshold, **best}


def count(metric: Metric, image: Counted, threshold: float, ignore_background: bool) -> Counts:
    """The counts of a metric of an image.

    `threshold` is that of metrics of probabilities which was fixed beforehand. `ignore_background` leaves out pixels of
    label 0 from metrics of partitions.
    """
    if metric.needs == PROBABILITY:
        return _curve(metric.name, image, threshold)
    return COUNTS[metric.name](image, ignore_background)


def _curve(name: str, image: Counted, threshold: float) -> Curve:
    assert image.labels is not None
    assert image.probability is not None
    curve = CURVES[name]
    scores = image.v_scores[name] if name in ("v_rand", "v_info") else curve(image.labels, image.probability)
    near = np.flatnonzero(np.abs(scores.thresholds - threshold) < CLOSE)
    if len(near):
        k = slice(near[0], near[0] + 1)
        fixed = ThresholdScores(scores.metric, scores.thresholds[k], scores.counts[k])
    else:
        fixed = curve(image.labels, image.probability, [threshold])
    return Curve(scores, fixed, threshold)


def _overlaps(score: str, image: Counted, _: bool) -> Overlaps:
    found = {"foreground": sum((foreground_overlap(table) for table in image.tables), Overlap())}
    if image.classes is not None:
        found |= {f"class {c}": overlap for c, overlap in class_overlaps(image.classes).items() if c}
    return Overlaps(score, found)


def _matchings(image: Counted, _: bool) -> Matchings:
    slices = [overlaps_of(table) for table in image.tables]
    return Matchings(tuple(sum((each.matching(t) for each in slices), Matching()) for t in THRESHOLDS))


def _seg(image: Counted, _: bool) -> SegCounts:
    return SegCounts(sum((overlaps_of(table).seg() for table in image.tables), Seg()))


def _variation(image: Counted, ignore_background: bool) -> Mean:
    found = [variation_of_information_of(table, ignore_background) for table in image.tables]
    return _sum(found, ("total", "split", "merge"))


def _rand(image: Counted, ignore_background: bool) -> Mean:
    found = [adapted_rand_of(table, ignore_background) for table in image.tables]
    return _sum(found, ("error", "precision", "recall"))


def _sum(found: Sequence[object], names: Sequence[str]) -> Mean:
    return Mean({name: sum(getattr(each, name) for each in found) for name in names}, len(found))


COUNTS: dict[str, Callable[[Counted, bool], Counts]] = {
    "iou": partial(_overlaps, "iou"),
    "dice": partial(_overlaps, "dice"),
    "ap": _matchings,
    "seg": _seg,
    "variation_of_information": _variation,
    "adapted_rand": _rand,
}
