"""The whole job: `unetprep weights` on 16384 x 16384 pixels with 200,000 cells, against a copy of its result by Dask.

    python -m benchmarks.weights.job FOLDER        makes its data in FOLDER (2 GB), writes job.json beside this file

Every run is a process of its own: seconds from start to end, and the most memory that it held. The copy reads the
finished weights and writes them to an array of the same shards and codecs, through Dask's threads, a shard each.
"""

import shutil
import sys
from pathlib import Path
from statistics import median
from typing import Any

import zarr
from dask.distributed import LocalCluster

from benchmarks.measure import machine, run_process, write
from unetprep.sources.cells import Cells

HERE = Path(__file__).parent
SIDE, NUMBER, SHARE, STEP = 16384, 200_000, 0.6, 2048
REPEATS = 3
UNETPREP = "import sys; from unetcli.prep.main import main; main(sys.argv[1:])"
COPY = """
import sys, dask, dask.array as da, zarr
source = zarr.open_array(sys.argv[1], mode="r")
made = zarr.create_array(sys.argv[2], shape=source.shape, dtype=source.dtype, chunks=source.chunks,
    shards=source.shards, compressors=source.compressors, fill_value=0, overwrite=True)
with dask.config.set(scheduler="threads", num_workers=int(sys.argv[3])):
    da.store(da.from_zarr(source, chunks=source.shards), made, lock=False)
"""


def make_labels(path: Path) -> None:
    """Generated cells, a shard at a time."""
    cells = Cells((SIDE, SIDE), NUMBER, SHARE)
    made = zarr.create_array(
        path, shape=cells.shape, dtype="int32", chunks=(256, 256), shards=(STEP, STEP), fill_value=0
    )
    for y in range(0, SIDE, STEP):
        for x in range(0, SIDE, STEP):
            made[y : y + STEP, x : x + STEP] = cells.window((y, x), (y + STEP, x + STEP))


def measure(folder: Path, workers: int) -> dict[str, Any]:
    """Import, weights and copy in turn, several times; the medians, and the ratios run by run."""
    labels, store, copy = folder / "labels.zarr", folder / "ds.zarr", folder / "copy.zarr"
    options = ("--out", str(store), "--workers", str(workers), "-q")
    rows: dict[str, list[dict[str, float]]] = {"with_import": [], "weights": [], "copy": []}
    for _ in range(REPEATS):
        shutil.rmtree(store, ignore_errors=True)
        rows["with_import"].append(run_process(["-c", UNETPREP, "weights", "--in", str(labels), *options]))
        shutil.rmtree(store / "images/labels/weights")
        shutil.rmtree(store / "images/labels/labels/target")
        rows["weights"].append(run_process(["-c", UNETPREP, "weights", *options]))
        rows["copy"].append(run_process(["-c", COPY, str(store / "images/labels/weights"), str(copy), str(workers)]))
    medians = {name: {k: round(median(run[k] for run in runs), 2) for k in runs[0]} for name, runs in rows.items()}
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(rows["weights"], rows["copy"], strict=True)]
    spread = {"ratio": median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
    return {**medians, "weights_to_copy": {name: round(value, 3) for name, value in spread.items()}}


def on_cluster(folder: Path) -> dict[str, float]:
    """Seconds of the stage on a Dask cluster of one and of two processes, one thread each; they are started before."""
    store = folder / "ds.zarr"
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(2):
        for workers, runs in seconds.items():
            with LocalCluster(workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
                shutil.rmtree(store / "images/labels/weights")
                shutil.rmtree(store / "images/labels/labels/target")
                words = ("--out", str(store), "--scheduler", cluster.scheduler_address, "-q")
                runs.append(run_process(["-c", UNETPREP, "weights", *words])["seconds"])
    one, two = (min(runs) for runs in seconds.values())
    return {"one_worker_seconds": round(one, 2), "two_workers_seconds": round(two, 2), "speedup": round(one / two, 3)}


def main(folder: Path) -> None:
    """Measure with one worker and with two."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "labels.zarr").exists():
        make_labels(folder / "labels.zarr")
    found = {f"workers_{n}": measure(folder, n) for n in (1, 2)}
    one, two = (found[f"workers_{n}"]["weights"]["seconds"] for n in (1, 2))
    about = {"shape": [SIDE, SIDE], "cells": NUMBER, "repeats": REPEATS}
    results: dict[str, Any] = {
        "machine": machine("numpy", "numba", "zarr", "dask"),
        **about,
        **found,
        "two_threads": round(one / two, 3),
    }
    results["cluster"] = on_cluster(folder)
    write(HERE / "job.json", results)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
