import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unetprep.kernels.polygons import fill_ellipse, fill_polygon

SIDE = 9
WHOLE = (0, 0, SIDE, SIDE)
points = st.lists(st.tuples(*[st.integers(-4, 26).map(lambda n: n / 2)] * 2), min_size=3, max_size=7)


def reference(rings: list[NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Crossings of a ray to the left of each centre, one after the other."""
    mask = np.zeros((SIDE, SIDE), bool)
    for row, column in np.ndindex(mask.shape):
        x, y = column + 0.5, row + 0.5
        for ring in rings:
            for (xa, ya), (xb, yb) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
                if ya > yb:
                    xa, ya, xb, yb = xb, yb, xa, ya
                if ya <= y < yb and xa + (y - ya) / (yb - ya) * (xb - xa) <= x:
                    mask[row, column] ^= True
    return mask


@settings(deadline=None)
@given(st.lists(points, min_size=1, max_size=3))
def test_it_equals_counting_crossings_pixel_by_pixel(given: list[list[tuple[float, float]]]) -> None:
    rings = [np.array(ring) for ring in given]
    np.testing.assert_array_equal(fill_polygon(rings, WHOLE), reference(rings))


@settings(deadline=None)
@given(points, st.integers(0, SIDE), st.integers(0, SIDE))
def test_a_window_holds_the_values_of_the_whole(given: list[tuple[float, float]], row: int, column: int) -> None:
    ring = np.array(given) * np.pi / 3
    windows = [(0, 0, row, column), (0, column, row, SIDE), (row, 0, SIDE, column), (row, column, SIDE, SIDE)]
    a, b, c, d = (fill_polygon([ring], window) for window in windows)
    np.testing.assert_array_equal(np.block([[a, b], [c, d]]), fill_polygon([ring], WHOLE))


def test_whole_coordinates_are_corners_of_pixels() -> None:
    square = np.array([[2, 1], [5, 1], [5, 4], [2, 4], [2, 1]], float)
    expected = np.zeros((SIDE, SIDE), bool)
    expected[1:4, 2:5] = True
    np.testing.assert_array_equal(fill_polygon([square], WHOLE), expected)


@pytest.mark.parametrize("corner", [(3.5, 3.5), (4.1, 2.7)])
def test_polygons_that_share_edges_cover_each_pixel_once(corner: tuple[float, float]) -> None:
    corners = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]], float)
    parts = [
        fill_polygon([np.array([a, b, corner])], WHOLE) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)
    ]
    np.testing.assert_array_equal(np.sum(parts, axis=0), 1)


def test_a_ring_within_a_ring_is_a_hole() -> None:
    outer, inner = np.array([[0, 0], [6, 0], [6, 6], [0, 6]], float), np.array([[2, 2], [4, 2], [4, 4], [2, 4]], float)
    mask = fill_polygon([outer, inner], WHOLE)
    assert mask.sum() == 36 - 4
    assert not mask[2:4, 2:4].any()


def test_an_ellipse_holds_the_centres_within() -> None:
    mask = fill_ellipse((1, 2, 8, 6), WHOLE)
    y, x = np.indices(mask.shape) + 0.5
    np.testing.assert_array_equal(mask, ((x - 4.5) / 3.5) ** 2 + ((y - 4) / 2) ** 2 <= 1)
    np.testing.assert_array_equal(fill_ellipse((1, 2, 8, 6), (3, 2, 5, 9)), mask[3:5, 2:9])


def test_many_crossings_are_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rings = [rng.uniform(-3, 13, (40, 2)) for _ in range(5)]
    expected = reference(rings)
    for most in (1, 7, 64):
        monkeypatch.setattr("unetprep.kernels.polygons.MAX_CROSSINGS", most)
        np.testing.assert_array_equal(fill_polygon(rings, WHOLE), expected)
