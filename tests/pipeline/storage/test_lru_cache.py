"""LRU cache of arrays, bounded in bytes."""

from typing import Any

import numpy as np

from unetprep.storage.lru_cache import ArrayCache


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
