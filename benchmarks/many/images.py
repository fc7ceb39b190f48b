"""Generated data: folders of many small images with labels, one large label image, and a data set for nnU-Net.

    python -m benchmarks.many.images folder FOLDER NUM equal|mixed
    python -m benchmarks.many.images large FILE SIDE CELLS
    python -m benchmarks.many.images nnunet FOLDER RAW

A folder has `images` (uint8) and `masks` (uint16) with equal names, uncompressed TIFF. `equal`: all 256 x 256; `mixed`:
sides of 100 to 500 pixels.
"""

import json
import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import tifffile
from numpy.typing import NDArray

from unetprep.sources.cells import Cells, brightness

CANVAS, CANVAS_CELLS, SHARE = 512, 200, 0.4
NUM_CANVASES = 8
EQUAL_PX = 256
LEAST_PX, MOST_PX = 100, 500


def make_canvas(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """An image and its labels, (y, x)."""
    labels = Cells((CANVAS, CANVAS), CANVAS_CELLS, SHARE, seed=seed).window((0, 0), (CANVAS, CANVAS))
    return brightness(labels, [seed]), labels.astype(np.uint16)


def make_folder(folder: Path, num: int, sizes: str) -> None:
    """Random windows of a few generated canvases."""
    rng = np.random.default_rng(0)
    canvases = [make_canvas(seed) for seed in range(NUM_CANVASES)]
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for k in range(num):
        height, width = (EQUAL_PX, EQUAL_PX) if sizes == "equal" else rng.integers(LEAST_PX, MOST_PX + 1, 2)
        y, x = rng.integers(0, CANVAS - height + 1), rng.integers(0, CANVAS - width + 1)
        image, labels = (canvas[y : y + height, x : x + width] for canvas in canvases[k % NUM_CANVASES])
        tifffile.imwrite(folder / "images" / f"{k:05d}.tif", image)
        tifffile.imwrite(folder / "masks" / f"{k:05d}.tif", labels)


def make_large(path: Path, side: int, num_cells: int) -> None:
    """One label image (y, x), uint16."""
    labels = Cells((side, side), num_cells, 0.6).window((0, 0), (side, side))
    tifffile.imwrite(path, labels.astype(np.uint16))


def make_nnunet(folder: Path, raw: Path) -> None:
    """The images of a folder in nnU-Net's raw layout: PNG, labels 0 and 1 (nnU-Net, dataset_format.md)."""
    dataset = raw / "Dataset001_cells"
    for kind in ("imagesTr", "labelsTr"):
        (dataset / kind).mkdir(parents=True)
    paths = sorted((folder / "images").iterdir())
    for path in paths:
        imageio.imwrite(dataset / "imagesTr" / f"{path.stem}_0000.png", tifffile.imread(path))
        cells = tifffile.imread(folder / "masks" / path.name) > 0
        imageio.imwrite(dataset / "labelsTr" / f"{path.stem}.png", cells.astype(np.uint8))
    described = {
        "channel_names": {"0": "fluorescence"},
        "labels": {"background": 0, "cell": 1},
        "numTraining": len(paths),
        "file_ending": ".png",
    }
    (dataset / "dataset.json").write_text(json.dumps(described))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["folder", where, count, which]:
            make_folder(Path(where), int(count), which)
        case ["large", where, side_px, count]:
            make_large(Path(where), int(side_px), int(count))
        case ["nnunet", where, made]:
            make_nnunet(Path(where), Path(made))
        case _:
            sys.exit(__doc__)
