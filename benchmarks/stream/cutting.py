"""`unetprep tiles`: how fast it writes, against compressing the same bytes in memory, and how much memory it takes.

    python -m benchmarks.stream.cutting FOLDER        writes cutting.json beside this file

Images of generated cells, 2000 x 2000 uint8; tiles of 572 with a margin of 48; one thread. The stage reads and decodes
the images, cuts and mirrors, measures what each tile holds, compresses, and waits until the disk has every shard.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import machine, ratio, run_process, write
from unetprep.engine.importing import import_images
from unetprep.engine.run import Scheduler, run_stage
from unetprep.params import ImportParams, TilesParams, WeightsParams
from unetprep.sources.cells import Cells, brightness
from unetprep.stages import STAGES
from unetprep.store import Store

HERE = Path(__file__).parent
SIDE, IMAGES = 2000, 4
PAIRS = 7
ARRAYS = ("image", "target", "weights")
RANDOM = (500, 4000)  # tiles, for the memory
ONE = Scheduler(workers=1)


def make_images(folder: Path) -> str:
    """A store of images with weights, and no tiles."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for k in range(IMAGES):
        labels = Cells((SIDE, SIDE), SIDE * SIDE // 1300, 0.5).window((0, 0), (SIDE, SIDE))
        np.save(folder / f"masks/{k}.npy", np.rot90(labels, k))
        np.save(folder / f"images/{k}.npy", np.rot90(brightness(labels, [0]), k))
    url = str(folder / "ds.zarr")
    import_images(url, [str(folder / "images")], [str(folder / "masks")], ImportParams(val_fraction=0), Scheduler())
    run_stage(Store.open(url), STAGES["weights"], WeightsParams(), Scheduler())
    return url


def compare(url: str, codec: str) -> dict[str, Any]:
    """The stage against the encoder alone, on all the tiles at once in memory."""
    params = TilesParams(codec=codec)

    def without_tiles() -> None:
        shutil.rmtree(Path(url, "tiles"), ignore_errors=True)

    def stage() -> None:
        run_stage(Store.open(url), STAGES["tiles"], params, ONE)

    without_tiles()
    stage()
    store = Store.open(url)
    tiles: dict[str, NDArray[Any]] = {name: store.read_all(f"tiles/{name}") for name in ARRAYS}
    shards = {name: store.shards(f"tiles/{name}") for name in ARRAYS}

    def compress() -> None:
        for name, values in tiles.items():
            size = shards[name].shard[0]
            for first in range(0, len(values), size):
                shards[name].encode(values[first : first + size])

    found = ratio(stage, compress, PAIRS, before=without_tiles)
    return found | {"tiles": len(tiles["image"]), "bytes": sum(values.nbytes for values in tiles.values())}


def main(where: str) -> None:
    """Measure, and write it down."""
    folder = Path(where)
    shutil.rmtree(folder, ignore_errors=True)
    url = make_images(folder)
    results: dict[str, Any] = {"machine": machine("numpy", "numcodecs"), "codecs": {}, "memory": {}}
    for codec in ("lz4", "zstd", "none"):
        results["codecs"][codec] = compare(url, codec)
        print(codec, results["codecs"][codec]["ratio"], file=sys.stderr)
    for num in RANDOM:
        shutil.rmtree(Path(url, "tiles"))
        words = [
            "-c",
            "from unetcli.prep.main import main; main()",
            "tiles",
            "--out",
            url,
            "--random",
            str(num // IMAGES),
        ]
        results["memory"][str(num)] = run_process([*words, "--workers", "1", "--quiet"])["peak_mib"]
    shutil.rmtree(folder)
    write(HERE / "cutting.json", results)


if __name__ == "__main__":
    main(*sys.argv[1:])
