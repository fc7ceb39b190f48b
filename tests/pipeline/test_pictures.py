"""Cells in colour: neighbours, the choice of colours, and boundaries."""

import numpy as np

from unetprep.pictures import (
    boundary_lines,
    boundary_pixels,
    cells_over,
    choose_colours,
    colours_of_cells,
    grey,
    neighbours,
)


def test_neighbours_differ_in_colour_and_a_cell_has_one() -> None:
    rng = np.random.default_rng(0)
    seeds = rng.uniform(0, 80, (60, 2))
    y, x = np.mgrid[:80, :80]
    labels = ((y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2).argmin(-1) + 1
    labels[rng.random((8, 8)).repeat(10, 0).repeat(10, 1) < 0.3] = 0
    beside = neighbours(labels)
    assert all(a in beside[b] for a, others in beside.items() for b in others)
    chosen = choose_colours(beside, 20)
    assert all(chosen[a] != chosen[b] for a, others in beside.items() for b in others)
    picture, inner = cells_over(None, labels), ~boundary_pixels(labels)
    assert all(len(np.unique(picture[(labels == n) & inner], axis=0)) <= 1 for n in np.unique(labels))


def test_neighbours_are_cells_whose_regions_meet() -> None:
    labels = np.zeros((9, 9), np.int32)
    labels[4, 4], labels[1, 7], labels[7, 7], labels[0, 0] = 1, 2, 3, 4
    assert neighbours(labels) == {1: {2, 3, 4}, 2: {1, 3, 4}, 3: {1, 2}, 4: {1, 2}}
    labels[2:7, 5] = 5  # between the cell in the middle and those on the right
    assert neighbours(labels)[1].isdisjoint({2, 3})
    assert neighbours(np.zeros((3, 3), np.int32)) == {}


def test_colours_run_out_only_where_they_must() -> None:
    clique = {n: {m for m in range(5) if m != n} for n in range(5)}
    assert len(set(choose_colours(clique, 5).values())) == 5
    assert len(set(choose_colours(clique, 3).values())) == 3


def test_boundary_lines_join_the_edges_of_pixels_in_a_row() -> None:
    labels = np.zeros((6, 6), np.int32)
    labels[1:3, 2:5] = 1
    assert boundary_lines(labels) == ([(1, 2, 3), (3, 2, 3)], [(2, 1, 2), (5, 1, 2)])


def test_neighbours_have_different_colours() -> None:
    labels = np.arange(1, 26).reshape(5, 5).repeat(8, 0).repeat(8, 1)
    colours = colours_of_cells(labels)
    assert len(colours) == 25
    for row in range(5):
        for column in range(4):
            a, b = 5 * row + column + 1, 5 * row + column + 2
            assert not np.array_equal(colours[a], colours[b])
            a, b = 5 * column + row + 1, 5 * (column + 1) + row + 1
            assert not np.array_equal(colours[a], colours[b])


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
