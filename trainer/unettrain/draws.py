"""Sampled augmentation parameters of a run, for `unettrain draws`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from unettrain.augment.draw import Draw
from unettrain.config import FitConfig
from unettrain.errors import InvalidInput
from unettrain.run_record import read_record, recorded_store
from unettrain.stream.tile_stream import ORDER, TileStream


@dataclass(frozen=True)
class TileDraw:
    """A `tile` (its number) of a training `step` in its `epoch`, and its augmentation (`draw`)."""

    step: int
    epoch: int
    tile: int
    draw: Draw

    def as_dict(self) -> dict[str, Any]:
        """The values of one JSON line, which `TileStream.replay` reads."""
        return asdict(self)


def sampled_draws(run_dir: str | Path, steps: range, store: str | Path | None = None) -> Iterator[TileDraw]:
    """The augmentation parameters of each tile of these steps, past or future, in the order of training.

    `store` replaces the path that the run records. Raises InvalidInput where the store no longer holds the data of the
    run.
    """
    record = read_record(run_dir)
    known = {f.name: record["fit"][f.name] for f in fields(FitConfig) if f.name in record["fit"]}  # of any release
    where = store or recorded_store(record, run_dir)
    stream = TileStream.of(where, FitConfig(**known))
    other = [path for path, now in stream.fingerprints.items() if record["data"].get(path) != now]
    if ORDER in other:
        raise InvalidInput(
            f"{run_dir} is trained on its tiles in another order than this release's",
            hint="use the release that trains it: config.json of the run names it",
        )
    if other:
        raise InvalidInput(
            f"{where} no longer holds what {run_dir} is trained on: {', '.join(other)} was replaced",
            hint="restore the earlier store and name it with --store, or choose a run that is trained on this store",
        )
    for step in steps:
        for epoch, tile, repeat in stream.samples(step):
            yield TileDraw(step, epoch, tile, stream.draw(epoch, tile, repeat))
