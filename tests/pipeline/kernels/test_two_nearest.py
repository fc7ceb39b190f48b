"""The distances to the two nearest cells, integer for integer those of one transform for each cell."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from tests import reference
from tests.synthetic import cell_labels
from unetprep.kernels import search
from unetprep.kernels.metric import metric
from unetprep.kernels.search import prepare_search
from unetprep.kernels.two_nearest import squared_distances, two_nearest

REACH = 9.0
ids = st.sampled_from([[1, 2, 3], [1, 70000, 2**21], [5, 2**31 - 1, 2**31 - 2]])  # the last need 64 bits


@st.composite
def images(draw: Any, ndim: int, longest: int) -> NDArray[np.int32]:
    """Cells that touch, enclose each other, lie in pieces or in single pixels; images one pixel wide, empty ones."""
    shape = draw(st.tuples(*[st.integers(1, longest)] * ndim))
    names = [0] * draw(st.integers(0, 12)) + draw(ids)
    labels = draw(hnp.arrays(np.int32, shape, elements=st.sampled_from(names)))
    grain = draw(st.integers(1, 4))
    for axis in range(ndim):
        labels = np.repeat(labels, grain, axis)
    return np.ascontiguousarray(labels[tuple(slice(0, n) for n in shape)])


def expected(labels: NDArray[np.int32], spacing: tuple[float, ...], reach: float) -> NDArray[np.float64]:
    distances = reference.two_nearest(labels, spacing)
    return np.where(distances < reach, distances, np.inf)


@given(images(ndim=2, longest=40))
def test_squared_distances_are_integer_for_integer_those_of_the_reference(labels: NDArray[np.int32]) -> None:
    found = two_nearest(labels[None], REACH, (1.0, 1.0))[:, 0]
    wanted = expected(labels, (1.0, 1.0), REACH)
    near = np.isfinite(wanted)
    np.testing.assert_array_equal(np.isfinite(found), near)
    np.testing.assert_array_equal((found[near] ** 2).round(), (wanted[near] ** 2).round())
    np.testing.assert_array_equal(found[near], wanted[near])


@given(images(ndim=3, longest=9), st.tuples(*[st.sampled_from([1.0, 2.0, 4.0, 0.5, 3.7, 0.13, 1 / 3])] * 3))
def test_distances_in_a_volume_of_any_pixel_size(labels: NDArray[np.int32], spacing: tuple[float, ...]) -> None:
    found = two_nearest(labels, REACH, spacing, dims=3)
    wanted = reference.two_nearest(labels, spacing)
    wanted = np.where(wanted < REACH - 1e-6, wanted, np.inf)  # a rounding at the reach itself is no fault
    np.testing.assert_allclose(np.where(found < REACH - 1e-6, found, np.inf), wanted, rtol=1e-6)


@given(images(ndim=2, longest=40), st.sampled_from([4.0, 9.0, 31.0]), st.sampled_from([0.0, 3.0, 20.0]))
def test_a_search_for_pairs_finds_every_pair_within_reach_exactly(
    labels: NDArray[np.int32], pair_reach: float, near_reach: float
) -> None:
    found_by = prepare_search((1.0, 1.0), max(pair_reach, near_reach), int(labels.max()), pair_reach, near_reach)
    found = squared_distances(labels[None], found_by)[:, 0]
    d1, d2 = reference.two_nearest(labels, (1.0, 1.0))
    pairs = d1 + d2 < pair_reach
    np.testing.assert_array_equal(found[0][pairs], (d1[pairs] ** 2).round())
    np.testing.assert_array_equal(found[1][pairs], (d2[pairs] ** 2).round())
    near = d1 < near_reach
    np.testing.assert_array_equal(found[0][near], (d1[near] ** 2).round())
    assert (np.sqrt(found[0][~pairs]) + np.sqrt(found[1][~pairs]) >= pair_reach).all()


def test_bands_and_cores_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.stack([cell_labels((150, 130), 60, seed, radius=9) for seed in range(3)]).astype(np.int32)
    for dims, spacing in ((2, (1.0, 1.0)), (3, (4.0, 1.0, 1.0))):
        whole = two_nearest(labels, 31.0, spacing, dims)
        monkeypatch.setattr(search, "BAND", (8, 8))
        np.testing.assert_array_equal(two_nearest(labels, 31.0, spacing, dims), whole)
        monkeypatch.undo()


def test_slices_of_a_stack_are_independent() -> None:
    stack = np.zeros((2, 20, 20), np.int32)
    stack[0, 3, 3], stack[1, 5, 5] = 1, 2
    assert np.isinf(two_nearest(stack, 31.0, (1.0, 1.0))[1]).all()
    assert np.isfinite(two_nearest(stack, 31.0, (1.0, 1.0, 1.0), dims=3)[1]).any()


@pytest.mark.parametrize(
    ("spacing", "unit", "factors"),
    [
        ((1.0, 1.0), 1.0, (0, 1, 1)),
        ((4.0, 1.0, 1.0), 1.0, (16, 1, 1)),
        ((0.4, 0.1, 0.1), 0.1**2, (16, 1, 1)),
        ((1.5, 1.0, 1.0), 0.25, (9, 4, 4)),
        ((0.65, 0.65), 0.65**2, (0, 1, 1)),
    ],
)
def test_pixel_sizes_with_a_common_unit_are_counted_exactly(
    spacing: tuple[float, ...], unit: float, factors: tuple[int, int, int]
) -> None:
    made = metric(spacing, 31.0)
    assert made.unit == pytest.approx(unit)
    assert (made.factors, made.fraction) == (factors, 0)


@pytest.mark.parametrize("spacing", [(math.pi, 1.0, math.e), (1e-3, 1e3), (0.1234567, 1.0, 1.0)])
def test_pixel_sizes_without_one_are_counted_finely(spacing: tuple[float, ...]) -> None:
    made = metric(spacing, 31.0)
    for axis, size in zip((2, 1, 0), reversed(spacing), strict=False):
        squares = made.squares(axis) * made.unit
        np.testing.assert_allclose(squares, (np.arange(len(squares)) * size) ** 2, atol=31**2 * 2**-31)


@pytest.mark.parametrize(("largest", "bits"), [(1, 32), (2**21 - 1, 32), (2**21, 64), (2**31 - 1, 64)])
def test_32_bits_hold_a_distance_and_a_label_while_they_can(largest: int, bits: int) -> None:
    assert prepare_search((1.0, 1.0), 31.0, largest).columns.dtype.itemsize * 8 == bits


def test_labels_below_one_are_no_cell() -> None:
    labels = np.zeros((1, 9, 9), np.int32)
    labels[0, 4, 4], labels[0, 4, 6] = 1, -1
    d1, d2 = two_nearest(labels, 31.0, (1.0, 1.0))
    assert d1[0, 4, 6] == 2
    assert np.isinf(d2).all()
