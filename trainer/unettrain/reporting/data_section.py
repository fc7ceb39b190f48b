"""Report section 2, data: an image, its cells, its weights and its target."""

import numpy as np

from unetprep.format.layout import weights_path
from unetprep.pictures import cells_over, grey
from unettrain.reporting.curves import linear_ticks
from unettrain.reporting.examples import busiest_region
from unettrain.reporting.inputs import Run, read_labels, read_pixels, read_target, read_weights
from unettrain.reporting.page import Html, colour_bar, element, figure, grid, join, paragraph, picture, section, text
from unettrain.reporting.pictures import INFERNO, mapped, target_picture

PAPER = "paper"  # the formula shown
MINUS, SIGMA = "\N{MINUS SIGN}", "\N{GREEK SMALL LETTER SIGMA}"


def data_section(run: Run) -> Html:
    """A training image, its cells, its weight map and its target."""
    name = busiest_region(run).name
    return section(
        "data",
        "Data and weight map",
        paragraph(
            "The paper's Fig. 3 and Eq. 2: where two cells nearly touch, background pixels get a much higher weight,"
            " so that the network learns to separate the cells. d1 and d2 are the distances to the nearest and to"
            " the second nearest cell; the class weight balances cells and background."
        ),
        formula(),
        values_of(run, name),
        grid(*_figures(run)),
    )


def _figures(run: Run) -> list[Html]:
    region = busiest_region(run)
    image, labels, weights = read_pixels(run, region)[:, 0], read_labels(run, region)[0], read_weights(run, region)[0]
    low, high = 0.0, float(weights.max()) or 1.0
    about = f"{region.name}, rows {region.y0} to {region.y1}, columns {region.x0} to {region.x1}"
    num = len(np.unique(labels[labels > 0]))
    heat = picture(mapped(weights, INFERNO, low, high), f"Weight map, values from {weights.min():.2g} to {high:.3g}")
    ramp = colour_bar(INFERNO, linear_ticks(low, high), low, high)
    parted = "The class to learn. Cells that touch are parted by a line of background."
    return [
        figure(picture(grey(image), f"Image {about}"), "Image.", f"{about}."),
        figure(
            picture(cells_over(None, labels), f"{num} cells, each in a colour unlike its neighbours'"),
            "Cells.",
            f"{num} of them, each with its own number; neighbours differ in colour.",
        ),
        figure(heat, "Weight map w(x).", "The weight of each pixel in the loss.", ramp),
        figure(
            picture(target_picture(read_target(run, region)[0]), "Target: cells white, background black"),
            "Target.",
            parted,
        ),
    ]


def formula() -> Html:
    """Eq. 2 of the paper."""
    parts = [
        _low("w(x) = w", "c"),
        _low("(x) + w", "0"),
        _low(f" exp({MINUS}(d", "1"),
        _low("(x) + d", "2"),
        text(f"(x))\N{SUPERSCRIPT TWO} / 2{SIGMA}\N{SUPERSCRIPT TWO})"),
    ]
    return element("p", *parts, class_="formula")


def values_of(run: Run, name: str) -> Html:
    """The recorded parameters of the weight map of one image."""
    found = run.recorded(weights_path(run.place(name).group)).get("parameters", {})
    values = []
    if found.get("formula", PAPER) != PAPER:
        values.append(f"the store's weights follow the formula {found['formula']} instead")
    if "w0" in found and "sigma" in found:
        unit = " pixels" if set(found.get("spacing", [1.0])) == {1.0} else ""
        values.append(f"w0 = {found['w0']:g}, {SIGMA} = {found['sigma']:g}{unit}")
    if found.get("class_weights"):
        background, *cells = found["class_weights"]
        of = "cells" if len(cells) == 1 else f"classes 1 to {len(cells)}"
        weights = ", ".join(f"{w:.3g}" for w in cells)
        values.append(f"class weight {background:.3g} for background and {weights} for {of}")
    return paragraph(f"Here {', '.join(values)}.") if values else join([])


def _low(words: str, index: str) -> Html:
    return join([text(words), element("sub", text(index))])
