import numpy as np

from unettrain.scoring import score


def test_ignored_pixels_are_neither_missed_nor_proposed() -> None:
    labels = np.zeros((1, 20, 20), np.int32)
    labels[0, 2:8, 2:8], labels[0, 12:, :] = 1, -1
    found = score(labels != 0, labels)
    assert found == score(labels == 1, np.maximum(labels, 0))
    assert (found.pixels.iou, found.mean_ap) == (1, 1)
