"""Scores of one metric of the challenge at several thresholds, of one image or several."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput

CLOSE = 1e-9  # thresholds that differ by less are the same


class Rule(NamedTuple):
    """How a score follows from the counts of its metric."""

    is_error: bool  # the lowest is the best
    averaged: bool  # the F score of each slice, averaged; or of the sums over all slices


RULES = {
    "pixel_error": Rule(is_error=True, averaged=False),
    "rand_error": Rule(is_error=True, averaged=False),
    "v_rand": Rule(is_error=False, averaged=True),
    "v_info": Rule(is_error=False, averaged=True),
    "warping_error": Rule(is_error=True, averaged=False),
}


@dataclass(frozen=True, eq=False)
class ThresholdScores:
    """A metric at each threshold. `+` adds another image: the result is that of all slices of both.

    `thresholds` is (t,) float64. `counts` is (t, slices, 3) float64, from which all scores follow, for each slice:

    - of `warping_error`: pixels of splits, of mergers, and all pixels;
    - of the others: a, b, c with precision a / b, recall a / c. Pixels: true positives, cells of the proposal, of the
      labels. Rand and V_rand: sums of squared overlaps. V_info: mutual information, entropy of the labels, of the
      proposal. NaN where the labels have no cell (v_rand, v_info); such slices are left out of all averages.
    """

    metric: str
    thresholds: NDArray[np.float64]
    counts: NDArray[np.float64]

    def __add__(self, other: "ThresholdScores") -> "ThresholdScores":
        if self.metric != other.metric or not np.array_equal(self.thresholds, other.thresholds):
            raise InvalidInput(
                f"{self.metric} at {self.thresholds.tolist()} and {other.metric} at {other.thresholds.tolist()}",
                allowed="scores of one metric at the same thresholds",
            )
        return ThresholdScores(self.metric, self.thresholds, np.concatenate([self.counts, other.counts], axis=1))

    @property
    def num_slices(self) -> int:
        """Number of slices, of all images."""
        return int(self.counts.shape[1])

    @property
    def values(self) -> NDArray[np.float64]:
        """The score at each threshold (t,); NaN where it is undefined, as no slice of the labels has a cell."""
        return _mean(self.per_slice) if RULES[self.metric].averaged else self._score(self.counts.sum(axis=1))

    @property
    def per_slice(self) -> NDArray[np.float64]:
        """The score of each slice alone, at each threshold (t, slices)."""
        return self._score(self.counts)

    @property
    def precision(self) -> NDArray[np.float64] | None:
        """Precision at each threshold (t,), pooled or averaged over slices as the score is; None of warping_error."""
        return self._pooled_ratio(1)

    @property
    def recall(self) -> NDArray[np.float64] | None:
        """Recall at each threshold (t,), pooled or averaged over slices as the score is; None of warping_error."""
        return self._pooled_ratio(2)

    @property
    def splits_px(self) -> NDArray[np.float64] | None:
        """Pixels of splits at each threshold (t,), of warping_error."""
        return self.counts[..., 0].sum(axis=1) if self.metric == "warping_error" else None

    @property
    def mergers_px(self) -> NDArray[np.float64] | None:
        """Pixels of mergers at each threshold (t,), of warping_error."""
        return self.counts[..., 1].sum(axis=1) if self.metric == "warping_error" else None

    @property
    def best(self) -> float:
        """The challenge's score: the lowest error, or the highest of the other scores, of all thresholds.

        It is chosen on the scored images, so it is better than what can be expected of others; see `at`.
        """
        return float(self.values[self._best_index])

    @property
    def best_threshold(self) -> float:
        """The threshold of the best score; of several, the lowest."""
        return float(self.thresholds[self._best_index])

    def at(self, threshold: float) -> float:
        """The score at one of the thresholds, which was fixed beforehand. Raises InvalidInput for any other number."""
        near = np.flatnonzero(np.abs(self.thresholds - threshold) < CLOSE)
        if not len(near):
            raise InvalidInput(
                f"threshold is {threshold}",
                allowed=", ".join(f"{t:g}" for t in self.thresholds),
                hint="give it among the thresholds that scores are computed at",
            )
        return float(self.values[near[0]])

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None for what is undefined."""
        found: dict[str, Any] = {
            "best": _plain(self.best),
            "best_threshold": self.best_threshold,
            "thresholds": self.thresholds.tolist(),
            "values": [_plain(value) for value in self.values],
        }
        for name in ("precision", "recall", "splits_px", "mergers_px"):
            per_threshold = getattr(self, name)
            if per_threshold is not None:
                found[name] = [_plain(value) for value in per_threshold]
        return found

    @property
    def _best_index(self) -> int:
        values = -self.values if RULES[self.metric].is_error else self.values
        return int(np.argmax(values))  # where all are NaN, the first

    def _score(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of counts (..., 3)."""
        if self.metric == "warping_error":
            return (counts[..., 0] + counts[..., 1]) / counts[..., 2]
        precision, recall = self._ratio(counts, 1), self._ratio(counts, 2)
        both = precision + recall
        f = 2 * precision * recall / np.where(both == 0, 1, both)
        return 1 - f if RULES[self.metric].is_error else f

    def _ratio(self, counts: NDArray[np.float64], whole: int) -> NDArray[np.float64]:
        """Precision (`whole` 1) or recall (2) of counts (..., 3)."""
        if self.metric == "v_info":  # the challenge scores 0 where either entropy is 0
            no_objects = (counts[..., 1] == 0) | (counts[..., 2] == 0)
            return np.where(no_objects, 0, counts[..., 0] / np.where(no_objects, 1, counts[..., whole]))
        nothing = counts[..., whole] == 0  # no false positives, or no false negatives
        return np.where(nothing, 1, counts[..., 0] / np.where(nothing, 1, counts[..., whole]))

    def _pooled_ratio(self, whole: int) -> NDArray[np.float64] | None:
        if self.metric == "warping_error":
            return None
        if RULES[self.metric].averaged:
            return _mean(self._ratio(self.counts, whole))
        return self._ratio(self.counts.sum(axis=1), whole)


def _mean(per_slice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over slices (t, slices) that are not NaN; NaN where all are."""
    known = ~np.isnan(per_slice)
    num = known.sum(axis=1)
    return np.where(num > 0, np.where(known, per_slice, 0).sum(axis=1) / np.maximum(num, 1), np.nan)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
