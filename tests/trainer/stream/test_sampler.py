"""The order of training: every tile once an epoch, any place known at once, all orders as likely."""

import math
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unettrain.config import SHUFFLES
from unettrain.errors import InvalidInput
from unettrain.stream.sampler import SHARDS_AT_ONCE, Sampler

DENSITY = np.random.default_rng(0).random(7 + 1 + 236 + 1000) ** 4
RANGES = [(3, 10), (20, 21), (64, 300), (1000, 2000)]
NUM = 7 + 1 + 236 + 1000


@pytest.mark.parametrize("shuffle", SHUFFLES)
@given(size=st.integers(1, 300), seed=st.integers(0, 2**63), epoch=st.integers(0, 2**31), shard=st.integers(1, 64))
def test_an_epoch_takes_every_tile_once(shuffle: str, size: int, seed: int, epoch: int, shard: int) -> None:
    sampler = Sampler([(5, 5 + size)], seed, shuffle, shard)
    seen = sampler.at(range(epoch * size, (epoch + 1) * size))
    assert {e for e, *_ in seen} == {epoch}
    assert sorted(tile for _, tile, _ in seen) == list(range(5, 5 + size))


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_any_place_is_known_by_itself(shuffle: str) -> None:
    sampler = Sampler(RANGES, 7, shuffle)
    whole = sampler.at(range(3 * NUM))
    assert sampler.num == NUM
    assert sorted(tile for _, tile, _ in whole[:NUM]) == [tile for a, b in RANGES for tile in range(a, b)]
    assert [sampler.at(range(k, k + 1))[0] for k in range(0, 3 * NUM, 17)] == whole[::17]
    assert sampler.at(range(NUM - 5, NUM + 5)) == whole[NUM - 5 : NUM + 5]
    assert len({tuple(whole[k * NUM : (k + 1) * NUM]) for k in range(3)}) == 3
    assert Sampler(RANGES, 8, shuffle).at(range(NUM)) != whole[:NUM]


@pytest.mark.parametrize("size", [3, 4, 5])
def test_all_orders_of_few_tiles_are_as_likely(size: int) -> None:
    num = 40 * math.factorial(size)
    seen = Counter(tuple(Sampler([(0, size)], seed).at(range(size))) for seed in range(num))
    assert len(seen) == math.factorial(size)
    chi_square, freedom = sum((n - 40) ** 2 / 40 for n in seen.values()), math.factorial(size) - 1
    assert abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom)


def test_every_tile_comes_at_every_place_as_often() -> None:
    orders = np.array([[tile for _, tile, _ in Sampler([(0, 20)], seed).at(range(20))] for seed in range(4000)])
    found = np.array([np.bincount(orders[:, place], minlength=20) for place in range(20)])
    chi_square, freedom = ((found - 200) ** 2 / 200).sum(), 19 * 19
    assert abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom)


def test_neighbours_are_parted() -> None:
    tiles = np.array([tile for _, tile, _ in Sampler([(0, 10_000)], 1).at(range(10_000))])
    assert abs(np.corrcoef(tiles[:-1], tiles[1:])[0, 1]) < 0.04
    assert (abs(np.diff(tiles)) == 1).mean() < 0.002


def test_shards_come_in_groups_that_are_read_side_by_side() -> None:
    num_shards = 100
    tiles = np.array(
        [tile for _, tile, _ in Sampler([(0, 64 * num_shards + 9)], 3, "shards").at(range(64 * num_shards + 9))]
    )
    groups = [{*(part // 64).tolist()} for part in np.split(tiles[:6400], range(1024, 6400, 1024))]
    assert [len(group) for group in groups] == [SHARDS_AT_ONCE] * 6 + [4]
    assert sorted(shard for group in groups for shard in group) == list(range(num_shards))
    assert len({*(tiles[:64] // 64).tolist()}) > 10
    assert (tiles[:1024] % 64 != tiles[1024:2048] % 64).mean() > 0.9  # each group is mixed in its own way
    assert sorted(tiles[6400:]) == list(range(6400, 6409)) != tiles[6400:].tolist()
    assert (abs(np.diff(tiles[:1024])) == 1).mean() < 0.01


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_an_epoch_takes_four_bytes_a_tile(shuffle: str) -> None:
    num = 10**6
    sampler = Sampler([(0, num)], 5, shuffle)
    tracemalloc.start()
    for epoch in range(4):
        sampler.at(range(epoch * num, epoch * num + 1))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2.2 * 4 * num  # two epochs
    assert peak < 4.2 * 4 * num


def test_few_tiles_are_shuffled_by_shards_too() -> None:
    orders = {tuple(Sampler([(0, 13)], seed, "shards").at(range(13))) for seed in range(50)}
    assert len(orders) == 50
    assert all({tile for _, tile, _ in order} == {*range(13)} for order in orders)


def test_a_tile_that_comes_again_in_an_epoch_is_counted() -> None:
    sampler = Sampler([(0, 20)], 2, density=np.array([10.0] + [0.5] * 19))
    for epoch in range(5):
        found = sampler.at(range(20 * epoch, 20 * epoch + 20))
        for tile in {tile for _, tile, _ in found}:
            repeats = [repeat for _, t, repeat in found if t == tile]
            assert sorted(repeats) == list(range(len(repeats)))
        assert len({*found}) == 20


def test_another_shuffle_is_refused() -> None:
    with pytest.raises(InvalidInput, match="shuffle is 'cards'\n  allowed: tiles, shards"):
        Sampler([(0, 3)], 0, "cards")


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_density_says_how_often_a_tile_comes_in_every_epoch(shuffle: str) -> None:
    sampler = Sampler(RANGES, 3, shuffle, density=DENSITY)
    tiles = np.concatenate([np.arange(*r) for r in RANGES])
    expected = DENSITY / DENSITY.sum() * NUM
    total = np.zeros(NUM)
    for epoch in range(40):
        found = sampler.at(range(epoch * NUM, (epoch + 1) * NUM))
        assert {e for e, *_ in found} == {epoch}
        counts = np.bincount([tile for _, tile, _ in found], minlength=tiles[-1] + 1)[tiles]
        assert (abs(counts - expected) < 1 + 1e-9).all()
        total += counts
    assert abs(total / 40 - expected).max() < 0.4
    assert np.corrcoef(total, expected)[0, 1] > 0.99
    assert sampler.at(range(500, 700)) == sampler.at(range(400, 800))[100:300]


def test_equal_densities_are_no_densities() -> None:
    sampler = Sampler(RANGES, 0, density=np.ones(NUM))
    assert sorted(sampler.at(range(NUM))) == sorted(Sampler(RANGES, 0).at(range(NUM)))
    with pytest.raises(InvalidInput, match="no tile holds anything to be learned"):
        Sampler(RANGES, 0, density=np.zeros(NUM))
