"""Report sections 3 and 5: deformed tiles, and tiles mirrored at the image edge."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.layout import GRIDS
from unetprep.kernels.spline import displacement_field
from unetprep.kernels.tiling import border_px
from unetprep.kernels.warp import Transform, warp_tile
from unetprep.pictures import display_range, grey
from unettrain.data.opening import open_fields, open_tiles
from unettrain.data.tiles import StoredTile, Tiles
from unettrain.reporting.examples import busiest_tile, corner_tile, image_in_tile
from unettrain.reporting.inputs import Run
from unettrain.reporting.page import Html, element, figure, grid, join, legend, paragraph, picture, section
from unettrain.reporting.pictures import outline_path, target_picture

NUM_LINES = 13
GRID_PX = 600  # least side of the line grid, which is drawn finer than the tile
TIMES = "\N{MULTIPLICATION SIGN}"


def deformation_section(run: Run) -> Html:
    """One stored field, applied to a grid of lines and to a tile."""
    words = paragraph(
        "The paper's main augmentation: random displacements at the nodes of a coarse grid, made smooth by a cubic"
        " B-spline. Image, target and weights of a tile are deformed by one field, in one pass, so that they stay"
        " aligned: cells of new shapes with known labels."
        + ("" if run.record["fit"]["deform"] else " This run was trained without it.")
    )
    if run.recorded(GRIDS):
        shown = grid(*_deformation_figures(run), kind="four")
    else:
        shown = paragraph("This store has no deformation fields (unetprep deform makes them), so none is shown.")
    return section("deformation", "Elastic deformation", words, shown)


def _deformation_figures(run: Run) -> list[Html]:
    tiles, fields = open_tiles(run.store), open_fields(run.store)
    nodes, kind = fields.grids[0], fields.interpolation
    stored, fine = tiles.read(busiest_tile(run)), fineness(tiles.tile_px, kind)
    field = displacement_field(nodes, (tiles.tile_px, tiles.tile_px), kind)
    largest = f"The largest displacement is {np.hypot(*field).max():.0f} pixels."
    at_nodes = arrows(nodes * fine, fine * tiles.tile_px) if kind == "bspline" else None
    said = f"Field 0 of the store. {largest}" + " Red: each node moved along its line to its dot." * bool(at_nodes)
    deformed, enlarged = (Transform(grid=grid, interpolation=kind) for grid in (nodes, nodes * fine))
    colours = legend([("var(--output)", "output area"), ("var(--true)", "outline of the target")])
    return [
        figure(line_grid(tiles, Transform(), fine, "A grid of lines"), "Grid before.", "Straight lines."),
        figure(line_grid(tiles, enlarged, fine, "The same grid, deformed", at_nodes), "Grid after.", said),
        figure(_moved_tile(tiles, stored, Transform()), "Tile before.", "A training tile.", colours),
        figure(_moved_tile(tiles, stored, deformed), "Tile after.", "Image and target, moved by field 0.", colours),
    ]


def fineness(tile_px: int, interpolation: str) -> int:
    """Pixels of the line grid for one pixel of the tile; more than 1 for splines, which scale with the tile."""
    return math.ceil(GRID_PX / tile_px) if interpolation == "bspline" else 1


def line_grid(tiles: Tiles, transform: Transform, fine: int, alt: str, marks: Html | None = None) -> Html:
    """Lines and squares, warped by the kernel that warps the tiles."""
    side, whole = fine * tiles.tile_px, fine * (tiles.tile_px + 2 * tiles.margin_px)
    y, x = np.mgrid[:whole, :whole] - fine * tiles.margin_px
    every, thick = side // NUM_LINES, max(2, side // 300)
    paper = np.where((y // every + x // every) % 2, 255, 226)
    lines = np.where(((y % every) < thick) | ((x % every) < thick), 60, paper).astype(np.float32)
    nothing = np.zeros((whole, whole), np.uint8)
    moved, _, _ = warp_tile(lines[None], nothing, nothing.astype(np.float32), transform, side)
    return picture(grey(moved, (0, 255)), alt, marks or join([]))


def arrows(nodes: NDArray[np.float32], side_px: int) -> Html:
    """The displacement at each node: a line from the origin of its pixel to its position, a dot."""
    rows, columns = (np.linspace(0, side_px - 1, n) for n in nodes.shape[1:])
    marks = []
    for (j, y), (i, x) in ((a, b) for a in enumerate(rows) for b in enumerate(columns)):
        dy, dx = (float(d) for d in nodes[:, j, i])
        marks.append(element("path", d=f"M{x + dx:.1f} {y + dy:.1f}L{x:.1f} {y:.1f}", class_="arrow"))
        marks.append(element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{side_px / 90:.1f}", class_="node"))
    return join(marks)


def _moved_tile(tiles: Tiles, stored: StoredTile, transform: Transform) -> Html:
    image, target, _ = warp_tile(stored.image, stored.target, stored.weights, transform, tiles.tile_px)
    before, output = border_px(tiles.depth) // 2, tiles.output_px
    outline = element("path", d=outline_path(target), class_="true", transform=f"translate({before} {before})")
    frame = element("rect", x=before, y=before, width=output, height=output, class_="output")
    pixels = grey(image, display_range(stored.image))
    return picture(pixels, "A training tile with the outline of its target", join([outline, frame]))


def tile_section(run: Run) -> Html:
    """A tile at the corner of an image: its input, its output and the mirrored part."""
    tiles = open_tiles(run.store)
    side, output, before = (f"{n}" for n in (tiles.tile_px, tiles.output_px, border_px(tiles.depth) // 2))
    return section(
        "tile",
        "Overlap tile",
        paragraph(
            f"The paper's Fig. 2: the convolutions are unpadded, so a tile of {side} {TIMES} {side} pixels (blue)"
            f" yields the classes of its middle {output} {TIMES} {output} (yellow). The {before} pixels around are"
            " context. At the border of an image it is missing, and is filled by mirroring the image."
        ),
        grid(*_tile_figures(run, tiles)),
    )


def _tile_figures(run: Run, tiles: Tiles) -> list[Html]:
    number = corner_tile(run)
    stored = tiles.read(number)
    image, target = (_inner(a, tiles.margin_px) for a in (stored.image, stored.target))
    marks = tile_marks(tiles, image_in_tile(run, number, tiles))
    colours = legend(
        [("var(--input)", "input tile"), ("var(--output)", "output area"), ("var(--edge)", "true edge of the image")]
    )
    covered = "The outputs of neighbouring tiles fit edge to edge, and cover every pixel of an image exactly once."
    return [
        figure(
            picture(grey(image), "A tile at the corner of a training image, partly mirrored", marks),
            "Input.",
            f"Tile {number}. The bluish part lies outside the image and is mirrored.",
            colours,
        ),
        figure(picture(target_picture(target), "The target of the output area"), "Target of the output area.", covered),
    ]


def tile_marks(tiles: Tiles, inside: tuple[int, int, int, int]) -> Html:
    """The input tile, its output area, and the edge of the image at `inside` (x, y, width, height) in the tile."""
    side, output, before = tiles.tile_px, tiles.output_px, border_px(tiles.depth) // 2
    x, y, width, height = inside
    edge = f"M{x} {y}h{width}v{height}h{-width}Z"
    return join(
        [
            element("path", d=f"M0 0H{side}V{side}H0Z{edge}", class_="mirrored"),
            element("rect", x=0, y=0, width=side, height=side, class_="input"),
            element("rect", x=before, y=before, width=output, height=output, class_="output"),
            element("path", d=edge, class_="under"),
            element("path", d=edge, class_="edge"),
        ]
    )


def _inner(array: NDArray[Any], margin: int) -> NDArray[Any]:
    return array[..., margin : array.shape[-2] - margin, margin : array.shape[-1] - margin]
