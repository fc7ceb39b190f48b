"""Pictures from arrays: gray images, colour maps, coloured cells, outlines, and PNG data URIs.

The colour maps are perceptually uniform: viridis and inferno (van der Walt and Smith 2015), read off at nine points.
Where two or three things are told apart, the colours are those of Okabe and Ito (2008), for all kinds of colour vision.
"""

from base64 import b64encode
from itertools import product
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from unetprep.pictures import display_range as display_range
from unetprep.pictures import grey as grey

Picture = NDArray[np.uint8]  # (y, x, 3)

VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
INFERNO = ("#000004", "#210c4a", "#57106e", "#8a226a", "#bc3754", "#e45a31", "#f98e09", "#f9cb35", "#fcffa4")
BOTH, WRONG, MISSED = "#d8d8d8", "#e69f00", "#2f8fe0"
CELL_COLOURS = ("#4e9bd4", "#f28e2b", "#59b36b", "#e15759", "#b07aa1", "#edc948", "#5cc8c2", "#ff9da7", "#9c755f",
                "#a6cf52")  # fmt: skip
NEIGHBOUR_PX = 6
SHADES = (1.0, 0.84, 0.7)


def rgb(colour: str) -> NDArray[np.uint8]:
    """The three bytes of "#rrggbb"."""
    return np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8)


def lookup_table(anchors: tuple[str, ...]) -> Picture:
    """256 colours (256, 3) that pass through the anchors at equal distances, the first and the last included."""
    points = np.linspace(0, 255, len(anchors))
    channels = np.stack([rgb(anchor) for anchor in anchors]).astype(np.float64).T
    return np.stack([np.interp(np.arange(256), points, c) for c in channels], axis=1).round().astype(np.uint8)


def mapped(values: NDArray[Any], anchors: tuple[str, ...], low: float, high: float) -> Picture:
    """Values (y, x) in the colours of a map; what lies beyond `low` and `high` has the colour of the end."""
    scaled = (values.astype(np.float64) - low) / ((high - low) or 1)
    return lookup_table(anchors)[(np.clip(scaled, 0, 1) * 255).round().astype(np.intp)]


def target_picture(target: NDArray[np.uint8]) -> Picture:
    """A target (y, x): cells white, the background black."""
    return grey((target != 0)[None].astype(np.uint8), (0, 1))


def neighbours(labels: NDArray[np.integer], reach_px: int = NEIGHBOUR_PX) -> dict[int, set[int]]:
    """For each cell of labels (y, x), the cells that have a pixel within `reach_px` of it along one of 8 directions."""
    found: dict[int, set[int]] = {int(n): set() for n in np.unique(labels) if n}
    height, width = labels.shape
    for step, (dy, dx) in product(range(1, reach_px + 1), ((0, 1), (1, 0), (1, 1), (1, -1))):
        down, right = step * dy, step * dx
        if down >= height or abs(right) >= width:
            continue
        here = labels[: height - down, max(0, -right) : width - max(0, right)]
        there = labels[down:, max(0, right) : width + min(0, right)]
        touching = (here != there) & (here != 0) & (there != 0)
        for a, b in np.unique(np.stack([here[touching], there[touching]], axis=1), axis=0):
            found[int(a)].add(int(b))
            found[int(b)].add(int(a))
    return found


def choose_colours(beside: dict[int, set[int]], num_colours: int) -> dict[int, int]:
    """A colour for each cell that none of its neighbours has, as long as there are enough; all are used about alike."""
    chosen: dict[int, int] = {}
    used = np.zeros(num_colours, np.intp)
    for cell in sorted(beside):
        taken = np.bincount([chosen[n] for n in beside[cell] if n in chosen], minlength=num_colours)
        chosen[cell] = int(np.lexsort((used, taken))[0])
        used[chosen[cell]] += 1
    return chosen


def cells_in_colour(labels: NDArray[np.integer]) -> Picture:
    """Labels (y, x): every cell in a colour that no cell near it has, the background nearly black."""
    chosen = choose_colours(neighbours(labels), len(CELL_COLOURS))
    numbers, places = np.unique(labels, return_inverse=True)
    shown = [rgb(CELL_COLOURS[chosen[int(n)]]) * SHADES[int(n) % len(SHADES)] if n else rgb("#16181d") for n in numbers]
    colours = np.stack(shown).round().astype(np.uint8)
    return np.asarray(colours[places.reshape(labels.shape)])


def errors_in_colour(image: Picture, truth: NDArray[np.bool_], proposal: NDArray[np.bool_]) -> Picture:
    """Right cell pixels light grey, wrongly proposed ones orange, missed ones blue, over the darkened image."""
    shown = image * 0.45
    for where, colour in ((truth & proposal, BOTH), (proposal & ~truth, WRONG), (truth & ~proposal, MISSED)):
        shown[where] = 0.25 * image[where] + 0.75 * rgb(colour)
    return shown.round().astype(np.uint8)


def outline_path(labels: NDArray[Any]) -> str:
    """The edges between pixels of different labels (y, x), as the data of an SVG path in pixel coordinates."""
    across = "".join(f"M{x} {y + 1}h{n}" for y, x, n in _runs(labels[1:] != labels[:-1]))
    down = "".join(f"M{x + 1} {y}v{n}" for x, y, n in _runs((labels[:, 1:] != labels[:, :-1]).T))
    return across + down


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """(row, start, length) of every run of true values in a row."""
    steps = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return [(int(y), int(a), int(b - a)) for (y, a), b in zip(starts, ends[:, 1], strict=True)]


def png_uri(picture: Picture) -> str:
    """A picture (y, x, 3) as a PNG in a data URI; one without colour is stored in grey."""
    is_grey = bool((picture == picture[..., :1]).all())
    data = iio.imwrite("<bytes>", picture[..., 0] if is_grey else picture, extension=".png", plugin="pillow")
    return "data:image/png;base64," + b64encode(data).decode("ascii")
