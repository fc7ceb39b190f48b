"""LRU cache of arrays, bounded in bytes."""

from typing import Any

import numpy as np

from unetprep.storage.lru_cache import NO_CACHE, ArrayCache


def test_a_cache_keeps_what_was_used_last_within_its_bytes() -> None:
    cache, decodes = ArrayCache(30), []

    def get(key: str, num: int) -> None:
        def decode() -> Any:
            decodes.append(key)
            return np.zeros(num, np.uint8)

        cache.get_or_compute(key, decode)

    for key, num in (
        ("a", 10),
        ("b", 10),
        ("c", 10),
        ("a", 10),
        ("d", 10),
        ("a", 10),
        ("b", 10),
        ("huge", 31),
        ("b", 10),
    ):
        get(key, num)
    assert decodes == ["a", "b", "c", "d", "b", "huge"]


def test_an_array_that_is_absent_is_none_and_one_that_is_cached_is_the_same_object() -> None:
    cache, array = ArrayCache(8), np.arange(8, dtype=np.uint8)
    assert cache.get("a") is None
    cache.keep("a", array)
    cache.keep("a", np.zeros(8, np.uint8))
    assert cache.get("a") is array


def test_bytes_are_bounded_however_many_arrays_there_are() -> None:
    cache = ArrayCache(100)
    for key in range(50):
        cache.keep(key, np.zeros(key % 40 + 1, np.uint8))
        kept = [array.nbytes for k in range(50) if (array := cache.get(k)) is not None]
        assert 0 < sum(kept) <= 100


def test_no_cache_computes_every_time() -> None:
    computed = []

    def compute() -> Any:
        computed.append(1)
        return np.zeros(1, np.uint8)

    for _ in range(3):
        NO_CACHE.get_or_compute("a", compute)
    assert len(computed) == 3
