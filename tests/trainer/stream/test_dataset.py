"""The adapter for DataLoader: the same batches in the same order, from any number of worker processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from unettrain import TileDataset, TileStream
from unettrain.errors import InvalidInput
from unettrain.stream.batches import Batch


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


@pytest.mark.parametrize(("num_workers", "context"), [(0, None), (1, "spawn"), (2, "spawn"), (2, "fork")])
def test_any_number_of_workers_gives_the_stream(
    make_store: Callable[..., Path], num_workers: int, context: str | None
) -> None:
    options: dict[str, Any] = {"batch_size": 2, "seed": 4, "start_step": 3, "num_steps": 7}
    store = make_store()
    expected = list(TileStream(store, **options))
    loader = DataLoader(
        TileDataset(store, **options), batch_size=None, num_workers=num_workers, multiprocessing_context=context
    )
    found = list(loader)
    assert len(found) == 7
    assert all(map(same, found, expected))


def test_what_is_wrong_is_said_at_once(make_store: Callable[..., Path]) -> None:
    with pytest.raises(InvalidInput, match="split is 'all'"):
        TileDataset(make_store(), "all")
