"""Pictures of a report: colour maps, cells, outlines, PNG."""

from base64 import b64decode

import imageio.v3 as iio
import numpy as np
import pytest

from unettrain.reporting.pictures import (
    INFERNO,
    MISSED,
    VIRIDIS,
    WRONG,
    cells_in_colour,
    choose_colours,
    errors_in_colour,
    grey,
    lookup_table,
    mapped,
    neighbours,
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


def test_neighbours_differ_in_colour_and_a_cell_has_one() -> None:
    rng = np.random.default_rng(0)
    seeds = rng.uniform(0, 80, (60, 2))
    y, x = np.mgrid[:80, :80]
    labels = ((y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2).argmin(-1) + 1
    labels[rng.random((8, 8)).repeat(10, 0).repeat(10, 1) < 0.3] = 0
    beside = neighbours(labels, 6)
    assert all(a in beside[b] for a, others in beside.items() for b in others)
    chosen = choose_colours(beside, 20)
    assert all(chosen[a] != chosen[b] for a, others in beside.items() for b in others)
    picture = cells_in_colour(labels)
    assert all(len(np.unique(picture[labels == n], axis=0)) == 1 for n in np.unique(labels))


def test_neighbours_are_found_within_reach_in_any_direction() -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[4, 4], labels[1, 7], labels[7, 7], labels[0, 0] = 1, 2, 3, 4
    assert neighbours(labels, 3) == {1: {2, 3}, 2: {1}, 3: {1}, 4: set()}
    assert neighbours(labels, 30)[1] == {2, 3, 4}


def test_colours_run_out_only_where_they_must() -> None:
    clique = {n: {m for m in range(5) if m != n} for n in range(5)}
    assert len(set(choose_colours(clique, 5).values())) == 5
    assert len(set(choose_colours(clique, 3).values())) == 3


def test_an_outline_runs_between_the_pixels() -> None:
    labels = np.zeros((6, 6), np.int32)
    labels[1:3, 2:5] = 1
    assert outline_path(labels) == "M2 1h3M2 3h3M2 1v2M5 1v2"
    labels[3:5, 2:5] = 2  # touching: the line between them is there too
    assert "M2 3h3" in outline_path(labels)
    assert outline_path(np.ones((3, 3))) == outline_path(np.zeros((1, 1))) == ""


def test_an_image_is_shown_between_black_and_white() -> None:
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    shown = grey(image, (2.0, 9.0))
    assert shown.shape == (3, 4, 3)
    assert (shown[0, 2, 0], shown[2, 1, 0]) == (0, 255)
    assert (shown == shown[..., :1]).all()
    assert not grey(np.full((1, 2, 2), 3)).any()
    colour = np.stack([np.full((2, 2), value) for value in (0, 100, 200)])
    np.testing.assert_array_equal(grey(colour, (0, 200))[0, 0], [0, 128, 255])
    assert grey(np.zeros((5, 2, 2)), (0, 1)).shape == (2, 2, 3)


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
