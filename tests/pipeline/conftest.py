"""Stores for the tests of the pipeline."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.synthetic import cell_image, cell_labels
from unetprep.engine.importing import import_images
from unetprep.engine.run import Scheduler
from unetprep.params import ImportParams
from unetprep.store import Store

LOCAL = Scheduler(workers=2)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with images/ and masks/: two images of different sizes."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name, shape, cells in (("a", (90, 130), 25), ("b", (61, 47), 8)):
        labels = cell_labels(shape, cells, seed=cells)
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", cell_image(labels))
        tifffile.imwrite(tmp_path / "masks" / f"{name}.tif", labels)
    return tmp_path


@pytest.fixture
def store(files: Path) -> Store:
    """Those images, imported."""
    url = str(files / "ds.zarr")
    import_images(url, [str(files / "images")], [str(files / "masks")], ImportParams(), LOCAL)
    return Store.open(url)


def tree(root: str | Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(Path(root).rglob("*")) if p.is_file()}


def save(path: Path, array: np.ndarray) -> str:
    """Write an array in the format that the name's ending asks for."""
    import imageio.v3 as imageio
    import zarr

    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".zarr":
        zarr.create_array(str(path), data=array)
    elif path.suffix in (".png", ".jpg"):
        imageio.imwrite(path, array)
    else:
        tifffile.imwrite(path, array, photometric="rgb" if array.shape[-1] == 3 else "minisblack")
    return str(path)
