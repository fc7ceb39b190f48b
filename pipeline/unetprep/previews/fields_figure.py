"""Figure of deformation fields: a checkerboard and a tile, undeformed and deformed by each field."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unetprep.pictures import Colour, cells_over, colours_of_cells
from unetprep.previews.fields import FieldsPreview, Moved
from unetprep.previews.weights_figure import DPI, in_style, shortened

PANEL_PX, GAP_PX = 320, 16
LEFT_PX, RIGHT_PX, TOP_PX, TITLE_PX, BOTTOM_PX = 28, 28, 92, 56, 28


def compose_fields(preview: FieldsPreview) -> Figure:
    """The figure of a preview of fields: a column for the undeformed tile, and one for each field.

    The first row shows the checkerboard, the second row the tile with its cells.
    """
    with in_style():
        return _compose(preview)


def _compose(preview: FieldsPreview) -> Figure:
    columns = len(preview.moved)
    colours = colours_of_cells(
        np.concatenate([moved.instances for moved in preview.moved], axis=1)
    )  # shared by all columns
    width = LEFT_PX + columns * PANEL_PX + (columns - 1) * GAP_PX + RIGHT_PX
    height = TOP_PX + TITLE_PX + 2 * PANEL_PX + GAP_PX + BOTTOM_PX
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    for column, moved in enumerate(preview.moved):
        left = LEFT_PX + column * (PANEL_PX + GAP_PX)
        for row in (0, 1):
            top = TOP_PX + TITLE_PX + row * (PANEL_PX + GAP_PX)
            place = (left / width, 1 - (top + PANEL_PX) / height, PANEL_PX / width, PANEL_PX / height)
            _show(figure.add_axes(place, xticks=[], yticks=[]), moved, row, colours)
        for y, weight, text in ((34, "bold", _title(moved)), (14, "normal", _measured(moved))):
            figure.text(left / width, 1 - (TOP_PX + TITLE_PX - y) / height, text, size=12, weight=weight, va="center")
    for y, size, weight, text in ((34, 17, "bold", shortened(preview.name)), (64, 12, "normal", _made(preview))):
        figure.text(LEFT_PX / width, 1 - y / height, text, size=size, weight=weight, va="center")
    return figure


def _show(axes: Axes, moved: Moved, row: int, colours: dict[int, Colour]) -> None:
    if row == 0:
        axes.imshow(moved.board, cmap="gray", vmin=0, vmax=255)
    else:
        axes.imshow(cells_over(moved.image, moved.instances, colours), interpolation_stage="rgba")


def _title(moved: Moved) -> str:
    return "before" if moved.number is None else f"field {moved.number}"


def _measured(moved: Moved) -> str:
    if moved.number is None:
        return ""
    return f"up to {moved.largest_px:.0f} px" + (f", folds at {moved.folded:.2%} of the tile" if moved.folded else "")


def _made(preview: FieldsPreview) -> str:
    made = preview.made
    nodes = " x ".join(map(str, made["grid"]))
    return (
        f"tile of {preview.tile_px} px from row {preview.y0}, column {preview.x0}; {nodes} nodes,"
        rf" $\sigma$ = {made['sigma_px']:g} px, {made['interpolation']}, seed {made['seed']}"
    )
