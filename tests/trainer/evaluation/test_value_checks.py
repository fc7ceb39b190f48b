"""Checks of values: what can be the numbers of objects."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tests.trainer.evaluation.helpers import CELL, LABELS, MASK, NUM_CELLS
from unettrain.errors import InvalidInput
from unettrain.evaluation.value_checks import (
    check_numbers,
    examine_pixels,
    fault_of_numbers,
    has_one_number,
    is_whole,
    num_parts,
)


def pixels(image: NDArray[np.generic]) -> NDArray[np.generic]:
    return image[None, None]


def test_parts_are_counted_for_each_object_and_in_each_slice() -> None:
    mask = np.zeros((1, 2, 9, 9), np.uint8)
    mask[0, :, 1:3, 1:3] = mask[0, 0, 6:8, 6:8] = 5
    assert sorted(num_parts(examine_pixels(mask, "a", 2))) == [1, 2]
    assert num_parts(examine_pixels(mask, "a", 3)).tolist() == [2]
    assert len(num_parts(examine_pixels(pixels(LABELS), "a", 2))) == NUM_CELLS


def test_values_that_change_gradually_are_no_numbers() -> None:
    assert fault_of_numbers(examine_pixels(pixels(LABELS), "a", 2)) == ""
    gradual = np.rint(CELL * 255).astype(np.uint8)
    assert fault_of_numbers(examine_pixels(pixels(gradual), "a", 2)).startswith(
        "values change gradually (thin boundaries of"
    )


def test_classes_are_no_numbers() -> None:
    classes = MASK + ndimage.binary_erosion(MASK, iterations=3).astype(np.uint8)
    swapped = np.array([0, 2, 1], np.uint8)[classes]
    assert fault_of_numbers(examine_pixels(pixels(swapped), "a", 2)).startswith(
        "numbers in several separate pieces, as classes are:"
    )


def test_kinds_of_values() -> None:
    assert has_one_number(pixels(MASK * 7))
    assert has_one_number(np.zeros((1, 1, 3, 3)))
    assert not has_one_number(pixels(LABELS))
    assert is_whole(np.array([1.0, 2.0]))
    assert not is_whole(np.array([1.0, np.nan]))
    with pytest.raises(InvalidInput, match=r"a holds the number -3\n(.|\n)*try -3"):
        check_numbers(np.array([-3, 2]), "a", hint="try {}")
