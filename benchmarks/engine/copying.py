"""Copying 20000 x 20000 pixels with a halo of 32, store to store: the engine, a thread pool by hand, Dask's arrays.

    python -m benchmarks.engine.copying FOLDER      makes its data in FOLDER (3 GB), writes copying.json here

Every run is a process of its own, two threads each. By hand: the same reading and writing of shards in a
ThreadPoolExecutor, and nothing else. Dask's arrays: `map_overlap` and `to_zarr` into an array of the same shards, in
blocks of one shard, which is the one alignment with which that is safe.
"""

import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import zarr

from benchmarks.engine.jobs import HALO_PX, Copy, array
from benchmarks.measure import machine, run_process, write
from unetprep.engine.pending import plan_job
from unetprep.engine.run import Scheduler, run_plans
from unetprep.format.boxes import grow, inside
from unetprep.store import Store

HERE = Path(__file__).parent
SIDE, SHARD, CHUNK = 20000, 2000, 250
REPEATS = 3
WORKERS = 2
SOURCE = "fields/source"


def make(folder: Path, side: int = SIDE) -> None:
    """A store with one array that compresses as a microscope's image does: smooth, with noise."""
    store = Store.open_or_create(str(folder / "ds.zarr"))
    spec = array(SOURCE, (side, side), (CHUNK, CHUNK), (SHARD, SHARD), "source")
    store.create(spec)
    rng = np.random.default_rng(0)
    smooth = 800 + 400 * np.sin(np.arange(SHARD) / 50)[:, None] * np.cos(np.arange(SHARD) / 70)
    for i, j in product(range(side // SHARD), repeat=2):
        block = (smooth + rng.poisson(40, (SHARD, SHARD))).astype(np.uint16)
        store.write(spec, (slice(i * SHARD, (i + 1) * SHARD), slice(j * SHARD, (j + 1) * SHARD)), block)
    store.set_complete(SOURCE, True)


def by_engine(folder: Path) -> None:
    """As a stage does it."""
    store = Store.open(str(folder / "ds.zarr"))
    spec = array("fields/engine", (SIDE, SIDE), (CHUNK, CHUNK), (SHARD, SHARD), "copy")
    plans = [plan_job(store, Copy((spec,), SOURCE), overwrite=True)]
    run_plans(store, plans, Scheduler("local", WORKERS), lambda done, total, **shown: None)


def by_hand(folder: Path) -> None:
    """A thread pool over the same reading and writing."""
    store = Store.open(str(folder / "ds.zarr"))
    spec = array("fields/hand", (SIDE, SIDE), (CHUNK, CHUNK), (SHARD, SHARD), "copy")
    store.create(spec)
    shards = store.shards(spec.path)

    def copy(place: tuple[int, int]) -> None:
        box = tuple(slice(i * SHARD, (i + 1) * SHARD) for i in place)
        outer = grow(box, (HALO_PX, HALO_PX), spec.shape)
        block = store.read(SOURCE, outer)[inside(box, outer)]
        store.storage.put(f"{spec.path}/{shards.key_of(box)}", shards.encode(block))

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(copy, product(range(SIDE // SHARD), repeat=2)))


def by_dask(folder: Path) -> None:
    """map_overlap and to_zarr."""
    import dask
    import dask.array as da

    source = zarr.open_array(str(folder / "ds.zarr"), path=SOURCE, mode="r")
    made = zarr.create_array(
        str(folder / "dask.zarr"),
        shape=source.shape,
        dtype=source.dtype,
        chunks=source.chunks,
        shards=source.shards,
        compressors=source.compressors,
        fill_value=0,
        overwrite=True,
    )
    blocks = da.from_zarr(source, chunks=source.shards)
    copied = blocks.map_overlap(lambda block: block, depth=HALO_PX, boundary="none", dtype=source.dtype)
    with dask.config.set(scheduler="threads", num_workers=WORKERS):
        copied.to_zarr(made)


WAYS: dict[str, Callable[[Path], None]] = {"engine": by_engine, "hand": by_hand, "dask": by_dask}


def main(folder: Path) -> None:
    """Measure all ways in turn, several times, and compare what they wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ds.zarr").exists():
        make(folder)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    for _ in range(REPEATS):
        for name, rows in runs.items():
            for left in ("ds.zarr/fields/engine", "ds.zarr/fields/hand", "dask.zarr"):
                shutil.rmtree(folder / left, ignore_errors=True)
            rows.append(run_process(["-m", "benchmarks.engine.copying", str(folder), name]))
    results: dict[str, Any] = {
        "machine": machine("numpy", "zarr", "dask", "numcodecs"),
        "shape": [SIDE, SIDE],
        "dtype": "uint16",
        "halo": HALO_PX,
        "workers": WORKERS,
        "repeats": REPEATS,
        **{name: {k: round(median(row[k] for row in rows), 2) for k in rows[0]} for name, rows in runs.items()},
    }
    for name in ("hand", "dask"):
        pairs = list(zip(runs["engine"], runs[name], strict=True))
        speeds = [theirs["seconds"] / ours["seconds"] for ours, theirs in pairs]
        results[f"engine_against_{name}"] = {
            "speed": round(median(speeds), 3),
            "speed_min": round(min(speeds), 3),
            "speed_max": round(max(speeds), 3),
            "memory": round(median(ours["peak_mib"] / theirs["peak_mib"] for ours, theirs in pairs), 3),
        }
    write(HERE / "copying.json", results)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        WAYS[sys.argv[2]](Path(sys.argv[1]))
    else:
        main(Path(sys.argv[1]))
