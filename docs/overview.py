"""Draw docs/overview.png, the picture of the README, from what `make demo` made:  python docs/overview.py"""

from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from unetprep.pictures import Picture, cells_over, grey
from unettrain.augment.cpu import apply
from unettrain.augment.draw import Draw
from unettrain.data.opening import open_fields, open_tiles
from unettrain.reporting.pictures import INFERNO, mapped, rgb

DEMO = Path(__file__).parents[1] / "demo"
STORE = str(DEMO / "nuclei.zarr")
PANEL_PX, GAP_PX, SCALE = 250, 8, 2  # four panels and three gaps are as wide as the held-out image twice enlarged
CYAN = "#45c4e0"


def main() -> None:
    """Four panels of a training image, and below them the image that was held out with the predicted outlines."""
    crop = np.s_[:PANEL_PX, :PANEL_PX]
    weights = read("images/img2d-train/weights")[0][crop]
    panels = [
        grey(read("images/img2d-train/image")[:, 0, :PANEL_PX, :PANEL_PX]),
        cells_over(None, read("images/img2d-train/labels/instances/instances")[0][crop]),
        mapped(weights, INFERNO, 0, float(weights.max())),
        deformed_tile(),
    ]
    top = beside([enlarged(panel) for panel in panels])
    held_out = grey(read("images/img2d-test/image")[:, 0])
    cells = tifffile.imread(DEMO / "cells.tif")
    wide = top.shape[1] // held_out.shape[1]
    below = outlined(enlarged(held_out, wide), cells.repeat(wide, 0).repeat(wide, 1))
    below = np.pad(below, ((2 * GAP_PX, 0), (0, 0), (0, 0)), constant_values=255)
    imageio.imwrite(Path(__file__).with_name("overview.png"), np.concatenate([top, below])[::2, ::2], plugin="pillow")


def read(path: str) -> NDArray[Any]:
    """A whole array of the store."""
    return np.asarray(zarr.open_array(STORE, path=path, mode="r")[:])


def deformed_tile() -> Picture:
    """The first tile, moved by a stored field."""
    tiles = open_tiles(STORE)
    image, *_ = apply(Draw(field=3), tiles.read(0), open_fields(STORE), tiles.tile_px)
    inset = (tiles.tile_px - PANEL_PX) // 2
    return grey(image[:, inset : inset + PANEL_PX, inset : inset + PANEL_PX])


def enlarged(picture: Picture, factor: int = SCALE) -> Picture:
    """Every pixel as a square of `factor` pixels a side."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def outlined(picture: Picture, labels: NDArray[np.integer]) -> Picture:
    """The edges of cells in colour."""
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        edge |= (labels != np.roll(labels, 2, axis)) | (labels != np.roll(labels, -2, axis))
    edge &= labels > 0
    picture = picture.copy()
    picture[edge] = rgb(CYAN)
    return picture


def beside(panels: list[Picture]) -> Picture:
    """Pictures of one height in a row, on white."""
    white = np.full((panels[0].shape[0], GAP_PX * 2, 3), 255, np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, white)][:-1], axis=1)


if __name__ == "__main__":
    main()
