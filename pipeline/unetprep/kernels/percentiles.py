"""Robust range of the values of an image: exact percentiles of 2 x 2 medians, block by block in bounded memory.

The image is divided into squares of 2 x 2 pixels. The upper end of the range is a high percentile of the lower medians
(second smallest value) of the squares, the lower end a low percentile of their upper medians (second largest value).
Isolated hot or dead pixels, and a hot row or column, therefore do not change the range, while objects of a few pixels
do. Plain percentiles either follow hot pixels or lie in the background of sparse images. The percentiles were chosen
by the figures in pipeline/DESIGN.md.

    a b     sorted v1 <= v2 <= v3 <= v4:    lower median v2, upper median v3
    c d

Values are counted in histograms. Integers of up to 16 bits have one bin for each value and need one pass. All other
values are counted as float32, by the upper 16 bits of order-preserving integer keys, and in a second pass by the lower
16 bits of those keys that share the upper bits of a result. Both give exact order statistics, whatever the blocks.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.intensity_rules import intensity_rule_for

TRIMMED = (2, 10_000)  # share of the squares beyond either end: percentiles 0.02 and 99.98
BITS = 16
LOWER_BITS = (1 << BITS) - 1
PART_PX = 512  # side of the parts in which a block is counted, which bounds the temporary arrays
WORKING_BYTES = 16 << 20  # upper bound for the histograms and temporary arrays of a RangeFinder


@dataclass(frozen=True)
class RobustRange:
    """Robust range of the values of an image, and the pixels outside it.

    `low` and `high` are the percentiles; those of a constant image are equal. `least` and `greatest` are the extremes,
    `num_below` and `num_above` count the pixels below `low` and above `high`.
    """

    low: float
    high: float
    least: float
    greatest: float
    num_below: int
    num_above: int
    num_pixels: int


def intensity_limits(rule: str, dtype: np.dtype[Any] | str, seen: RobustRange) -> tuple[float, float]:
    """(low, high), the values scaled to 0 and 1 for the network, by a rule of INTENSITY_RULES.

    dtype: the range of the integer type; minmax: the least and the greatest value; percentile: the robust range; auto:
    see `intensity_rule_for`. A constant image gets high = low + 1. Raises ValueError for rule dtype and real numbers.
    """
    rule = intensity_rule_for(rule, np.dtype(dtype).name)
    if rule == "dtype":
        limits = np.iinfo(np.dtype(dtype))
        return float(limits.min), float(limits.max)
    low, high = (seen.least, seen.greatest) if rule == "minmax" else (seen.low, seen.high)
    return low, high if high > low else low + max(1.0, float(np.spacing(abs(low))))


def robust_range(blocks: Callable[[], Iterable[NDArray[Any]]], dtype: np.dtype[Any]) -> RobustRange:
    """The range of an image that `blocks()` yields in blocks, once or twice.

    Blocks are (..., y, x) of `dtype`, disjoint, in any order; each begins at an even row and column of the image.
    """
    finder = RangeFinder(dtype)
    while finder.needs_pass():
        for block in blocks():
            finder.add(block)
        finder.end_pass()
    return finder.result()


class RangeFinder:
    """Robust range from blocks that the caller adds, for callers that also use the blocks otherwise.

    While `needs_pass()` is True, add every block once and call `end_pass()`. Then call `result()`.
    """

    def __init__(self, dtype: np.dtype[Any] | str) -> None:
        self._dtype = np.dtype(dtype)
        self._exact = self._dtype.kind in "bui" and self._dtype.itemsize <= 2
        self._coarse = _Histograms(8 * self._dtype.itemsize if self._exact else BITS)
        self._bins: tuple[int, int] | None = None  # of the first pass, in which low and high lie
        self._fine: tuple[_Histograms, ...] = ()  # within the bin of low, and of high
        self._extremes = (np.inf, -np.inf)
        self._done = False

    def needs_pass(self) -> bool:
        """Whether all blocks have to be added (again)."""
        return not self._done

    def add(self, block: NDArray[Any]) -> None:
        """Count the values of a block (..., y, x)."""
        for part in _parts(block):
            values = part if self._exact else part.astype(np.float32, copy=False)
            keys = _keys(values, self._exact)
            of_all = (keys, *_medians(keys))
            if self._bins is None:
                least, greatest = self._extremes
                self._extremes = min(least, float(values.min())), max(greatest, float(values.max()))
                self._coarse.add(*(k if self._exact else k >> BITS for k in of_all))
            else:
                for bin, fine in zip(self._bins, self._fine, strict=True):
                    fine.add(*(k[k >> BITS == bin] & LOWER_BITS for k in of_all))

    def end_pass(self) -> None:
        """End a pass, after all blocks have been added."""
        self._done = self._exact or self._bins is not None
        if self._bins is None:
            low, high = self._ranks()
            self._bins = _bin_of(self._coarse.upper, low), _bin_of(self._coarse.lower, high)
            self._fine = () if self._exact else (_Histograms(BITS), _Histograms(BITS))

    def result(self) -> RobustRange:
        """The robust range. It is invalid if there are values that are not finite; then the extremes are not finite."""
        assert self._done
        assert self._bins is not None
        low_key, high_key = self._bins if self._exact else self._fine_keys()
        low, high, num = self._value(low_key), self._value(high_key), int(self._coarse.pixels.sum())
        least, greatest = self._extremes
        if high <= low and least < greatest:  # constant but for isolated pixels, or a pattern of single pixels
            return RobustRange(least, greatest, least, greatest, 0, 0, num)
        below = self._coarse.pixels[: self._bins[0]].sum()
        above = self._coarse.pixels[self._bins[1] + 1 :].sum()
        if not self._exact:
            below += self._fine[0].pixels[: low_key & LOWER_BITS].sum()
            above += self._fine[1].pixels[(high_key & LOWER_BITS) + 1 :].sum()
        return RobustRange(low, high, least, greatest, int(below), int(above), num)

    def _ranks(self) -> tuple[int, int]:
        """The ranks of low and high among the squares; the least has rank 0."""
        num = int(self._coarse.lower.sum())
        trimmed = (num - 1) * TRIMMED[0] // TRIMMED[1]
        return trimmed, num - 1 - trimmed

    def _fine_keys(self) -> tuple[int, int]:
        """The keys of low and high, from the bins of both passes."""
        assert self._bins is not None
        (low, high), (low_bin, high_bin) = self._ranks(), self._bins
        low -= int(self._coarse.upper[:low_bin].sum())
        high -= int(self._coarse.lower[:high_bin].sum())
        return low_bin << BITS | _bin_of(self._fine[0].upper, low), high_bin << BITS | _bin_of(
            self._fine[1].lower, high
        )

    def _value(self, key: int) -> float:
        if self._exact:
            return float(key + (np.iinfo(self._dtype).min if self._dtype.kind == "i" else 0))
        bits = key ^ (1 << 31) if key >> 31 else ~key & 0xFFFFFFFF
        return float(np.array(bits, np.uint32).view(np.float32))


class _Histograms:
    """Histograms of keys of up to 16 bits: of all pixels, of the lower medians and of the upper medians."""

    def __init__(self, bits: int) -> None:
        self.pixels, self.lower, self.upper = (np.zeros(1 << bits, np.int64) for _ in range(3))

    def add(self, pixels: NDArray[Any], lower: NDArray[Any], upper: NDArray[Any]) -> None:
        for histogram, keys in ((self.pixels, pixels), (self.lower, lower), (self.upper, upper)):
            counts = np.bincount(keys.ravel())
            histogram[: len(counts)] += counts


def _parts(block: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Parts (y, x) of a block (..., y, x), each of which begins at an even row and column."""
    for index in np.ndindex(block.shape[:-2]):
        for top in range(0, block.shape[-2], PART_PX):
            for left in range(0, block.shape[-1], PART_PX):
                yield block[(*index, slice(top, top + PART_PX), slice(left, left + PART_PX))]


