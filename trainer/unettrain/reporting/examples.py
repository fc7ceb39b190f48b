"""Choice of the example tile and image region of the training data, from tile columns alone."""

import numpy as np

from unetprep.kernels.tiling import border_px
from unettrain.data.opening import open_tiles
from unettrain.data.tiles import Tiles
from unettrain.reporting.inputs import Run, image_shapes, training_tiles
from unettrain.reporting.regions import SHOWN_PX, Region, window_around

MAX_CANDIDATES = 32


def busiest_tile(run: Run) -> int:
    """The training tile with the most cell pixels inside its image, among those with the largest fraction of cells."""
    tiles, geometry = training_tiles(run), open_tiles(run.store)
    best, most = 0, -1.0
    for k in np.argsort(-tiles["foreground"], kind="stable")[:MAX_CANDIDATES]:
        name = geometry.names[tiles["image_index"][k]]
        _, height, width = image_shapes(run, [name])[name][0]
        inside = [min(geometry.output_px, n - tiles[axis][k]) for axis, n in (("y0", height), ("x0", width))]
        cell_px = float(tiles["foreground"][k]) * inside[0] * inside[1]
        if cell_px > most:
            best, most = int(tiles["tile"][k]), cell_px
    return best


def corner_tile(run: Run) -> int:
    """The training tile with the largest fraction of cells among those at the first corner of an image."""
    tiles = training_tiles(run)
    corner = (tiles["y0"] == 0) & (tiles["x0"] == 0)
    return int(tiles["tile"][np.where(corner, tiles["foreground"], -1).argmax()])


def busiest_region(run: Run) -> Region:
    """The region around the busiest tile, one slice."""
    tiles, place = open_tiles(run.store), _place(run, busiest_tile(run))
    name = tiles.names[place["image_index"]]
    shape, dims = image_shapes(run, [name])[name]
    half = tiles.output_px // 2
    (y0, y1), (x0, x1) = (
        window_around(place[axis] + half, n, SHOWN_PX) for axis, n in (("y0", shape[1]), ("x0", shape[2]))
    )
    return Region(name, dims, place["z"], place["z"] + 1, y0, y1, x0, x1)


def image_in_tile(run: Run, tile: int, tiles: Tiles) -> tuple[int, int, int, int]:
    """(x, y, width, height) of the image in the pixels of a tile."""
    place, before = _place(run, tile), border_px(tiles.depth) // 2
    name = tiles.names[place["image_index"]]
    _, height, width = image_shapes(run, [name])[name][0]
    return before - place["x0"], before - place["y0"], width, height


def _place(run: Run, tile: int) -> dict[str, int]:
    tiles = training_tiles(run)
    return {name: int(values[tiles["tile"] == tile][0]) for name, values in tiles.items()}
