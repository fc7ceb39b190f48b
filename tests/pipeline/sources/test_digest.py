"""Digests of the shards of a source."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unetprep.sources.digest import ShardDigest, ShardDigests


@given(st.integers(0, 2**32), st.permutations(range(4)))
def test_a_digest_knows_places_and_not_the_order_of_blocks(seed: int, order: list[int]) -> None:
    values = np.random.default_rng(seed).integers(0, 3, (8, 12), np.uint8)
    whole, parts, swapped = ShardDigest((4, 4)), ShardDigest((4, 4)), ShardDigest((4, 4))
    whole.add(values, (0, 0))
    pieces = [((0, 0), values[:4, :4]), ((0, 4), values[:4, 4:]), ((4, 0), values[4:, :8]), ((4, 8), values[4:, 8:])]
    for k in order:
        parts.add(pieces[k][1], pieces[k][0])
    assert parts.value() == whole.value()
    swapped.add(np.roll(values, 4, 1), (0, 0))
    assert (swapped.value() == whole.value()) == bool((np.roll(values, 4, 1) == values).all())


def test_digests_of_some_shards_are_those_of_all() -> None:
    every = ShardDigests.of_all(bytes(range(160)))
    some = every.select([7, 2, 70])
    assert some.numbers.tolist() == [2, 7]
    assert [some.get(k) for k in (2, 7, 3)] == [every.get(2), every.get(7), None]
    assert every.get(10) is None
