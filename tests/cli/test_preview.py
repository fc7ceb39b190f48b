import json
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import tifffile

from tests.cli.conftest import Run
from unetcli.cell_colours import colours_of_cells


def test_a_picture_is_drawn_once_and_the_same_each_time(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    assert "run: unetprep weights" in run("unetprep preview ds.zarr --out p.png", 3).stderr
    run("unetprep weights --out ds.zarr")
    said = json.loads(run("unetprep preview ds.zarr --out p.png --at 10,20 --size 64 --json").stdout)
    assert {k: said[k] for k in ("image", "z", "y", "x", "height", "width")} == {
        "image": "img", "z": 0, "y": 10, "x": 20, "height": 64, "width": 64
    }  # fmt: skip
    picture = imageio.imread(cells / "p.png")
    assert min(picture.shape[:2]) > 600
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 500
    assert "is there already" in run("unetprep preview ds.zarr --out p.png", 4).stderr
    before = (cells / "p.png").read_bytes()
    run("unetprep preview ds.zarr --out p.png --at 10,20 --size 64 --overwrite")
    assert (cells / "p.png").read_bytes() == before
    run("unetprep preview ds.zarr --out p.png --overwrite")
    assert (cells / "p.png").read_bytes() != before
    assert not list(cells.glob(".p.*"))


def test_labels_alone_and_ignored_pixels_are_drawn(run: Run, cells: Path) -> None:
    labels = tifffile.imread(cells / "labels.tif")
    labels[:30] = 999
    tifffile.imwrite(cells / "labels.tif", labels)
    run("unetprep weights --in labels.tif --out ds.zarr --formula falk2019 --ignore-label 999")
    assert "140 x 110 pixels from (0, 0)" in run("unetprep preview ds.zarr --out p.png").stdout


def test_misuse_is_explained(run: Run, cells: Path) -> None:
    run("unetprep weights --in labels.tif --out ds.zarr")
    assert "at is '5'\n  allowed: two whole numbers" in run("unetprep preview ds.zarr --out p.png --at 5", 3).stderr
    assert (
        "--out is p.gif\n  allowed: a name that ends in .png" in run("unetprep preview ds.zarr --out p.gif", 3).stderr
    )


def test_neighbours_have_different_colours() -> None:
    labels = np.arange(1, 26).reshape(5, 5).repeat(8, 0).repeat(8, 1)
    colours = colours_of_cells(labels)
    assert len(colours) == 25
    for row in range(5):
        for column in range(4):
            a, b = 5 * row + column + 1, 5 * row + column + 2
            assert not np.array_equal(colours[a], colours[b])
            a, b = 5 * column + row + 1, 5 * (column + 1) + row + 1
            assert not np.array_equal(colours[a], colours[b])
