"""Checked inputs of the challenge's metrics: labels, a proposal, and thresholds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput

# The challenge's scripts add 0.1 repeatedly, in float64, so that some differ from the decimal numbers in the last bit.
CHALLENGE_THRESHOLDS = (0.0, *accumulate(repeat(0.1, 10)))  # 0, 0.1, ..., 0.9999999999999999


@dataclass(frozen=True)
class Pair:
    """Labels and a proposal (slices, y, x), checked by `checked_pair`."""

    labels: NDArray[Any]
    proposal: NDArray[Any]

    @property
    def num_slices(self) -> int:
        """Number of slices."""
        return len(self.labels)

    def slices(self) -> Iterator[tuple[NDArray[Any], NDArray[np.float64]]]:
        """Labels and probability of a cell of each slice (y, x)."""
        for labels, proposal in zip(self.labels, self.proposal, strict=True):
            # In float64, as in the challenge: numpy would otherwise round thresholds to the proposal's precision.
            is_mask = proposal.dtype.kind != "f"
            yield labels, (proposal != 0).astype(np.float64) if is_mask else proposal.astype(np.float64)


def checked_pair(labels: NDArray[Any], proposal: NDArray[Any], metric: str) -> Pair:
    """The pair, as stacks of slices. Raises InvalidInput for what the metric is not defined for."""
    labels, proposal = np.asarray(labels), np.asarray(proposal)
    if labels.shape != proposal.shape:
        raise InvalidInput(f"labels have shape {labels.shape}, proposal {proposal.shape}", allowed="one shape for both")
    if labels.ndim not in (2, 3) or not labels.size:
        raise InvalidInput(f"labels have shape {labels.shape}", allowed="(y, x) or (slices, y, x), not empty")
    if labels.dtype.kind not in "biu":
        raise InvalidInput(f"labels are {labels.dtype}", allowed="integers or bool: 0 = membrane, > 0 = cell")
    _check_proposal(proposal)
    if metric != "pixel_error" and labels.dtype.kind == "i" and labels.min() < 0:
        raise InvalidInput(
            f"labels have {np.count_nonzero(labels < 0)} ignored pixels (< 0), where {metric} is undefined",
            allowed="labels >= 0: whether cells are connected through ignored pixels is unknown",
            hint="leave the image out, crop it, or use pixel_error, which leaves these pixels out",
        )
    return Pair(labels, proposal) if labels.ndim == 3 else Pair(labels[None], proposal[None])


def _check_proposal(proposal: NDArray[Any]) -> None:
    kind = proposal.dtype.kind
    if kind not in "biuf":
        raise InvalidInput(f"the proposal is {proposal.dtype}", allowed="a probability of cell, 0 to 1, or a mask")
    low, high = proposal.min(), proposal.max()
    if kind == "f" and not (low >= 0 and high <= 1):  # NaN is neither
        raise InvalidInput(
            f"the proposal ranges from {low} to {high}",
            allowed="the probability of a cell, 0 to 1, without NaN",
            hint="of values 0 to 255, divide by 255; membrane probabilities are 1 - p",
        )
    if kind in "iu" and (low < 0 or not ((proposal == 0) | (proposal == high)).all()):
        raise InvalidInput(
            f"the proposal is {proposal.dtype} with values from {low} to {high}",
            allowed="a mask, 0 and one other number, or floating-point probabilities, 0 to 1",
            hint="divide integer probabilities by their largest value, as 255; of instance labels, take labels > 0",
        )


def checked_thresholds(thresholds: Sequence[float] | NDArray[np.floating] | None) -> NDArray[np.float64]:
    """Thresholds as float64, by default those of the challenge. Raises InvalidInput unless ascending within 0 to 1."""
    chosen = np.array(CHALLENGE_THRESHOLDS if thresholds is None else thresholds, np.float64)
    are_ascending = chosen.ndim == 1 and len(chosen) > 0 and bool((np.diff(chosen) > 0).all())
    if not (are_ascending and chosen[0] >= 0 and chosen[-1] <= 1):
        raise InvalidInput(f"thresholds are {chosen.tolist()}", allowed="ascending different numbers from 0 to 1")
    return chosen
