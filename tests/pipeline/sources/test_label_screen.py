"""The screen of labels, which must find whatever the slower rules refuse."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import resize

from tests.synthetic import cell_image, cell_labels
from unetprep.sources.cells import Cells
from unetprep.sources.label_screen import LabelScreen

LABELS = cell_labels((200, 180), 30)
APART = np.where(ndimage.minimum_filter(LABELS, 3) == ndimage.maximum_filter(LABELS, 3), LABELS, 0)


def odd(labels: NDArray[np.generic], ignore_label: int | None = None) -> str:
    screen = LabelScreen()
    screen.add(labels if labels.ndim == 3 else labels[None], ignore_label, has_ignored=ignore_label is not None)
    return screen.odd


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64"])
def test_labels_of_cells_pass(dtype: str) -> None:
    assert odd(LABELS.astype(dtype)) == odd(APART.astype(dtype)) == odd(np.zeros((9, 9), dtype)) == ""
    assert odd(np.isin(LABELS, (5,))) == ""


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.5, 2, 4])
def test_interpolated_labels_are_found(factor: float) -> None:
    shape = [round(n * factor) for n in LABELS.shape]
    for labels in (LABELS, 255 * (LABELS > 0)):
        smooth = resize(labels.astype(float), shape, order=1)  # type: ignore[no-untyped-call]
        assert odd(np.rint(smooth).astype(np.uint16)) == "gradual"
        nearest = resize(labels, shape, order=0, preserve_range=True, anti_aliasing=False)  # type: ignore[no-untyped-call]
        assert odd(nearest) != "gradual"


def test_images_are_found() -> None:
    assert odd(cell_image(LABELS)) == "gradual"
    assert odd(np.where(APART > 0, 160, 40)) == "pieces"


@pytest.mark.parametrize("num", [1, 2, 3])
def test_classes_are_found_at_any_size(num: int) -> None:
    classes = np.where(APART > 0, 1 + APART % num, 0).astype(np.uint8)
    assert odd(classes) == "pieces"
    assert odd(np.tile(classes, (9, 9))) == "pieces"  # seen in windows
    assert odd(np.stack([classes] * 40)) == "pieces"


def test_ignored_pixels_are_background() -> None:
    speckled = np.where(np.indices(LABELS.shape).sum(axis=0) % 5, LABELS, 255)
    assert odd(speckled) == "gradual"
    speckled = LABELS.copy()
    speckled[::6] = 255
    assert odd(np.where(LABELS > 0, LABELS, 255), 255) == ""


def test_large_images_of_cells_pass() -> None:
    labels = Cells((1600, 1500), 900, share=0.6).window((0, 0), (1600, 1500))
    assert odd(labels) == ""
    assert odd(np.where(labels > 0, 1 + labels % 3, 0)) == "pieces"
