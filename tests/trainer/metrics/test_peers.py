"""AP and SEG against values that stardist 0.9.2 and py-ctcmetrics 1.3.3 gave for the same labels."""

import numpy as np
import pytest

from tests.trainer.metrics.disks import disks, proposed
from unettrain.metrics import Seg, average_precision, match_instances, seg
from unettrain.metrics.instances import overlap_table

# stardist.matching.matching(...).accuracy at 0.5, 0.55, ..., 0.9; then tp, fp and fn at 0.5
STARDIST = {
    0: (
        (12 / 36, 11 / 37, 10 / 38, 7 / 41, 6 / 42, 5 / 43, 3 / 45, 1 / 47, 0),
        (12, 8, 16),
    ),
    1: (
        (14 / 36, 12 / 38, 10 / 40, 8 / 42, 4 / 46, 3 / 47, 1 / 49, 0, 0),
        (14, 6, 16),
    ),
    2: (
        (16 / 34, 14 / 36, 10 / 40, 7 / 43, 6 / 44, 5 / 45, 2 / 48, 2 / 48, 1 / 49),
        (16, 5, 13),
    ),
}
CTC_METRICS = {0: (0.42615982756706616, 28), 1: (0.4370214233630777, 30), 2: (0.44559346242346154, 29)}
CTC_POOLED = 0.43638308371322493


@pytest.mark.parametrize("seed", STARDIST)
def test_ap_is_that_of_stardist(seed: int) -> None:
    labels = disks(30, 120, seed)
    ap, counts = STARDIST[seed]
    assert tuple(average_precision(labels, proposed(labels)).values()) == pytest.approx(ap, abs=1e-9)
    found = match_instances(labels, proposed(labels))
    assert (found.tp, found.fp, found.fn) == counts


def test_seg_is_that_of_the_cell_tracking_challenge() -> None:
    pooled = Seg()
    for seed, (expected, num_cells) in CTC_METRICS.items():
        labels = disks(30, 120, seed)
        assert seg(labels, proposed(labels)) == pytest.approx(expected, abs=1e-9)
        pooled += overlap_table(labels, proposed(labels)).seg()
        assert np.unique(labels[labels > 0]).size == num_cells
    assert pooled.value == pytest.approx(CTC_POOLED, abs=1e-9)  # the mean over cells, not over images


def test_seg_needs_more_than_half_of_a_cell() -> None:
    cell, half = np.array([[1, 1, 1, 1, 0]]), np.array([[0, 0, 5, 5, 5]])
    assert seg(cell, half) == 0
    assert seg(cell, np.array([[0, 5, 5, 5, 5]])) == 3 / 5
    assert seg(np.array([[1, 1, -1, -1, 0]]), np.array([[0, 5, 5, 5, 5]])) == 0  # ignored pixels do not count
    assert seg(np.array([[1, 1, 1, -1, 0]]), np.array([[0, 5, 5, 5, 5]])) == 2 / 4
    assert seg(np.zeros((1, 5), int), half) == 0
    assert seg(cell, np.ones((1, 5), int) * 3) == 4 / 5
