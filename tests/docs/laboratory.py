"""A folder as the pages assume it: images with labels, a store, a run, predictions; all of them small."""

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import tifffile
import torch

import unetprep
import unettrain
from tests.synthetic import cell_image, cell_labels
from unetprep.kernels.random_fields import draw_grids
from unettrain import StoredFields
from unettrain.augment.draw import Draw

SHAPE = (100, 90)
TRAINING = unettrain.FitConfig(steps=2, base_channels=1, threads=1, validate_every=2, examples=0, best_by="last")


def cells(seed: int) -> Any:
    """Instance labels (y, x) of 14 cells, some of which touch."""
    return cell_labels(SHAPE, 14, seed)


def separate(seed: int) -> Any:
    """The same cells, of which none touch."""
    return np.where(unetprep.separate_instances(cells(seed)), cells(seed), 0)


def images(folder: Path) -> None:
    """images/ and masks/ of five PNGs each, and an image and labels that are not among them, as PNG and TIFF."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for seed in range(5):
        imageio.imwrite(folder / f"images/{seed}.png", cell_image(cells(seed)))
        imageio.imwrite(folder / f"masks/{seed}.png", cells(seed))
    labels = cells(9)
    for name in ("image", "new-image"):
        tifffile.imwrite(folder / f"{name}.tif", cell_image(labels), compression="zlib")
    imageio.imwrite(folder / "new-image.png", cell_image(labels))
    for name in ("labels", "new-labels"):
        tifffile.imwrite(folder / f"{name}.tif", labels, compression="zlib")


def store(folder: Path) -> None:
    """ds.zarr, with tiles."""
    fractions = unetprep.ImportParams(val_fraction=0.2, test_fraction=0.2)
    unetprep.import_images(str(folder / "ds.zarr"), str(folder / "images"), str(folder / "masks"), fractions)
    unetprep.weights(str(folder / "ds.zarr"))
    unetprep.deform(str(folder / "ds.zarr"))
    unetprep.tiles(str(folder / "ds.zarr"), unetprep.TilesParams(tile_px=188))


def run(folder: Path) -> None:
    """runs/ds, a trained network, which names its store by a relative path."""
    with chdir(folder):
        unettrain.fit("ds.zarr", "runs/ds", TRAINING)


def volume(folder: Path) -> None:
    """Labels and image of a small volume: volume.tif and volume-labels.tif, (z, y, x)."""
    labels = np.stack([cells(0)] * 4)
    image = np.stack([cell_image(cells(0), seed) for seed in range(4)])
    tifffile.imwrite(folder / "volume.tif", image, photometric="minisblack", metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "volume-labels.tif", labels, photometric="minisblack", metadata={"axes": "ZYX"})


def classes(folder: Path) -> None:
    """classes/, whose values are the classes 1 and 2; cells/ and classes.csv, the same as cells with classes."""
    for name in ("classes", "cells"):
        (folder / name).mkdir()
    rows = ["image,label,class"]
    for seed in range(5):
        labels = separate(seed)
        imageio.imwrite(folder / f"classes/{seed}.png", np.where(labels > 0, labels % 2 + 1, 0).astype(np.uint8))
        imageio.imwrite(folder / f"cells/{seed}.png", labels)
        rows += [f"{seed}.png,{number},{number % 2 + 1}" for number in np.unique(labels[labels > 0])]
    (folder / "classes.csv").write_text("\n".join(rows) + "\n")


def scored(folder: Path) -> None:
    """prediction.tif (probabilities), cells.png (instances), and folders predicted/ and labels/."""
    for name in ("predicted", "labels"):
        (folder / name).mkdir()
    for seed in range(2):
        labels = cells(seed)
        tifffile.imwrite(folder / f"labels/{seed}.tif", labels)
        tifffile.imwrite(folder / f"predicted/{seed}.tif", labels)
        tifffile.imwrite(folder / f"predicted/{seed}.probabilities.tif", (labels > 0).astype(np.float32))
    tifffile.imwrite(folder / "prediction.tif", (cells(9) > 0).astype(np.float32) * np.float32(0.9))
    imageio.imwrite(folder / "cells.png", cells(9))
    imageio.imwrite(folder / "labels.png", cells(9))


def splits(folder: Path) -> None:
    """train/ and test/, with images/ and masks/ each."""
    for split, seeds in {"train": range(10, 14), "test": range(14, 16)}.items():
        for name in ("images", "masks"):
            (folder / split / name).mkdir(parents=True)
        for seed in seeds:
            imageio.imwrite(folder / split / f"images/{seed}.png", cell_image(cells(seed)))
            imageio.imwrite(folder / split / f"masks/{seed}.png", cells(seed))


def data(folder: Path) -> None:
    """data/, two images with labels beside them."""
    (folder / "data").mkdir()
    for seed in (20, 21):
        imageio.imwrite(folder / f"data/{seed}.png", cell_image(cells(seed)))
        imageio.imwrite(folder / f"data/{seed}_mask.png", cells(seed))


def raw(folder: Path) -> None:
    """raw/, two images without labels."""
    (folder / "raw").mkdir()
    for name, seed in {"a": 30, "b": 31}.items():
        tifffile.imwrite(folder / f"raw/{name}.tif", cell_image(cells(seed)))


MADE: dict[str, Callable[[Path], None]] = {
    "images": images,
    "store": store,
    "run": run,
    "volume": volume,
    "classes": classes,
    "scored": scored,
    "splits": splits,
    "data": data,
    "raw": raw,
}
SHARED = {"images": "images masks *.tif *.png", "store": "ds.zarr", "run": "runs"}  # made once, and copied


def names() -> dict[str, Any]:
    """What the Python of the pages takes as given: arrays, a network, tensors of a batch."""
    labels = separate(0)
    return {
        "labels": labels,
        "volume": np.stack([labels] * 3),
        "grid": np.ones((2, 3, 3)),
        "probability": (labels > 0).astype(np.float32),
        "foreground": (labels > 0).astype(np.float32),
        "image": cell_image(labels),
        "cells": labels,
        "network": unettrain.UNet(unettrain.UNetConfig(base_channels=1)),
        "device": "cpu",
        "epoch": 0,
        "indices": [0],
    }


def batch() -> dict[str, Any]:
    """What `augment_batch` takes: a tile of 60 pixels whose target has 20."""
    labels = torch.zeros((1, 20, 20), dtype=torch.uint8)
    tensors = {"image": torch.rand((1, 1, 60, 60)), "labels": labels, "weights": torch.ones((1, 20, 20))}
    return {"draws": [Draw(turn=3)], "fields": StoredFields(draw_grids(0, range(3), (3, 3), 10.0))} | tensors
