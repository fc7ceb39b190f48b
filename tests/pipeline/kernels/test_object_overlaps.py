"""Overlaps of objects and components of equal value, against numpy and scipy."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from unetprep.kernels.equal_values import label_equal_values
from unetprep.kernels.object_overlaps import overlaps, pixels_by_object

shapes = st.tuples(st.integers(1, 8), st.integers(1, 8))
labellings = shapes.flatmap(lambda shape: st.tuples(*[hnp.arrays(np.int32, shape, elements=st.integers(0, 4))] * 2))


@settings(max_examples=50)
@given(labellings)
def test_overlaps_are_those_of_the_table_of_all_pairs(pair: tuple[NDArray[np.int32], NDArray[np.int32]]) -> None:
    truth, proposal = pair
    table = np.zeros((5, 5), int)
    np.add.at(table, (truth, proposal), 1)
    found = overlaps(pixels_by_object(truth, 4), proposal, 4)
    inside = table[1:, 1:]
    assert sorted(found.pairs) == sorted(inside[inside > 0])
    np.testing.assert_array_equal(found.proposed, table[1:].sum(axis=0))
    np.testing.assert_array_equal(np.diff(pixels_by_object(truth, 4).starts), table[1:].sum(axis=1))


def test_more_pairs_than_at_first_allocated() -> None:
    truth = np.arange(1, 5001, dtype=np.int32).reshape(50, 100)
    found = overlaps(pixels_by_object(truth, 5000), truth[::-1].copy(), 5000)
    assert found.pairs.tolist() == [1] * 5000


@settings(max_examples=50)
@given(hnp.arrays(np.int16, shapes, elements=st.integers(-1, 3)))
def test_components_of_equal_value_are_those_of_each_value(values: NDArray[np.int16]) -> None:
    labels, num = label_equal_values(values)
    expected = np.zeros(values.shape, int)
    for value in (1, 2, 3):
        parts, count = ndimage.label(values == value)
        expected[parts > 0] = parts[parts > 0] + expected.max(initial=0)
        assert count == len(np.unique(labels[values == value]))
    assert num == expected.max(initial=0) == labels.max(initial=0)
    assert len(np.unique(np.stack([labels, expected]).reshape(2, -1), axis=1).T) == len(np.unique(labels))
    first_pixels = [int(np.flatnonzero(labels == k)[0]) for k in range(1, num + 1)]
    assert first_pixels == sorted(first_pixels)


def test_a_mask_of_single_pixels() -> None:
    checks = (np.indices((7, 9)).sum(axis=0) % 2 == 0).astype(np.int32)
    assert label_equal_values(checks)[1] == checks.sum()
    assert label_equal_values(checks + 1)[1] == 63
