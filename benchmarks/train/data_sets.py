"""The three data sets that the recipe is measured on, imported into stores with their test images held out."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetprep.engine.importing import import_images
from unetprep.engine.run import Scheduler, run_stage
from unetprep.format.layout import labels_path
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.store import Store
from unettrain.data.opening import image_names, open_image
from unettrain.data.stacked_images import open_image_file

TILE_PX = 316
BIN = 2  # of usiigaci


@dataclass(frozen=True)
class DataSet:
    """Images and labels of a data set below a folder, and how they are read and split.

    The split is by image, of a stack by contiguous slices; it is the same for every change and seed.
    """

    name: str
    about: str
    instances: str
    val_fraction: float
    test_fraction: float
    split_seed: int = 0
    steps: int = 300

    def files(self, folder: Path, build: Path) -> Sequence[list[str]]:
        """Paths of the images and of their labels; those of binned images are in `build`."""
        base = folder / self.name
        if self.name == "isbi2012":
            return [str(base / "train-volume.tif")], [str(base / "train-labels.tif")]
        if self.name == "dsb2018":
            with (base / "index.csv").open() as lines:
                names = [row["name"] for row in csv.DictReader(lines) if row["group"].endswith("-dark")]
            return [str(base / f"images/{n}.png") for n in names], [str(base / f"labels/{n}.tif") for n in names]
        paths = sorted((base / "images").iterdir())
        return [
            [str(binned(path, build)) for path in ((base / kind / path.name) for path in paths)]
            for kind in ("images", "labels")
        ]


DATA_SETS = (
    DataSet(
        "dsb2018",
        "45 dark-field images of nuclei, 256 to 1272 px, uint8, numbered instances; 7 images validate, 14 test",
        "ids",
        0.15,
        0.3,
    ),
    DataSet(
        "isbi2012",
        "30 slices of 512 px of an EM stack, uint8; the labels are membranes (0), and every 4-connected piece of the"
        " interior (255) is one cell; 4 contiguous slices validate, 6 test",
        "components",
        0.13,
        0.2,
    ),
    DataSet(
        "usiigaci",
        "6 phase-contrast images of 1022 x 1024 px, uint16, binned 2 x 2, as the cells are large; numbered instances,"
        " roughly drawn; 1 image validates, 2 test",
        "ids",
        0.17,
        0.33,
        steps=600,  # in 300 the networks find no more than bright pixels
        split_seed=1,  # both kinds of cells, large and small, in the training and in the test images
    ),
)


def binned(path: Path, build: Path) -> Path:
    """A smaller copy of a file: the mean of BIN x BIN pixels of an image, one of them of labels."""
    out = build / "binned" / path.parent.name / path.name
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        whole = tifffile.imread(path)
        height, width = (side // BIN for side in whole.shape)
        blocks = whole[: height * BIN, : width * BIN].reshape(height, BIN, width, BIN)
        small = blocks[:, BIN // 2, :, BIN // 2] if path.parent.name == "labels" else blocks.mean((1, 3)).round()
        tifffile.imwrite(out, small.astype(whole.dtype))
    return out


@dataclass(frozen=True)
class Variant:
    """What of the preparation is changed."""

    class_weights: str = "balanced"
    intensity: str = "auto"


def make_store(data: DataSet, variant: Variant, folder: Path, build: Path) -> str:
    """The store of a data set prepared in this way; nothing is done if it is there."""
    url = str(build / "stores" / f"{data.name}-{variant.class_weights}-{variant.intensity}.zarr")
    local = Scheduler()
    images, labels = data.files(folder, build)
    params = ImportParams(
        instances=data.instances,
        intensity=variant.intensity,
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
        seed=data.split_seed,
    )
    import_images(url, images, labels, params, local)
    stages: tuple[tuple[str, Any], ...] = (
        ("weights", WeightsParams(class_weights=variant.class_weights)),
        ("deform", DeformParams()),
        ("tiles", TilesParams(tile_px=TILE_PX)),
    )
    for name, stage in stages:
        run_stage(Store.open(url), STAGES[name], stage, local)
    return url


def images_of(url: str, split: str) -> list[str]:
    """Names of the images of a split."""
    return [name for name in image_names(url) if open_image(url, name).split == split]


def truth_of(url: str, name: str) -> NDArray[np.int32]:
    """Instances (z, y, x) of an image."""
    source = open_image_file(f"{url}/images/{name}/{labels_path('', 'instances').lstrip('/')}")
    labels: NDArray[np.int32] = source.read(tuple(slice(0, n) for n in source.shape))[0]
    return labels
