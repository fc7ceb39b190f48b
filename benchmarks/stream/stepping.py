"""A training step on streamed tiles, against the same step on tensors that lie in memory; and how fast tiles come.

    python -m benchmarks.stream.stepping FOLDER       writes stepping.json beside this file

Tiles of 572 with a margin of 48, one a step, deformed, turned and changed in their gray values, or as they are. A step
is a wait, as a GPU's is for the CPU, or a small convolution on one core, as large as it has to be to take so long.
"""

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import machine, ratio, write
from unetprep.engine.importing import import_images
from unetprep.engine.run import Scheduler, run_stage
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.sources.cells import Cells, brightness
from unetprep.stages import STAGES
from unetprep.store import Store
from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.config import Augmentation
from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream

HERE = Path(__file__).parent
SIDE, CELLS = 4096, 20_000
CASES = ((20, True), (5, True), (2, True), (1, False))  # milliseconds, and whether tiles are augmented
KEPT = 8  # batches in memory
PAIRS = 5
SECONDS = 1.0  # of each measurement
CODECS = ("lz4", "none")

Step = Callable[[Batch], Any]


def make_store(url: str, codec: str, side: int = SIDE, cells: int = CELLS) -> str:
    """A store of generated cells."""
    local, folder = Scheduler(), Path(url).parent
    folder.mkdir(parents=True, exist_ok=True)
    labels = Cells((side, side), cells, 0.5).window((0, 0), (side, side))
    np.save(folder / "labels.npy", labels)
    np.save(folder / "image.npy", brightness(labels, [0]))
    import_images(url, [str(folder / "image.npy")], [str(folder / "labels.npy")], ImportParams(), local)
    stages = (("weights", WeightsParams()), ("deform", DeformParams()), ("tiles", TilesParams(codec=codec)))
    for name, params in stages:
        run_stage(Store.open(url), STAGES[name], params, local)
    return url


def waiting(milliseconds: float) -> Step:
    """As a GPU's step is for the CPU."""
    return lambda batch: time.sleep(milliseconds / 1e3)


def computing(milliseconds: float, batch: Batch) -> Step:
    """Forward and backward through a convolution on so many rows of the tile as take the time."""
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(1, 4, 3)

    def step(batch: Batch, rows: int) -> None:
        layer.zero_grad()
        scores = layer(batch.image[..., :rows, :])
        loss = (scores.mean() - batch.weights.mean()) ** 2
        loss.backward()

    rows = 572
    for _ in range(6):
        start = time.perf_counter()
        for _ in range(20):
            step(batch, rows)
        took = (time.perf_counter() - start) / 20
        rows = max(4, min(572, round(rows * milliseconds / 1e3 / took)))
    repeats = max(1, round(milliseconds / 1e3 / took))

    def run(batch: Batch) -> None:
        for _ in range(repeats):
            step(batch, rows)

    return run


def compare(stream: TileStream, step: Step, milliseconds: float) -> dict[str, float]:
    """The same number of steps on batches as they come, and on batches that are there."""
    number = max(10, round(SECONDS * 1e3 / milliseconds))
    with closing(stream.batches(0)) as batches:
        kept = [Batch(*(t.clone() for t in vars(b).values())) for b in islice(batches, KEPT)]

        def streamed() -> None:
            for _ in range(number):
                step(next(batches))

        def there() -> None:
            for k in range(number):
                step(kept[k % KEPT])

        found = ratio(streamed, there, PAIRS)
    return found | {"step_ms": round(found["theirs_seconds"] / number * 1e3, 3)}


def speed(stream: TileStream) -> float:
    """Tiles a second, with nothing done to them."""
    with closing(stream.batches(0)) as batches:
        for _ in islice(batches, 30):
            pass
        start = time.perf_counter()
        for _ in islice(batches, 600):
            pass
        return round(600 / (time.perf_counter() - start), 1)


def main(where: str) -> None:
    """Measure, and write it down."""
    torch.set_num_threads(1)
    folder = Path(where)
    shutil.rmtree(folder, ignore_errors=True)
    results: dict[str, Any] = {"machine": machine("numpy", "numba", "torch"), "codecs": {}}
    for codec in CODECS:
        url = make_store(str(folder / f"{codec}.zarr"), codec)

        def stream(augmented: bool, threads: int, url: str = url) -> TileStream:
            return TileStream(url, augmentation=Augmentation() if augmented else NO_AUGMENTATION, num_threads=threads)

        found: dict[str, Any] = {"tiles_a_second": {}, "steps": []}
        for augmented in (True, False):
            for threads in (1, 2):
                name = f"{'augmented' if augmented else 'plain'}, {threads}"
                found["tiles_a_second"][name] = speed(stream(augmented, threads))
        for milliseconds, augmented in CASES if codec == CODECS[0] else ():
            for threads in (1, 2):
                tiles = stream(augmented, threads)
                for kind, step in (
                    ("wait", waiting(milliseconds)),
                    ("convolution", computing(milliseconds, tiles.batch(0))),
                ):
                    case = {"ms": milliseconds, "augmented": augmented, "threads": threads, "step": kind}
                    found["steps"].append(case | compare(tiles, step, milliseconds))
                    print(found["steps"][-1], file=sys.stderr)
        results["codecs"][codec] = found
    shutil.rmtree(folder)
    write(HERE / "stepping.json", results)


if __name__ == "__main__":
    main(*sys.argv[1:])
