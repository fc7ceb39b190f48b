"""Pictures of a report: colour maps, outlines, errors."""

from base64 import b64decode

import imageio.v3 as iio
import numpy as np
import pytest

from unettrain.reporting.pictures import (
    INFERNO,
    MISSED,
    VIRIDIS,
    WRONG,
    errors_in_colour,
    lookup_table,
    mapped,
    outline_path,
    png_uri,
    rgb,
)


@pytest.mark.parametrize("anchors", [VIRIDIS, INFERNO])
def test_a_colour_map_begins_and_ends_at_its_anchors_and_grows_lighter(anchors: tuple[str, ...]) -> None:
    colours = lookup_table(anchors)
    assert colours.shape == (256, 3)
    for place, anchor in ((0, anchors[0]), (255, anchors[-1])):
        np.testing.assert_array_equal(colours[place], rgb(anchor))
    lightness = colours @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > -0.5).all()
    shown = mapped(np.array([[-5.0, 2.0, 4.0, 9.0]]), anchors, 2, 4)
    np.testing.assert_array_equal(shown[0], colours[[0, 0, 255, 255]])


def test_an_outline_runs_between_the_pixels() -> None:
    labels = np.zeros((6, 6), np.int32)
    labels[1:3, 2:5] = 1
    assert outline_path(labels) == "M2 1h3M2 3h3M2 1v2M5 1v2"
    labels[3:5, 2:5] = 2  # touching: the line between them is there too
    assert "M2 3h3" in outline_path(labels)
    assert outline_path(np.ones((3, 3))) == outline_path(np.zeros((1, 1))) == ""


def test_errors_have_their_own_colours() -> None:
    image = np.zeros((1, 4, 3), np.uint8)
    truth, proposal = np.array([[1, 1, 0, 0]], bool), np.array([[1, 0, 1, 0]], bool)
    shown = errors_in_colour(image, truth, proposal)[0].astype(int)
    assert len({tuple(pixel) for pixel in shown}) == 4
    for place, colour in ((1, MISSED), (2, WRONG)):
        np.testing.assert_allclose(shown[place], 0.75 * rgb(colour), atol=0.5)


def test_a_picture_survives_as_png() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    plain = np.repeat(colour[..., :1], 3, axis=2)
    for picture, stored in ((colour, colour), (plain, plain[..., 0])):
        data = b64decode(png_uri(picture).removeprefix("data:image/png;base64,"))
        np.testing.assert_array_equal(iio.imread(data, extension=".png", plugin="pillow"), stored)
