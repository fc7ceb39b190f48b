"""Sections 2 to 4, what the network is trained on: images and weights, elastic deformation, overlap tiles."""

from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from unetprep.kernels.spline import displacement_field
from unetprep.kernels.tiling import border_px
from unetprep.kernels.warp import warp_tile
from unettrain.augment import TURNS
from unettrain.layout import StoredTile, Tiles, open_fields, open_tiles
from unettrain.report.curves import linear_ticks
from unettrain.report.page import (
    Html,
    colour_bar,
    element,
    figure,
    grid,
    join,
    legend,
    paragraph,
    picture,
    section,
)
from unettrain.report.pictures import INFERNO, Picture, cells_in_colour, display_range, grey, mapped, outline_path
from unettrain.report.regions import Region, window_around
from unettrain.report.source import (
    Run,
    image_shapes,
    read_labels,
    read_pixels,
    read_target,
    read_weights,
    training_tiles,
)
from unettrain.store import attributes

SHOWN_PX = 512
LINE_EVERY_PX = 24
MAX_CANDIDATES = 32
FINE = 2  # the line grid is drawn at twice the tile's resolution
IDENTITY = TURNS[0]


def data_section(run: Run) -> Html:
    """A training image, its cells, its weight map and its target."""
    region = _busiest_region(run)
    image, labels, weights, target = (
        read(run, region) for read in (read_pixels, read_labels, read_weights, read_target)
    )
    low, high = 0.0, float(weights.max()) or 1.0
    about = f"{region.name}, rows {region.y0} to {region.y1}, columns {region.x0} to {region.x1}"
    return section(
        "data",
        "Data and weight map",
        paragraph(
            "The paper's Fig. 3 and Eq. 2: where two cells nearly touch, a pixel of background weighs far more than"
            " others, so that the network learns to keep them apart. d1 and d2 are the distances to the nearest and to"
            " the second nearest cell; the class weight balances cells and background."
        ),
        _formula(run, region.name),
        grid(
            figure(picture(grey(image[:, 0]), f"Raw image {about}"), "Image.", f"{about}."),
            figure(
                picture(cells_in_colour(labels[0]), f"{_num(labels)} cells, each in a colour unlike its neighbours'"),
                "Cells.", f"{_num(labels)} of them, each with its own number; neighbours differ in colour.",
            ),
            figure(
                picture(mapped(weights[0], INFERNO, low, high), f"Weight map, values from {weights.min():.2g} to {high:.3g}"),
                "Weight map w(x).", "What each pixel counts in the loss.",
                colour_bar(INFERNO, linear_ticks(low, high), low, high),
            ),
            figure(
                picture(_target_picture(target[0]), "Target: cells white, background black"),
                "Target.", "The class to learn. Cells that touch are parted by a line of background, one pixel wide.",
            ),
        ),
    )  # fmt: skip


def deformation_section(run: Run) -> Html:
    """One stored field, on a grid of lines and on a tile."""
    title = "Elastic deformation"
    words = paragraph(
        "The paper's main augmentation: random displacements on a coarse grid of nodes, made smooth by a cubic B-spline."
        " Each training step moves image, target and weights of a tile by one field, in one pass, so that they stay"
        " together: cells of new shapes, of which the labels are known."
    )
    if not isinstance(run.root.get("fields/grids"), zarr.Array):
        skipped = paragraph("This store has no deformation fields (unetprep deform makes them), so none is shown.")
        return section("deformation", title, words, skipped)
    tiles, nodes = open_tiles(run.store), open_fields(run.store).grids[0]
    stored = tiles.read(_busiest_tile(run))
    none = np.zeros((2, tiles.tile_px, tiles.tile_px))
    moved = displacement_field(nodes, none.shape[1:])
    largest = float(np.hypot(*moved).max())
    arrows = _arrows(nodes, tiles.tile_px)
    grids = (
        figure(_line_grid(tiles, np.zeros_like(nodes), "A regular grid of lines"), "Before.", "A grid of lines."),
        figure(
            _line_grid(tiles, nodes, "The grid, deformed", arrows), "After.",
            f"Field 0 of the store; the largest displacement is {largest:.0f} pixels. Red: each node moved along its line to its dot.",
        ),
    )  # fmt: skip
    limits = display_range(stored.image)
    pair = (
        figure(_warped(tiles, stored, none, limits), "Tile before.", "The outline of the target, in the output area."),
        figure(
            _warped(tiles, stored, moved, limits),
            "Tile after.",
            "Image and target moved by the same field.",
            _target_legend(),
        ),
    )
    return section("deformation", title, words, grid(*grids, *pair, kind="four"))


