import numpy as np
import pytest
from numpy.typing import NDArray

from unetprep.kernels.basin_merging import Peaks, merge_basins


def merged_one_by_one(
    heights: NDArray[np.int32], places: NDArray[np.int64], contacts: NDArray[np.int32], min_depth: float
) -> list[int]:
    """The definition: basins 1, 2, ..., passes from the highest, of equal ones between the earlier peaks first."""
    members = {k + 1: {k + 1} for k in range(len(heights))}
    peaks = {k + 1: int(height) for k, height in enumerate(heights)}
    place = {k + 1: int(where) for k, where in enumerate(places)}

    def key(contact: NDArray[np.int32]) -> tuple[int, ...]:
        return -int(contact[2]), *sorted(place[int(basin)] for basin in contact[:2])

    for a, b, height in sorted(contacts, key=key):
        first, second = (next(k for k, some in members.items() if int(basin) in some) for basin in (a, b))
        lower = min(peaks[first], peaks[second])
        if first != second and (lower - height < 1 or lower - height < min_depth * lower):
            kept, other = min(first, second), max(first, second)
            members[kept] |= members.pop(other)
            peaks[kept] = max(peaks[kept], peaks.pop(other))
    return [0, *(next(k for k, some in members.items() if basin in some) for basin in range(1, len(heights) + 1))]


@pytest.mark.parametrize("min_depth", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_definition_with_many_equal_passes_and_repeated_contacts(seed: int, min_depth: float) -> None:
    draws = np.random.default_rng(seed)
    num = 40
    heights, places = draws.integers(3, 12, num).astype(np.int32), draws.permutation(10**6)[:num]
    ends = draws.integers(1, num + 1, (150, 2))
    passes = draws.integers(1, heights[ends - 1].min(axis=1) + 1)
    contacts = np.column_stack([ends, passes]).astype(np.int32)
    contacts = np.concatenate([contacts, contacts[:30] - [0, 0, 1]]).astype(np.int32)  # a pair again, and lower
    peaks = Peaks(np.arange(1, num + 1, dtype=np.int32), heights, places)
    found = merge_basins(np.arange(num + 1, dtype=np.int32), peaks, contacts, min_depth)
    assert found.tolist() == merged_one_by_one(heights, places, contacts, min_depth)


def test_nothing_touches() -> None:
    peaks = Peaks(np.array([1, 2], np.int32), np.array([5, 5], np.int32), np.array([0, 9]))
    assert merge_basins(np.arange(3, dtype=np.int32), peaks, np.zeros((0, 3), np.int32), 0.5).tolist() == [0, 1, 2]
