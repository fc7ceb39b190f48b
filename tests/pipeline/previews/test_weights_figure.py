"""The figure of a weight map."""

import imageio.v3 as imageio
import numpy as np
import pytest
from numpy.typing import NDArray

from unetprep.kernels.weight_formula import make_formula
from unetprep.pictures import cells_over, colours_of_cells
from unetprep.previews.overlays import STRIPES
from unetprep.previews.weights import Made, Preview
from unetprep.previews.weights_figure import Sheet, compose, draw


def of_labels(labels: NDArray[np.int32], image: NDArray[np.uint8] | None = None) -> Preview:
    """A preview made by hand: a window far from the corner of a large image."""
    made = Made("paper", make_formula("paper", {"w0": 10.0, "sigma": 5.0}, False), (1.0, 2.0), (1.0, 1.0))
    weights, distances = np.ones(labels.shape, np.float32), np.full((2, *labels.shape), np.inf)
    target = (labels > 0).astype(np.uint8)
    return Preview(
        "$x_1", 2, (1, 10**7, 10**7), 0, 9_998_500, 9_990_000, made, image, labels, target, distances, weights
    )


@pytest.mark.parametrize("shape", [(16, 400), (400, 16), (1, 1), (2048, 40)])
def test_a_window_of_any_shape_is_drawn(shape: tuple[int, int]) -> None:
    height, width = imageio.imread(draw(of_labels(np.zeros(shape, np.int32))), extension=".png").shape[:2]
    assert 1100 <= width <= 2100
    assert height <= 1600


@pytest.mark.parametrize("has_image", [True, False])
def test_axes_count_the_pixels_of_the_image(has_image: bool) -> None:
    labels = np.zeros((40, 50), np.int32)
    labels[10:12, 20] = 3
    panels = compose(of_labels(labels, np.zeros((1, 40, 50), np.uint8) if has_image else None)).axes
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in panels if axes.images]
    assert [title.split(",")[0] for title in titles] == [
        *["Image"] * has_image, "Cells", "Target", "$d_1$", "$d_2$", "Weights $w$"
    ]  # fmt: skip
    for axes in (axes for axes in panels if axes.images):
        assert axes.get_xlim() == (9_990_000 - 0.5, 9_990_050 - 0.5)
        assert axes.get_ylim() == (9_998_540 - 0.5, 9_998_500 - 0.5)
        for line in axes.lines:
            x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
            assert (np.nanmin(x), np.nanmax(x)) == (9_990_020 - 0.5, 9_990_020 + 0.5)
            assert (np.nanmin(y), np.nanmax(y)) == (9_998_510 - 0.5, 9_998_511 + 0.5)


def test_cells_are_filled_over_the_image_and_what_is_ignored_is_striped() -> None:
    labels = np.zeros((40, 50), np.int32)
    labels[5:15, 5:15], labels[20:35, 20:35] = 7, -1
    preview = of_labels(labels, np.zeros((1, 40, 50), np.uint8))
    cells, colour = cells_over(preview.image, labels), colours_of_cells(labels)[7]
    np.testing.assert_array_equal(cells[5, 5:15], [colour] * 10)
    np.testing.assert_array_equal(cells[10, 10], (0.45 * colour).round())
    assert not cells[labels <= 0].any()
    sheet, drawn = Sheet(480, 600, num_above=3), imageio.imread(draw(preview), extension=".png")[..., 0]
    x, y = sheet.panel(0, 2)
    target = drawn[y : y + 480, x : x + 600][6::12, 6::12]
    assert set(target[labels == -1].tolist()) == set(STRIPES)
    np.testing.assert_array_equal(target[labels != -1], (labels[labels != -1] > 0) * 255)
    x, y = sheet.panel(0, 0)
    assert not drawn[y : y + 480, x : x + 600][6::12, 6::12].any(), "the image itself can be seen"
