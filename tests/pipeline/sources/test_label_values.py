"""Gradual values and cells of label images."""

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tests.synthetic import cell_labels
from unetprep.sources.arrays import open_array
from unetprep.sources.label_scan import survey
from unetprep.sources.label_values import Labels, gradual_values

LABELS = cell_labels((90, 110), 20)


def scanned(array: NDArray[Any], dims: int = 2) -> Labels:
    source = open_array("labels", array)
    return Labels(survey(source, dims, 8 if dims == 2 else 26, None, lambda: None), dims, source.dtype)


def test_cells_of_slices_are_independent_images_or_one_volume() -> None:
    stack = np.stack([LABELS, LABELS])
    num = len(np.unique(LABELS)) - 1
    assert scanned(stack, 2).num_cells == 2 * num
    assert scanned(stack, 3).num_cells == num
    assert scanned(LABELS).values.tolist() == np.unique(LABELS)[1:].tolist()


def test_clean_labels_do_not_change_gradually() -> None:
    assert gradual_values(scanned(LABELS)) is None
    assert gradual_values(scanned(np.zeros((5, 5), np.uint8))) is None


@pytest.mark.parametrize("order", [1, 3])
def test_interpolated_labels_do(order: Literal[1, 3]) -> None:
    resized = np.clip(ndimage.zoom(LABELS.astype(float), 1.3, order=order), 0, 255)
    found = gradual_values(scanned(resized.astype(np.uint8)))
    assert found is not None
    assert found.message.startswith(f"thin boundaries of values between those on both sides: {found.count}, ")
    assert len(found.place) == found.count == len(found.what["id"])
    fractions = gradual_values(scanned(resized))
    assert fractions is not None
    assert fractions.message.startswith("pixels whose value is a fraction")
