"""Implementation of `unettrain draws`: the augmentation parameters that a run samples."""

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from unettrain.config import FitConfig
from unettrain.errors import InvalidInput
from unettrain.run_dir import read_record, recorded_store
from unettrain.stream.tile_stream import ORDER, TileStream


def draws_of(run: str, steps: range, store: str | None) -> Iterator[dict[str, Any]]:
    """For each tile of these steps: step, epoch, tile, and as `draw` the parameters of `unettrain.Draw`.

    Raises InvalidInput where the store no longer holds what the run is trained on, or began on an unfinished one.
    """
    record = read_record(run)
    known = {f.name: record["fit"][f.name] for f in fields(FitConfig) if f.name in record["fit"]}  # of any release
    where = store or recorded_store(record, run)
    stream = TileStream.of(where, FitConfig(**known))
    other = [path for path, now in stream.fingerprints.items() if record["data"].get(path) != now]
    if ORDER in other:
        raise InvalidInput(
            f"{run} is trained on its tiles in another order than this release's",
            hint="use the release that trains it: config.json of the run names it",
        )
    if other:
        raise InvalidInput(
            f"{where} no longer holds what {run} is trained on: {', '.join(other)} was made anew",
            hint="name the store as it was, with --store; or look at a run that is trained on this one",
        )
    for step in steps:
        for epoch, tile, repeat in stream.samples(step):
            yield {"step": step, "epoch": epoch, "tile": tile, "draw": asdict(stream.draw(epoch, tile, repeat))}
