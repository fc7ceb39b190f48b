"""Checks of figures: what they find, and what they let pass."""

from collections.abc import Callable, Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.notebooks.figures import faults

mpl.use("agg")
RAMP = np.arange(12.0).reshape(3, 4)
ROW = np.arange(4.0)
Drawing = Callable[[Figure], object]

GOOD: dict[str, Drawing] = {
    "image": lambda f: f.subplots().imshow(RAMP),
    "line": lambda f: f.subplots().plot(RAMP[0]),
    "line with a gap": lambda f: f.subplots().plot([0, np.nan, 2]),
    "vertical line": lambda f: f.subplots().plot([1, 1], [0, 2]),
    "points": lambda f: f.subplots().scatter(ROW, ROW),
    "filled": lambda f: f.subplots().fill_between(ROW, ROW),
    "arrows": lambda f: f.subplots().quiver(RAMP, np.zeros_like(RAMP)),
    "contours": lambda f: f.subplots().contour(RAMP),
    "mesh": lambda f: f.subplots().pcolormesh(RAMP),
    "histogram": lambda f: f.subplots().hist([1, 2, 2]),
    "bars": lambda f: f.subplots().barh([0, 1], [2, 3]),
    "bars one by one": lambda f: [f.subplots().bar(0, 1), f.axes[0].bar(1, 2)],
    "shape": lambda f: f.subplots().add_patch(mpl.patches.Circle((0.5, 0.5), 0.2)),
    "image with a colour bar": lambda f: f.colorbar(f.subplots().imshow(RAMP)),
    "reference beside data": lambda f: [f.subplots().axhline(1), f.axes[0].plot(ROW)],
    "masked": lambda f: f.subplots().imshow(np.where(RAMP > 9, np.nan, RAMP)),
}
BAD: dict[str, tuple[Drawing, str]] = {
    "no axes": (lambda f: None, "without axes"),
    "text alone": (lambda f: f.subplots().text(0.5, 0.5, "?"), "no content"),
    "one of two empty": (lambda f: f.subplots(1, 2)[0].imshow(RAMP), "axes 1 '': no content"),
    "image": (lambda f: f.subplots().imshow(np.ones((3, 4))), "an image is constant"),
    "image of nan": (lambda f: f.subplots().imshow(np.full((3, 4), np.nan)), "an image is constant"),
    "image under lines": (lambda f: [f.subplots().imshow(0 * RAMP), f.axes[0].plot(ROW)], "an image is constant"),
    "line": (lambda f: f.subplots().plot(0 * ROW), "constant"),
    "points": (lambda f: f.subplots().scatter(ROW, 0 * ROW), "constant"),
    "arrows": (lambda f: f.subplots().quiver(np.ones((2, 2)), np.ones((2, 2))), "constant"),
    "mesh": (lambda f: f.subplots().pcolormesh(0 * RAMP), "constant"),
    "bars": (lambda f: f.subplots().bar(ROW, 0 * ROW + 1), "constant"),
    "lying bars": (lambda f: f.subplots().barh(ROW, 0 * ROW + 1), "constant"),
}


@pytest.fixture
def figure() -> Iterator[Figure]:
    figure = plt.figure()
    yield figure
    plt.close(figure)


@pytest.mark.parametrize("name", GOOD)
def test_figures_with_content_pass(figure: Figure, name: str) -> None:
    GOOD[name](figure)
    assert faults(figure) == []


@pytest.mark.parametrize("name", BAD)
def test_worthless_figures_are_found(figure: Figure, name: str) -> None:
    draw, fault = BAD[name]
    draw(figure)
    assert len(faults(figure)) == 1
    assert fault in faults(figure)[0]
