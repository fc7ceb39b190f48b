"""The data sets that accuracy is measured on, as arrays, with their splits.

nuclei     54 images of the 2018 Data Science Bowl (BBBC038), split by image within each kind of image
isbi2012   30 slices of the ISBI 2012 challenge: five folds of six contiguous slices, of which one is for testing
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import tifffile
from numpy.typing import NDArray

from unettrain.metrics import label_components

TEST_FRACTION, VAL_FRACTION = 0.35, 0.15  # of the nuclei of each kind
FOLD, VAL_SLICES = 6, 4  # of ISBI 2012
STAINED = "stained tissue"


@dataclass(frozen=True)
class Sample:
    """One image: gray values (y, x) uint8, cells (y, x) int32 numbered from 1, and the kind of image."""

    name: str
    kind: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]


@dataclass(frozen=True)
class Splits:
    """The images of a data set: those trained on, those that choose a network and its decoding, those scored."""

    name: str
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]

    def of(self, split: str) -> tuple[Sample, ...]:
        """The images of a split by its name."""
        found: tuple[Sample, ...] = getattr(self, split)
        return found


def load(name: str, folder: Path, fold: int = 4) -> Splits:
    """A data set from the folder `folder`/dsb2018 or `folder`/isbi2012."""
    return isbi2012(folder / "isbi2012", fold) if name == "isbi2012" else nuclei(folder / "dsb2018")


def nuclei(folder: Path) -> Splits:
    """The nuclei. Colour images become gray, the mean of their channels: a network has one kind of input."""
    with (folder / "index.csv").open() as lines:
        rows = sorted(csv.DictReader(lines), key=lambda row: row["name"])
    kinds: dict[str, list[Sample]] = {}
    for row in rows:
        pixels = imageio.imread(folder / f"images/{row['name']}.png")
        gray = pixels if pixels.ndim == 2 else pixels[..., :3].mean(-1).round().astype(np.uint8)
        labels = tifffile.imread(folder / f"labels/{row['name']}.tif").astype(np.int32)
        kind = kind_of(row["group"])
        kinds.setdefault(kind, []).append(Sample(row["name"], kind, gray, labels))
    chosen: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    for kind in sorted(kinds):
        order = np.random.default_rng(2018).permutation(len(kinds[kind]))
        samples = [kinds[kind][k] for k in order]
        num_test, num_val = (round(f * len(samples)) for f in (TEST_FRACTION, VAL_FRACTION))
        chosen["test"] += samples[:num_test]
        chosen["val"] += samples[num_test : num_test + num_val]
        chosen["train"] += samples[num_test + num_val :]
    return Splits("nuclei", *(tuple(chosen[split]) for split in ("train", "val", "test")))


def kind_of(group: str) -> str:
    """The kind of an image by its group in index.csv, such as 256x256-dark or 256x320-rgb-bright."""
    size, _, look = group.partition("-")
    if look == "rgb-bright":
        return STAINED
    if look == "bright":
        return "bright field"
    return f"fluorescence, {size.split('x')[0]} px" if size in ("256x256", "360x360") else "fluorescence, other sizes"


def isbi2012(folder: Path, fold: int) -> Splits:
    """The slices: the fold is tested, the four slices before it (of fold 0: after it) validate, the rest train."""
    images = tifffile.imread(folder / "train-volume.tif")
    cells = label_components(tifffile.imread(folder / "train-labels.tif"), connectivity=4)
    numbers = [np.unique(plane, return_inverse=True)[1].reshape(plane.shape).astype(np.int32) for plane in cells]
    samples = [
        Sample(f"slice{z:02}", "EM slice", image, labels)
        for z, (image, labels) in enumerate(zip(images, numbers, strict=True))
    ]
    test = range(FOLD * fold, FOLD * (fold + 1))
    val = range(test.start - VAL_SLICES, test.start) if fold else range(test.stop, test.stop + VAL_SLICES)
    train = (samples[z] for z in range(len(samples)) if z not in (*test, *val))
    return Splits("isbi2012", tuple(train), tuple(samples[z] for z in val), tuple(samples[z] for z in test))


def smaller(splits: Splits) -> Splits:
    """A part of the images, for a check within minutes that everything runs: it says nothing about accuracy."""
    return Splits(splits.name, splits.train[::3], splits.val[:2], splits.test[::4][:4])
