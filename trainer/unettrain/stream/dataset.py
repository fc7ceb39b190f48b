"""Iterable dataset for `torch.utils.data.DataLoader` that yields the batches of a TileStream."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream, steps_from


class TileDataset(IterableDataset[Batch]):
    """The batches of a TileStream, for `DataLoader(TileDataset(store), batch_size=None, num_workers=n)`.

    Takes the arguments of TileStream. Each of n workers opens the store and makes every n-th batch, so the batches do
    not depend on the number of workers or their start method. Batches are copied between processes: a TileStream, whose
    threads copy nothing, is faster (benchmarks/stream).
    """

    def __init__(self, store: str | Path, split: str = "train", **options: Any) -> None:
        TileStream(store, split, **options)  # raises errors here rather than in a worker
        self.store, self.split, self.options = store, split, options

    def __iter__(self) -> Iterator[Batch]:
        stream, worker = TileStream(self.store, self.split, **self.options), get_worker_info()
        if worker is None:
            yield from stream
            return
        for step in islice(steps_from(stream.start_step, stream.num_steps), worker.id, None, worker.num_workers):
            yield stream.batch(step)
