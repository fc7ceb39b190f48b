"""V_rand, V_info and the warping error, put together from scipy and scikit-image: what ours is compared with."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import contingency_table
from skimage.segmentation import watershed

EIGHT = np.ones((3, 3), int)
RADIUS_PX = 20


def v_scores(labels: NDArray[np.uint8], proposal: NDArray[np.float32], thresholds: NDArray[np.float64]) -> list[float]:
    """The best V_rand and V_info of a slice. The watershed's lines differ from the challenge's by a few pixels."""
    cells = ndimage.label(labels)[0]
    best = [0.0, 0.0]
    for threshold in thresholds:
        mask = proposal.astype(np.float64) > threshold
        seeds = ndimage.label(mask)[0]
        objects = np.ones_like(seeds)
        if seeds.any():
            objects = watershed(~mask, seeds, watershed_line=True)  # type: ignore[no-untyped-call]
        table = contingency_table(cells, objects, ignore_labels=(0,)).toarray()[1:]  # type: ignore[no-untyped-call]
        n = table.sum()
        p, z = table[:, 1:] / n, table[:, 0].sum() / n
        a, b = table.sum(axis=1) / n, p.sum(axis=0)
        shared = (p**2).sum() + z / n
        joint, h_a, h_b = _entropy(p) + z * np.log(n), _entropy(a), _entropy(b) + z * np.log(n)
        information = h_a + h_b - joint
        scores = (
            _f(shared / ((b**2).sum() + z / n), shared / (a**2).sum()),
            _f(information / h_a, information / h_b) if h_a and h_b else 0,
        )
        best = [max(pair) for pair in zip(best, scores, strict=True)]
    return best


def warping_error(labels: NDArray[np.uint8], proposal: NDArray[np.float32], thresholds: NDArray[np.float64]) -> float:
    """The warping error of a slice: a table of simple points, and a loop over the pixels that differ."""
    simple, rows = _table(), []
    padded = np.pad(proposal.astype(np.float64), 1)
    weights = np.array([[1, 2, 4], [8, 0, 16], [32, 64, 128]])
    for threshold in thresholds:
        warped, target = np.pad(labels > 0, 1).astype(np.uint8), padded > threshold
        flipped = True
        while flipped:
            flipped = False
            x, y = np.nonzero((warped != target).T)
            order = np.argsort(-np.abs(padded[y, x] - threshold).astype(np.float32), kind="stable")
            for i, j in zip(y[order].tolist(), x[order].tolist(), strict=True):
                if simple[(warped[i - 1 : i + 2, j - 1 : j + 2] * weights).sum()]:
                    warped[i, j] = 1 - warped[i, j]
                    flipped = True
        rows.append(_num_splits_and_mergers(warped, np.argwhere(warped != target)))
    return min(rows) / labels.size


def _num_splits_and_mergers(warped: NDArray[np.uint8], places: NDArray[np.intp]) -> int:
    objects, count = ndimage.label(warped)[0], 0
    wide = np.pad(warped, RADIUS_PX)
    for y, x in places.tolist():
        num = _num_around(objects, y, x)
        if num == 2 and warped[y, x]:
            window = wide[y : y + 2 * RADIUS_PX + 1, x : x + 2 * RADIUS_PX + 1].copy()
            window[RADIUS_PX, RADIUS_PX] = 0
            count += _num_around(ndimage.label(window)[0], RADIUS_PX, RADIUS_PX) > 2
        else:
            count += num > 2
    return count


def _num_around(objects: NDArray[np.integer], y: int, x: int) -> int:
    ring = objects[y - 1 : y + 2, x - 1 : x + 2].ravel().tolist()
    return len({*ring[:4], *ring[5:]})


def _table() -> NDArray[np.bool_]:
    table = np.zeros(256, bool)
    for ring in range(256):
        bits = [ring >> k & 1 for k in range(8)]
        cells = np.array([*bits[:4], 0, *bits[4:]]).reshape(3, 3)
        background = 1 - cells
        background[1, 1] = 0
        parts = ndimage.label(cells)[0]
        beside = {parts[0, 1], parts[1, 0], parts[1, 2], parts[2, 1]} - {0}
        table[ring] = len(beside) == 1 and ndimage.label(background, EIGHT)[1] == 1
    return table


def _entropy(shares: NDArray[np.float64]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())


def _f(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
