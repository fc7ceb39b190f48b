"""The picture of a preview, after Fig. 3 of the paper: image, cells, target, the two distances, the weights.

Everything is placed in whole pixels, and a pixel of the image takes a whole number of them unless the window is larger
than a panel, so that nothing is blurred. The colour maps are perceptually even (viridis, inferno).
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from unetcli.cell_colours import colours_of_cells
from unetprep.preview import Preview

Colours = NDArray[np.float64]  # (y, x, 3), 0 to 255

DPI = 100
PANEL_PX = 600  # the most that the longer side of a window takes
SLOT_PX = 320  # the least width: what the title of a panel needs
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 92, 28, 146, 122
GAP_X_PX, GAP_Y_PX = 32, 50
BAR_PX, BAR_DOWN_PX = 14, 60  # thickness of a colour bar, and how far below its panels it lies

DARK, STRIPES = (22.0, 24.0, 29.0), (150.0, 205.0)
BEYOND = "#b4b4b4"
FILLED = 0.45  # how much of its colour a cell has inside its outline
LONGEST_NAME = 60
STYLE = {
    "font.size": 11.5,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.linewidth": 0.6,
    **{f"{axis}tick.{key}": value for axis in "xy" for key, value in (("major.size", 4), ("major.width", 0.6))},
}


@dataclass(frozen=True)
class Sheet:
    """Where the panels lie, in pixels from the upper left corner: some in the first row, three in the second."""

    height: int  # of a panel
    width: int
    num_above: int

    @property
    def slot(self) -> int:
        """The width that is kept for a panel."""
        return max(self.width, SLOT_PX)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of it all."""
        across = LEFT_PX + 3 * self.slot + 2 * GAP_X_PX + RIGHT_PX
        return across, TOP_PX + 2 * self.height + GAP_Y_PX + BOTTOM_PX

    def panel(self, row: int, column: int) -> tuple[int, int]:
        """The left and the upper edge of a panel; a row of fewer than three stands in the middle."""
        indent = (3 - self.num_above) * (self.slot + GAP_X_PX) // 2 if row == 0 else 0
        x = LEFT_PX + indent + column * (self.slot + GAP_X_PX) + (self.slot - self.width) // 2
        return x, TOP_PX + row * (self.height + GAP_Y_PX)


