"""Virtual tiles against stored ones: how fast a stream of them comes.

    python -m benchmarks.stream.virtual FOLDER        writes virtual.json beside this file

One image of generated cells, 4096 x 4096 uint8; tiles of 572 with a margin of 48, one a batch. Either the memory holds
the whole image as it is decoded, or a quarter of it.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import machine, ratio, write
from benchmarks.stream.stepping import SIDE, make_store
from unetprep.engine.run import Scheduler, run_stage
from unetprep.params import TilesParams
from unetprep.stages import STAGES
from unetprep.store import Store
from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.config import Augmentation
from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream

HERE = Path(__file__).parent
BYTES = SIDE * SIDE * 6  # of image, target and weights
TILES = 150  # of each measurement
PAIRS = 9


def compare(stored: str, virtual: str, **options: Any) -> dict[str, float]:
    """Time for the same tiles."""
    cache = options.pop("cache_bytes")
    with ExitStack() as stack:

        def batches(stream: TileStream) -> Callable[[], None]:
            running: Iterator[Batch] = stack.enter_context(closing(stream.batches(0)))
            all_of_it = len(stream.split_indices) if cache >= BYTES else 0
            for _ in islice(running, all_of_it):  # until all that can be kept is kept
                pass

            def run() -> None:
                for _ in islice(running, TILES):
                    pass

            return run

        return ratio(
            batches(TileStream(virtual, cache_bytes=cache, **options)), batches(TileStream(stored, **options)), PAIRS
        )


def size_of(url: str, *groups: str) -> int:
    """Bytes of some groups of a store."""
    files = (file for group in groups for file in Path(url, group).rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files)


def main(where: str) -> None:
    """Measure, and write it down."""
    torch.set_num_threads(1)
    folder = Path(where)
    shutil.rmtree(folder, ignore_errors=True)
    stored, virtual = make_store(str(folder / "stored.zarr"), "lz4"), str(folder / "virtual.zarr")
    shutil.copytree(stored, virtual)
    run_stage(Store.open(virtual), STAGES["tiles"], TilesParams(index_only=True), Scheduler(), overwrite=True)
    results: dict[str, Any] = {
        "machine": machine("numpy", "numba", "torch"),
        "bytes": {name: size_of(url, "images", "tiles") for name, url in (("stored", stored), ("virtual", virtual))},
        "cases": [],
    }
    for share, shuffle in ((1.0, "tiles"), (0.25, "tiles"), (0.25, "shards")):
        for augmented in (True, False):
            for threads in (1, 2):
                case = {"kept": share, "shuffle": shuffle, "augmented": augmented, "threads": threads}
                found = compare(
                    stored,
                    virtual,
                    cache_bytes=int(share * BYTES * (1.3 if share == 1 else 1)),
                    shuffle=shuffle,
                    augmentation=Augmentation() if augmented else NO_AUGMENTATION,
                    num_threads=threads,
                )
                results["cases"].append(case | found)
                print(results["cases"][-1], file=sys.stderr)
    shutil.rmtree(folder)
    write(HERE / "virtual.json", results)


if __name__ == "__main__":
    main(*sys.argv[1:])
