"""Squared distances between pixels as integers, so that they are exact.

They are counted in a unit that divides the squares of the pixel sizes. For pixel sizes without such a unit the unit is
2^-32 of the squared reach.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FIXED_POINT_BITS = 32
LARGEST_DENOMINATOR = 16  # so pixel sizes such as 1.5 : 1 or 2.0625 : 1 have a common unit


@dataclass(frozen=True)
class Metric:
    """Integer squared distances: that of offset k along an axis is (k^2 * factor) >> fraction, in units of `unit`."""

    factors: tuple[int, int, int]  # z, y, x
    steps: tuple[int, int, int]  # number of offsets to search along each axis, with 0
    fraction: int
    unit: float
    limit: int  # the squared reach, rounded up

    def squares(self, axis: int, reach: float = math.inf) -> NDArray[np.uint64]:
        """The squared offsets along an axis below `reach`, by default below the reach of the metric."""
        offsets = [(k * k * self.factors[axis]) >> self.fraction for k in range(self.steps[axis])]
        return np.array([square for square in offsets if square == 0 or square * self.unit < reach * reach], np.uint64)


def metric(spacing: tuple[float, ...], reach: float) -> Metric:
    """The metric for pixels of size (z,) y, x and distances under `reach`; without z, slices are independent."""
    sides = (math.inf,) * (3 - len(spacing)) + tuple(spacing)
    steps = [1 if math.isinf(s) else max(1, math.ceil(reach / s)) for s in sides]
    finest = min(sides)
    for denominator in range(1, LARGEST_DENOMINATOR + 1):
        ratios = [0.0 if math.isinf(s) else (s / finest * denominator) ** 2 for s in sides]
        unit, fraction = (finest / denominator) ** 2, 0
        if all(abs(r - round(r)) <= 1e-9 * r for r in ratios) and reach * reach / unit < 2**FIXED_POINT_BITS - 2:
            break
    else:
        unit, fraction = max(reach, finest) ** 2 / (2**FIXED_POINT_BITS - 2), FIXED_POINT_BITS - 2
        ratios = [0.0 if math.isinf(s) else s * s / unit * 2**fraction for s in sides]
    z, y, x = (round(r) for r in ratios)
    return Metric((z, y, x), (steps[0], steps[1], steps[2]), fraction, unit, max(1, math.ceil(reach * reach / unit)))
