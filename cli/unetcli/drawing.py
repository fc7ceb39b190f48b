"""`unettrain draws`: what augmentation a run draws."""

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from unettrain.config import FitConfig
from unettrain.rundir import read_record
from unettrain.stream import TileStream


def draws_of(run: str, steps: range, store: str | None) -> Iterator[dict[str, Any]]:
    """For each tile of these steps: step, epoch, tile, and the parameters of `unettrain.Draw`."""
    record = read_record(run)
    known = {f.name: record["fit"][f.name] for f in fields(FitConfig) if f.name in record["fit"]}  # of any release
    config = FitConfig(**known)
    where, augmentation = store or record["store"], config.augmentation()
    stream = TileStream(where, "train", config.batch_size, config.seed, augmentation, shuffle=config.shuffle)
    for step in steps:
        for (epoch, tile), choice in zip(stream.samples(step), stream.draws(step), strict=True):
            yield {"step": step, "epoch": epoch, "tile": tile, **asdict(choice)}
