"""Colours of cells and pictures of arrays."""

import numpy as np

from unetprep.pictures import colours_of_cells


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
