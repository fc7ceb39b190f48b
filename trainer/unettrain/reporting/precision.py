"""Precision of scores that rest on a limited number of cells: the binomial interval of AP, and digits worth showing."""

import math

from unettrain.metrics.scores import Scores

Z_95 = 1.959964  # quantile of the normal distribution for 95 %
MANY = 1000  # objects from which a third digit is shown


def num_counted(scores: Scores) -> int:
    """The objects that AP at IoU 0.5 is a share of: cells found, missed and invented."""
    found = scores.cells[0]
    return found.tp + found.fp + found.fn


def ap_interval(scores: Scores) -> tuple[float, float]:
    """The 95 % binomial interval of AP at IoU 0.5 (Wilson 1927), which takes the objects as independent.

    (0, 1) if nothing was counted.
    """
    num = num_counted(scores)
    if not num:
        return 0.0, 1.0
    share, spread = scores.ap[0.5], Z_95**2 / num
    middle, half = share + spread / 2, Z_95 * math.sqrt(share * (1 - share) / num + spread / num / 4)
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def digits(scores: Scores) -> int:
    """Digits after the point of a score: 2 where one cell in a thousand would change the third."""
    return 3 if num_counted(scores) >= MANY else 2


def rounded(value: float, scores: Scores) -> str:
    """A score of `scores` as text, with as many digits as its cells support."""
    return f"{value:.{digits(scores)}f}"


def number_of(count: int, noun: str) -> str:
    """For example "1 cell" or "1,234 cells"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def uncertainty(scores: Scores, seed: int) -> str:
    """How precise the scores of one training are, in words."""
    found, num = scores.cells[0], num_counted(scores)
    basis = f"The scores rest on {number_of(found.tp + found.fn, 'true cell')} and one training, of seed {seed}."
    if not num:
        return f"{basis} Without cells they say nothing."
    low, high = (rounded(value, scores) for value in ap_interval(scores))
    return (
        f"{basis} AP@0.5 is {found.tp:,} of {num:,} (cells found, of those found, missed or invented): one cell"
        f" is {1 / num:.1g} of it. Its binomial 95 % interval is {low} to {high}; other images and other seeds add to"
        " that."
    )
