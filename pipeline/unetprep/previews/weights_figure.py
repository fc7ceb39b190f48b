"""Figure of a weight-map preview, after Fig. 3 of the paper: image, cells, target, distances, weights.

All positions are whole pixels, and a pixel of the image is a whole number of pixels wide unless the window is larger
than a panel, so that nothing is blurred. The colour maps are perceptually uniform (viridis, inferno).
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from unetprep.pictures import cells_over, picture
from unetprep.previews.overlays import outlines, stripes
from unetprep.previews.weights import Preview

DPI = 100
SOFTWARE = "unetprep preview"  # in the PNG file, to recognize previews
PANEL_PX = 600  # largest length of the longer side of a window
SLOT_PX = 320  # least width of a panel, for its title
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 92, 28, 146, 122
GAP_X_PX, GAP_Y_PX = 32, 50
DIGIT_PX = 10  # the width of a digit
BAR_PX, BAR_DOWN_PX = 14, 60  # height of a colour bar, and its distance below the panels

BEYOND = "#b4b4b4"
LONGEST_NAME = 60
STYLE = {
    "font.size": 11.5,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.linewidth": 0.6,
    "agg.path.chunksize": 10000,  # avoids an error of Agg for long paths
    **{f"{axis}tick.{key}": value for axis in "xy" for key, value in (("major.size", 4), ("major.width", 0.6))},
}


@dataclass(frozen=True)
class Sheet:
    """Layout of the panels, in pixels from the upper left corner: two or three in row 0, three in row 1."""

    height: int  # of a panel
    width: int
    num_above: int

    @property
    def slot(self) -> int:
        """The width reserved for a panel."""
        return max(self.width, SLOT_PX)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the figure."""
        across = LEFT_PX + 3 * self.slot + 2 * GAP_X_PX + RIGHT_PX
        return across, TOP_PX + 2 * self.height + GAP_Y_PX + BOTTOM_PX

    def panel(self, row: int, column: int) -> tuple[int, int]:
        """Left and upper edge of a panel; a row of fewer than three is centred."""
        indent = (3 - self.num_above) * (self.slot + GAP_X_PX) // 2 if row == 0 else 0
        return LEFT_PX + indent + column * (self.slot + GAP_X_PX), TOP_PX + row * (self.height + GAP_Y_PX)


def draw(preview: Preview) -> bytes:
    """The figure of a preview as a PNG file."""
    return as_png(compose(preview))


def in_style() -> AbstractContextManager[None]:
    """Context with a fixed style of figures, independent of the settings of the user."""
    return style.context(["default", STYLE])


def as_png(figure: Figure) -> bytes:
    """A figure as a PNG file; equal figures give equal bytes."""
    png = BytesIO()
    with in_style():
        figure.savefig(png, format="png", metadata={"Software": SOFTWARE})
    return png.getvalue()


def compose(preview: Preview) -> Figure:
    """The figure of a preview: five or six panels, two colour bars, a heading."""
    with in_style():
        return _compose(preview)


def _compose(preview: Preview) -> Figure:
    height, width = preview.weights.shape
    longer = max(height, width)
    scale = PANEL_PX // longer or PANEL_PX / longer
    above = [_image, _cells, _target] if preview.image is not None else [_cells, _target]
    sheet = Sheet(max(1, round(height * scale)), max(1, round(width * scale)), len(above))
    figure = Figure(figsize=(sheet.size[0] / DPI, sheet.size[1] / DPI), dpi=DPI)
    for k, show in enumerate(above):
        show(_axes(figure, sheet, preview, 0, k), preview)
    _distances(figure, sheet, preview)
    _weights(figure, sheet, preview)
    _heading(figure, sheet, preview)
    return figure


def _axes(figure: Figure, sheet: Sheet, preview: Preview, row: int, column: int) -> Axes:
    """An empty panel, with tick labels only at the outer edges of the figure."""
    x, y = sheet.panel(row, column)
    axes = _place(figure, sheet, x, y, sheet.width, sheet.height)
    height, width = preview.weights.shape
    axes.set_xticks(_ticks(preview.x0, width, sheet.width))
    axes.set_yticks(_ticks(preview.y0, height, sheet.height))
    axes.tick_params(labelbottom=row == 1, labelleft=column == 0)
    if row == 1:
        axes.set_xlabel("x in pixels")
    if column == 0:
        axes.set_ylabel("y in pixels")
    return axes