def tile_section(run: Run) -> Html:
    """A tile at the corner of an image: what is seen, what is predicted, what is mirrored."""
    tiles, number = open_tiles(run.store), _corner_tile(run)
    stored, margin, before = tiles.read(number), tiles.margin_px, border_px(tiles.depth) // 2
    image, target = (_inner(a, margin) for a in (stored.image, stored.target))
    inside = _inside(run, number, tiles)
    side, output = tiles.tile_px, tiles.output_px
    marks = [
        element("path", d=f"M0 0H{side}V{side}H0Z{_rectangle(*inside)}", class_="mirrored"),
        element("rect", x=0, y=0, width=side, height=side, class_="input"),
        element("rect", x=before, y=before, width=output, height=output, class_="output"),
        element("path", d=_rectangle(*inside), class_="edge"),
    ]
    return section(
        "tile",
        "Overlap tile",
        paragraph(
            f"The paper's Fig. 2: the convolutions are unpadded, so a tile of {side} × {side} pixels (blue) yields the"
            f" classes of its middle {output} × {output} (yellow). The {before} pixels around are context. At the"
            " border of an image there is none, and it is made up by mirroring the image."
        ),
        grid(
            figure(
                picture(grey(image), "A tile at the corner of a training image, partly mirrored", join(marks)),
                "Input.", f"Tile {number}. The bluish part lies outside the image and is mirrored.",
                legend([("var(--input)", "input tile"), ("var(--output)", "output area"), ("var(--edge)", "true edge of the image")]),
            ),
            figure(
                picture(_target_picture(target), "The target of the output area"),
                "Target of the output area.", "The outputs of neighbouring tiles fit edge to edge, and cover every"
                " pixel of an image exactly once.",
            ),
        ),
    )  # fmt: skip


def _formula(run: Run, name: str) -> Html:
    """Eq. 2, with the values of this store."""
    found = attributes(run.root.get(f"images/{name}/weights")).get("parameters", {})
    class_weights = found.get("class_weights") or ()
    values = [f"w0 = {found['w0']:g}"] if "w0" in found else []
    values += [f"σ = {found['sigma_px']:g} pixels"] if "sigma_px" in found else []
    values += (
        [f"class weights {class_weights[0]:.3g} (background) and {class_weights[1]:.3g} (cell)"]
        if class_weights
        else []
    )

    def low(words: str, index: str) -> Html:
        return join([text(words), element("sub", text(index))])

    parts = [
        low("w(x) = w", "c"),
        low("(x) + w", "0"),
        low(" · exp(−(d", "1"),
        low("(x) + d", "2"),
        text("(x))² / 2σ²)"),
    ]
    return element(
        "div", element("p", *parts, class_="formula"), paragraph(f"Here {', '.join(values)}." if values else "")
    )


def _num(labels: NDArray[np.integer]) -> int:
    return len(np.unique(labels[labels != 0]))


def _target_picture(target: NDArray[np.uint8]) -> Picture:
    return grey((target != 0)[None].astype(np.uint8), (0, 1))


def _busiest_tile(run: Run) -> int:
    """Of the training tiles with the largest shares of cells, the one with the most cell pixels in its image."""
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


