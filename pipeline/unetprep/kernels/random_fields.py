"""Random displacement grids. Grid k depends only on (seed, k).

Philox (Salmon et al. 2011) is a counter-based generator, so every field has a stream of its own; the Box-Muller
transform makes it Gaussian. Logarithm and cosine are computed here from additions, multiplications, divisions and
square roots, whose rounding IEEE 754 defines; those of a library may differ in the last bit between machines.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # ln 2 as a sum; the lower bits of the first are 0
LOG_TERMS, TRIGONOMETRIC_TERMS = 13, 8  # lengths of the series, exact up to the last bit of a float64


def draw_grids(
    seed: int, fields: Sequence[int], nodes: tuple[int, ...], sigma_px: float, attempt: int = 0
) -> NDArray[np.float32]:
    """Displacements (field, axis, *nodes) in pixels, float32, Gaussian with standard deviation `sigma_px`.

    `nodes` are counts along y and x, or z, y and x, in which order `axis` counts too. The bits are equal on all
    machines. Another `attempt` gives other grids, to replace rejected ones. Source: Ronneberger et al. 2015, section
    3.1 (3 x 3 nodes, 10 pixels). Raises OverflowError for a seed or a field outside 0 to 2^64 - 1.
    """
    count = len(nodes) * math.prod(nodes)
    raw = np.stack([_stream(seed, k, attempt).random_raw(2 * count) for k in fields])
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 1) / 2.0**53  # in (0, 1], so that its logarithm is finite
    normal = np.sqrt(-2 * _log(uniform[:, :count])) * _cosine_of_turns(uniform[:, count:])
    grids: NDArray[np.float32] = (sigma_px * normal).astype(np.float32).reshape(-1, len(nodes), *nodes)
    return grids


def _stream(seed: int, field: int, attempt: int) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed, field], np.uint64), counter=[0, 0, 0, attempt])


def _log(x: Reals) -> Reals:
    """ln(2^e m) = e ln 2 + 2 artanh(s) with s = (m - 1) / (m + 1), by the power series of artanh."""
    m, e = np.frexp(x)
    small = m < math.sqrt(0.5)
    m, e = np.where(small, 2 * m, m), e - small
    s = (m - 1) / (m + 1)
    series = np.zeros_like(x)
    for k in range(LOG_TERMS, 0, -1):
        series = (series + 1 / (2 * k + 1)) * (s * s)
    result: Reals = e * LN2_HIGH + (e * LN2_LOW + 2 * s * (1 + series))
    return result


def _cosine_of_turns(turns: Reals) -> Reals:
    """cos(2 pi t) for t from 0 to 1, by power series around the nearest quarter turn."""
    quarters = np.floor(4 * turns + 0.5)
    a = 2 * math.pi * (turns - quarters / 4)
    cosine, sine = np.zeros_like(turns), np.zeros_like(turns)
    for k in range(TRIGONOMETRIC_TERMS, 0, -1):
        cosine = (1 + cosine) * (-a * a / ((2 * k - 1) * (2 * k)))
        sine = (1 + sine) * (-a * a / ((2 * k) * (2 * k + 1)))
    cosine, sine = 1 + cosine, a * (1 + sine)
    return np.choose(quarters.astype(np.intp) % 4, [cosine, -sine, -cosine, sine])
