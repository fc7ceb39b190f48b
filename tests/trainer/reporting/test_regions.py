"""Regions of held-out images that a report scores."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unettrain.reporting.regions import ALIGN_PX, Region, densest_window, middle, plan_regions, window_around

SHAPES = st.dictionaries(
    st.text("ab", min_size=1, max_size=3),
    st.tuples(st.tuples(st.integers(1, 30), st.integers(1, 3000), st.integers(1, 3000)), st.sampled_from([2, 3])),
    min_size=1,
    max_size=6,
)


@given(SHAPES, st.integers(1, 10**7))
def test_regions_lie_in_their_images_and_stay_under_the_limit(images: Any, most: int) -> None:
    regions = plan_regions(images, most)
    assert len(regions) == len(set(regions)) >= 1
    for r in regions:
        (z, y, x), dims = images[r.name]
        assert 0 <= r.z0 < r.z1 <= z
        assert 0 <= r.y0 < r.y1 <= y
        assert 0 <= r.x0 < r.x1 <= x
        assert r.y0 % ALIGN_PX == r.x0 % ALIGN_PX == 0
        assert dims == 3 or r.z1 - r.z0 == 1
    everything = plan_regions(images, 10**18)
    assert regions == everything or len(regions) == max(1, len(everything) * most // sum(map(size, everything)))


def size(region: Region) -> int:
    return region.num_pixels


def test_small_data_are_used_whole() -> None:
    regions = plan_regions({"a": ((2, 50, 60), 2), "b": ((5, 70, 1024), 3)})
    assert regions == [
        Region("a", 2, 0, 1, 0, 50, 0, 60),
        Region("a", 2, 1, 2, 0, 50, 0, 60),
        Region("b", 3, 0, 5, 0, 70, 0, 1024),
    ]
    assert [r.connectivity for r in regions] == [4, 4, 6]


def test_windows() -> None:
    assert middle(10, 4) == (3, 7)
    assert middle(3, 4) == (0, 3)
    assert window_around(0, 100, 10) == (0, 10)
    assert window_around(50, 100, 10) == (45, 55)
    assert window_around(99, 100, 10) == (90, 100)
    mask = np.zeros((40, 12), bool)
    mask[30:36] = True
    rows, columns = densest_window(mask, 16)
    assert rows.start <= 30
    assert rows.stop >= 36
    assert (rows.stop - rows.start, columns) == (16, slice(0, 12))