def _corner_tile(run: Run) -> int:
    """Of the training tiles at the first corner of an image, the one with the largest share of cells."""
    tiles = training_tiles(run)
    corner = (tiles["y0"] == 0) & (tiles["x0"] == 0)
    return int(tiles["tile"][np.where(corner, tiles["foreground"], -1).argmax()])


def _place(run: Run, tile: int) -> dict[str, int]:
    tiles = training_tiles(run)
    return {name: int(values[tiles["tile"] == tile][0]) for name, values in tiles.items()}


def _busiest_region(run: Run) -> Region:
    """The surroundings of the busiest tile, one slice."""
    tiles, place = open_tiles(run.store), _place(run, _busiest_tile(run))
    name = tiles.names[place["image_index"]]
    shape, dims = image_shapes(run, [name])[name]
    half = tiles.output_px // 2
    rows, columns = (window_around(place[axis] + half, n, SHOWN_PX) for axis, n in (("y0", shape[1]), ("x0", shape[2])))
    return Region(name, dims, place["z"], place["z"] + 1, *rows, *columns)


def _inside(run: Run, tile: int, tiles: Tiles) -> tuple[int, int, int, int]:
    """(x, y, width, height) of the image in the pixels of a tile."""
    place, before = _place(run, tile), border_px(tiles.depth) // 2
    name = tiles.names[place["image_index"]]
    _, height, width = image_shapes(run, [name])[name][0]
    return before - place["x0"], before - place["y0"], width, height


def _rectangle(x: int, y: int, width: int, height: int) -> str:
    return f"M{x} {y}h{width}v{height}h{-width}Z"


def _inner(array: NDArray[Any], margin: int) -> NDArray[Any]:
    return array[..., margin : array.shape[-2] - margin, margin : array.shape[-1] - margin]


def _line_grid(tiles: Tiles, nodes: NDArray[np.float32], alt: str, marks: Html = Html("")) -> Html:  # noqa: B008
    """Lines and squares, moved by the same kernel that moves the tiles."""
    side, whole = FINE * tiles.tile_px, FINE * (tiles.tile_px + 2 * tiles.margin_px)
    y, x = np.mgrid[:whole, :whole] - FINE * tiles.margin_px
    every = FINE * LINE_EVERY_PX
    paper = np.where((y // every + x // every) % 2, 255, 226)
    lines = np.where(((y % every) < FINE) | ((x % every) < FINE), 60, paper).astype(np.float32)
    nothing = np.zeros((whole, whole), np.uint8)
    field = displacement_field(nodes * FINE, (side, side))
    moved, _, _ = warp_tile(lines[None], nothing, nothing.astype(np.float32), field, IDENTITY)
    return picture(grey(moved, (0, 255)), alt, marks)


def _arrows(nodes: NDArray[np.float32], tile_px: int) -> Html:
    """From where the pixel at each node came to where it is now."""
    rows, columns = (np.linspace(0, FINE * tile_px - 1, n) for n in nodes.shape[1:])
    lines = []
    for (j, y), (i, x) in ((a, b) for a in enumerate(rows) for b in enumerate(columns)):
        dy, dx = (FINE * float(d) for d in nodes[:, j, i])
        lines.append(element("path", d=f"M{x + dx:.1f} {y + dy:.1f}L{x:.1f} {y:.1f}", class_="arrow"))
        lines.append(element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=7, class_="node"))
    return join(lines)


def _warped(tiles: Tiles, stored: StoredTile, field: NDArray[np.float64], limits: tuple[float, float]) -> Html:
    image, target, _ = warp_tile(stored.image, stored.target, stored.weights, field, IDENTITY)
    before, output = border_px(tiles.depth) // 2, tiles.output_px
    outline = element("path", d=outline_path(target), class_="true", transform=f"translate({before} {before})")
    frame = element("rect", x=before, y=before, width=output, height=output, class_="output")
    return picture(grey(image, limits), "A training tile with its target's outline", join([outline, frame]))


def _target_legend() -> Html:
    return legend([("var(--output)", "output area"), ("var(--true)", "outline of the target")])
