from itertools import product

import numpy as np
import pytest
from skimage.measure import regionprops

from tests.trainer.decoding.images import random_cells
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.table import InstanceTable


def test_equals_the_measurements_of_scikit_image_whatever_the_parts() -> None:
    labels = separate_instances(np.stack([random_cells((90, 80), 20, seed) for seed in (0, 1)]))
    image = np.random.default_rng(0).integers(0, 65536, (2, *labels.shape)).astype(np.uint16)
    for rows, columns in ((7, 80), (90, 33)):
        table = InstanceTable(int(labels.max()), num_channels=2)
        for z in range(2):
            for y0, x0 in product(range(0, 90, rows), range(0, 80, columns)):
                part = np.s_[z, y0 : y0 + rows, x0 : x0 + columns]
                table.add(z, y0, labels[part], image[:, *part], x0=x0)
        found = list(table.rows())
        expected = [(z, p) for z in range(2) for p in regionprops(labels[z], np.moveaxis(image[:, z], 0, -1))]  # type: ignore[no-untyped-call]
        assert len(found) == len(expected) == labels.max()
        for row, (z, p) in zip(found, expected, strict=True):
            assert (row.label, row.z, row.area_px) == (p.label, z, p.area)
            assert (row.y0, row.x0, row.y1, row.x1) == p.bbox
            assert (row.centroid_y, row.centroid_x) == pytest.approx(p.centroid)
            assert row.mean_intensity == pytest.approx(tuple(p.intensity_mean))


def test_without_an_image_there_is_no_intensity_and_missing_labels_are_left_out() -> None:
    table = InstanceTable(2)
    table.add(3, 10, np.array([[0, 2, 2]], np.int32))
    (row,) = table.rows()
    assert row == (2, 3, 2, 10.0, 1.5, 10, 1, 11, 3, ())


def test_an_image_of_another_shape_or_number_of_channels_is_refused() -> None:
    labels = np.ones((2, 3), np.int32)
    with pytest.raises(ValueError, match=r"labels have shape \(2, 3\), the image \(2, 2\)"):
        InstanceTable(1, 1).add(0, 0, labels, np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match=r"longer|shorter"):
        InstanceTable(1, 1).add(0, 0, labels, np.zeros((2, 2, 3)))
