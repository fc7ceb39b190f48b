"""Results of a report."""

from base64 import b64decode

import imageio.v3 as iio
import numpy as np

from tests.trainer.reporting.conftest import Page
from unettrain.reporting.pictures import (
    outline_path,
)
from unettrain.reporting.regions import Region
from unettrain.reporting.result_sections import prediction_section
from unettrain.reporting.scores import (
    HeldOut,
    Shown,
    make_shown,
)


def test_ignored_pixels_are_shown_neither_as_cells_nor_as_errors() -> None:
    labels = np.zeros((2, 8, 8), np.int32)
    labels[0, :, :5] = -1
    labels[1, 2:4, 2:4] = 1
    labels[1, 6:] = -1
    probabilities = np.stack([(labels == 0) * 0.9, (labels != 0) * 0.9]).astype(np.float32)  # (class, z, y, x)
    shown = make_shown(Region("a", 3, 0, 2, 0, 8, 0, 8), np.zeros((1, 2, 8, 8), np.uint8), labels, probabilities)
    np.testing.assert_array_equal(shown.labels, labels[1])  # not the slice with the most ignored pixels
    section = Page(prediction_section(held_out(shown)))
    *_, errors = (iio.imread(b64decode(src.partition(",")[2]), extension=".png") for src in section.values("src"))
    assert errors[2:4, 2:4].mean() > 100  # found
    assert errors[6:].max() == 0
    outline = next(value for tag, name, value in section.attributes if (tag, name) == ("path", "d"))
    assert outline == outline_path(labels[1] > 0)


def held_out(shown: Shown) -> HeldOut:
    return HeldOut("test", (), 1, 1, True, True, {}, shown)