def _keys(values: NDArray[Any], exact: bool) -> NDArray[Any]:
    """Order-preserving unsigned integer keys of values: of the same size if `exact`, else 32 bits of float32 values."""
    if exact:
        unsigned = np.dtype(f"u{values.dtype.itemsize}")
        keys = values.astype(values.dtype.newbyteorder("="), copy=False).view(unsigned)
        return keys ^ unsigned.type(1 << 8 * unsigned.itemsize - 1) if values.dtype.kind == "i" else keys
    bits = (values + np.float32(0)).view(np.uint32)  # -0.0 becomes 0.0
    return bits ^ np.where(bits >> np.uint32(31), np.uint32(0xFFFFFFFF), np.uint32(1 << 31))


def _medians(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lower and upper median of each square of 2 x 2; an odd last row or column is repeated."""
    odd = [(0, n % 2) for n in values.shape]
    padded = np.pad(values, odd, mode="edge") if any(n % 2 for n in values.shape) else values
    low, high = np.minimum(padded[::2], padded[1::2]), np.maximum(padded[::2], padded[1::2])
    one, other = np.maximum(low[:, ::2], low[:, 1::2]), np.minimum(high[:, ::2], high[:, 1::2])
    return np.minimum(one, other), np.maximum(one, other)


def _bin_of(histogram: NDArray[np.int64], rank: int) -> int:
    """The bin that contains the value of a rank."""
    return int(np.searchsorted(np.cumsum(histogram), rank, side="right"))
