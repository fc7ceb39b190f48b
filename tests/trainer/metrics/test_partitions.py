"""Variation of information and the adapted Rand error, against scikit-image and hand-computed cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage.metrics import adapted_rand_error
from skimage.metrics import variation_of_information as skimage_variation

from tests.synthetic import cell_labels
from unettrain.metrics import AdaptedRand, VariationOfInformation, adapted_rand, variation_of_information

few = arrays(np.uint8, (5, 6), elements=st.integers(0, 3))


@given(few, few)
def test_it_is_that_of_scikit_image(labels: NDArray[np.uint8], proposal: NDArray[np.uint8]) -> None:
    found = variation_of_information(labels, proposal)
    expected = skimage_variation(labels, proposal)  # type: ignore[no-untyped-call]
    assert (found.split, found.merge) == pytest.approx(tuple(expected), abs=1e-12)


@pytest.mark.parametrize("ignored", [(), (0,)])
def test_cells_score_as_in_scikit_image(ignored: tuple[int, ...]) -> None:
    labels = cell_labels((120, 130), 30)
    proposal = np.roll(np.where(labels > 25, 25, labels), 2, axis=0)
    found = adapted_rand(labels, proposal, ignore_background=bool(ignored))
    expected = adapted_rand_error(labels, proposal, ignore_labels=ignored)  # type: ignore[no-untyped-call]
    assert (found.error, found.recall, found.precision) == pytest.approx(expected, abs=1e-12)  # exchanged there
    parts = variation_of_information(labels, proposal, ignore_background=bool(ignored))
    split = skimage_variation(labels, proposal, ignore_labels=ignored)  # type: ignore[no-untyped-call]
    assert (parts.split, parts.merge) == pytest.approx(tuple(split), abs=1e-12)


def test_a_cell_in_two_halves_costs_a_bit() -> None:
    labels, halves = np.ones((2, 4), np.int64), np.repeat([[1, 2]], 2, 1).repeat(2, 0)
    assert variation_of_information(labels, halves) == VariationOfInformation(split=1, merge=0)
    assert variation_of_information(halves, labels) == VariationOfInformation(split=0, merge=1)
    assert variation_of_information(labels, halves).total == 1
    assert adapted_rand(labels, halves) == AdaptedRand(precision=1, recall=24 / 56)
    assert adapted_rand(labels, halves).error == pytest.approx(1 - 48 / 80)


def test_ignored_pixels_and_background_are_left_out() -> None:
    labels, proposal = np.array([[0, 0, 1, 1, -1, -5]]), np.array([[7, 8, 2, 2, 3, 2]])
    assert variation_of_information(labels, proposal, ignore_background=True).total == 0
    assert variation_of_information(labels, proposal) == VariationOfInformation(split=0.5, merge=0)
    assert adapted_rand(labels, proposal, ignore_background=True).error == 0


def test_nothing_and_single_pixels() -> None:
    none = np.zeros((3, 3), np.uint8)
    assert variation_of_information(none, none, ignore_background=True) == VariationOfInformation(0, 0)
    assert adapted_rand(none, none, ignore_background=True) == AdaptedRand(1, 1)
    pixels = np.arange(9).reshape(3, 3)
    assert adapted_rand(pixels, pixels) == AdaptedRand(1, 1)
    assert adapted_rand(none, pixels) == AdaptedRand(precision=1, recall=0)
    assert adapted_rand(none, pixels).error == 1