def _ticks(first: int, length: int, length_px: int) -> list[int]:
    """Round numbers for ticks, away from edges where labels would touch those of the next panel."""
    rounded = MaxNLocator(max(1, min(6, length_px // 70)), steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    ticks = [int(tick) for tick in rounded.tick_values(first, first + length - 1) if first <= tick < first + length]
    edges_px = {tick: min(tick - first, first + length - 1 - tick) * length_px / length for tick in ticks}
    return [tick for tick in ticks if edges_px[tick] >= len(str(tick)) * DIGIT_PX / 2 - GAP_X_PX / 3]


def _place(figure: Figure, sheet: Sheet, x: float, y: float, width: float, height: float) -> Axes:
    across, down = sheet.size
    return figure.add_axes((x / across, 1 - (y + height) / down, width / across, height / down))


def _show(axes: Axes, preview: Preview, pixels: NDArray[Any], **how: Any) -> AxesImage:
    """Show pixels (y, x) or (y, x, channel) at their coordinates in the image."""
    height, width = preview.weights.shape
    place = (preview.x0 - 0.5, preview.x0 + width - 0.5, preview.y0 + height - 0.5, preview.y0 - 0.5)
    return axes.imshow(pixels, extent=place, aspect="auto", interpolation_stage="rgba", **how)


def _show_known(axes: Axes, preview: Preview, pixels: NDArray[Any], **how: Any) -> AxesImage:
    """Show pixels at their coordinates in the image, with stripes over ignored pixels."""
    shown = _show(axes, preview, pixels, **how)
    ignored = preview.instances < 0
    if ignored.any():
        _show(axes, preview, stripes(ignored))
    return shown


# -- the panels -------------------------------------------------------------------------------------------------------


def _image(axes: Axes, preview: Preview) -> None:
    axes.set_title("Image")
    _show(axes, preview, picture(preview.image, preview.instances.shape))


def _cells(axes: Axes, preview: Preview) -> None:
    axes.set_title("Cells")
    _show_known(axes, preview, cells_over(preview.image, preview.instances))


def _target(axes: Axes, preview: Preview) -> None:
    axes.set_title("Target")
    _show_known(axes, preview, preview.target, cmap="gray", vmin=0, vmax=len(preview.made.class_weights) - 1)


def _distances(figure: Figure, sheet: Sheet, preview: Preview) -> None:
    made = preview.made
    known = preview.distances[np.isfinite(preview.distances)]
    is_beyond = known.size < preview.distances.size
    highest = made.reach if is_beyond else float(known.max()) or 1.0
    colours: Colormap = colormaps["viridis"].with_extremes(bad=BEYOND, over=BEYOND)
    lines = outlines(preview)
    titles = "$d_1$, to the nearest cell", "$d_2$, to the second nearest"
    for column, (title, distances) in enumerate(zip(titles, preview.distances, strict=True)):
        axes = _axes(figure, sheet, preview, 1, column)
        axes.set_title(title)
        shown = _show_known(axes, preview, distances, cmap=colours, vmin=0, vmax=highest)
        axes.add_line(Line2D(lines[0], lines[1], color="white", linewidth=0.5, alpha=0.6, solid_capstyle="butt"))
    label = "distance in 3D" if preview.dims == 3 else "distance"
    label += (
        " in pixels" if set(made.spacing) == {1.0} else f" (pixel size {' x '.join(f'{s:g}' for s in made.spacing)})"
    )
    beyond = f", grey: beyond {made.reach:g}" if is_beyond else ""
    _colour_bar(figure, sheet, 0, 1, shown, label + beyond, extend="max" if is_beyond else "neither")


def _weights(figure: Figure, sheet: Sheet, preview: Preview) -> None:
    axes = _axes(figure, sheet, preview, 1, 2)
    axes.set_title("Weights $w$")
    is_linear = preview.made.name == "paper"  # those of falk2019 range from 0.1 to 51, which would hide its boundaries
    scale = PowerNorm(1.0 if is_linear else 0.5, 0, float(preview.weights.max()) or 1.0)
    shown = _show_known(axes, preview, preview.weights, cmap="inferno", norm=scale)
    _colour_bar(figure, sheet, 2, 2, shown, "weight in the loss" + ("" if is_linear else ", square root scale"))


def _colour_bar(figure: Figure, sheet: Sheet, first: int, last: int, shown: AxesImage, label: str, **how: Any) -> None:
    """Add a colour bar below the panels `first` to `last` of the second row."""
    (left, top), (right, _) = sheet.panel(1, first), sheet.panel(1, last)
    place = left, top + sheet.height + BAR_DOWN_PX, right - left + sheet.slot, BAR_PX
    bar = figure.colorbar(shown, cax=_place(figure, sheet, *place), orientation="horizontal", **how)
    bar.set_label(label)


# -- the heading ------------------------------------------------------------------------------------------------------


def _heading(figure: Figure, sheet: Sheet, preview: Preview) -> None:
    """Add the heading: the image, the window, and the parameters of the weights."""
    across, down = sheet.size
    lines = (
        (34, 17, "bold", shortened(preview.name)),
        (66, 12, "normal", _where(preview)),
        (95, 12, "normal", _made(preview)),
    )
    for y, size, weight, text in lines:
        figure.text(LEFT_PX / across, 1 - y / down, text, size=size, weight=weight, va="center")


def shortened(name: str) -> str:
    """A name, shortened to fit on a line and escaped as text of a figure."""
    half = LONGEST_NAME // 2
    return (name if len(name) <= LONGEST_NAME else f"{name[:half]} ... {name[-half:]}").replace("$", r"\$")


def _where(preview: Preview) -> str:
    (height, width), (slices, rows, columns) = preview.weights.shape, preview.shape
    z = f"slice z = {preview.z} of {slices}, " if slices > 1 else ""
    num_cells = len(np.unique(preview.instances[preview.instances > 0]))
    cells = f"{num_cells} cell{'s' if num_cells != 1 else ''}"
    ignored = "; striped: ignored" if (preview.instances < 0).any() else ""
    y, x = f"{preview.y0} to {preview.y0 + height - 1}", f"{preview.x0} to {preview.x0 + width - 1}"
    return f"{z}rows {y} of {rows}, columns {x} of {columns}: {cells}{ignored}"


def _made(preview: Preview) -> str:
    made = preview.made
    border, boundary = made.formula.border, made.formula.boundary
    constants = rf"$w_0$ = {border.height:g}, $\sigma$ = {border.sigma:g}"
    where = ", border term on cells too" if made.formula.on_cells else ""
    if made.name == "paper":
        classes = ", ".join(f"{value:.3g}" for value in made.class_weights)
        of = "background and cell" if len(made.class_weights) == 2 else "background and each class"
        formula = r"$w = w_c + w_0\,\exp(-(d_1 + d_2)^2 / 2\sigma^2)$"
        return rf"{formula}   with {constants}, $w_c$ = {classes} ({of}){where}"
    return (
        rf"Falk et al. 2019   with {constants}, $v$ = {made.class_weights[0]:g}, $\sigma_1$ = {boundary.sigma:g}{where}"
    )
