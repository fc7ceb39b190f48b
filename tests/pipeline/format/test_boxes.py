"""Boxes of shards and their halos."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unetprep.format.boxes import box_shape, grow, inside, shard_box, shard_counts


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12), st.integers(0, 9)), min_size=1, max_size=3))
def test_shards_cover_once_and_halos_end_at_the_edge(axes: list[tuple[int, int, int]]) -> None:
    shape, shard, halo = (tuple(a) for a in zip(*axes, strict=True))
    seen = np.zeros(shape, int)
    for index in np.ndindex(shard_counts(shape, shard)):
        box = shard_box(index, shape, shard)
        seen[box] += 1
        outer = grow(box, halo, shape)
        assert all(0 <= o.start <= b.start < b.stop <= o.stop <= n for o, b, n in zip(outer, box, shape, strict=True))
        assert all(b.start - o.start in (h, b.start) for o, b, h in zip(outer, box, halo, strict=True))
        there = np.arange(np.prod(shape)).reshape(shape)
        np.testing.assert_array_equal(there[outer][inside(box, outer)], there[box])
        assert box_shape(box) == there[box].shape
    assert (seen == 1).all()


def test_a_box_with_its_halo_ends_at_the_edge_of_the_array() -> None:
    box = shard_box((1, 0), (10, 7), (6, 4))
    assert box == (slice(6, 10), slice(0, 4))
    outer = grow(box, (2, 3), (10, 7))
    assert outer == (slice(4, 10), slice(0, 7))
    assert inside(box, outer) == (slice(2, 6), slice(0, 4))
    assert (shard_counts((10, 7), (6, 4)), shard_counts((12, 8), (6, 4)), box_shape(box)) == ((2, 2), (2, 2), (4, 4))