def draw(preview: Preview) -> bytes:
    """The picture as a PNG: the same bytes for the same preview."""
    height, width = preview.weights.shape
    longer = max(height, width)
    scale = PANEL_PX // longer or PANEL_PX / longer
    above = [_image, _instances, _target] if preview.image is not None else [_instances, _target]
    sheet = Sheet(max(1, round(height * scale)), max(1, round(width * scale)), len(above))
    with style.context(["default", STYLE]):  # whatever the user's own settings are
        figure = Figure(figsize=(sheet.size[0] / DPI, sheet.size[1] / DPI), dpi=DPI)
        for k, show in enumerate(above):
            show(_axes(figure, sheet, preview, 0, k), preview)
        _distances(figure, sheet, preview)
        _weights(figure, sheet, preview)
        _heading(figure, sheet, preview)
        png = BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _axes(figure: Figure, sheet: Sheet, preview: Preview, row: int, column: int) -> Axes:
    """An empty panel, its ticks labelled where no other panel is in between."""
    x, y = sheet.panel(row, column)
    axes = _place(figure, sheet, x, y, sheet.width, sheet.height)
    for axis, length in ((axes.xaxis, sheet.width), (axes.yaxis, sheet.height)):
        axis.set_major_locator(MaxNLocator(max(1, min(6, length // 70)), integer=True))
    axes.tick_params(labelbottom=row == 1, labelleft=column == 0)
    if row == 1:
        axes.set_xlabel("x in pixels")
    if column == 0:
        axes.set_ylabel("y in pixels")
    return axes


def _place(figure: Figure, sheet: Sheet, x: float, y: float, width: float, height: float) -> Axes:
    across, down = sheet.size
    return figure.add_axes((x / across, 1 - (y + height) / down, width / across, height / down))


def _show(axes: Axes, preview: Preview, pixels: NDArray[Any], **how: Any) -> AxesImage:
    """Show pixels (y, x) or (y, x, 3) where they lie in the image, what is ignored striped."""
    height, width = preview.weights.shape
    place = (preview.x0 - 0.5, preview.x0 + width - 0.5, preview.y0 + height - 0.5, preview.y0 - 0.5)
    shown = axes.imshow(pixels, extent=place, aspect="auto", interpolation_stage="rgba", **how)
    ignored = preview.instances < 0
    if ignored.any():
        axes.imshow(_stripes(ignored), extent=place, aspect="auto")
    return shown


def _stripes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Diagonal stripes of two greys where a mask is true, and nothing elsewhere (y, x, 4)."""
    pitch = max(1, max(mask.shape) // 100)
    y, x = np.indices(mask.shape)
    grey = np.take(STRIPES, (x + y) // pitch % 2)
    return np.stack([grey, grey, grey, 255.0 * mask], axis=-1).astype(np.uint8)


# -- the panels -------------------------------------------------------------------------------------------------------


def _image(axes: Axes, preview: Preview) -> None:
    axes.set_title("Image")
    _show(axes, preview, _bytes(_picture(preview)))


def _instances(axes: Axes, preview: Preview) -> None:
    axes.set_title("Cells")
    colours, labels = colours_of_cells(preview.instances), preview.instances
    base = _picture(preview)
    numbers, places = np.unique(labels, return_inverse=True)
    table = np.stack([colours.get(int(n), np.zeros(3)) for n in numbers])
    part = np.where(labels > 0, np.where(_outlines(labels), 1.0, FILLED), 0.0)[..., None]
    _show(axes, preview, _bytes((1 - part) * base + part * table[places.reshape(labels.shape)]))


def _target(axes: Axes, preview: Preview) -> None:
    axes.set_title("Target")
    _show(axes, preview, preview.target == 1, cmap="gray", vmin=0, vmax=1)


def _distances(figure: Figure, sheet: Sheet, preview: Preview) -> None:
    made = preview.made
    colours: Colormap = colormaps["viridis"].with_extremes(bad=BEYOND, over=BEYOND)
    titles = "$d_1$, to the nearest cell", "$d_2$, to the second nearest"
    for column, (title, distances) in enumerate(zip(titles, preview.distances, strict=True)):
        axes = _axes(figure, sheet, preview, 1, column)
        axes.set_title(title)
        shown = _show(axes, preview, distances, cmap=colours, vmin=0, vmax=made.reach)
    unit = "pixels" if set(made.spacing) == {1.0} else "the unit of the pixel size"
    label = f"distance in {unit}; grey: farther than {made.reach:g}, where no cell counts"
    _colour_bar(figure, sheet, 0, 1, shown, label, extend="max")


def _weights(figure: Figure, sheet: Sheet, preview: Preview) -> None:
    axes = _axes(figure, sheet, preview, 1, 2)
    axes.set_title("Weights $w$")
    highest = float(preview.weights.max()) or 1.0
    shown = _show(axes, preview, preview.weights, cmap="inferno", vmin=0, vmax=highest)
    _colour_bar(figure, sheet, 2, 2, shown, "what a pixel counts in the loss")


def _colour_bar(figure: Figure, sheet: Sheet, first: int, last: int, shown: AxesImage, label: str, **how: Any) -> None:
    """One under the panels of the second row from the first to the last."""
    (left, top), (right, _) = sheet.panel(1, first), sheet.panel(1, last)
    place = left, top + sheet.height + BAR_DOWN_PX, right - left + sheet.width, BAR_PX
    bar = figure.colorbar(shown, cax=_place(figure, sheet, *place), orientation="horizontal", **how)
    bar.set_label(label)


# -- pixels -----------------------------------------------------------------------------------------------------------


def _picture(preview: Preview) -> Colours:
    """The image as it is looked at: three channels in colour, others as their mean; nearly black where there is none.

    Nearly the least and the greatest value are black and white, so that no hot pixel decides.
    """
    if preview.image is None:
        return np.broadcast_to(DARK, (*preview.instances.shape, 3))
    image = preview.image.astype(np.float64)
    channels = image if len(image) == 3 else image.mean(axis=0, keepdims=True)
    low, high = np.percentile(channels, (0.5, 99.8))
    scaled = np.clip((channels - low) / ((high - low) or 1.0), 0, 1) * 255
    return np.broadcast_to(scaled, (3, *scaled.shape[1:])).transpose(1, 2, 0)


def _bytes(colours: Colours) -> NDArray[np.uint8]:
    return colours.round().astype(np.uint8)


def _outlines(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels beside one of another label."""
    edge = np.zeros(labels.shape, bool)
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = labels[a] != labels[b]
        edge[a] |= differ
        edge[b] |= differ
    return edge


# -- the heading ------------------------------------------------------------------------------------------------------


def _heading(figure: Figure, sheet: Sheet, preview: Preview) -> None:
    """Which image and which part of it, and what its weights were made with."""
    across, down = sheet.size
    lines = (
        (34, 17, "bold", _short(preview.name)),
        (66, 12, "normal", _where(preview)),
        (95, 12, "normal", _made(preview)),
    )
    for y, size, weight, text in lines:
        figure.text(LEFT_PX / across, 1 - y / down, text, size=size, weight=weight, va="center")


def _short(name: str) -> str:
    half = LONGEST_NAME // 2
    return (name if len(name) <= LONGEST_NAME else f"{name[:half]} ... {name[-half:]}").replace("$", r"\$")


def _where(preview: Preview) -> str:
    (height, width), (slices, rows, columns) = preview.weights.shape, preview.shape
    z = f"slice z = {preview.z} of {slices}, " if slices > 1 else ""
    measured = ", distances in 3D" if preview.dims == 3 else ""
    num_cells = len(np.unique(preview.instances[preview.instances > 0]))
    cells = f"{num_cells} cell{'s' if num_cells != 1 else ''}"
    ignored = "; striped: ignored" if (preview.instances < 0).any() else ""
    y, x = f"{preview.y0}-{preview.y0 + height - 1}", f"{preview.x0}-{preview.x0 + width - 1}"
    return f"{z}rows {y} of {rows}, columns {x} of {columns}: {cells}{measured}{ignored}"


def _made(preview: Preview) -> str:
    made = preview.made
    border, rim = made.formula.border, made.formula.rim
    classes = " and ".join(f"{value:.3g}" for value in made.class_weights)
    constants = rf"$w_0$ = {border.height:g}, $\sigma$ = {border.sigma:g}"
    if made.name == "paper":
        formula = r"$w = w_c + w_0\,\exp(-(d_1 + d_2)^2 / 2\sigma^2)$"
        return rf"{formula}   with {constants}, $w_c$ = {classes} (background and cell)"
    return rf"Falk et al. 2019   with {constants}, $v$ = {made.class_weights[0]:g}, $\sigma_1$ = {rim.sigma:g}"
