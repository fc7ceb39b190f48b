"""Exact distances from every pixel to the two nearest *different* instances, within a radius.

A pass along each axis in turn keeps, for every pixel, the nearest instance and the nearest other one among the pixels
of the lines passed so far. That is enough: of three instances on one line, the farthest two places cannot both matter,
since whichever point off the line asks, the two nearest on the line are nearer to it by the same offset. The first
axis is a sweep each way; the others search outward until no further line can win.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

FAR = np.float32(np.inf)


@njit(nogil=True, cache=True, inline="always")
def _offer(dist, label, near):  # type: ignore[no-untyped-def]
    """Take one candidate into `near` = (d1, l1, d2, l2), the two nearest distinct labels so far."""
    d1, l1, d2, l2 = near
    if label == l1:
        return (min(dist, d1), l1, d2, l2)
    if dist < d1:
        return (dist, label, d1, l1)
    if dist < d2:
        return (d1, l1, dist, label)
    return near


@njit(nogil=True, cache=True)
def _sweep(labels, step, reach, dist, label):  # type: ignore[no-untyped-def]
    """First pass: along axis 0 of labels (n, lines), forth and back, into dist and label (2, n, lines)."""
    n, lines = labels.shape
    last = np.empty((2, lines), np.int64)  # where the two labels met last were last seen
    seen = np.empty((2, lines), np.int32)
    for back in (False, True):
        seen[:] = 0
        last[:] = 0
        for i in range(n):
            p = n - 1 - i if back else i
            for x in range(lines):
                here = labels[p, x]
                if here != 0:
                    if here != seen[0, x]:
                        seen[1, x], last[1, x] = seen[0, x], last[0, x]
                        seen[0, x] = here
                    last[0, x] = p
                near = (dist[0, p, x], label[0, p, x], dist[1, p, x], label[1, p, x])
                for k in range(2):
                    if seen[k, x] != 0:
                        d = abs(p - last[k, x]) * step
                        if d < reach:
                            near = _offer(np.float32(d * d), seen[k, x], near)
                dist[0, p, x], label[0, p, x], dist[1, p, x], label[1, p, x] = near


@njit(nogil=True, cache=True)
def _search(dist_in, label_in, step, reach, dist, label):  # type: ignore[no-untyped-def]
    """A further pass: along the last axis of (2, lines, n), from what the passes before found on each line."""
    _, lines, n = dist_in.shape
    steps = min(n - 1, int(np.ceil(reach / step)))
    for y in range(lines):
        for x in range(n):
            near = (dist_in[0, y, x], label_in[0, y, x], dist_in[1, y, x], label_in[1, y, x])
            for s in range(1, steps + 1):
                offset = np.float32((s * step) * (s * step))
                if offset >= near[2] or s * step >= reach:
                    break
                for q in (x - s, x + s):
                    if 0 <= q < n:
                        for k in range(2):
                            d = dist_in[k, y, q] + offset
                            if d < near[2]:
                                near = _offer(d, label_in[k, y, q], near)
            dist[0, y, x], label[0, y, x], dist[1, y, x], label[1, y, x] = near


def two_nearest(
    labels: NDArray[np.int32], reach_px: float, spacing: tuple[float, ...], dims: int = 2
) -> NDArray[np.float32]:
    """Squared distances to the nearest and the second nearest instance, (2, z, y, x) float32.

    `labels` is (z, y, x), 0 = background; with `dims` 2 every z is an image of its own. `spacing` is the pixel size
    along the last `dims` axes. A distance is measured between pixel centres, to the nearest pixel of the instance: 0
    inside it, 1 beside it. Where an axis offset reaches `reach_px` it is not looked for: such entries may be infinite.
    Every distance under `reach_px` is exact.
    """
    assert labels.ndim == 3
    assert len(spacing) == dims
    dist = np.full((2, *labels.shape), FAR, np.float32)
    label = np.zeros((2, *labels.shape), np.int32)
    if dims == 2:
        for z in range(labels.shape[0]):
            _sweep(labels[z], spacing[0], reach_px, dist[:, z], label[:, z])
    else:
        flat = (2, labels.shape[0], -1)
        _sweep(labels.reshape(flat[1:]), spacing[0], reach_px, dist.reshape(flat), label.reshape(flat))
        dist, label = (np.ascontiguousarray(a.swapaxes(2, 3)) for a in (dist, label))
        dist, label = _search_last(dist, label, spacing[1], reach_px)
        dist, label = (np.ascontiguousarray(a.swapaxes(2, 3)) for a in (dist, label))
    return _search_last(dist, label, spacing[-1], reach_px)[0]


def _search_last(
    dist: NDArray[np.float32], label: NDArray[np.int32], step: float, reach_px: float
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    flat = (2, -1, dist.shape[-1])
    new_dist, new_label = np.empty_like(dist), np.empty_like(label)
    _search(dist.reshape(flat), label.reshape(flat), step, reach_px, new_dist.reshape(flat), new_label.reshape(flat))
    return new_dist, new_label
