"""Weights under deformation: how far the warped map is from the one computed anew from the deformed cells.

    python -m benchmarks.elastic.weights NAME=LABELS ...     writes weights.json and WEIGHTS.md beside this file

LABELS are label images, or folders of them; without any, the labels of `unetprep fetch nuclei`. All goes through a
store and the trainer, as in use: tiles of 572, 3 x 3 grids of standard deviation 10 pixels, no other augmentation.
Compared are the pixels of the output that count in both.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import described, machine, page, ratio, write
from unetprep.engine.importing import import_images
from unetprep.engine.run import Scheduler, run_stage
from unetprep.fetching import fetch
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.store import Store
from unettrain.augment.cpu import apply
from unettrain.augment.draw import Draw
from unettrain.data.opening import StoredFields, open_fields, open_tiles
from unettrain.data.tiles import Tiles

HERE = Path(__file__).parent
FIELDS = 200
DRAWS = 60
PAIRS = 21
SOURCES = {
    "nuclei": "nuclei: `unetprep fetch nuclei`.",
    "dsb2018": "dsb2018: 54 images of the 2018 Data Science Bowl (BBBC038, stage 1, with the community's fixes).",
    "usiigaci": "usiigaci: phase contrast cells of Tsai et al. 2019 (Usiigaci).",
}
CLOSE = 1.0  # a border term of so much: a tenth of w0


def make(labels: str, folder: Path) -> str:
    """A store of these labels, which are their own images: nothing here looks at an image."""
    url, local = str(folder / "ds.zarr"), Scheduler()
    import_images(url, [labels], [labels], ImportParams(instances="ids"), local)
    for name, params in (
        ("weights", WeightsParams()),
        ("deform", DeformParams(fields=FIELDS)),
        ("tiles", TilesParams(instances=True)),
    ):
        run_stage(Store.open(url), STAGES[name], params, local)
    return url


def compare(labels: str) -> dict[str, Any]:
    """One data set."""
    with tempfile.TemporaryDirectory() as folder:
        url = make(labels, Path(folder))
        tiles, fields = open_tiles(url), open_fields(url)
        assert tiles.rule is not None
        background = tiles.rule.class_weights[0]
        differences, close, flipped, weighed = [], [], [], []
        for k in range(DRAWS):
            index = k % len(tiles.split)
            choice = Draw(field=k)
            (_, target, warped), (_, anew, exact) = (
                apply(choice, tiles.read(index, tiles.empty(cells)), fields, tiles.tile_px, rule=tiles.rule)
                for cells in (False, True)
            )
            counted = (warped > 0) & (exact > 0)
            difference = abs(warped - exact)[counted]
            differences.append(difference)
            close.append(difference[((anew == 0) & (exact > background + CLOSE))[counted]])
            flipped.append((target != anew)[counted])
            weighed.append(exact[counted])
        found = {name: summary(np.concatenate(parts)) for name, parts in (("all", differences), ("close", close))}
        return {
            "tiles": len(tiles.split),
            "mean_weight": round(float(np.concatenate(weighed).mean()), 4),
            "difference": found,
            "classes_that_differ": round(float(np.concatenate(flipped).mean()), 6),
            "time": timed(tiles, fields),
        }


def summary(values: NDArray[np.float32]) -> dict[str, float]:
    """Mean, 99th percentile and largest."""
    numbers = {"mean": values.mean(), "p99": np.percentile(values, 99), "largest": values.max()}
    return {name: round(float(number), 4) for name, number in numbers.items()} | {"pixels": values.size}


def timed(tiles: Tiles, fields: StoredFields) -> dict[str, float]:
    """A tile with its weights computed anew, against one whose weights are warped."""
    choice = Draw(field=0)
    plain, cells = tiles.read(0), tiles.read(0, tiles.empty(instances=True))
    return ratio(
        lambda: apply(choice, cells, fields, tiles.tile_px, rule=tiles.rule),
        lambda: apply(choice, plain, fields, tiles.tile_px),
        PAIRS,
    )


def main(*given: str) -> None:
    """Measure, and write it down."""
    named = dict(word.split("=", 1) for word in given)
    if not named:
        with tempfile.TemporaryDirectory() as folder:
            files = fetch("nuclei", folder).files
            sets = {"nuclei": compare(next(path for path in files if "mask" in path))}
    else:
        sets = {name: compare(path) for name, path in named.items()}
    results = {"machine": machine("numpy", "numba"), "draws": DRAWS, "sets": sets}
    write(HERE / "weights.json", results)
    (HERE / "WEIGHTS.md").write_text(as_page(results))


def as_page(found: dict[str, Any]) -> str:
    """The results as a page."""
    lines = [
        f"| {name} | {v['mean_weight']:.3g} | {all_['mean']:.3g} | {all_['p99']:.3g} | {close['mean']:.3g}"
        f" | {close['p99']:.3g} | {v['classes_that_differ']:.3%} | **{v['time']['ratio']:.3g}** |"
        for name, v in found["sets"].items()
        for all_, close in [(v["difference"]["all"], v["difference"]["close"])]
    ]
    return page(
        "Weights under deformation, measured",
        "benchmarks.elastic.weights",
        "weights.json",
        f"Tiles of 572 through {found['draws']} fields of sigma 10: the weights warped with the image, against"
        " those computed anew from the deformed cells. Between cells: background whose border term is a tenth of"
        f" w0 = 10 or more. {described(found)}.",
        "| labels | mean weight | difference, mean | p99 | between cells, mean | p99 | other class |"
        " time, anew / warped |",
        lines,
        *(SOURCES[name] for name in found["sets"] if name in SOURCES),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
