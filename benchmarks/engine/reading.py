"""Reading and writing shards of one array: ours, zarr-python's and tensorstore's, all on two threads.

    python -m benchmarks.engine.reading FOLDER      makes its data in FOLDER (0.5 GB), writes reading.json here

Read are regions as a task reads them: a shard and a halo around it. Written are whole shards; ours are synced to the
disk, theirs are not. tensorstore divides each request among its own threads, the others get two requests at a time.
"""

import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore
import zarr
from numpy.typing import NDArray

from benchmarks.engine.copying import CHUNK, SHARD, SOURCE, WORKERS, make
from benchmarks.engine.jobs import HALO_PX, array
from benchmarks.measure import machine, ratio, write
from unetprep.format.boxes import Box, grow
from unetprep.store import Store

HERE = Path(__file__).parent
SIDE = 8000
PAIRS = 5
Reader = Callable[[Box], NDArray[Any]]


def boxes() -> list[Box]:
    """All shards."""
    sides = [slice(i, i + SHARD) for i in range(0, SIDE, SHARD)]
    return list(product(sides, sides))


def tensorstore_at(path: Path) -> Any:
    """An array as tensorstore opens it, on as many threads as the others."""
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
    context = {"data_copy_concurrency": {"limit": WORKERS}, "file_io_concurrency": {"limit": WORKERS}}
    return tensorstore.open(spec, context=tensorstore.Context(context)).result()


def readers(folder: Path) -> dict[str, Reader]:
    """Three ways to read a box."""
    store = Store.open(str(folder / "ds.zarr"))
    by_zarr = zarr.open_array(store.url, path=SOURCE, mode="r")
    by_tensorstore = tensorstore_at(folder / "ds.zarr" / SOURCE)
    return {
        "ours": lambda box: store.read(SOURCE, box),
        "zarr": lambda box: np.asarray(by_zarr[box]),
        "tensorstore": lambda box: np.asarray(by_tensorstore[box].read().result()),
    }


def writers(folder: Path) -> dict[str, Callable[[Box, NDArray[Any]], None]]:
    """Three ways to write a shard, each into an array of its own."""
    store = Store.open(str(folder / "ds.zarr"))
    specs = {
        name: array(f"fields/{name}", (SIDE, SIDE), (CHUNK, CHUNK), (SHARD, SHARD), "copy")
        for name in ("ours", "zarr", "tensorstore")
    }
    for spec in specs.values():
        store.create(spec)
    by_zarr = zarr.open_array(store.url, path=specs["zarr"].path, mode="r+")
    by_tensorstore = tensorstore_at(folder / "ds.zarr" / specs["tensorstore"].path)

    def write_by_zarr(box: Box, block: NDArray[Any]) -> None:
        by_zarr[box] = block

    return {
        "ours": lambda box, block: store.write(specs["ours"], box, block),
        "zarr": write_by_zarr,
        "tensorstore": lambda box, block: by_tensorstore[box].write(block).result(),
    }


def all_at_once(work: Callable[[Box], Any]) -> None:
    """Two boxes at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(work, boxes()):
            pass


def main(folder: Path) -> None:
    """Compare ours with each of the others."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make(folder, SIDE)
    read, put = readers(folder), writers(folder)
    with_halo = {(b[0].start, b[1].start): grow(b, (HALO_PX, HALO_PX), (SIDE, SIDE)) for b in boxes()}
    blocks = {start: read["ours"](box)[:SHARD, :SHARD] for start, box in with_halo.items()}
    for box in with_halo.values():
        assert all(np.array_equal(read[name](box), read["ours"](box)) for name in read)

    def reading(name: str) -> Callable[[], None]:
        return lambda: all_at_once(lambda box: read[name](with_halo[box[0].start, box[1].start]))

    def writing(name: str) -> Callable[[], None]:
        return lambda: all_at_once(lambda box: put[name](box, blocks[box[0].start, box[1].start]))

    others = ("zarr", "tensorstore")
    found = {
        "machine": machine("numpy", "zarr", "numcodecs", "tensorstore"),
        "shape": [SIDE, SIDE],
        "megabytes": SIDE * SIDE * 2 / 1e6,
        "threads": WORKERS,
        "reading": {name: ratio(reading("ours"), reading(name), PAIRS) for name in others},
        "writing": {name: ratio(writing("ours"), writing(name), PAIRS) for name in others},
    }
    write(HERE / "reading.json", found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
