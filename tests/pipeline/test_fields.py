import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from unetprep import displacement_field
from unetprep.kernels.grids import draw_grids


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


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 3), (2, 0, 3)])
def test_what_is_no_grid_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"has shape \(2, gy, gx\)"):
        displacement_field(np.zeros(shape), (10, 10))


def test_a_field_depends_on_seed_and_number_alone() -> None:
    many = draw_grids(5, range(100), (3, 3), 10.0)
    np.testing.assert_array_equal(draw_grids(5, range(40, 43), (3, 3), 10.0), many[40:43])
    assert len(np.unique(many)) == many.size
    assert np.isin(draw_grids(6, range(100), (3, 3), 10.0), many).mean() < 0.01  # other seed, other fields


def test_displacements_have_the_papers_deviation() -> None:
    grids = draw_grids(0, range(20_000), (3, 3), 10.0).astype(np.float64)
    assert grids.std(axis=0) == pytest.approx(np.full((2, 3, 3), 10.0), rel=0.03)
    assert abs(grids.mean(axis=0)).max() < 0.3
    correlation = np.corrcoef(grids.reshape(len(grids), -1), rowvar=False)
    assert abs(correlation - np.eye(18)).max() < 0.04
    assert ((grids / 10) ** 4).mean() == pytest.approx(3, rel=0.05)  # a Gaussian's kurtosis


def test_the_draw_is_frozen() -> None:
    digest = hashlib.sha256(draw_grids(42, range(1000), (3, 3), 10.0).tobytes()).hexdigest()
    assert digest == "3473905dbf493259ce7e749798a36bbab8d789224a81c8a35094e81b9d3f3371"
