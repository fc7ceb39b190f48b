import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.interpolate import BSpline

from unetprep import displacement_field
from unetprep.kernels.field_grid import nodes_needed
from unetprep.kernels.random_fields import draw_grids


@given(
    st.tuples(st.integers(2, 7), st.integers(2, 7)), st.tuples(st.integers(2, 90), st.integers(2, 90)), st.integers()
)
def test_field_is_scipys_interpolating_spline(nodes: tuple[int, int], shape: tuple[int, int], seed: int) -> None:
    grid = np.random.default_rng(abs(seed)).normal(0, 10, (2, *nodes))
    zoom = [n / g for n, g in zip(shape, nodes, strict=True)]
    expected = np.stack([ndimage.zoom(component, zoom, order=3, mode="mirror") for component in grid])
    assert expected.shape == (2, *shape)
    np.testing.assert_allclose(displacement_field(grid, shape), expected, atol=1e-10)


def test_field_goes_through_the_nodes() -> None:
    grid = draw_grids(1, range(1), (3, 3), 10.0)[0]
    field = displacement_field(grid, (573, 287))
    np.testing.assert_allclose(field[:, ::286, ::143], grid, atol=1e-10)


def test_a_grid_of_one_node_shifts() -> None:
    field = displacement_field(np.array([[[2.5]], [[-1.0]]]), (4, 5))
    np.testing.assert_array_equal(field, np.stack([np.full((4, 5), 2.5), np.full((4, 5), -1.0)]))


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 3), (2, 0, 3), (3, 3, 3, 3)])
def test_what_is_no_grid_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"has shape \(2, gy, gx\)"):
        displacement_field(np.zeros(shape), (10, 10))


def test_a_field_in_3d_is_scipys_too() -> None:
    grid = np.random.default_rng(0).normal(0, 10, (3, 3, 4, 5))
    expected = np.stack([ndimage.zoom(part, [20 / 3, 31 / 4, 40 / 5], order=3, mode="mirror") for part in grid])
    np.testing.assert_allclose(displacement_field(grid, (20, 31, 40)), expected, atol=1e-10)


@pytest.mark.parametrize("side", [1, 151, 152, 451])
def test_the_approximating_spline_is_a_sum_of_cubic_b_splines(side: int) -> None:
    nodes = nodes_needed(side)
    grid = np.random.default_rng(1).normal(0, 10, (2, nodes, nodes))
    places = (np.arange(side) - (side - 1) / 2) / 150 + (nodes - 1) / 2
    basis = BSpline.basis_element(np.arange(5) - 2.0, extrapolate=False)
    one = np.nan_to_num(basis(places[:, None] - np.arange(nodes)))
    field = displacement_field(grid, (side, side), "bspline-approx")
    np.testing.assert_allclose(field, one @ grid @ one.T, atol=1e-10)
    np.testing.assert_allclose(one.sum(axis=1), 1)
    with pytest.raises(ValueError, match=f"does not cover {side} pixels; {nodes} nodes would"):
        displacement_field(grid[:, 1:, 1:], (side, side), "bspline-approx")


def test_the_approximating_field_is_as_much_smaller_as_is_known() -> None:
    """A standard deviation of 10 at the coefficients leaves 4.6 to 5 pixels (facts of the authors' later plugin)."""
    fields = [displacement_field(g, (40, 40), "bspline-approx") for g in draw_grids(0, range(3000), (4, 4), 10.0)]
    assert 4.5 < np.std(fields) < 5.1


def test_an_unknown_interpolation_is_refused() -> None:
    with pytest.raises(ValueError, match="interpolation is 'linear', not one of bspline, bspline-approx"):
        displacement_field(np.zeros((2, 3, 3)), (10, 10), "linear")
