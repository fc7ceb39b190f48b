"""Tiles that a training is validated on."""

from collections.abc import Iterator
from pathlib import Path

from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream


class ValidationTiles:
    """The tiles of the validation split; a training batch where there are none."""

    def __init__(self, store: str | Path, training: TileStream) -> None:
        self._store, self._training = store, training
        self._stream: TileStream | None = None
        self._sample: Batch | None = None
        self.num_tiles = len(training.tiles.indices("val"))

    def stream(self) -> TileStream | None:
        """All validation tiles, in batches of one and without augmentation; None if there are none."""
        num = self.num_tiles
        if self._stream is None and num:
            self._stream = TileStream(self._store, "val", augmentation=NO_AUGMENTATION, num_steps=num)
        return self._stream

    def sample(self) -> Batch:
        """The first training batch."""
        if self._sample is None:
            self._sample = self._training.batch(0)
        return self._sample

    def places(self, num: int) -> list[int]:
        """Places in the stream of up to `num` validation tiles, spread over the split."""
        num = min(num, self.num_tiles)
        return [k * self.num_tiles // num for k in range(num)]

    def some(self, num: int) -> Iterator[Batch]:
        """Up to `num` validation tiles, spread over the split."""
        stream = self.stream()
        return map(stream.batch, self.places(num)) if stream else iter(())
